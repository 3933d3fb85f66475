"""Chapter 4: a loss is a floor that no model can lower, and the squared distance from the best answer."""

from svg import BLUE, INK, ORANGE, SOFT, Drawing

FLOOR = "#9aa5b1"
BARS = (("best model", 84, 0), ("good model", 84, 26), ("poor model", 84, 88))


def _triangle(d: Drawing) -> None:
    best, target, answer = (96, 250), (96, 96), (286, 250)
    d.line(*best, *target, stroke=FLOOR, width=7)
    d.line(*best, *answer, stroke=ORANGE, width=7)
    d.line(*answer, *target, stroke=INK, width=3)
    d.path("M96 234 h16 v16", stroke=INK)
    for (x, y), colour in ((best, BLUE), (target, INK), (answer, INK)):
        d.circle(x, y, 7, fill=colour)
    d.text(96, 76, "target u", bold=True)
    d.text(96, 280, "best answer v*", bold=True, fill=BLUE)
    d.text(300, 280, "model's answer v", bold=True)
    d.text(84, 176, "√floor", anchor="end", fill=INK)
    d.text(190, 240, "distance", fill=ORANGE, bold=True)
    d.text(206, 160, "√loss", anchor="start")
    d.text(
        24,
        322,
        "Pythagoras: the squares of both legs add up. Training shortens only the orange leg.",
        size=13,
        anchor="start",
    )


def _bars(d: Drawing) -> None:
    base = 250
    d.line(452, base, 736, base, stroke=INK)
    d.line(452, base - 84, 736, base - 84, stroke=SOFT, dash="5 5")
    for i, (name, floor, distance) in enumerate(BARS):
        x = 466 + i * 94
        d.rect(x, base - floor, 76, floor, fill=FLOOR, stroke="none", radius=0)
        if distance:
            d.rect(x, base - floor - distance, 76, distance, fill=ORANGE, stroke="none", radius=0)
        d.text(x + 38, base + 22, name, size=13)
    d.text(504, base - 38, "floor", fill=INK)
    d.text(692, base - 124, "distance²", size=13, fill=INK)
    d.text(452, 76, "height = loss", anchor="start", fill=INK)


def draw() -> Drawing:
    """The triangle of target, best answer and answer on the left; bars of floor and distance on the right."""
    d = Drawing(760, 340)
    d.text(24, 34, "loss = floor + squared distance", size=16, anchor="start", bold=True)
    _triangle(d)
    _bars(d)
    return d
