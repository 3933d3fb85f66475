"""Scores of three settings on the same prompts, and their differences: one looks decided, the other is not."""

from svg import BLUE, GREEN, INK, ORANGE, PINK, SOFT, Drawing

SCORES = (
    ("prompt 1", 92, 104, 108),
    ("prompt 2", 178, 188, 164),
    ("prompt 3", 60, 76, 48),
    ("prompt 4", 140, 149, 158),
)
SETTINGS = (("setting A", BLUE), ("setting B", ORANGE), ("setting C", PINK))
A, B, C, TOP, ROW, BAR = 100, 440, 640, 66, 58, 14


def draw() -> Drawing:
    """A group of bars for each prompt, and two columns of differences."""
    d = Drawing(756, 390)
    for i, (name, colour) in enumerate(SETTINGS):
        d.text(A + 98 * i, 40, name, anchor="start", bold=True, fill=colour)
    for x, words in ((B, "B - A"), (C, "C - A")):
        d.text(x, 40, words, bold=True, fill=GREEN)
        d.line(x, TOP - 8, x, TOP + 4 * ROW - 8, stroke=SOFT)
    d.line(A, TOP - 8, A, TOP + 4 * ROW - 8, stroke=SOFT)
    for i, (prompt, *scores) in enumerate(SCORES):
        y = TOP + i * ROW
        d.text(A - 12, y + 26, prompt, anchor="end")
        for k, score in enumerate(scores):
            d.rect(A, y + k * BAR, score, BAR - 2, fill=SETTINGS[k][1], stroke="none", radius=2)
        for x, other in ((B, scores[1]), (C, scores[2])):
            gain = 3 * (other - scores[0])
            d.rect(x + min(gain, 0), y + 8, abs(gain), 24, fill=GREEN, stroke="none", radius=2)
    low = TOP + 4 * ROW + 20
    for x, lines in (
        (A + 95, ("the scores: prompts decide,", "and the means hardly differ")),
        (B + 20, ("all of one sign:", "B looks better")),
        (C, ("both signs:", "not decided")),
    ):
        for k, words in enumerate(lines):
            d.text(x, low + 20 * k, words, fill=INK, bold=k == 1 and x != A + 95)
    d.text((B + C) / 2, low + 50, "the differences, enlarged", size=13, fill=SOFT)
    return d
