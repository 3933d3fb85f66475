"""Noise levels of known frames that were published for each task."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Published noise levels for a task."""

    noise: Any
    """Value for the task's `noise`."""
    source: str
    """Where the value is published."""


_README = "PusaV1/README.md of Yaofang-Liu/Pusa-VidGen at 8a8c4f5"
_V05 = "the V0.5 (Mochi) commands in README.md of Yaofang-Liu/Pusa-VidGen at 8a8c4f5"
_FIG9 = "Fig. 9, arXiv 2507.16116v2"

PRESETS: dict[str, tuple[Preset, ...]] = {
    "image_to_video": tuple(Preset(m, _README) for m in (0.2, 0.0, 0.3)),
    "start_end": (*(Preset(m, _README) for m in ((0.2, 0.5), (0.1, 0.4), (0.0, 0.4))), Preset((0.3, 0.7), _FIG9)),
    "keyframes": (Preset((0.3, 0.7, 0.7), _V05),),
    "completion": tuple(Preset(m, _README) for m in ((0.3, 0.3), (0.0, 0.0), (0.2, 0.2))),
    "transition": (Preset((0.3, (0.8, 0.8, 0.8)), _V05),),
    "extension": (
        *(Preset(m, _README) for m in ((0.0, 0.3, 0.4, 0.5), (0.2, 0.4, 0.4, 0.4), (0.2, 0.4, 0.6, 0.8))),
        *(Preset(m, _README) for m in ((0.3, 0.4, 0.5, 0.6), (0.0, 0.3, 0.5, 0.7))),
        Preset((0.1, 0.2, 0.3, 0.4), _V05),
    ),
}
"""Task -> noise levels that Pusa's authors used, in mode "denoise" with 14B models: `image_to_video(picture, PRESETS[
"image_to_video"][0].noise)`. They were not compared with others. Levels are per latent frame for `extension` (4, of 13
pixel frames) and `transition` (1 and 3), else per picture or part (`keyframes`: at latent frames 0, 13, 27 of 28)."""
