"""Tasks: which frames are known, and how they are kept. Nothing else tells one task from another.

How a known frame is kept is one switch, `Known.mode`. With its `noise` m and S the clock it would have if it were free:

| mode       | the model is told | the latents it is shown              | at the end  | who does this                |
|------------|-------------------|--------------------------------------|-------------|------------------------------|
| `freeze`   | 0                 | clean, never touched                 | as given    | Pusa with m = 0              |
| `denoise`  | m S               | noised once to m S[0], then denoised | regenerated | Pusa, 2507.16116 App. B      |
| `hold`     | m                 | level m, fresh noise at every row    | as given    | SkyReels-V2, 2504.13074      |
| `reimpose` | m S               | level m S, fresh noise at every row  | as given    | Wan TI2V-5B with m = 0       |
| `label`    | m                 | clean: the label is not their level  | as given    | Diffusion Forcing 2407.01392 |

With m = 0 all five keep the frame exactly, and on Gaussian data the other frames then come from the exact conditional
distribution. With m > 0 every one is biased, each in its own way, and the bias vanishes with m:

- `denoise`: the frame itself drifts to fit the rest, the more the larger m; with m = 1 it is forgotten.
- `hold`: the others follow too little, as if the frame had been seen once, through noise of level m. In many rows the
  fresh noise averages out, and they come from the conditional on the sight (1 - m) x0 of level m.
- `label`: they come from the conditional on the sight x0 of level m. Told that it sees only (1 - m) of the frame, the
  model takes it for a larger one: at small m the others overreact, at large m they follow too little.
- `reimpose`: the sight sharpens as m S falls, but what was decided before is not taken back. With one clock for all
  (m = 1, known as replacement) the others follow too little, and more rows do not help.

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
"""Latent frames of the longest video; a larger number is taken for a mistake."""


@checked
@dataclass(frozen=True, eq=False)
class Known:
    """A picture or clip whose place in the video is known."""

    clip: Any
    """(h, w, 3) or (pixel frames, h, w, 3), uint8 or floats in [0, 1], as an array, a tensor, nested lists or, for a
    picture, a Pillow image; or one clip per sample, (b, frames, h, w, 3)."""
    at: int | None = None
    """Latent frame where it starts; a negative one, counted from the end, is where it ends: -1 is the last."""
    pixel_at: int | None = None
    """The same as a pixel frame, 0 or more; give one of the two. A picture goes to the latent frame that holds it, a
    clip starts where a latent frame does: see `frame_table`."""
    noise: Levels = 0.0
    """Level m kept, one for all latent frames of the clip or one each: 0 exact, up to 1 free."""
    mode: str = "denoise"
    """How it is kept, one of `MODES`: the table at the head of this module. freeze: exactly, `noise` must be 0.
    denoise: noised once to noise * S, then denoised along (Pusa). hold: fresh noise of constant level `noise` at every
    row (SkyReels-V2). reimpose: fresh noise of level noise * S at every row (Wan TI2V with 0). label: clean, while the
    model is told level `noise` (Diffusion Forcing, whose code also scales the latents, by the level's 1 - noise)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", _pixels(self.clip, "a known picture or clip"))
        if (self.at is None) == (self.pixel_at is None):
            raise ValueError(f"a known frame wants one of at={self.at} and pixel_at={self.pixel_at}, not both or none.")
        if self.pixel_at is not None and self.pixel_at < 0:
            raise ValueError(f"pixel_at={self.pixel_at}: count pixel frames from 0, or use at=-1 for the last latent.")
        if self.mode not in MODES:
            raise ValueError(f"unknown mode {self.mode!r} of a known frame: choose one of {', '.join(MODES)}.")


@checked
@dataclass(frozen=True, eq=False)
class Task:
    """A name for people, and the known frames."""

    name: str
    """Such as "image_to_video"."""
    known: tuple[Known, ...] = ()
    """Each at its place; none for text-to-video."""


@checked
def picture_of(picture: Any, name: str = "picture") -> Any:
    """One picture, or one for each sample: a clip, or pictures that could be taken for one, are refused.

    Args:
        picture: (h, w, 3), or (b, 1, h, w, 3) with one picture per sample, uint8 or floats in [0, 1]; or a list of
            pictures of one size, one per sample.
        name: of the argument, for the sentence.

    Returns:
        an array or tensor (h, w, 3), (1, h, w, 3) or (b, 1, h, w, 3).

    Raises:
        ValueError: it holds several frames, or no pixels.
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
            f"a clip goes into tasks.extension or tasks.transition."
        )
    return found


@checked
def text_to_video() -> Task:
    """Nothing is known but the caption."""
    return Task("text_to_video")


@checked
def image_to_video(picture: Any, noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """The first frame is known.

    Args:
        picture: (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        noise: level kept in [0, 1]; 0 keeps the frame exactly, the paper's runs use 0 to 0.3.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: it is a clip, or holds no pixels.

    Source: Algorithm 1, arXiv 2507.16116.
    """
    return Task("image_to_video", (Known(picture_of(picture), at=0, noise=noise, mode=mode),))


@checked
def start_end(first: Any, last: Any, noise: float | tuple[float, float] = 0.0, mode: str = "denoise") -> Task:
    """The first and the last latent frame are known.

    Args:
        first: picture (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        last: picture, or the clip of the last latent frames: a picture is made to stand still for all the pixel frames
            of the last latent frame, so the clip of these (4 for Wan) ends the video in motion. Or one per sample.
        noise: level kept in [0, 1], one for both ends or one each.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: `first` is a clip, or `last` may be both a clip and one picture per sample.

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
    """The video ends where it began, so that it can be played round and round.

    Codecs that see only the past give the first latent frame one pixel frame and the last one `stride` of them. So the
    picture is encoded twice, once for each end, and stands still for the last `stride` pixel frames; when looped, leave
    out pixel frame 0, which repeats it. To arrive in motion, give `transition` the frames that lead up to the picture.

    Args:
        picture: (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        noise: level kept in [0, 1], one for both ends or one each.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: it is a clip, or holds no pixels.
    """
    picture = picture_of(picture)
    return Task("loop", _ends(picture, picture, noise, mode))


@checked
def transition(first: Any, last: Any, noise: float | tuple[Levels, Levels] = 0.0, mode: str = "denoise") -> Task:
    """One clip becomes another: the video starts with the first and ends with the last.

    Args:
        first: (pixel frames, h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, pixel frames, h, w, 3).
        last: likewise.
        noise: levels kept of both, each one for all or one for each of its latent frames, in [0, 1].
        mode: one of `MODES`, see `Known`.

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
    """Pictures are known at some places, any number of them: `keyframes([a, b, c], at=[0, 10, -1])`.

    Args:
        pictures: each (h, w, 3), or a clip, uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3).
        at: latent frame of each; negative ones count from the end.
        noise: level kept, one for all or one for each picture, in [0, 1].
        mode: one of `MODES`, see `Known`.
        pixel_at: the places as pixel frames instead, see `frame_table`.

    Raises:
        ValueError: no picture, or not one place and one level for each.

    Source: the multi-frame task of arXiv 2507.16116, App. D.
    """
    n = len(pictures)
    if n == 0:
        raise ValueError("keyframes without a picture: give at least one, or use text_to_video.")
    places = [[None] * n if p is None else list(p) for p in (at, pixel_at)]
    if wrong := [len(p) for p in places if len(p) != n]:
        raise ValueError(f"{n} pictures for {wrong[0]} places: give one place for each picture.")
    rows = zip(pictures, *places, noise_levels(noise, n), strict=True)
    return Task("keyframes", tuple(Known(clip, i, pixel, m, mode) for clip, i, pixel, m in rows))


@checked
def completion(video: Any, known: Sequence[range], noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """Parts of a video are known, the rest is made anew: `completion(video, [range(0, 5), range(77, 81)])`.

    Each part is cut out and encoded alone, so nothing of the rest reaches the model: a codec that had seen the whole
    video would leak it into the known latents behind it.

    Args:
        video: (pixel frames, h, w, 3), uint8 or floats in [0, 1], in step with the video to be made; or one per sample,
            (b, pixel frames, h, w, 3).
        known: pixel frames of each part, whole latent frames: `geometry.pixels_at(20)` is range(77, 81) for Wan.
        noise: level kept, one for all or one for each part, in [0, 1].
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: no part, a part that the video does not have, or not one level for each.

    Source: the completion task of arXiv 2507.16116, App. D.
    """
    video = _clip("completion", video)
    total = video.shape[1]
    if not known:
        raise ValueError("completion without a known part: name its pixel frames, or use text_to_video.")
    for part in known:
        if len(part) == 0 or part.step != 1 or part.start < 0 or part.stop > total:
            raise ValueError(
                f"completion from {part} of a video of {total} pixel frames: name ranges within 0..{total}."
            )
    rows = zip(known, noise_levels(noise, len(known)), strict=True)
    cut = [Known(video[:, p.start : p.stop], pixel_at=p.start, noise=m, mode=mode) for p, m in rows]
    return Task("completion", tuple(cut))


@checked
def extension(clip: Any, known: int | None = None, noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """The video goes on where a clip ends; `pusa_lab.extend_to` does it again and again.

    Args:
        clip: (pixel frames, h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, pixel frames, h, w, 3).
        known: how many of its last pixel frames start the new video; None is all of them.
        noise: level kept, one for all or one for each known latent frame, in [0, 1].
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: the clip is shorter than `known`.
    """
    clip = _clip("extension", clip)
    if known is not None:
        total = clip.shape[1]
        if known < 1 or known > total:
            raise ValueError(f"extension from {known} frames of a clip that has {total}: ask for 1..{total}.")
        clip = clip[:, total - known :]
    return Task("extension", (Known(clip, 0, noise=noise, mode=mode),))


def _clip(task: str, clip: Any) -> Any:
    """(b or 1, pixel frames, h, w, 3)."""
    found = _pixels(clip, "the clip")
    if found.ndim < 4:
        raise ArgumentError(f"{task} from shape {tuple(found.shape)}: give a clip (frames, h, w, 3).")
    return _shared(found)


def _shared(clip: Any) -> Any:
    """One clip for all samples, said so that it is not taken for one picture per sample."""
    return clip[None] if clip.ndim == 4 else clip


def _pixels(value: Any, name: str) -> Any:
    """What holds the pixels of a picture or clip, (h, w, 3), (frames, h, w, 3) or (b, frames, h, w, 3)."""
    if isinstance(value, str | os.PathLike):
        raise ArgumentError(f"{name} is the path {str(value)!r:.80}: read it with pusa_lab.media first.")
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
    """A Pillow image in colours, where Pillow's own conversion is right."""
    if image.mode not in ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV") or "transparency" in image.info:
        raise ArgumentError(
            f"{name} is a Pillow image of mode {image.mode}, with transparency or of another range: "
            f"give image.convert('RGB'), or read its file with pusa_lab.media.read_picture."
        )
    return image.convert("RGB")


@checked
def frame_table(geometry: Geometry, frames: int | None = None) -> str:
    """Which latent frame holds which pixel frames, as text to print: `print(frame_table(model.geometry))`.

    Latent frame i holds the pixel frames 1 + stride (i - 1) .. stride i, the first one pixel frame 0 alone

    Args:
        geometry: of the model.
        frames: latent frames; None is the model's own number.
    """
    frames = geometry.frames if frames is None else frames
    if not 1 <= frames <= MOST:
        raise ValueError(f"frames={frames}: give 1 to {MOST:,} latent frames.")
    rows = [(i, geometry.pixels_at(i)) for i in range(frames)]
    spans = [f"{i:6}  {f'{p[0]}..{p[-1]}' if len(p) > 1 else p[0]:>9}  {p[0] / geometry.fps:7.2f}" for i, p in rows]
    return "\n".join(["latent  pixels     seconds", *spans])


@dataclass(frozen=True)
class Preset:
    """Published noise multipliers of a task."""

    noise: Any
    """What the task takes as `noise`."""
    source: str
    """Where it is published."""


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
"""Task -> what its authors ran, in mode "denoise" with 14B models: `image_to_video(picture, PRESETS["image_to_video"]
[0].noise)`. None of it was measured against other values. Per latent frame: 4 for `extension` (13 pixel frames), 1 and
3 for `transition`; per picture or part elsewhere (`keyframes`: at latent frames 0, 13, 27 of 28)."""
