"""What nano was shown, and what it is asked for: speeds and sizes beyond both ends."""

from svg import BLUE, INK, ORANGE, SOFT, Drawing

from small_models.experiments.held_out import OUTSIDE
from small_models.world import WORLDS


def draw() -> Drawing:
    """Two axes."""
    picture, world = Drawing(760, 240), WORLDS["nano"]
    _axis(picture, 80, "speed", [value for _, value in world.speeds], 0.15, ("slower", "faster"))
    _axis(picture, 160, "size", [value for _, value in world.sizes], 0.25, ("smaller", "larger"))
    picture.circle(250, 25, 7, fill=BLUE)
    picture.text(264, 30, "seen in training", 14, anchor="start")
    picture.circle(430, 25, 7, fill=ORANGE)
    picture.text(444, 30, "asked for", 14, anchor="start")
    picture.text(400, 222, "the arcs: does the model fall back to the nearest case that it has seen?", 14)
    return picture


def _axis(picture: Drawing, y: int, name: str, seen: list[float], end: float, asked: tuple[str, str]) -> None:
    place = lambda value: round(120 + 560 * value / end)  # noqa: E731
    picture.text(60, y + 5, name, 16, bold=True)
    picture.arrow(110, y, 715, y, stroke=SOFT, width=2)
    for value in seen:
        picture.circle(place(value), y, 9, fill=BLUE)
        picture.text(place(value), y + 29, f"{value:g}", 13, fill=INK)
    for split, edge in zip(asked, (min(seen), max(seen)), strict=True):
        value = edge * OUTSIDE[split][2]
        picture.circle(place(value), y, 9, fill=ORANGE)
        picture.text(place(value), y - 17, split, 14, fill=INK)
        picture.text(place(value), y + 29, f"{value:.3g}", 13, fill=INK)
        away = 1 if value > edge else -1
        x, tip = place(value) - 8 * away, place(edge) + 8 * away
        picture.path(f"M {x} {y - 8} Q {(x + tip) / 2} {y - 20} {tip} {y - 9}", stroke=INK)
        picture.arrow(tip + 2 * away, y - 11, tip, y - 9, stroke=INK)
