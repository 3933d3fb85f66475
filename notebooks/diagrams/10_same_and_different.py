"""The toy beside Wan2.1-14B: the same parts, of other sizes."""

from math import log10

from drawing import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

import small_models
from pusa_lab.wan.configs import WAN_CONFIGS

WAN = WAN_CONFIGS["wan2.1-14b"]
TEN = 38
"""Pixels for a factor of ten."""
LEAST = 1e4
"""Weights at which a bar begins."""


def draw() -> Drawing:
    """Four rows, one per part: on the left the toy's, on the right Wan's."""
    toy = small_models.load("nano-vta", device="cpu")
    text, dit = (sum(p.numel() for p in part.parameters()) for part in (toy.text, toy.dit))
    d = Drawing(760, 350)
    d.text(190, 30, "toy nano", size=16, bold=True)
    d.text(570, 30, "Wan2.1-14B", size=16, bold=True)
    parts = (
        ("text encoder", "takes the prompt", text, WAN.text_parameters),
        ("codec", "takes a picture", 0, WAN.codec_parameters),
        ("transformer", "takes latents and tau", dit, WAN.parameters),
    )
    for row, (part, takes, small, large) in enumerate(parts):
        y = 50 + 74 * row
        d.text(380, y + 18, part, bold=True)
        d.text(380, y + 37, takes, size=13)
        _bar(d, 284, y, small, -1, BLUE)
        _bar(d, 476, y, large, 1, ORANGE)
    d.text(380, 290, "sampling loop", bold=True)
    d.text(380, 309, "takes a schedule", size=13)
    d.rect(30, 276, 254, 24, fill=GREEN, stroke="none")
    d.rect(476, 276, 254, 24, fill=GREEN, stroke="none")
    d.text(157, 293, "the same code", fill="#ffffff", bold=True)
    d.text(603, 293, "the same code", fill="#ffffff", bold=True)
    d.text(380, 336, "Bars: number of weights; every mark is ten times as many.", size=13)
    return d


def _bar(d: Drawing, x: float, y: float, weights: int, way: int, colour: str) -> None:
    """A bar from x to the left (way -1) or right, logarithmic from LEAST on."""
    long = TEN * log10(weights / LEAST) if weights else 0
    d.rect(min(x, x + way * long), y + 4, long, 24, fill=colour, stroke="none", radius=0)
    for mark in range(7):
        at = x + way * TEN * mark
        d.line(at, y + 28, at, y + 33, stroke=INK if mark == 0 else SOFT)
    d.line(x, y + 28, x + way * 6.2 * TEN, y + 28, stroke=SOFT, width=1)
    size = f"{weights / 1e9:.1f} billion" if weights > 1e9 else f"{weights / 1e6:.{0 if weights > 1e7 else 2}f} million"
    words = size if weights else "none: it works on pixels"
    d.text(x + way * 4, y + 50, words, size=13, anchor="start" if way > 0 else "end")
