"""Chapter 1: a schedule of two frames is a path through the square of their timesteps."""

from itertools import pairwise

from svg import BLUE, GREEN, INK, ORANGE, PINK, SOFT, Drawing

X, Y, SIDE = 96, 40, 260
PATHS = (
    (BLUE, "synchronous", "both frames together: the diagonal", ((1, 1), (0, 0))),
    (GREEN, "pyramid", "frame 0 leads, frame 1 follows", ((1, 1), (0.67, 1), (0, 0.33), (0, 0))),
    (ORANGE, "autoregressive", "frame 0 first, then frame 1", ((1, 1), (0, 1), (0, 0))),
    (PINK, "hold", "frame 0 is known: along the left edge", ((0, 1), (0, 0))),
)


def draw() -> Drawing:
    """The square with four paths from noise to clean, and their names."""
    picture = Drawing(760, 370)
    picture.rect(X, Y, SIDE, SIDE, "#ffffff", INK)
    picture.text(X + SIDE / 2, Y + SIDE + 52, "timestep of frame 0", 14)
    picture.text(20, Y - 14, "timestep of frame 1", 14, "start")
    for level in (0, 0.5, 1):
        picture.text(X + SIDE * level, Y + SIDE + 26, f"{level:g}", 13)
        picture.text(X - 16, Y + SIDE * (1 - level) + 5, f"{level:g}", 13, "end")
    for x, y in ((X + SIDE, Y), (X, Y + SIDE)):
        picture.circle(x, y, 6, fill=SOFT)
    # Paths that share an edge are drawn beside each other.
    for (colour, name, words, corners), shift, row in zip(PATHS, (0, 0, 5, -5), range(4), strict=True):
        points = [_place(*corner, shift) for corner in corners]
        for start, end in pairwise(points):
            picture.arrow(*start, *end, stroke=colour, width=3.5)
        y = Y + 34 + 58 * row
        picture.line(410, y - 5, 446, y - 5, stroke=colour, width=4)
        picture.text(458, y, name, 15, "start", True)
        picture.text(458, y + 21, words, 14, "start")
    picture.text(X + SIDE + 12, Y - 10, "start: all noise", 13)
    picture.text(X + 44, Y + SIDE - 12, "end: all clean", 13, "start")
    return picture


def _place(first: float, second: float, shift: float) -> tuple[float, float]:
    """Where two timesteps lie in the drawing, moved a little where edges are shared."""
    return X + SIDE * first + (shift if first == 0 else 0), Y + SIDE * (1 - second) + (shift if second == 1 else 0)
