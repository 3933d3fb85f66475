"""Chapter 3: which velocities four solvers look at, and what each takes for the velocity during the whole step."""

from svg import BLUE, INK, ORANGE, SOFT, Drawing

WIDTH, BASE, TOP = 160, 214, 84
BEFORE, NOW, NEXT = 14, 68, 140
"""Places within a panel of the row before, this row and the next."""
SOLVERS = (
    ("euler", (NOW,), (NOW, NOW), "1 call", "the start"),
    ("heun", (NOW, NEXT), (NOW, NEXT), "2 calls", "both ends, averaged"),
    ("midpoint", (NOW, (NOW + NEXT) / 2), ((NOW + NEXT) / 2,) * 2, "2 calls", "the middle"),
    ("ab2", (BEFORE, NOW), (BEFORE, NOW), "1 call", "a line through the last two"),
)
"""Name, places of the velocities used, the two that its line goes through, calls per row, words."""


def _height(at: float) -> float:
    """The true velocity along the path."""
    return BASE - 24 - 74 * (at / NEXT) ** 2


def _line(through: tuple[float, float], at: float) -> float:
    """The solver's line through two velocities; through one alone, a constant."""
    a, b = through
    if a == b:
        return _height(a)
    return _height(a) + (at - a) * (_height(b) - _height(a)) / (b - a)


def _panel(d: Drawing, x: float, name: str, used: tuple, through: tuple, calls: str, words: str) -> None:
    left, right = _line(through, NOW), _line(through, NEXT)
    d.path(f"M{x + NOW} {BASE}V{left:.1f}L{x + NEXT} {right:.1f}V{BASE}Z", stroke="none", fill="#d6e6f2")
    d.line(x, BASE, x + WIDTH - 8, BASE, stroke=SOFT)
    for at, label in ((NOW, "now"), (NEXT, "next")):
        d.line(x + at, BASE, x + at, TOP - 8, stroke=SOFT, dash="3 4")
        d.text(x + at, BASE + 18, label, size=13, fill=SOFT)
    points = [f"{x + at:.1f} {_height(at):.1f}" for at in range(4, WIDTH - 8, 6)]
    d.path("M" + "L".join(points), stroke=INK, width=2)
    start = min(*through, NOW)
    d.line(x + start, _line(through, start), x + NEXT, right, stroke=BLUE, width=3)
    for at in used:
        d.circle(x + at, _height(at), 6, fill="#ffffff" if at == BEFORE else ORANGE, stroke=ORANGE)
    d.text(x + WIDTH / 2, 62, f"{name}: {calls}", bold=True)
    d.text(x + WIDTH / 2, BASE + 42, words, size=13)


def draw() -> Drawing:
    """Four panels: the true velocity, where a solver asks for it, and the area that it moves the frame by."""
    d = Drawing(760, 326)
    d.text(24, 30, "What a solver takes for the velocity of a whole step", size=16, anchor="start", bold=True)
    for i, panel in enumerate(SOLVERS):
        _panel(d, 30 + i * 182, *panel)
    y = 296
    d.line(30, y, 60, y, stroke=INK, width=2)
    d.text(68, y + 5, "true velocity", size=13, anchor="start")
    d.circle(182, y, 6, fill=ORANGE, stroke=ORANGE)
    d.text(194, y + 5, "the model is asked", size=13, anchor="start")
    d.circle(340, y, 6, fill="#ffffff", stroke=ORANGE)
    d.text(352, y + 5, "remembered", size=13, anchor="start")
    d.line(454, y, 484, y, stroke=BLUE, width=3)
    d.text(492, y + 5, "the solver's line; blue area: its move", size=13, anchor="start")
    return d
