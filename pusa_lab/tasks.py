"""Tasks: which frames are known, and how they are kept. Tasks differ in nothing else.

`Known.mode` says how a known frame is kept; m is its `noise`, and S the noise level that it would have if generated:

| mode       | timestep given    | latents given                        | at the end  | who does this                |
|------------|-------------------|--------------------------------------|-------------|------------------------------|
| `freeze`   | 0                 | clean, never changed                 | as given    | Pusa with m = 0              |
| `denoise`  | m S               | noised once to m S[0], then denoised | regenerated | Pusa, 2507.16116 App. B      |
| `hold`     | m                 | level m, fresh noise at every row    | as given    | SkyReels-V2, 2504.13074      |
| `reimpose` | m S               | level m S, fresh noise at every row  | as given    | Wan TI2V-5B with m = 0       |
| `label`    | m                 | clean, although the timestep is m    | as given    | Diffusion Forcing 2407.01392 |

With m = 0 all five modes keep the frame exactly, and on Gaussian data the other frames are then samples of the exact
conditional distribution. With m > 0 every mode is biased in its own way, and the bias vanishes as m goes to 0:

- `denoise`: the known frame itself drifts towards the other frames, more so for larger m; with m = 1 it is forgotten.
- `hold`: the other frames follow it too little, as if it had been observed once, through noise of level m. Over many
  rows the fresh noise averages out, and they are samples of the conditional given (1 - m) x0 observed at level m.
- `label`: the other frames are samples of the conditional given x0 observed at level m. The timestep tells the
  model that it sees (1 - m) times the frame, so it takes the frame for a larger one: at small m the other frames
  overreact, at large m they follow too little.
- `reimpose`: the observation becomes sharper as m S falls, but earlier steps are not undone. With the same timestep for
  all frames (m = 1, known as replacement) the other frames follow too little, and more rows do not help.

tests/test_policies.py checks all of this against closed forms.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pusa_lab.annotations import Unfit, check_for
from pusa_lab.arguments import ArgumentError, checked, shown
from pusa_lab.schedules import noise_levels
from pusa_lab.types import Geometry, Levels

MODES = ("freeze", "denoise", "hold", "reimpose", "label")
MOST = 10_000
"""Largest number of latent frames; a larger one is taken for a mistake."""


@checked
@dataclass(frozen=True, eq=False)
class Known:
    """A known picture or clip, and its place in the video.

    Raises:
        ValueError: not exactly one of `at` and `pixel_at` is given, or a field is not valid.
    """

    clip: Any
    """(h, w, 3), (pixel frames, h, w, 3) or, for one clip per sample, (b, pixel frames, h, w, 3), uint8 or floats in
    [0, 1]; an array, a tensor, nested lists or, for a picture, a Pillow image."""
    at: int | None = None
    """Latent frame where it starts; a negative number counts from the end and says where it ends: -1 is the last."""
    pixel_at: int | None = None
    """The same as a pixel frame, 0 or more; give one of the two. A picture goes to the latent frame that holds it, a
    clip must start where a latent frame starts: see `frame_table`."""
    noise: Levels = 0.0
    """Level m in [0, 1], one for all latent frames of the clip or one per latent frame: 0 is exact, 1 is free."""
    mode: str = "denoise"
    """How it is kept, one of `MODES`: see the table at the top of this module. `freeze` needs `noise` = 0. For `label`,
    the code of Diffusion Forcing also scales the latents by 1 - noise, which is not done here."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", _pixels(self.clip, "a known picture or clip"))
        if (self.at is None) == (self.pixel_at is None):
            raise ValueError(f"at={self.at}, pixel_at={self.pixel_at}: give exactly one of the two for a known frame.")
        if self.pixel_at is not None and self.pixel_at < 0:
            raise ValueError(f"pixel_at={self.pixel_at}: give 0 or more, or use at=-1 for the last latent frame.")
        if self.mode not in MODES:
            raise ValueError(f"unknown mode {self.mode!r} of a known frame: choose one of {', '.join(MODES)}.")


