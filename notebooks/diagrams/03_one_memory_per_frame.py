"""Chapter 3: two frames that take turns, and what a solver remembers of them."""

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

LEVELS = {"frame 0": (1.0, 0.75, 0.75, 0.5, 0.5), "frame 1": (1.0, 1.0, 0.75, 0.75, 0.5)}
SIZE, LEFT, STEP = 46, 96, 88
WAITED = ("the same place twice:", "no slope of its own")
MOVED = ("its own last step:", "the slope is right")


def _rows(d: Drawing) -> None:
    """The noise levels, row by row: an arrow where a frame moves, a dashed line where it waits."""
    for j in range(5):
        d.text(LEFT + j * STEP + SIZE / 2, 56, "row 4: now" if j == 4 else f"row {j}", fill=INK if j == 4 else SOFT)
    for i, (name, levels) in enumerate(LEVELS.items()):
        y = 68 + i * 76
        d.text(LEFT - 14, y + SIZE / 2 + 5, name, anchor="end")
        for j, level in enumerate(levels):
            x = LEFT + j * STEP
            d.cell(x, y, SIZE, level)
            d.text(x + SIZE / 2, y + SIZE + 17, f"{level:g}", size=13, fill=SOFT)
            if j < 4 and levels[j + 1] != level:
                d.arrow(x + SIZE + 5, y + SIZE / 2, x + STEP - 6, y + SIZE / 2, stroke=BLUE, width=3)
            elif j < 4:
                d.line(x + SIZE + 6, y + SIZE / 2, x + STEP - 7, y + SIZE / 2, stroke=ORANGE, width=3, dash="2 6")


def _legend(d: Drawing) -> None:
    d.arrow(560, 92, 594, 92, stroke=BLUE, width=3)
    d.text(606, 97, "the frame moves", anchor="start")
    d.line(560, 128, 594, 128, stroke=ORANGE, width=3, dash="2 6")
    d.text(606, 133, "the frame waits", anchor="start")
    d.text(560, 166, "numbers: noise level tau", size=13, anchor="start", fill=SOFT)


def _memory(d: Drawing, x: int, title: str, colour: str, rows: tuple[int, int], verdict: tuple[str, str]) -> None:
    """Two rows whose velocities give frame 0 its slope, and what that slope is worth."""
    d.rect(x, 262, 354, 150, stroke=colour, fill="#ffffff", radius=8)
    d.text(x + 16, 288, title, size=15, anchor="start", bold=True, fill=colour)
    for k, row in enumerate(rows):
        level = LEVELS["frame 0"][row]
        at = x + 24 + k * 78
        d.text(at + SIZE / 2, 314, f"row {row}", size=13, fill=SOFT)
        d.cell(at, 322, SIZE, level)
        d.text(at + SIZE / 2, 322 + SIZE + 18, f"v at {level:g}", size=13)
    for k, words in enumerate(verdict):
        d.text(x + 170, 342 + 22 * k, words, anchor="start", bold=k == 0, fill=colour if k == 0 else INK)


def draw() -> Drawing:
    """Above, two frames that take turns; below, what two kinds of memory hold for the frame that moves next."""
    d = Drawing(760, 430)
    d.text(24, 28, "Two frames take turns", size=16, anchor="start", bold=True)
    _rows(d)
    _legend(d)
    d.text(
        24,
        246,
        "Frame 0 moves next. The slope of its line is the change between two velocities: which two?",
        anchor="start",
    )
    _memory(d, 18, "One memory for the video", ORANGE, (3, 4), WAITED)
    _memory(d, 388, "One memory per frame", GREEN, (2, 3), MOVED)
    return d
