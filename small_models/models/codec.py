"""The toys' codec: Wan's autoencoder in small. 1 + 4k pixel frames become 1 + k latent frames, 8 times smaller across.

Here are the scale of its latents, its loss, and what is checked; the layers are in `small_models.models.autoencoder`.
Latent frame 0 holds pixel frame 0 alone; every later one holds four. Converts both ways to diffusers' AutoencoderKLWan.

Architecture: Wan2.1, arXiv 2503.20314.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pusa_lab.arguments import checked
from pusa_lab.types import Clip, Video
from small_models.models.autoencoder import Autoencoder, decoding_in_parts
from small_models.models.presets import OddError, check_part_sizes
from small_models.records import check_entries

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

Weights = Float[Tensor, "b 1 pf hp wp"]
LEFT_OUT = ("attn_scales", "is_residual", "patch_size", "dropout")
"""Arguments of diffusers' class that a toy's config may only switch off."""
PART = 3
"""Latent frames that a CPU decodes at a time; at least 2, as convolutions take a lone first frame another way."""


@checked
class Codec(nn.Module):
    """Pixels to normalised latents and back.

    z = (mu(clip) - mean) / std, per latent channel

    Args:
        config: keyword arguments of diffusers' `AutoencoderKLWan`: base_dim, decoder_base_dim (the same if absent),
            z_dim, dim_mult (4 of them), num_res_blocks >= 1, temperal_downsample (two of three true).

    Raises:
        ValueError: a config of another stride than 4 x 8 x 8, or with parts that the toy leaves out.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        _check_config(config)
        self.config = dict(config)
        self.vae = Autoencoder(**{k: v for k, v in config.items() if k not in LEFT_OUT})
        self.z_dim: int = self.vae.post_quant_conv.in_channels
        self.register_buffer("mean", torch.zeros(self.z_dim))
        self.register_buffer("std", torch.ones(self.z_dim))

    def encode(self, clip: Clip) -> Video:
        """Pixels (b, 3, 1 + 4k, 8h, 8w) in [-1, 1] to latents (b, z, 1 + k, h, w), the posterior's mean, normalised."""
        mu, _ = self.moments(clip)
        return (mu - _per_channel(self.mean, mu)) / _per_channel(self.std, mu)

    def decode(self, latents: Video) -> Clip:
        """Normalised latents (b, z, 1 + k, h, w) to pixels (b, 3, 1 + 4k, 8h, 8w), clamped to [-1, 1]."""
        self._check_latents(latents)
        return self.decode_raw(self._raw(latents)).clamp(-1, 1)

    def init_decoder(self) -> Callable[[Video], Clip]:
        """A function that decodes a clip in parts, the first latent frame first: together the pixels of `decode`."""
        past: dict[nn.Module, Tensor] = {}

        def decode(latents: Video) -> Clip:
            self._check_latents(latents)
            with decoding_in_parts(past):
                found = self.vae.decode(self._raw(latents).to(self.vae.quant_conv.weight.dtype))
            return found.to(latents.dtype).clamp(-1, 1)

        return decode

    def _raw(self, latents: Video) -> Video:
        return latents * _per_channel(self.std, latents) + _per_channel(self.mean, latents)

    def forward(self, clip: Clip) -> Clip:
        """What remains of a clip: decode(encode(clip))."""
        return self.decode(self.encode(clip))

    def moments(self, clip: Clip) -> tuple[Video, Video]:
        """Mean and log-variance of the posterior, not normalised, in the clip's precision.

        Args:
            clip: pixels (b, 3, 1 + 4k, 8h, 8w) in [-1, 1].

        Raises:
            ValueError: frames not 1 + 4k, or height or width no multiple of 8.
        """
        _check_clip(clip)
        out = _in_turn(self.vae.encode, clip.to(self.vae.quant_conv.weight.dtype)).to(clip.dtype)
        mu, logvar = out.chunk(2, dim=1)
        return mu, logvar.clamp(-30, 20)

    def decode_raw(self, z: Video) -> Clip:
        """Latents as the encoder draws them, not normalised, to pixels, not clamped: what training compares.

        Args:
            z: mu + exp(logvar / 2) noise, (b, z, 1 + k, h, w).

        Raises:
            ValueError: another number of channels than the codec's.
        """
        self._check_latents(z)
        return _in_turn(self._in_parts, z.to(self.vae.quant_conv.weight.dtype)).to(z.dtype)

    def _in_parts(self, z: Video) -> Clip:
        """As the whole clip at once, but on a CPU, where nothing is learnt, in parts whose features its cache holds."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or not z.is_cpu or z.shape[2] <= PART:
            return self.vae.decode(z)
        with decoding_in_parts({}):
            return torch.cat([self.vae.decode(part) for part in z.split(PART, dim=2)], dim=2)

    def to_diffusers(self) -> "AutoencoderKLWan":
        """The same weights as diffusers' class; latents_mean and latents_std in its config are this mean and std."""
        from diffusers import AutoencoderKLWan

        scale = {"latents_mean": self.mean.tolist(), "latents_std": self.std.tolist()}
        vae = AutoencoderKLWan(**self.config, **scale)
        vae.load_state_dict(self.vae.state_dict())
        weight = self.vae.quant_conv.weight
        vae = vae if weight.dtype == torch.float32 else vae.to(weight.dtype)
        return vae.to(weight.device).train(self.training)

    @classmethod
    def from_diffusers(cls, vae: "AutoencoderKLWan") -> "Codec":
        """A Wan2.1 autoencoder from diffusers, of any size, as a codec with the same latents and pixels."""
        _check_config(vae.config)
        codec = cls({k: vae.config[k] for k in inspect.signature(Autoencoder).parameters})
        codec.vae.load_state_dict(vae.state_dict())
        mean, std = torch.tensor(vae.config["latents_mean"]), torch.tensor(vae.config["latents_std"])
        if not len(mean) == len(std) == codec.z_dim:
            raise ValueError(
                f"{len(mean)} latents_mean and {len(std)} latents_std do not fit {codec.z_dim} latent channels: "
                "build the AutoencoderKLWan with one of each per channel."
            )
        codec.mean.copy_(mean)
        codec.std.copy_(std)
        return codec.to(vae.device, vae.dtype).train(vae.training)

    def _check_latents(self, z: Tensor) -> None:
        if z.ndim != 5 or z.shape[1] != self.z_dim or 0 in z.shape:
            raise ValueError(
                f"latents of shape {tuple(z.shape)} do not fit this codec: give (b, {self.z_dim}, f, h, w), "
                "such as `encode` returns."
            )


