"""From the weights of one query token to the attention mass between frames."""

from math import exp

from svg import BLUE, INK, ORANGE, SOFT, Drawing

SCORES = ((0.4, 1.3, 0.7, 1.9), (-0.8, 0.1, -0.3, -0.6), (0.9, 1.4, 0.2, 1.95))
"""Of one query token of frame 2 with the four keys of each frame."""
ROWS = ((0.71, 0.17, 0.12), (0.38, 0.43, 0.19), (0.36, 0.15, 0.49))
"""The map; the token above is one of those that the last row averages."""


def tint(share: float) -> str:
    """White for 0, dark blue for 0.65 and more."""
    part = min(1.0, share / 0.65)
    return "#" + "".join(f"{round(255 + part * (end - 255)):02x}" for end in (0, 70, 130))


def draw() -> Drawing:
    """One token's softmax over all keys, its sums by frame, and the mean over the frame's tokens."""
    weights = [[exp(s) for s in frame] for frame in SCORES]
    whole = sum(map(sum, weights))
    shares = [[w / whole for w in frame] for frame in weights]
    d = Drawing(760, 350)
    for x, words in ((20, "1  One token asks"), (206, "2  Softmax, then sums by frame"), (540, "3  Mean over tokens")):
        d.text(x, 28, words, size=15, anchor="start", bold=True)
    _frames(d)
    _weights(d, shares)
    _map(d, ROWS)
    return d


def _frames(d: Drawing) -> None:
    for frame in range(3):
        y = 60 + 92 * frame
        for token in range(4):
            asks = frame == 2 and token == 1
            x, top = 86 + 34 * (token % 2), y + 34 * (token // 2)
            d.rect(x, top, 30, 30, fill=ORANGE if asks else "#dcdcdc", stroke=INK, radius=3)
        d.text(76, y + 38, f"frame {frame}", size=13, anchor="end")
    d.arrow(156, 250, 194, 192, stroke=ORANGE, width=2)


def _weights(d: Drawing, shares: list[list[float]]) -> None:
    for frame, some in enumerate(shares):
        left = 206 + 112 * frame
        for token, share in enumerate(some):
            d.rect(left + 24 * token, 180 - 380 * share, 20, 380 * share, fill=BLUE, stroke="none", radius=0)
        d.line(left - 2, 181, left + 94, 181)
        d.text(left + 46, 200, f"keys of frame {frame}", size=13)
        d.path(f"M {left} 212 v 8 h 92 v -8", stroke=SOFT)
        d.arrow(left + 46, 220, left + 46, 244, stroke=SOFT)
        total = sum(some)
        d.rect(left + 16, 248, 60, 34, fill=tint(total), stroke=INK)
        d.text(left + 46, 270, f"{total:.2f}", fill="#ffffff" if total > 0.35 else INK)
    d.text(364, 62, "twelve weights, one per key: they add up to 1", size=13)
    d.text(364, 312, "so the three sums add up to 1 as well", size=13)


def _map(d: Drawing, rows: tuple[tuple[float, ...], ...]) -> None:
    left, top, side = 594, 72, 46
    for i, row in enumerate(rows):
        for j, share in enumerate(row):
            x, y = left + side * j, top + side * i
            d.rect(x, y, side, side, fill=tint(share), stroke="#ffffff", radius=0)
            d.text(x + side / 2, y + 28, f"{share:.2f}", size=13, fill="#ffffff" if share > 0.36 else INK)
        d.text(left - 8, top + side * i + 28, str(i), size=13, anchor="end")
        d.text(left + side * (i + 0.5), top - 8, str(i), size=13)
    d.rect(left, top + 2 * side, 3 * side, side, stroke=ORANGE, radius=0)
    d.path("M 526 265 C 556 265, 550 190, 574 187", stroke=ORANGE)
    d.text(650, 236, "row: the frame that asks", size=13)
    d.text(650, 256, "column: the frame asked", size=13)
    d.text(650, 290, "averaged over all tokens", size=13)
    d.text(650, 308, "of frame 2 and all heads,", size=13)
    d.text(650, 326, "this is row 2", size=13)
