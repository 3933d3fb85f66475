"""The studio's five tools, each on the same schedule: five frames, five steps, one timestep for all."""

from svg import INK, ORANGE, SOFT, Drawing

from pusa_lab.studio import Editor

SIDE = 17
TOOLS = (
    ("start", None, {}, ("one timestep", "for all frames")),
    ("Drag", "drag", {"frame": 2, "row": 2, "level": 0.2}, ("one level; the", "column follows")),
    ("Paint", "paint", {"frames": [1, 2, 3], "rows": [1], "level": 0.4}, ("some cells, and", "nothing else")),
    ("Freeze", "freeze", {"frame": 0}, ("clean all along:", "a known frame")),
    ("Shift", "delay", {"frame": 4, "by": 2}, ("same levels, later;", "rows are added")),
    ("Copy", "copy", {"frame": 4, "to": [2]}, ("one column", "for other frames")),
)


def draw() -> Drawing:
    """Six matrices in a row; what a tool changed has an orange edge."""
    d = Drawing(760, 280)
    start = Editor(5, 5).schedule
    for place, (name, kind, arguments, words) in enumerate(TOOLS):
        editor = Editor(5, 5)
        if name == "Copy":
            editor.edit("delay", frame=4, by=2)
        before = editor.schedule
        if kind:
            editor.edit(kind, **arguments)
        _matrix(d, 24 + 123 * place, editor.schedule.tolist(), before.tolist() if kind else None, len(start))
        x = 24 + 123 * place + 2.5 * SIDE
        d.text(x, 32, name, size=16 if kind else 14, bold=bool(kind), fill=INK)
        d.text(x, 226, words[0], size=13)
        d.text(x, 244, words[1], size=13)
    d.text(380, 268, "Rows: steps, from the top down. Columns: frames. Yellow is noise, dark blue is clean.", size=13)
    return d


def _matrix(d: Drawing, left: float, rows: list[list[float]], before: list[list[float]] | None, usual: int) -> None:
    for r, row in enumerate(rows):
        for c, level in enumerate(row):
            d.cell(left + SIDE * c, 48 + SIDE * r, SIDE, level)
    for r, row in enumerate(rows):
        for c, level in enumerate(row):
            old = before[r][c] if before and r < len(before) else None
            if before and (old is None or abs(old - level) > 1e-6) and (r < usual or old is not None or c == 4):
                d.rect(left + SIDE * c + 1, 48 + SIDE * r + 1, SIDE - 2, SIDE - 2, stroke=ORANGE, radius=2)
    d.line(left - 6, 48, left - 6, 48 + SIDE * len(rows), stroke=SOFT)