@checked
def initialise(codec: Codec, logvar: float = -6.0) -> None:
    """Before training: every residual block starts as its shortcut, every posterior as a narrow one.

    Args:
        codec: changed in place.
        logvar: log-variance of the posterior at the start, whatever the clip, -30 to 20; at -6 noise hardly hides
            anything.

    Raises:
        ValueError: the log-variance is outside the range that `Codec.moments` gives.
    """
    if not -30 <= logvar <= 20:
        raise ValueError(f"logvar={logvar}: give -30 to 20.")
    with torch.no_grad():
        for name, parameter in codec.vae.named_parameters():
            if ".conv2." in name:
                parameter.zero_()
        weight, bias = codec.vae.quant_conv.parameters()
        weight[codec.z_dim :] = 0
        bias[codec.z_dim :] = logvar


@checked
def channels_last_(codec: Codec) -> Codec:
    """Lay out the kernels with channels last, as GPUs like them; give such clips too (torch.channels_last_3d).

    Args:
        codec: changed in place. On a CPU keep it as it is: there this layout is several times slower.
    """
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for layer in codec.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=layouts[layer.weight.ndim])
    return codec


@torch.no_grad()
@checked
def calibrate(codec: Codec, batches: Iterable[Clip]) -> None:
    """Set mean and std so that latents have mean 0 and standard deviation 1 over batch, frames and space.

    Args:
        codec: changed in place; already trained.
        batches: clips (b, 3, 1 + 4k, 8h, 8w), a few hundred in all.

    Raises:
        ValueError: no batch.
    """
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for clip in batches:
        mu = codec.moments(clip)[0].cpu().double().transpose(0, 1).flatten(1)
        count += mu.shape[1]
        total, squares = total + mu.sum(1), squares + mu.square().sum(1)
    if not count:
        raise ValueError("no clips came to calibrate with: give at least one batch (b, 3, 1 + 4k, 8h, 8w).")
    mean = total / count
    codec.mean.copy_(mean)
    codec.std.copy_((squares / count - mean**2).clamp(min=1e-12).sqrt())


@torch.no_grad()
@checked
def pixel_weights(clip: Clip, edge: float = 4.0, contrast: float = 0.1, first: float = 3.0) -> Weights:
    """How much each pixel counts: small coloured objects on a large grey background, and their edges, count more.

    w = 1 + 4 [foreground] + edge [range in 5x5 > contrast], times first at frame 0, divided by its mean over the
    batch. Foreground: channels more than .15 apart, or grey more than .3 from the clip's median (taken over every
    fourth row and column).

    Args:
        clip: pixels (b, 3, pf, hp, wp) in [-1, 1].
        edge: extra weight of pixels near a step.
        contrast: how large a step, in any channel, makes an edge; above the background's texture.
        first: weight of frame 0, which has a latent frame to itself and is known in most tasks.

    Raises:
        ValueError: a weight is not in [0, 1e6], or the clip is empty.
    """
    if not (0 <= edge <= 1e6 and 0 <= first <= 1e6):
        raise ValueError(f"edge={edge}, first={first}: give weights from 0 to 1e6.")
    if not clip.numel():
        raise ValueError(f"clip has shape {tuple(clip.shape)}, which is empty: give at least one pixel.")
    grey = clip.float().mean(1, keepdim=True)
    level = grey[..., ::4, ::4].flatten(1).median(1).values.view(-1, 1, 1, 1, 1)
    apart = clip.amax(1, keepdim=True) - clip.amin(1, keepdim=True)
    foreground = (apart > 0.15) | ((grey - level).abs() > 0.3)
    near = (_highest(clip) + _highest(-clip)).amax(1, keepdim=True) > contrast
    w = 1 + 4 * foreground.float() + edge * near.float()
    w = torch.cat([first * w[:, :, :1], w[:, :, 1:]], dim=2)
    return w / w.mean()


