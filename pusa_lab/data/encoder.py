"""What encoding needs of a model: the settings of a cache, and the latents and the embedding of a clip."""

import contextlib
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.data.clips import check_times
from pusa_lab.data.folders import ClipFile
from pusa_lab.data.latents import identity
from pusa_lab.data.manifest import CacheSettings, FileState
from pusa_lab.metrics import frame_scores
from pusa_lab.pixels import to_pixels
from pusa_lab.types import Clip, Cond, Geometry, Video

BEGIN = 5
"""Latent frames at the beginning of a clip on which the codec is measured, so that decoding takes little memory."""


@runtime_checkable
class Encoder(Protocol):
    """The part of a `VideoModel` that encoding needs; its `codec`, and `prompts` or `text`, identify it.

    If it has `decode` too, the quality of its codec is measured.
    """

    geometry: Geometry

    @property
    def device(self) -> torch.device:
        """The device of the model, as in `VideoModel`."""

    def encode_text(self, prompts: list[str]) -> Cond:
        """Encode captions, as in `VideoModel`."""

    def encode_video(self, clip: Clip) -> Video:
        """Encode pixels to latents, as in `VideoModel`."""


@checked
@torch.no_grad()
def settle(
    model: Encoder,
    name: str,
    size: tuple[int, int] | None = None,
    num_frames: int | None = None,
    fps: int | float | None = None,
    start: int | float = 0.0,
) -> tuple[CacheSettings, Float[Tensor, "n d"]]:
    """Return the settings of a cache, with the model's own where none are given, and the null prompt's embedding.

    Args:
        model: whose codec and text encoder are used.
        name: of the model.
        size: height and width in pixels.
        num_frames: pixel frames of each clip.
        fps: frames per second, 0.001 to 1000.
        start: time in each file at which its clip begins, in seconds.

    Returns:
        The settings, and the embedding (n, d).

    Raises:
        ValueError: a number is out of range, or the model does not accept the sizes.
    """
    g = model.geometry
    size, fps = size or g.size, g.fps if fps is None else fps
    num_frames = g.pixel_frames(g.frames) if num_frames is None else num_frames
    if any(n < step or n % step for n, step in zip(size, g.stride[1:], strict=True)):
        raise ValueError(
            f"a size of {size[0]} x {size[1]}: height and width must be multiples of {g.stride[1]} and {g.stride[2]}."
        )
    check_times(fps, start)
    latent_frames = g.latent_frames(num_frames)
    empty = model.encode_text([""])["text"][0]
    settings = CacheSettings(
        model=name,
        size=(size[0], size[1]),
        num_frames=num_frames,
        latent_frames=latent_frames,
        channels=g.channels,
        fps=float(fps),
        start=float(start),
        codec=codec_hash(model),
        text_encoder=text_hash(model),
        text_length=len(empty),
    )
    return settings, empty


@checked
def codec_hash(model: Encoder) -> str:
    """Return a hash that identifies a model's codec.

    Args:
        model: a `VideoModel`.
    """
    return identity(getattr(model, "codec", None))


@checked
def text_hash(model: Encoder) -> str:
    """Return a hash that identifies a model's text encoder: Wan's `prompts`, or a toy's `text`.

    Args:
        model: a `VideoModel`.
    """
    return identity(getattr(model, "prompts", None) or getattr(model, "text", None))


@checked
@torch.no_grad()
def encode_file(
    model: Encoder, clip: ClipFile, state: FileState, settings: CacheSettings
) -> tuple[Clip, Video, Tensor]:
    """Read and encode a clip of a folder and its caption.

    Args:
        model: whose codec and text encoder are used.
        clip: of the folder.
        state: of its file; a file that changes meanwhile is refused.
        settings: of the cache.

    Returns:
        Pixels, latents (1, c, f, h, w) and the caption's embedding (n, d).

    Raises:
        ValueError: it cannot be used; the message continues a sentence that begins with its name.
    """
    pixels = read_pixels(clip, settings)
    try:
        text = model.encode_text([clip.caption])["text"][0]
    except ValueError as error:  # a toy knows few words; its sentence then lists them
        raise ValueError(f"has a caption that the model does not accept: {str(error).split('. ')[0]}.") from error
    latents = model.encode_video(pixels.to(model.device))
    if not torch.isfinite(latents).all():
        raise ValueError("gives latents that are not finite: use another codec or precision, or leave the clip out.")
    _check_still(clip, state)
    return pixels, latents, text


@checked
def read_pixels(clip: ClipFile, settings: CacheSettings) -> Clip:
    """Read the pixels of a clip of a folder.

    Args:
        clip: of the folder.
        settings: of the cache.

    Raises:
        ValueError: it cannot be read; the message continues a sentence that begins with its name.
    """
    return to_pixels(next(clip.pieces(settings.num_frames, settings.size, settings.fps, settings.start)))


@checked
@torch.no_grad()
def kept_by_codec(model: Encoder, pixels: Clip, latents: Video) -> float | None:
    """What the codec keeps of the beginning of a clip, in dB; None if the model decodes nothing.

    Args:
        model: whose codec is measured.
        pixels: of the clip.
        latents: (1, c, f, h, w) of the clip.

    Raises:
        ValueError: it decodes to NaN; the message continues a sentence that begins with the clip's name.
    """
    if not hasattr(model, "decode"):
        return None
    made = model.decode(latents[:, :, :BEGIN].float().to(model.device)).float().clamp(-1, 1)
    if made.isnan().any():
        raise ValueError("is NaN after encoding and decoding: use another codec or precision, or leave the clip out.")
    return frame_scores(made, pixels[:, :, : made.shape[2]].to(made), ["psnr"])["psnr"].mean().item()


def _check_still(clip: ClipFile, state: FileState) -> None:
    """Refuse a file that changed while it was read, such as one that is still being copied."""
    with contextlib.suppress(OSError):
        stat = clip.path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (state.bytes, state.mtime):
            return
    raise ValueError("changed while it was being read: run the same command again.")
