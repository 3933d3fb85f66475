"""Guidance: denoiser -> denoiser. On the caption (`text_cfg`, `apg`, `cfg_zero_star`), on the known frames
(`history_guidance`, `picture_guidance`), away from a worse model (`skip_layer_guidance`), or several, one around the
other: `text_cfg(history_guidance(model, vanilla([0], 1.5), eps), null, 3.0)`.
"""

from pusa_lab.guidance.guided import Guided, around, calls, num_layers
from pusa_lab.guidance.history import Term, fractional, history_guidance, picture_guidance, temporal, vanilla
from pusa_lab.guidance.layers import layer_indices, skip_layer_guidance
from pusa_lab.guidance.projected import apg, cfg_zero_star
from pusa_lab.guidance.registry import GUIDERS, Guider, chain, guide, guider_named
from pusa_lab.guidance.text import Scale, text_cfg

__all__ = [
    "GUIDERS",
    "Guided",
    "Guider",
    "Scale",
    "Term",
    "apg",
    "around",
    "calls",
    "cfg_zero_star",
    "chain",
    "fractional",
    "guide",
    "guider_named",
    "history_guidance",
    "layer_indices",
    "num_layers",
    "picture_guidance",
    "skip_layer_guidance",
    "temporal",
    "text_cfg",
    "vanilla",
]
