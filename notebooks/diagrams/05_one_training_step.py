"""Chapter 5: one training step with a known frame."""

import random

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

SIZE, LEFT, STEP = 52, 128, 60


def _frame(d: Drawing, x: int, y: int, ball: float, noise: float, chance: random.Random) -> None:
    """A picture of a ball, speckled where it is noisy."""
    d.rect(x, y, SIZE, SIZE, fill="#2b333b", stroke="none", radius=0)
    d.circle(x + 10 + 32 * ball, y + 34 - 18 * ball, 8, fill=ORANGE)
    specks: dict[str, list[str]] = {}
    for i in range(13 if noise else 0):
        for j in range(13):
            if chance.random() < noise:
                grey = chance.choice(("#1b2126", "#5b6670", "#9aa5b1", "#d6dbe0"))
                specks.setdefault(grey, []).append(f"M{x + 4 * i} {y + 4 * j}h4v4h-4z")
    for grey, squares in specks.items():
        d.path("".join(squares), stroke="none", fill=grey)


def _step(d: Drawing) -> None:
    chance, tau = random.Random(5), (0.0, 0.6, 0.6, 0.6, 0.6)
    for name, y in (("clip x0", 86), ("timesteps tau", 142), ("model sees x", 202)):
        d.text(LEFT - 12, y, name, anchor="end")
    for i, level in enumerate(tau):
        x = LEFT + i * STEP
        _frame(d, x, 54, i / 4, 0, chance)
        d.cell(x + 11, 122, 30, level)
        d.text(x + 60 - 17, 142, f"{level:g}", size=13, anchor="start", fill=INK)
        _frame(d, x, 170, i / 4, 0.85 if level else 0, chance)
    d.arrow(436, 196, 470, 196, width=3)
    d.rect(474, 166, 92, 60, stroke=BLUE, fill="#ffffff", radius=8)
    d.text(520, 201, "model", bold=True, fill=BLUE)
    d.arrow(570, 196, 600, 196, width=3)
    d.text(608, 178, "velocity v", anchor="start")
    d.text(608, 200, "loss: the mean of", anchor="start")
    d.text(608, 222, "(v - (eps - x0))²", anchor="start")
    d.line(LEFT, 234, LEFT + SIZE, 234, stroke=SOFT, width=4)
    d.text(LEFT + 26, 254, "no loss", size=13, fill=SOFT)
    d.line(LEFT + STEP, 234, LEFT + 4 * STEP + SIZE, 234, stroke=GREEN, width=4)
    d.text(LEFT + 2.5 * STEP + 26, 254, "learned from", size=13, fill=GREEN)


def draw() -> Drawing:
    """From a clip to its loss."""
    d = Drawing(760, 268)
    d.text(24, 32, "One training step, with frame 0 known", size=16, anchor="start", bold=True)
    _step(d)
    return d
