"""Strength: points on one straight line in weight space."""

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

X0, Y0, DX, DY = 110, 150, 220, -42
POINTS = (
    (0, "0", "the base", INK),
    (1, "1", "as trained", BLUE),
    (1.4, "1.4", "the paper", GREEN),
    (2, "2", "too far", ORANGE),
)


def draw() -> Drawing:
    """Four points on the line."""
    d = Drawing(720, 210)
    d.line(X0, Y0, X0 + DX, Y0 + DY, width=3)
    d.line(X0 + DX, Y0 + DY, X0 + 2.3 * DX, Y0 + 2.3 * DY, stroke=SOFT, width=2, dash="6 5")
    d.text(X0 + 0.5 * DX - 10, Y0 + 0.5 * DY - 16, "W - W₀", italic=True)
    for s, number, words, colour in POINTS:
        x, y = X0 + s * DX, Y0 + s * DY
        d.circle(x, y, 8, fill=colour, stroke=colour)
        d.text(x + 6, y + 32, f"s = {number}", bold=True, fill=colour)
        d.text(x + 6, y + 51, words, size=13)
    return d
