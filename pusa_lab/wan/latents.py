"""Conversion of pixels to Wan's latents and back; each latent channel is normalised to mean 0 and deviation 1."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify
from jaxtyping import Float
from torch import Tensor, nn

from pusa_lab.arguments import checked, shown
from pusa_lab.pixels import check_range
from pusa_lab.types import Clip, Video

LARGEST_LATENT = 1e4
"""Largest magnitude of latents that are decoded; normalised ones have a spread of about 1."""


@checked
def encode_clip(codec: Any, clip: Clip) -> Video:
    """Encode pixels: the posterior's mode, normalised per channel, in float32.

    z = (E(x) - mean) / std

    Args:
        codec: diffusers' AutoencoderKLWan, in any precision.
        clip: pixels (b, 3, 1 + 4k, h, w) in [-1, 1]; a picture is a clip of one frame.

    Returns:
        Latents (b, c, 1 + k, h', w'), smaller than the clip by the codec's stride.

    Raises:
        ValueError: the clip is empty, smaller than one latent pixel or not in [-1, 1], or codec is another object.
    """
    mean, std = _moments(codec)
    side = codec_config(codec).scale_factor_spatial
    if 0 in clip.shape or min(clip.shape[-2:]) < side:
        raise ValueError(f"clip has shape {tuple(clip.shape)}: give at least one video, one frame and {side} x {side}.")
    check_range(clip)
    z = codec.encode(clip.to(codec.device, codec.dtype)).latent_dist.mode().float()
    return (z - mean) / std


@checked
def decode_latents(codec: Any, latents: Video) -> Clip:
    """Decode latents to pixels in [-1, 1], in float32.

    x = D(z std + mean)

    Args:
        codec: diffusers' AutoencoderKLWan, in any precision.
        latents: normalised, (b, c, f, h, w).

    Returns:
        Pixels (b, 3, 1 + 4 (f - 1), h', w').

    Raises:
        ValueError: the latents are empty, too large or NaN, or do not have the codec's channels; or codec is another
            object.
    """
    raw = _raw(codec, latents)  # also refuses what is no codec
    return codec.decode(raw, return_dict=False)[0].float().clamp(-1, 1)


@checked
def latent_decoder(
    codec: Any, use: Callable[[Any], AbstractContextManager[None]] = lambda codec: nullcontext()
) -> Callable[[Video], Clip]:
    """A function that decodes a video in parts, the first latent frame first: together the pixels of `decode_latents`.

    What the codec's causal convolutions need of the frames before is kept between the parts, as diffusers keeps it
    between the frames of one call.

    Args:
        codec: diffusers' AutoencoderKLWan, in any precision; tiling is not used.
        use: (codec) -> context manager, entered around every call, in which the codec is on its device.

    Raises:
        ValueError: codec is another object; and, of the function, as `decode_latents`.
    """
    patch = codec_config(codec).patch_size
    kept: list[Any] = [None] * sum(isinstance(layer, WanCausalConv3d) for layer in codec.decoder.modules())

    def decode(latents: Video) -> Clip:
        parts = []
        with use(codec), torch.no_grad():
            for z in codec.post_quant_conv(_raw(codec, latents)).split(1, dim=2):
                first = kept[0] is None
                parts.append(codec.decoder(z, feat_cache=kept, feat_idx=[0], first_chunk=first))
        clip = torch.cat(parts, dim=2)
        return (clip if patch is None else unpatchify(clip, patch_size=patch)).float().clamp(-1, 1)

    return decode


def _raw(codec: Any, latents: Video) -> Video:
    """Latents as the codec's decoder takes them, checked."""
    mean, std = _moments(codec)
    if 0 in latents.shape or latents.shape[1] != mean.shape[1]:
        raise ValueError(f"latents has shape {tuple(latents.shape)}: give (b, {mean.shape[1]}, f, h, w), no size 0.")
    if not latents.abs().amax() <= LARGEST_LATENT:
        raise ValueError(
            f"latents reach {latents.abs().amax():.3g}: give normalised ones, which stay below {LARGEST_LATENT:g}."
        )
    z = latents.to(codec.device, torch.float32) * std + mean
    return z.to(codec.dtype)


def _moments(codec: Any) -> tuple[Float[Tensor, "1 c 1 1 1"], Float[Tensor, "1 c 1 1 1"]]:
    """Mean and standard deviation of every channel, from the codec's config."""
    config = codec_config(codec)
    found = (config.latents_mean, config.latents_std)
    mean, std = (torch.tensor(x, device=codec.device).view(1, -1, 1, 1, 1) for x in found)
    return mean, std


@checked
def codec_config(codec: Any) -> Any:
    """Return the config of a codec; anything but a codec is refused.

    Args:
        codec: diffusers' AutoencoderKLWan, compiled or not.

    Raises:
        ValueError: codec is another object.
    """
    config: Any = getattr(codec, "config", None) if isinstance(codec, nn.Module) else None
    if not hasattr(config, "latents_mean"):
        raise ValueError(f"codec is {shown(codec)}: give diffusers' AutoencoderKLWan.")
    return config