@checked
@dataclass(frozen=True, eq=False)
class Task:
    """A name, and the known frames."""

    name: str
    """Name to show, such as "image_to_video"."""
    known: tuple[Known, ...] = ()
    """Known pictures and clips with their places; empty for text-to-video."""


@checked
def picture_of(picture: Any, name: str = "picture") -> Any:
    """Check that an argument is one picture or one picture per sample, and not a clip or something that may be one.

    Args:
        picture: (h, w, 3), or (b, 1, h, w, 3) with one picture per sample, uint8 or floats in [0, 1]; or a list of
            pictures of one size, one per sample.
        name: name of the argument, for the error sentence.

    Returns:
        An array or tensor (h, w, 3), (1, h, w, 3) or (b, 1, h, w, 3).

    Raises:
        ValueError: it has several frames, or holds no pixels.
    """
    if isinstance(picture, list | tuple) and picture and not isinstance(picture[0], list | tuple | int | float):
        picture = [_pixels(one, f"{name} {i}") for i, one in enumerate(picture)]
        shapes = [tuple(one.shape) for one in picture]
        if len(set(shapes)) > 1 or len(shapes[0]) != 3:
            several = ", ".join(map(str, sorted(set(shapes))[:4]))
            raise ArgumentError(f"{name} is a list of shapes {several}: give pictures (h, w, 3) of one size.")
        return torch.stack([torch.as_tensor(np.ascontiguousarray(one)) for one in picture])[:, None]
    found = _pixels(picture, name)
    if found.ndim > 3 and found.shape[-4] != 1:
        n = found.shape[0]
        raise ArgumentError(
            f"{name} has shape {tuple(found.shape)}, which is a clip: give one picture (h, w, 3), or one per sample as "
            f"(b, 1, h, w, 3){f', such as {name}[:, None] for {n} samples' if found.ndim == 4 else ''}; "
            f"for a clip, use tasks.extension or tasks.transition."
        )
    return found


@checked
def text_to_video() -> Task:
    """Task without known frames: only the prompt is given."""
    return Task("text_to_video")


