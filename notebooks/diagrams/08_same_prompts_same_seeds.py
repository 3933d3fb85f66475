"""Scores of two settings on the same prompts, and their differences."""

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

SCORES = (("prompt 1", 92, 104), ("prompt 2", 188, 198), ("prompt 3", 60, 76), ("prompt 4", 150, 158))
A, B, D, TOP, ROW = 110, 336, 586, 66, 40


def draw() -> Drawing:
    """Three columns of bars."""
    d = Drawing(750, 312)
    for x, words, colour in ((A, "setting A", BLUE), (B, "setting B", ORANGE), (D, "B - A, enlarged", GREEN)):
        d.text(x, 42, words, anchor="start", bold=True, fill=colour)
        d.line(x, TOP - 8, x, TOP + 4 * ROW, stroke=SOFT)
    for i, (name, a, b) in enumerate(SCORES):
        y = TOP + i * ROW
        d.text(A - 14, y + 18, name, anchor="end")
        for x, length, colour in ((A, a, BLUE), (B, b, ORANGE), (D, 3 * (b - a), GREEN)):
            d.rect(x, y, length, 24, fill=colour, stroke=colour, radius=2)
    low = TOP + 4 * ROW + 26
    d.text((A + B + 200) / 2, low, "the scores: the prompts decide", fill=INK)
    d.text(D + 54, low, "the differences:", fill=INK)
    d.text(D + 54, low + 20, "all of one sign", fill=INK)
    d.text((A + B + 200) / 2, low + 20, "two means with wide intervals", size=13, fill=SOFT)
    d.text(D + 54, low + 40, "one narrow interval", size=13, fill=SOFT)
    return d
