"""Chapter 0: one clock for the whole clip, beside a clock for every frame."""

import math
import random

from svg import BLUE, INK, ORANGE, SOFT, Drawing

SIZE, GAP, LEFT = 62, 24, 228
GREYS = ("40,50,60", "95,108,120", "160,170,180", "225,230,235")
ROWS = [
    ("One clock for all frames", "how video diffusion is", "usually trained", [0.6] * 6),
    ("A clock for every frame", "image to video: frame 0", "is there from the start", [0.0] + [0.6] * 5),
    ("A clock for every frame", "one after the other: the", "past leads the future", [0.0, 0.0, 0.3, 0.6, 0.9, 1.0]),
]


def draw() -> Drawing:
    """Three rows of six frames, each under its clock."""
    picture, rng = Drawing(760, 440), random.Random(0)
    for row, (title, first, second, levels) in enumerate(ROWS):
        y = 78 + 136 * row
        for offset, words, bold in ((4, title, True), (28, first, False), (48, second, False)):
            picture.text(20, y + offset, words, 14, "start", bold)
        if row == 0:
            _shared_clock(picture, y - 34, levels[0])
        for i, level in enumerate(levels):
            x = LEFT + i * (SIZE + GAP)
            _frame(picture, x, y - 4, i, level, rng)
            picture.text(x + SIZE / 2, y + SIZE + 15, f"{level:.1f}", 13)
            if row:
                _clock(picture, x + SIZE / 2, y - 28, level)
    return picture


def _shared_clock(picture: Drawing, y: float, level: float) -> None:
    """One clock, and a bracket over all six frames."""
    right = LEFT + 6 * (SIZE + GAP) - GAP
    middle = (LEFT + right) / 2
    _clock(picture, middle, y, level)
    picture.path(f"M {LEFT} {y + 24} V {y + 20} H {middle - 20} M {middle + 20} {y + 20} H {right} V {y + 24}", SOFT)


def _clock(picture: Drawing, x: float, y: float, level: float, r: float = 16) -> None:
    """A clock whose blue sector is the noise that is left; at 0 it is empty and its hand points up."""
    angle = 2 * math.pi * level
    end = (x + r * math.sin(angle), y - r * math.cos(angle))
    picture.circle(x, y, r, fill=BLUE if level == 1 else "#ffffff")
    if 0 < level < 1:
        picture.path(f"M {x} {y} V {y - r} A {r} {r} 0 {int(level > 0.5)} 1 {end[0]:.1f} {end[1]:.1f} Z", INK, BLUE)
    picture.line(x, y, *end, stroke=INK, width=2)


def _frame(picture: Drawing, x: float, y: float, i: int, level: float, rng: random.Random) -> None:
    """A ball that moves to the right and down, and squares of noise over it, as opaque as the level: their mixture."""
    picture.rect(x, y, SIZE, SIZE, "#e8edf2", INK)
    picture.circle(x + 13 + 6 * i, y + 14 + 6 * i, 9, fill=ORANGE)
    n, side = 7, 8
    cells = rng.sample(range(n * n), n * n)
    for k, grey in enumerate(GREYS if level else ()):
        squares = (f"M{x + 3 + c % n * side} {y + 3 + c // n * side}h{side}v{side}h-{side}z" for c in cells[k::4])
        picture.path("".join(squares), "none", f"rgba({grey},{level})")
