"""Chapter 1: the timestep vector (b, f) becomes six vectors per frame, which modulate the frame's tokens in a block."""

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

LEVELS = (0.0, 0.3, 0.6, 1.0)
TOP, PITCH, CELL = 104, 62, 40
KEY = (
    (40, BLUE, "shift: add"),
    (160, GREEN, "scale: multiply"),
    (310, ORANGE, "gate: how much of the result is added"),
)
SIX = (BLUE, GREEN, ORANGE) * 2


def draw() -> Drawing:
    """Four frames, one per row, from their timesteps on the left to the block on the right."""
    picture = Drawing(760, 430)
    headings = ((66, "timesteps", "tau  (b, f)"), (180, "one small", "network"), (306, "six vectors", "(b, f, 6, d)"))
    for x, first, second in (*headings, (565, "a block of the transformer", "tokens  (b, f, h·w, d)")):
        picture.text(x, 36, first, 15, bold=True)
        picture.text(x, 58, second, 14)
    height = 3 * PITCH + CELL + 20
    picture.rect(132, TOP - 10, 96, height, "#ffffff", INK, 6)
    for line, words in enumerate(("sinusoid,", "then linear", "layers:", "the same", "weights for", "every frame")):
        picture.text(180, TOP + 54 + 22 * line, words, 14)
    picture.rect(392, TOP - 22, 346, height + 24, "none", INK, 8)
    picture.rect(478, TOP - 10, 76, height, "#dbe7f3", INK, 6)
    for line, words in enumerate(("attention:", "each", "frame", "sees", "all")):
        picture.text(516, TOP + 64 + 22 * line, words, 13)
    picture.text(40, TOP - 16, "frame", 13)
    for row, level in enumerate(LEVELS):
        _frame(picture, TOP + PITCH * row, row, level)
    _legend(picture, TOP + height + 42)
    return picture


def _frame(picture: Drawing, y: float, row: int, level: float) -> None:
    """One frame's way from left to right."""
    middle = y + CELL / 2
    picture.cell(60, y, CELL, level)
    picture.text(80, middle + 5, f"{level:.1f}", 14, fill="#ffffff" if level < 0.5 else "#000000")
    picture.text(50, middle + 5, f"{row}", 14, "end")
    for start, end in ((102, 130), (229, 264), (350, 402), (464, 477), (555, 568), (608, 620), (706, 734)):
        picture.arrow(start, middle, end, middle, SOFT)
    for k, colour in enumerate(SIX):
        picture.rect(266 + 13 * k + 6 * (k > 2), y, 11, CELL, colour, "none", 1)
    _stage(picture, 404, y, 60, "norm", (BLUE, GREEN))
    _stage(picture, 570, y, 38, "", (ORANGE,))
    _stage(picture, 622, y, 84, "norm, MLP", (BLUE, GREEN, ORANGE))


def _stage(picture: Drawing, x: float, y: float, width: float, words: str, colours: tuple[str, ...]) -> None:
    """A part of the block that acts on one frame, with marks in the colours of the vectors that it uses."""
    picture.rect(x, y, width, CELL, "#ffffff", INK, 4)
    if words:
        picture.text(x + width / 2, y + 17, words, 13)
    start = x + width / 2 - 8 * len(colours) + 1
    for k, colour in enumerate(colours):
        picture.rect(start + 16 * k, y + (24 if words else 15), 14, 10, colour, "none", 1)


def _legend(picture: Drawing, y: float) -> None:
    """What the three colours do."""
    for x, colour, words in KEY:
        picture.rect(x, y - 12, 14, 14, colour, "none", 2)
        picture.text(x + 22, y, words, 14, "start")