@checked
def codec_loss(
    codec: Codec, clip: Clip, kl_weight: float = 1e-4, edge: float = 4.0, contrast: float = 0.1, first: float = 3.0
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Weighted distance of clip and reconstruction, plus a little pull of the posterior towards N(0, 1).

    mean w (|d| + 2 d^2) + kl_weight mean (mu^2 + s^2 - 1 - log s^2) / 2, d = decode(mu + s noise) - clip

    Args:
        codec: in training.
        clip: pixels (b, 3, 1 + 4k, 8h, 8w) in [-1, 1].
        kl_weight: of the second term.
        edge: see `pixel_weights`.
        contrast: see `pixel_weights`.
        first: see `pixel_weights`.

    Returns:
        the loss, and for the log {"distance", "kl", "mse"}, detached; PSNR = 10 log10(4 / mse).

    Raises:
        ValueError: a weight is not in [0, 1e6].
    """
    if not 0 <= kl_weight <= 1e6:
        raise ValueError(f"kl_weight={kl_weight}: give a weight from 0 to 1e6.")
    mu, logvar = codec.moments(clip)
    mu, logvar = mu.float(), logvar.float()
    d = codec.decode_raw(mu + (logvar / 2).exp() * torch.randn_like(mu)) - clip.float()
    distance = (pixel_weights(clip, edge, contrast, first) * (d.abs() + 2 * d.square())).mean()
    kl = (mu.square() + logvar.exp() - 1 - logvar).mean() / 2
    log = {"distance": distance.detach(), "kl": kl.detach(), "mse": d.detach().square().mean()}
    return distance + kl_weight * kl, log


def _highest(x: Clip) -> Clip:
    return F.max_pool3d(x, (1, 5, 5), stride=1, padding=(0, 2, 2))


def _in_turn(layers: Callable[[Tensor], Tensor], x: Video) -> Video:
    """On a CPU one clip after the other, whose features then stay in its cache; pictures are small enough together."""
    return torch.cat([layers(one) for one in x.split(1)]) if x.is_cpu and x.shape[2] > 1 else layers(x)


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).view(-1, 1, 1, 1)


def _check_clip(clip: Tensor) -> None:
    sizes = clip.shape
    fits = len(sizes) == 5 and sizes[1] == 3 and 0 not in sizes
    if not fits or (sizes[2] - 1) % 4 or sizes[3] % 8 or sizes[4] % 8:
        raise ValueError(
            f"a clip of shape {tuple(clip.shape)} does not fill whole latents: give (b, 3, frames, height, width) "
            "with 1 + 4k frames, height and width multiples of 8 (cut or pad it)."
        )


CONFIG = {
    "dim_mult": list[int],
    "temperal_downsample": list[bool],
    **dict.fromkeys(("base_dim", "z_dim", "num_res_blocks"), int),
}
"""Sizes in a codec's config, and their types."""


def _check_config(config: Mapping[str, Any]) -> None:
    check_entries(config, CONFIG, "config")
    unknown = set(config) - set(inspect.signature(Autoencoder).parameters) - {*LEFT_OUT}
    if unknown and type(config) is dict:  # diffusers' own configs say more
        raise ValueError(f"config has {min(map(str, unknown))!r:.60}, which no part of the codec takes: leave it out.")
    times = config.get("temperal_downsample", [False, True, True])
    mult, blocks = config.get("dim_mult", [1, 2, 4, 4]), config.get("num_res_blocks", 2)
    if len(mult) != 4 or len(times) != 3 or sum(times) != 2 or blocks < 1:
        raise ValueError(
            f"a codec of dim_mult {mult}, temperal_downsample {times} and num_res_blocks {blocks} does not have "
            "stride 4 x 8 x 8: give 4 multiples, 3 flags of which 2 are true, and at least 1 block."
        )
    try:
        check_part_sizes("codec", {name: config[name] for name in CONFIG if name in config})
    except OddError as odd:
        raise ValueError(
            f"a codec of this config cannot be built ({odd}): give one like model.CODECS['mini']."
        ) from odd
    extra = [k for k in LEFT_OUT if config.get(k)]
    if extra:
        raise ValueError(f"the toys' codec has no {', '.join(extra)}: leave that out of its config.")
