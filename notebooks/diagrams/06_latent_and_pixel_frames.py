"""Nine latent frames over the 33 pixel frames that they hold."""

from svg import BLUE, INK, ORANGE, SOFT, Drawing

PITCH, SIZE, LEFT = 19, 16, 86
WANTED = 16


def draw() -> Drawing:
    """Latent frames above, pixel frames below."""
    d = Drawing(740, 178)
    d.text(LEFT - 12, 64, "latent", anchor="end", bold=True)
    d.text(LEFT - 12, 126, "pixels", anchor="end", bold=True)
    for i in range(9):
        first, last = (0, 0) if i == 0 else (1 + 4 * (i - 1), 4 * i)
        x, w = LEFT + first * PITCH, (last - first) * PITCH + SIZE
        here = first <= WANTED <= last
        d.rect(x, 44, w, 32, fill="#fbe9dd" if here else "#e3eef6", stroke=ORANGE if here else BLUE)
        d.text(x + w / 2, 65, str(i), bold=here)
        for t in range(first, last + 1):
            d.line(LEFT + t * PITCH + SIZE / 2, 78, LEFT + t * PITCH + SIZE / 2, 106, stroke=SOFT, width=1)
            fill = ORANGE if t == WANTED else "#fbe9dd" if here else "#e3eef6"
            d.rect(LEFT + t * PITCH, 108, SIZE, SIZE + 8, fill=fill, stroke=ORANGE if here else BLUE, radius=2)
    for t in (0, 1, 4, 8, 12, 16, 20, 24, 28, 32):
        d.text(LEFT + t * PITCH + SIZE / 2, 152, str(t), size=13, bold=t == WANTED)
    d.text(LEFT, 28, "one timestep for each of these", anchor="start", size=13, fill=INK)
    return d
