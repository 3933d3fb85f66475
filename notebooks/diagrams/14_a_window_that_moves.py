"""A window of six frames that goes down the rows of a rolling schedule, at three moments of an endless video."""

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

from pusa_lab.streaming import SteadyWindow, steady_window

FRAMES, WINDOW, SIZE, LEFT, TOP = 16, 6, 34, 108, 74
ROWS = (5, 8, 11)


def draw() -> Drawing:
    """Three rows of the schedule with the window in each, and what leaves and enters it."""
    picture, plan = Drawing(760, 372), steady_window("rolling(window=4)", 4)
    picture.text(LEFT, 36, "latent frames of a video without end", 15, anchor="start", bold=True)
    for frame in range(FRAMES):
        picture.text(LEFT + SIZE * (frame + 0.5), TOP - 10, f"{frame}", 13, fill=SOFT)
    picture.text(LEFT + SIZE * FRAMES + 18, TOP - 10, "…", 15, fill=SOFT)
    for place, row in enumerate(ROWS):
        y = TOP + 82 * place
        _row(picture, plan, row, y)
    y = TOP + 82 * len(ROWS)
    for i, level in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        picture.cell(LEFT + 26 * i, y, 26, level, 22)
    picture.text(LEFT + 140, y + 16, "final … noise", 13, anchor="start")
    picture.rect(LEFT + 268, y, 44, 22, fill="none", stroke=ORANGE, radius=6)
    picture.text(LEFT + 322, y + 16, "what the model sees in this row's call", 13, anchor="start")
    return picture


def _row(picture: Drawing, plan: SteadyWindow, row: int, y: int) -> None:
    first = plan.first(row, WINDOW)
    picture.text(LEFT - 12, y + 22, f"row {row}", 14, anchor="end", bold=True)
    for frame in range(FRAMES):
        x, inside = LEFT + SIZE * frame, first <= frame < first + WINDOW
        if inside:
            picture.cell(x, y, SIZE, plan.level(frame, row))
        else:
            picture.rect(x + 2, y + 2, SIZE - 4, SIZE - 4, fill="none", stroke="#d8d5cc", radius=2)
    for grow in (3, 4, 5):
        edge = LEFT + SIZE * first - grow, y - grow, SIZE * WINDOW + 2 * grow, SIZE + 2 * grow
        picture.rect(*edge, fill="none", stroke=ORANGE, radius=6)
    left, right = LEFT + SIZE * first, LEFT + SIZE * (first + WINDOW)
    if first:
        picture.text(left - 8, y + SIZE + 20, "given out", 13, anchor="end", fill=GREEN)
        picture.arrow(left - 10, y + SIZE / 2, left - 40, y + SIZE / 2, stroke=GREEN, width=2)
    picture.text(right + 8, y + SIZE + 20, "enters as noise, its memory new", 13, anchor="start", fill=BLUE)
    picture.arrow(right + 40, y + SIZE / 2, right + 10, y + SIZE / 2, stroke=BLUE, width=2)
    picture.text((left + right) / 2, y + SIZE + 20, "final, then in progress", 13, fill=INK)