@checked
def image_to_video(picture: Any, noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """Task in which the first frame is known.

    Args:
        picture: (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        noise: noise level in [0, 1] at which the frame is kept; 0 keeps it exactly, the paper's runs use 0 to 0.3.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: it is a clip or holds no pixels, or the mode is unknown.

    Source: Algorithm 1, arXiv 2507.16116.
    """
    return Task("image_to_video", (Known(picture_of(picture), at=0, noise=noise, mode=mode),))


@checked
def start_end(first: Any, last: Any, noise: float | tuple[float, float] = 0.0, mode: str = "denoise") -> Task:
    """Task in which the first and the last latent frame are known.

    Args:
        first: picture (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        last: picture, or clip of the last latent frames; or one per sample. A picture is repeated for all pixel frames
            of the last latent frame; for an end in motion, give the clip of these pixel frames (4 for Wan).
        noise: noise level in [0, 1] at which the frames are kept, one for both ends or (first, last).
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: `first` is a clip, a picture or clip holds no pixels, or the mode is unknown.

    Source: section 3.3, arXiv 2507.16116.
    """
    if isinstance(last, list | tuple) and last and not isinstance(last[0], list | tuple | int | float):
        last = picture_of(last, "last")
    return Task("start_end", _ends(picture_of(first, "first"), last, noise, mode))


def _ends(first: Any, last: Any, noise: float | tuple[Levels, Levels], mode: str) -> tuple[Known, Known]:
    start, end = noise if isinstance(noise, tuple) else (noise, noise)
    return Known(first, 0, noise=start, mode=mode), Known(last, -1, noise=end, mode=mode)


@checked
def loop(picture: Any, noise: float | tuple[float, float] = 0.0, mode: str = "denoise") -> Task:
    """Task in which the video ends with the picture it starts with, so that it can be played in a loop.

    A causal codec puts one pixel frame into the first latent frame and `stride` into the last, so the picture is
    encoded once for each end, and stands still for the last `stride` pixel frames. When you play the loop, leave out
    pixel frame 0. For an end in motion, use `transition` with the frames that lead up to the picture.

    Args:
        picture: (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        noise: noise level in [0, 1] at which the picture is kept, one for both ends or (first, last).
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: the picture is a clip or holds no pixels, or the mode is unknown.
    """
    picture = picture_of(picture)
    return Task("loop", _ends(picture, picture, noise, mode))


@checked
def transition(first: Any, last: Any, noise: float | tuple[Levels, Levels] = 0.0, mode: str = "denoise") -> Task:
    """Task in which the video starts with one clip and ends with another.

    Args:
        first: (pixel frames, h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, pixel frames, h, w, 3).
        last: as `first`.
        noise: noise level in [0, 1], one for both or (first, last), each of which may be one level per latent frame.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: a clip holds no pixels, or the mode is unknown.

    Source: section 3.3, arXiv 2507.16116.
    """
    return Task("transition", _ends(_shared(_pixels(first, "first")), _shared(_pixels(last, "last")), noise, mode))


@checked
def keyframes(
    pictures: Sequence[Any],
    at: Sequence[int] | None = None,
    noise: Levels = 0.0,
    mode: str = "denoise",
    pixel_at: Sequence[int] | None = None,
) -> Task:
    """Task in which pictures are known at any number of places: `keyframes([a, b, c], at=[0, 10, -1])`.

    Args:
        pictures: each (h, w, 3), or a clip, uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3).
        at: latent frame of each picture; negative numbers count from the end.
        noise: noise level in [0, 1] at which the pictures are kept, one for all or one per picture.
        mode: one of `MODES`, see `Known`.
        pixel_at: places as pixel frames, given instead of `at`; see `frame_table`.

    Raises:
        ValueError: there is no picture, or not one place and one noise level per picture, or the mode is unknown.

    Source: the multi-frame task of arXiv 2507.16116, App. D.
    """
    n = len(pictures)
    if n == 0:
        raise ValueError("keyframes without a picture: give at least one, or use text_to_video.")
    places = [[None] * n if p is None else list(p) for p in (at, pixel_at)]
    if wrong := [len(p) for p in places if len(p) != n]:
        raise ValueError(f"{n} pictures for {wrong[0]} places: give one place per picture.")
    rows = zip(pictures, *places, noise_levels(noise, n), strict=True)
    return Task("keyframes", tuple(Known(clip, i, pixel, m, mode) for clip, i, pixel, m in rows))


@checked
def completion(video: Any, known: Sequence[range], noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """Task in which parts of a video are known: `completion(video, [range(0, 5), range(77, 81)])`.

    Each part is cut out and encoded by itself, so nothing of the rest reaches the model. If the codec saw the whole
    video, the rest would leak into the known latents that follow it.

    Args:
        video: (pixel frames, h, w, 3), uint8 or floats in [0, 1], whose pixel frames have the same numbers in the new
            video; or one per sample, (b, pixel frames, h, w, 3).
        known: pixel frames of each part, whole latent frames: `geometry.pixels_at(20)` is range(77, 81) for Wan.
        noise: noise level in [0, 1] at which the parts are kept, one for all or one per part.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: there is no part, a part is outside the video, or there is not one noise level per part.

    Source: the completion task of arXiv 2507.16116, App. D.
    """
    video = _clip("completion", video)
    total = video.shape[1]
    if not known:
        raise ValueError("completion without a known part: give the pixel frames of one, or use text_to_video.")
    for part in known:
        if len(part) == 0 or part.step != 1 or part.start < 0 or part.stop > total:
            raise ValueError(
                f"completion from {part} of a video of {total} pixel frames: give ranges within 0..{total}, not empty "
                f"and without a step."
            )
    rows = zip(known, noise_levels(noise, len(known)), strict=True)
    cut = [Known(video[:, p.start : p.stop], pixel_at=p.start, noise=m, mode=mode) for p, m in rows]
    return Task("completion", tuple(cut))


@checked
def extension(clip: Any, known: int | None = None, noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """Task in which the video continues a clip; `pusa_lab.extend_to` repeats it.

    Args:
        clip: (pixel frames, h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, pixel frames, h, w, 3).
        known: number of last pixel frames of the clip that start the new video, at least 1; None takes all of them.
        noise: noise level in [0, 1] at which they are kept, one for all or one per known latent frame.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: `known` is out of range, or the clip holds no pixels.
    """
    clip = _clip("extension", clip)
    if known is not None:
        total = clip.shape[1]
        if known < 1 or known > total:
            raise ValueError(f"extension from {known} frames of a clip that has {total}: give known=1 to {total}.")
        clip = clip[:, total - known :]
    return Task("extension", (Known(clip, 0, noise=noise, mode=mode),))


def _clip(task: str, clip: Any) -> Any:
    """Check a clip and return it as (b or 1, pixel frames, h, w, 3)."""
    found = _pixels(clip, "the clip")
    if found.ndim < 4:
        raise ArgumentError(f"{task} from shape {tuple(found.shape)}: give a clip (frames, h, w, 3).")
    return _shared(found)


def _shared(clip: Any) -> Any:
    """Add a batch axis to a single clip, so that it is not taken for one picture per sample."""
    return clip[None] if clip.ndim == 4 else clip


def _pixels(value: Any, name: str) -> Any:
    """Check a picture or clip and return it as an array or tensor with 3 to 5 axes, as in `Known.clip`."""
    if isinstance(value, str | os.PathLike):
        raise ArgumentError(f"{name} is the path {str(value)!r:.80}: read it with pusa_lab.data first.")
    found = value if isinstance(value, np.ndarray) else _tensor(value, name)
    kind = str(found.dtype).removeprefix("torch.")
    if found.ndim not in (3, 4, 5) or found.shape[-1] != 3 or 0 in found.shape:
        raise ArgumentError(
            f"{name} has shape {tuple(found.shape)}: give RGB (h, w, 3), (frames, h, w, 3), or "
            f"(samples, frames, h, w, 3)."
        )
    if kind != "uint8" and "float" not in kind:
        raise ArgumentError(f"{name} of type {kind} holds no pixels: give uint8, or floats in [0, 1].")
    return found


def _tensor(value: Any, name: str) -> Tensor:
    if any((kind.__module__, kind.__name__) == ("PIL.Image", "Image") for kind in type(value).__mro__):
        value = _rgb(value, name)
    try:
        found = check_for(Tensor)(value)
    except Unfit:
        raise ArgumentError(
            f"{name} is {shown(value)}, which holds no pixels: give RGB (h, w, 3) or (frames, h, w, 3)."
        ) from None
    whole = not isinstance(value, Tensor) and found.dtype == torch.int64  # from a list of numbers
    return found.byte() if whole and found.numel() and found.min() >= 0 and found.max() <= 255 else found


def _rgb(image: Any, name: str) -> Any:
    """Convert a Pillow image to RGB, but only from modes that Pillow converts correctly."""
    if image.mode not in ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV") or "transparency" in image.info:
        raise ArgumentError(
            f"{name} is a Pillow image of mode {image.mode}, with transparency or another range of values: "
            f"give image.convert('RGB'), or read its file with pusa_lab.data.read_picture."
        )
    return image.convert("RGB")


@checked
def frame_table(geometry: Geometry, frames: int | None = None) -> str:
    """Table of the pixel frames that each latent frame holds, as text: `print(frame_table(model.geometry))`.

    Latent frame 0 holds pixel frame 0; latent frame i > 0 holds pixel frames 1 + stride (i - 1) to stride i

    Args:
        geometry: geometry of the model.
        frames: number of latent frames, 1 to 10,000; None takes the model's default.

    Raises:
        ValueError: frames is out of range.
    """
    frames = geometry.frames if frames is None else frames
    if not 1 <= frames <= MOST:
        raise ValueError(f"frames={frames}: give 1 to {MOST:,} latent frames.")
    rows = [(i, geometry.pixels_at(i)) for i in range(frames)]
    spans = [f"{i:6}  {f'{p[0]}..{p[-1]}' if len(p) > 1 else p[0]:>9}  {p[0] / geometry.fps:7.2f}" for i, p in rows]
    return "\n".join(["latent  pixels     seconds", *spans])


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
