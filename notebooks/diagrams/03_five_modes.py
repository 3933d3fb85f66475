"""For docs/findings.md: what each of the five modes gives the model for a known frame, row by row."""

from svg import BLUE, INK, ORANGE, SOFT, Drawing

SCHEDULE, LEVEL = (1.0, 0.75, 0.5, 0.25), 0.8
FALLING, FIXED, CLEAN = tuple(LEVEL * s for s in SCHEDULE), (LEVEL,) * 4, (0.0,) * 4
MODES = (  # name, level of what the model sees, timestep it is given, what links the rows, words
    ("freeze", CLEAN, CLEAN, "", ("clean, and said so", "m must be 0")),
    ("denoise", FALLING, FALLING, "on", ("noised once, then denoised", "with the others (Pusa)")),
    ("hold", FIXED, FIXED, "new", ("level m in every row", "(SkyReels)")),
    ("replacement", FALLING, FALLING, "new", ("less noise in every row", "(Wan TI2V, with m = 0)")),
    ("label", CLEAN, FIXED, "", ("clean, but said to be noisy", "(Diffusion Forcing)")),
)
SIZE, LEFT, STEP, TOP, DOWN = 40, 128, 76, 92, 78
END = LEFT + 4 * STEP + 20


def _link(d: Drawing, kind: str, x: float, y: float) -> None:
    if kind == "on":
        d.arrow(x + SIZE + 6, y + SIZE / 2, x + STEP - 6, y + SIZE / 2, stroke=BLUE, width=3)
    elif kind == "new":
        for k in range(4):
            d.circle(x + SIZE + 11 + 14 * (k % 2), y + 12 + 14 * (k // 2), 3.5, fill=ORANGE, stroke="none")


def _mode(d: Drawing, y: float, name: str, seen: tuple, told: tuple, kind: str, words: tuple) -> None:
    d.text(LEFT - 16, y + SIZE / 2 + 5, name, anchor="end", bold=True)
    for j, (level, timestep) in enumerate(zip(seen, told, strict=True)):
        x, lie = LEFT + j * STEP, level != timestep
        d.cell(x, y, SIZE, level)
        d.text(x + SIZE / 2, y + SIZE + 17, f"{timestep:g}", size=13, bold=lie, fill=ORANGE if lie else INK)
        if j < 3:
            _link(d, kind, x, y)
    for k, line in enumerate(words):
        d.text(END, y + 17 + 20 * k, line, anchor="start", fill=INK if k == 0 else SOFT)


def draw() -> Drawing:
    """Five rows of cells: colour is the noise in what the model sees, the number is the timestep it is given."""
    d = Drawing(720, 520)
    d.text(24, 28, "What the model is given for frame 0, with m = 0.8", size=16, anchor="start", bold=True)
    d.text(24, 50, "colour: noise in what it sees; number: the timestep it is told", size=13, anchor="start", fill=SOFT)
    for j, level in enumerate(SCHEDULE):
        d.text(LEFT + j * STEP + SIZE / 2, 80, f"S = {level:g}", size=13, fill=SOFT)
    for i, mode in enumerate(MODES):
        _mode(d, TOP + i * DOWN, *mode)
    y = TOP + 5 * DOWN + 16
    d.arrow(128, y, 162, y, stroke=BLUE, width=3)
    d.text(172, y + 5, "the solver moves it on", size=13, anchor="start")
    for k in range(4):
        d.circle(348 + 14 * (k % 2), y - 7 + 14 * (k // 2), 3.5, fill=ORANGE, stroke="none")
    d.text(374, y + 5, "the picture again, under new noise", size=13, anchor="start")
    return d
