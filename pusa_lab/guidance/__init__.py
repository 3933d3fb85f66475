"""Guidance: denoiser -> denoiser. On the caption (`text_cfg`), on the known frames (`history_guidance`), or on both:
`text_cfg(history_guidance(model, vanilla([0], 1.5), eps), cond, null, 3.0)`.
"""

from pusa_lab.guidance.guided import Guided, calls
from pusa_lab.guidance.history import Term, fractional, history_guidance, temporal, vanilla
from pusa_lab.guidance.text import Scale, text_cfg

__all__ = ["Guided", "Scale", "Term", "calls", "fractional", "history_guidance", "temporal", "text_cfg", "vanilla"]
