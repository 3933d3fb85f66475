"""What a score compares a clip with, and whether it notices that nothing moves."""

from svg import BLUE, GREEN, INK, ORANGE, PINK, SOFT, Drawing

WIDTH, GAP, LEFT = 168, 14, 22
COLUMNS = (
    ("with itself", BLUE, ("consistency", "smoothness", "dynamic degree"), "frame 1, frame 2, …", False),
    ("with its picture", PINK, ("i2v subject", "i2v background"), "frame 0", False),
    ("with its prompt", ORANGE, ("text alignment", "physics error"), "“a red circle …”", True),
    ("with the truth", GREEN, ("PSNR, skill", "position error"), "what really happens", True),
)


def draw() -> Drawing:
    """Four comparisons, side by side."""
    d = Drawing(754, 354)
    d.rect(287, 16, 180, 40, fill="#ffffff", radius=8)
    d.text(377, 41, "a generated clip", bold=True)
    for i, (title, colour, scores, what, notices) in enumerate(COLUMNS):
        x = LEFT + i * (WIDTH + GAP)
        mid = x + WIDTH / 2
        d.path(f"M {320 + 38 * i} 56 C {320 + 38 * i} 84 {mid} 70 {mid} 94", stroke=colour, width=2)
        d.rect(x, 96, WIDTH, 152, fill="#ffffff", stroke=colour, radius=8)
        d.text(mid, 122, title, bold=True)
        d.text(mid, 144, what, size=13, fill=SOFT, italic=True)
        for line, score in enumerate(scores):
            d.text(mid, 178 + 24 * line, score, fill=INK)
        verdict = "notices" if notices else "rewards it"
        d.text(mid, 306, verdict, bold=True, fill=GREEN if notices else ORANGE)
    d.text(LEFT + WIDTH / 2, 328, "but dynamic degree notices", size=13, fill=GREEN)
    d.text(377, 280, "What does it say of a clip that stands still?")
    return d
