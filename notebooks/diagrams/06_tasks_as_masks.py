"""Text to video and six tasks as rows of known and free frames; other sizes than the chapter asks for."""

from svg import INK, SOFT, Drawing

FRAMES, CELL, GAP, LEFT, TOP = 9, 34, 4, 190, 62
TASKS = (
    ("text to video", (), "nothing"),
    ("image to video", (0,), "a picture"),
    ("start and end", (0, 8), "two pictures"),
    ("keyframes", (0, 2, 5), "several pictures"),
    ("extension", (0, 1), "the beginning"),
    ("transition", (0, 1, 8), "two clips"),
    ("completion", (0, 1, 4, 5, 8), "what is left of it"),
)


def draw() -> Drawing:
    """One row for each task."""
    d = Drawing(720, TOP + len(TASKS) * (CELL + 10) + 52)
    right = LEFT + FRAMES * (CELL + GAP)
    d.text(LEFT - 18, 44, "task", anchor="end", bold=True)
    d.text(right + 18, 44, "you give", anchor="start", bold=True)
    for i in range(FRAMES):
        d.text(LEFT + i * (CELL + GAP) + CELL / 2, 44, str(i), size=13, fill=SOFT)
    d.text(LEFT + FRAMES * (CELL + GAP) / 2, 22, "latent frame", size=13, fill=SOFT)
    for row, (name, known, given) in enumerate(TASKS):
        y = TOP + row * (CELL + 10)
        d.text(LEFT - 18, y + 23, name, anchor="end")
        d.text(right + 18, y + 23, given, anchor="start")
        for i in range(FRAMES):
            d.cell(LEFT + i * (CELL + GAP), y, CELL, 0 if i in known else 1)
    y = TOP + len(TASKS) * (CELL + 10) + 12
    d.cell(LEFT, y, 20, 0)
    d.text(LEFT + 28, y + 15, "known: clean, timestep 0", anchor="start", fill=INK)
    d.cell(LEFT + 222, y, 20, 1)
    d.text(LEFT + 250, y + 15, "free: starts as noise, timestep 1", anchor="start", fill=INK)
    return d
