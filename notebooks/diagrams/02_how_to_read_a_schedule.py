"""Chapter 2: what a row and a column of a schedule are."""

from svg import INK, ORANGE, PINK, Drawing

STEPS, FRAMES, LAG, CELL = 4, 6, 1, 34
X, Y = 250, 78


def draw() -> Drawing:
    """A small pyramid with one row and one column in frames, and a scale of noise levels."""
    picture = Drawing(760, 436)
    rows = STEPS + LAG * (FRAMES - 1) + 1
    for row in range(rows):
        picture.text(X - 12, Y + CELL * row + 22, f"{row}", 13, "end")
        for frame in range(FRAMES):
            level = 1 - min(max(row - LAG * frame, 0), STEPS) / STEPS
            picture.cell(X + CELL * frame, Y + CELL * row, CELL - 2, level)
    for frame in range(FRAMES):
        picture.text(X + CELL * frame + 16, Y - 10, f"{frame}", 13)
    picture.text(X + CELL * FRAMES / 2, 34, "frames", 15, bold=True)
    picture.text(X - 96, Y + CELL * rows / 2 + 4, "rows", 15, bold=True)
    picture.arrow(X - 96, Y + CELL * rows / 2 + 16, X - 96, Y + CELL * rows / 2 + 70)
    for x, y, w, h, colour in (
        (X - 4, Y + CELL * 4 - 4, CELL * FRAMES + 6, CELL + 6, ORANGE),
        (X + CELL * 2 - 4, Y - 4, CELL + 6, CELL * rows + 6, PINK),
    ):
        picture.rect(x, y, w, h, "none", colour, 4)
        picture.rect(x - 1.5, y - 1.5, w + 3, h + 3, "none", colour, 5)
    _note(picture, Y + CELL * 4 + 16, ORANGE, "A row: the timestep vector", ("that the model is given", "in one call"))
    picture.arrow(478, Y + CELL * 4 + 12, X + CELL * FRAMES + 8, Y + CELL * 4 + 13, ORANGE)
    _note(picture, Y + CELL * 8 + 16, PINK, "A column: one frame's way", ("from noise to clean", "(its sigmas)"))
    picture.arrow(478, Y + CELL * 8 + 12, X + CELL * 3 + 8, Y + CELL * 8 + 13, PINK)
    picture.text(490, 96, "noise", 14, "start")
    for k in range(5):
        picture.cell(540 + 26 * k, 78, 26, 1 - k / 4)
    picture.text(680, 96, "clean", 14, "start")
    picture.text(490, 140, "Time runs downwards.", 14, "start")
    return picture


def _note(picture: Drawing, y: float, colour: str, title: str, lines: tuple[str, ...]) -> None:
    """Words to the right of the matrix."""
    picture.text(490, y, title, 15, "start", True, colour if colour == INK else INK)
    for k, words in enumerate(lines):
        picture.text(490, y + 22 * (k + 1), words, 14, "start")
