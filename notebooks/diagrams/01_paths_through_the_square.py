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
BESIDE = {"synchronous": (5, 0), "pyramid": (24, 7), "autoregressive": (13, 0), "hold": (0, 0)}
"""How far a path keeps from the left and the upper edge, so that each is seen."""


def draw() -> Drawing:
    """The square with four paths from noise to clean, and their names."""
    picture = Drawing(760, 370)
    picture.rect(X, Y, SIDE, SIDE, "#ffffff", INK)
    picture.text(X + SIDE / 2, Y + SIDE + 52, "timestep of frame 0", 14)
    picture.text(20, Y - 14, "timestep of frame 1", 14, "start")
    for level in (0, 0.5, 1):
        picture.text(X + SIDE * level, Y + SIDE + 26, f"{level:g}", 13)
        picture.text(X - 16, Y + SIDE * (1 - level) + 5, f"{level:g}", 13, "end")
    for x, y in ((X + SIDE, Y), (X, Y), (X, Y + SIDE)):
        picture.circle(x, y, 6, fill=SOFT)
    for row, (colour, name, words, corners) in enumerate(PATHS):
        points = [_place(*corner, name) for corner in corners]
        for start, end in pairwise(points):
            picture.arrow(*start, *end, stroke=colour, width=3.5)
        y = Y + 34 + 58 * row
        picture.line(410, y - 5, 446, y - 5, stroke=colour, width=4)
        picture.text(458, y, name, 15, "start", True)
        picture.text(458, y + 21, words, 14, "start")
    picture.text(X + SIDE + 12, Y - 10, "start: all noise", 13)
    picture.text(X + 44, Y + SIDE - 12, "end: all clean", 13, "start")
    return picture


def _place(first: float, second: float, name: str) -> tuple[float, float]:
    """Where two timesteps lie in the drawing; paths that share an edge are drawn beside each other."""
    right, down = BESIDE[name]
    up = right + 7 if first == second == 0 else 0
    return X + SIDE * first + (right if first == 0 else 0), Y + SIDE * (1 - second) + (down if second == 1 else 0) - up
