"""From a folder of clips to a video: the stations of a day, and what to look at in each."""

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

STATIONS = (
    ("clips/", "MP4 and .txt", ORANGE),
    ("data encode", "codec", BLUE),
    ("cache/", "latents", ORANGE),
    ("train", "GPU hours", BLUE),
    ("LoRA file", "B, A by layer", ORANGE),
    ("generate", "W + s B A", BLUE),
)
"""What is written on each box, and whether it is a file or a command."""
LOOK = (
    ("too short?", "no caption?"),
    ("how many dB", "are kept?"),
    ("older than", "the folder?"),
    ("does it fit?", "held-out loss?"),
    ("which layers", "matched?"),
    ("better than", "a dull rival?"),
)


def draw() -> Drawing:
    """Boxes from left to right."""
    picture = Drawing(760, 270)
    for i, ((name, what, colour), look) in enumerate(zip(STATIONS, LOOK, strict=True)):
        x = 12 + 125 * i
        picture.rect(x, 84, 111, 66, fill="#ffffff", stroke=colour, radius=8 if colour == BLUE else 2)
        picture.text(x + 55, 112, name, 13, bold=True)
        picture.text(x + 55, 134, what, 13)
        if i:
            picture.arrow(x - 13, 117, x - 1, 117, stroke=INK, width=2)
        picture.line(x + 55, 152, x + 55, 176, stroke=SOFT, dash="3 3")
        picture.text(x + 55, 194, look[0], 13)
        picture.text(x + 55, 212, look[1], 13)
    picture.rect(320, 16, 250, 36, fill="#ffffff", stroke=GREEN, radius=2)
    picture.text(445, 39, "the Wan itself: never changed", 14)
    for x in (192, 442, 692):
        picture.path(
            f"M {min(max(x, 320), 570)} 34 L {x} 34 L {x} 74" if x != 442 else "M 442 52 L 442 74", stroke=GREEN
        )
        picture.arrow(x, 70, x, 83, stroke=GREEN)
    picture.text(380, 248, "orange: files you keep · blue: commands you type · below: what to look at", 14)
    return picture
