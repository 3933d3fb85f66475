"""What a squared error is made of: samples and the truth around the mean of all futures."""

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

R = 84


def draw() -> Drawing:
    """A perfect sampler beside a single step."""
    d = Drawing(756, 300)
    for x, title in ((200, "a perfect sampler"), (556, "always the mean")):
        d.text(x, 34, title, size=16, bold=True)
        d.circle(x, 150, R, stroke=SOFT)
        d.line(x, 150, x + 73, 108, stroke=BLUE, width=4)
        d.circle(x + 73, 108, 8, fill=GREEN, stroke=GREEN)
        d.text(x + 86, 100, "truth", anchor="start", bold=True, fill=GREEN)
    for dx, dy, name, at, anchor in ((-72, -43, "a", -86, "end"), (-8, 84, "b", 6, "start")):
        d.line(200, 150, 200 + dx, 150 + dy, stroke=ORANGE, width=4)
        d.circle(200 + dx, 150 + dy, 8, fill=ORANGE, stroke=ORANGE)
        d.text(200 + at, 150 + dy + (0 if dy < 0 else 22), f"sample {name}", anchor=anchor, bold=True, fill=ORANGE)
    for x, r in ((200, 6), (556, 5)):
        d.circle(x, 150, r, fill=INK)
    d.text(214, 160, "mean", anchor="start", size=13)
    d.circle(556, 150, 11, stroke=ORANGE)
    d.text(556, 186, "mean, a and b", bold=True, fill=ORANGE)
    for x, words in ((180, "miss"), (536, "miss")):
        d.text(x + 46, 112, words, size=13, fill=BLUE, italic=True)
    d.text(138, 150, "spread", size=13, fill=ORANGE, italic=True)
    for x, words in ((200, "error: miss + spread"), (556, "error: the miss alone, 3 dB ahead")):
        d.text(x, 282, words)
    return d
