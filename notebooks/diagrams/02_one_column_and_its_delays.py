"""Chapter 2: most schedules are one column of sigmas, copied for every frame and moved down by a delay."""

from svg import SOFT, Drawing

STEPS, CELL = 4, 15
KINDS = (
    ("synchronous", (0, 0, 0, 0, 0)),
    ("pyramid", (0, 1, 2, 3, 4)),
    ("autoregressive", (0, 4, 8, 12, 16)),
    ("trapezoid", (0, 1, 2, 1, 0)),
)


def draw() -> Drawing:
    """A column, an arrow, and four matrices with their delays."""
    picture = Drawing(760, 426)
    picture.text(66, 40, "one column", 15, bold=True)
    picture.text(66, 62, "sigmas g", 14)
    for row in range(STEPS + 1):
        picture.cell(56, 92 + 2 * CELL * row, 2 * CELL - 2, 1 - row / STEPS)
        picture.text(46, 111 + 2 * CELL * row, f"g{row}", 13, "end")
    picture.text(66, 300, "copied for", 14)
    picture.text(66, 320, "every frame", 14)
    picture.text(66, 340, "and moved", 14)
    picture.text(66, 360, "down", 14)
    picture.arrow(110, 168, 150, 168, SOFT, 2.5)
    for k, (name, delays) in enumerate(KINDS):
        x = 176 + 148 * k
        picture.text(x + 2.5 * 22, 40, name, 15, bold=True)
        picture.text(x + 2.5 * 22, 62, "delays", 14)
        for frame, delay in enumerate(delays):
            picture.text(x + 22 * frame + 11, 84, f"{delay}", 13)
            for row in range(STEPS + max(delays) + 1):
                level = 1 - min(max(row - delay, 0), STEPS) / STEPS
                picture.cell(x + 22 * frame + 3.5, 92 + CELL * row, CELL - 1, level)
    return picture
