"""How a picture enters the base, VTA and Wan's image-to-video model."""

from svg import INK, ORANGE, SOFT, Drawing

NAMES = ("base", "VTA", "Wan's way")
SIZES = ("8 blocks", "weights of the same shapes", "and weights for the picture")
TAUS = ((1, 1, 1, 1, 1), (0, 1, 1, 1, 1), (1, 1, 1, 1, 1))
WAYS = (
    ("no picture: it was trained on", "one timestep for all frames"),
    ("the picture is frame 0,", "with a timestep of its own: 0"),
    ("the picture is extra input: in channels", "(left) and in cross-attention (right)"),
)


def draw() -> Drawing:
    """Three columns: latents and timesteps below, the transformer above."""
    d = Drawing(760, 330)
    for column, (name, taus, ways) in enumerate(zip(NAMES, TAUS, WAYS, strict=True)):
        left = 20 + 250 * column
        d.text(left + 110, 30, name, size=16, bold=True)
        d.rect(left + 2, 46, 216, 62, fill="#e8eef3", stroke=INK, radius=8)
        d.text(left + 110, 72, "transformer", size=14)
        d.text(left + 110, 94, SIZES[column], size=13, fill=INK)
        for frame, tau in enumerate(taus):
            x = left + 10 + 41 * frame
            d.cell(x, 158, 36, float(tau))
            d.text(x + 18, 214, f"{tau}", size=13)
            d.arrow(x + 18, 156, x + 18, 112, stroke=SOFT)
        d.text(left + 124, 234, "timestep of each frame", size=13, fill=INK)
        d.text(left + 110, 296, ways[0], size=13)
        d.text(left + 110, 314, ways[1], size=13)
    d.rect(278, 156, 40, 40, stroke=ORANGE)
    d.text(298, 256, "picture", size=13, fill=ORANGE)
    d.arrow(298, 243, 298, 220, stroke=ORANGE)
    d.text(630, 262, "picture", size=13, fill=ORANGE)
    d.path("M 600 257 H 508 V 84", stroke=ORANGE)
    d.arrow(509, 84, 521, 84, stroke=ORANGE)
    d.path("M 660 257 H 746 V 84", stroke=ORANGE)
    d.arrow(746, 84, 739, 84, stroke=ORANGE)
    return d
