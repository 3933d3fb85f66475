"""The toy beside Wan2.1-14B: the same parts, of other sizes."""

from math import log10

from svg import BLUE, GREEN, INK, ORANGE, SOFT, Drawing

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
        ("codec", "takes a video", 0, WAN.codec_parameters),
        ("transformer", "takes latents and tau", dit, WAN.parameters),
    )
    for row, (part, takes, small, large) in enumerate(parts):
        y = 50 + 74 * row
        d.text(380, y + 18, part, bold=True)
        d.text(380, y + 37, takes, size=13)
        _bar(d, 34, y, small, BLUE)
        _bar(d, 490, y, large, ORANGE)
    d.text(380, 290, "sampling loop", bold=True)
    d.text(380, 309, "takes a schedule", size=13)
    d.rect(34, 276, 236, 24, fill=GREEN, stroke="none")
    d.rect(490, 276, 236, 24, fill=GREEN, stroke="none")
    d.text(152, 293, "the same code", fill="#ffffff", bold=True)
    d.text(608, 293, "the same code", fill="#ffffff", bold=True)
    d.text(
        380, 336, "Bars: number of weights, from 10 thousand at the left end; every mark is ten times as many.", size=13
    )
    return d


def _bar(d: Drawing, x: float, y: float, weights: int, colour: str) -> None:
    """A bar from x to the right, logarithmic from LEAST on."""
    d.rect(x, y + 4, TEN * log10(weights / LEAST) if weights else 0, 24, fill=colour, stroke="none", radius=0)
    for mark in range(7):
        d.line(x + TEN * mark, y + 28, x + TEN * mark, y + 33, stroke=INK if mark == 0 else SOFT)
    d.line(x, y + 28, x + 6.2 * TEN, y + 28, stroke=SOFT, width=1)
    size = f"{weights / 1e9:.1f} billion" if weights > 1e9 else f"{weights / 1e6:.{0 if weights > 1e7 else 2}f} million"
    d.text(x + 4, y + 50, size if weights else "none: it works on pixels", size=13, anchor="start")
