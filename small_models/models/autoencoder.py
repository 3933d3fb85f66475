"""Wan's autoencoder, written to be read: the whole clip passes at once.

Time is causal: a convolution sees the frame it is at and two before it, and frames before the first are 0. Frame 0 is
never merged with others when frames are halved, nor split when they double, so 1 + 4k pixel frames and 1 + k latent
frames belong together. Modules are named as in diffusers' AutoencoderKLWan, whose weights fit as they are; that one
works chunk by chunk with a cache of past features, with equal results.

Architecture: Wan2.1, arXiv 2503.20314.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pusa_lab.types import Clip, Video

FeatureMaps = Float[Tensor, "b _ _ _ _"]
"""Inside: (b, c, f, h, w), where each layer changes c, f, h or w."""
Pictures = Float[Tensor, "bf _ _ _"]
"""Frames one by one: (b * f, c, h, w)."""
_past: ContextVar[dict[nn.Module, Tensor] | None] = ContextVar("past", default=None)
"""Convolution -> the last frames that it saw, in a clip that comes in parts; None is a clip that comes whole."""


@contextmanager
def decoding_in_parts(past: dict[nn.Module, Tensor]) -> Iterator[None]:
    """Context manager in which a decoder takes its latents for the next part of a clip.

    Args:
        past: what the convolutions keep between the parts; empty before the first.
    """
    token = _past.set(past)
    try:
        yield
    finally:
        _past.reset(token)


class CausalConv(nn.Conv3d):
    """A convolution of odd kernel that keeps the size: all padding in time lies before frame 0."""

    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, int, int] = (3, 3, 3)):
        super().__init__(c_in, c_out, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2))

    def forward(self, x: FeatureMaps) -> FeatureMaps:
        """Features in, as many frames out."""
        frames, *sides = self.kernel_size
        edges = [side // 2 for side in sides]
        past = _past.get()
        if x.shape[2] == 1 and past is None:  # only the kernel's last frame meets anything but zeros
            return F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, padding=edges)[:, :, None]
        x = torch.cat([past[self], x], 2) if past and self in past else F.pad(x, (0, 0, 0, 0, frames - 1, 0))
        if past is not None:
            past[self] = x[:, :, x.shape[2] - frames + 1 :].clone()
        if len(x) == 1 and x.is_cpu and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
            # as PyTorch does for several clips; for a single small one it takes a way of half the speed
            return torch.mkldnn_convolution(x, self.weight, self.bias, [0, *edges], [1] * 3, [1] * 3, 1)
        return super().forward(x)


class ChannelNorm(nn.Module):
    """x over the root mean square of its channels, times a learnt gain.

    Args:
        dim: channels.
        axes: dimensions behind the channels: 3 for features, 2 for pictures.
    """

    def __init__(self, dim: int, axes: int = 3):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *[1] * axes))

    def forward(self, x: FeatureMaps | Pictures) -> FeatureMaps | Pictures:
        """Any size; computed in float32 at least."""
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        inverse = wide.square().sum(1, keepdim=True).clamp(min=1e-24).rsqrt()
        return (wide * inverse * (x.shape[1] ** 0.5 * self.gamma)).to(x.dtype)


class Residual(nn.Module):
    """The shortcut plus twice: norm, SiLU, convolution."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        self.norm1 = ChannelNorm(c_in)
        self.conv1 = CausalConv(c_in, c_out)
        self.norm2 = ChannelNorm(c_out)
        self.conv2 = CausalConv(c_out, c_out)
        self.conv_shortcut = nn.Conv3d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: FeatureMaps) -> FeatureMaps:
        """Return features of the same size, with c_out channels."""
        y = self.conv1(F.silu(self.norm1(x)))
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(y)))


class FrameAttention(nn.Module):
    """Within each frame, every place looks at all others, with one head; added to what was there."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = ChannelNorm(dim, axes=2)
        self.to_qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, x: FeatureMaps) -> FeatureMaps:
        """Return features of the same size."""
        return x + frame_by_frame(self._look, x)

    def _look(self, x: Pictures) -> Pictures:
        q, k, v = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2)[:, None].chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(q, k, v)
        return self.proj(seen[:, 0].transpose(1, 2).reshape(x.shape))


class Middle(nn.Module):
    """Residual block, attention, residual block."""

    def __init__(self, dim: int):
        super().__init__()
        # In this order, the same seed starts it as it starts diffusers'.
        first, self.attentions = Residual(dim, dim), nn.ModuleList([FrameAttention(dim)])
        self.resnets = nn.ModuleList([first, Residual(dim, dim)])

    def forward(self, x: FeatureMaps) -> FeatureMaps:
        """Return features of the same size."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Halve(nn.Module):
    """Half the height and width; with `time`, half the frames after frame 0 too, each from three: f -> 1 + (f - 1) / 2.

    Args:
        dim: channels, in and out.
        time: whether frames are halved.
    """

    def __init__(self, dim: int, time: bool):
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(dim, dim, 3, stride=2))
        self.time_conv = nn.Conv3d(dim, dim, (3, 1, 1), stride=(2, 1, 1)) if time else None

    def forward(self, x: FeatureMaps) -> FeatureMaps:
        """(b, c, f, h, w), of even h and w, and odd f where frames are halved."""
        x = frame_by_frame(self.resample, x)
        if self.time_conv is not None and x.shape[2] > 1:
            x = torch.cat([x[:, :, :1], self.time_conv(x)], dim=2)
        return x


class DoublingConv(nn.Conv2d):
    """What a 3x3 convolution makes of pictures whose every pixel is first repeated 2x2, at 4/9 of the cost.

    Among the 3x3 pixels that each result sees, only 2x2 differ. So the four results that take the place of a pixel are
    convolutions of the picture as it is, with 2x2 kernels: sums of neighbouring weights of the 3x3 kernel.
    """

    def __init__(self, c_in: int, c_out: int):
        super().__init__(c_in, c_out, 3)

    def forward(self, x: Pictures) -> Pictures:
        """(n, c_in, h, w) to (n, c_out, 2h, 2w)."""
        h, w = x.shape[2:]
        sums = 4 * F.avg_pool2d(self.weight, 2, stride=1, padding=1)
        places = [(row, column) for row in (0, 1) for column in (0, 1)]
        kernels = torch.cat([sums[:, :, row::2, column::2] for row, column in places])
        bias = None if self.bias is None else self.bias.repeat(4)
        found = F.conv2d(x, kernels, bias, padding=1).chunk(4, dim=1)
        four = [y[:, :, row : row + h, column : column + w] for y, (row, column) in zip(found, places, strict=True)]
        return F.pixel_shuffle(torch.stack(four, dim=2).flatten(1, 2), 2)


class Double(nn.Module):
    """Twice the height and width; with `time`, two frames from each after frame 0, which they do not see: f -> 2f - 1.

    Args:
        dim: channels; half of them come out.
        time: whether frames are doubled.
    """

    def __init__(self, dim: int, time: bool):
        super().__init__()
        # diffusers repeats pixels in a layer of its own, so its convolution is the second one
        self.resample = nn.Sequential(nn.Identity(), DoublingConv(dim, dim // 2))
        self.time_conv = CausalConv(dim, 2 * dim, (3, 1, 1)) if time else None

    def forward(self, x: FeatureMaps) -> FeatureMaps:
        """Any size."""
        past = _past.get()
        first = 0 if past and self in past else 1  # frames that are not doubled: that of a whole clip or a first part
        if past is not None:
            past[self] = x.new_zeros(())
        if self.time_conv is not None and x.shape[2] > first:
            pairs = self.time_conv(x[:, :, first:]).unflatten(1, (2, -1))
            x = torch.cat([x[:, :, :first], pairs.movedim(1, 3).flatten(2, 3)], dim=2)
        return frame_by_frame(self.resample, x)


class CodecEncoder(nn.Module):
    """Clips to features, down in four levels: residual blocks, and a halving after each level but the last.

    Args:
        base: channels at full size.
        z_dim: channels that come out.
        mult: channels of each level, in multiples of base.
        blocks: residual blocks a level.
        times: after which levels frames are halved too.
    """

    def __init__(self, base: int, z_dim: int, mult: Sequence[int], blocks: int, times: Sequence[bool]):
        super().__init__()
        self.conv_in = CausalConv(3, base)
        self.down_blocks = nn.ModuleList()
        dim = base
        for level, m in enumerate(mult):
            for _ in range(blocks):
                self.down_blocks.append(Residual(dim, base * m))
                dim = base * m
            if level < len(times):
                self.down_blocks.append(Halve(dim, times[level]))
        self.mid_block = Middle(dim)
        self.norm_out = ChannelNorm(dim)
        self.conv_out = CausalConv(dim, z_dim)

    def forward(self, clip: Clip) -> FeatureMaps:
        """Pixels (b, 3, 1 + 4k, 8h, 8w) to features (b, z_dim, 1 + k, h, w)."""
        x = self.conv_in(clip)
        for layer in self.down_blocks:
            x = layer(x)
        return self.conv_out(F.silu(self.norm_out(self.mid_block(x))))


class UpBlock(nn.Module):
    """A level of the decoder: residual blocks, and a doubling unless it is the last.

    Args:
        c_in: channels that come in.
        dim: channels inside; half of them come out, or all if nothing doubles.
        blocks: residual blocks.
        time: whether the doubling doubles frames; None is no doubling.
    """

    def __init__(self, c_in: int, dim: int, blocks: int, time: bool | None):
        super().__init__()
        self.resnets = nn.ModuleList(Residual(dim if i else c_in, dim) for i in range(blocks))
        self.upsamplers = nn.ModuleList([] if time is None else [Double(dim, time)])

    def forward(self, x: FeatureMaps) -> FeatureMaps:
        """Any size."""
        for layer in (*self.resnets, *self.upsamplers):
            x = layer(x)
        return x


class Decoder(nn.Module):
    """Features to clips: the encoder's levels upwards, with one residual block more in each.

    Args:
        base: channels at full size.
        z_dim: channels that come in.
        mult: channels of each level, in multiples of base, as the encoder's.
        blocks: the encoder's residual blocks a level.
        times: the encoder's.
    """

    def __init__(self, base: int, z_dim: int, mult: Sequence[int], blocks: int, times: Sequence[bool]):
        super().__init__()
        c_in = base * mult[-1]
        self.conv_in = CausalConv(z_dim, c_in)
        self.mid_block = Middle(c_in)
        self.up_blocks = nn.ModuleList()
        for m, time in zip(reversed(mult), [*reversed(times), None], strict=True):
            self.up_blocks.append(UpBlock(c_in, base * m, blocks + 1, time))
            c_in = base * m // 2
        self.norm_out = ChannelNorm(base * mult[0])
        self.conv_out = CausalConv(base * mult[0], 3)

    def forward(self, z: Video) -> Clip:
        """Features (b, z_dim, 1 + k, h, w) to pixels (b, 3, 1 + 4k, 8h, 8w), not clamped."""
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Autoencoder(nn.Module):
    """CodecEncoder and decoder. Its arguments are diffusers' names, so one dictionary builds both.

    Args:
        base_dim: channels of the encoder at full size.
        decoder_base_dim: of the decoder; None is the same.
        z_dim: latent channels.
        dim_mult: channels of each level, in multiples of base_dim.
        num_res_blocks: residual blocks a level, one more in the decoder.
        temperal_downsample: after each level but the last, whether frames are halved too.
    """

    def __init__(
        self,
        base_dim: int = 96,
        decoder_base_dim: int | None = None,
        z_dim: int = 16,
        dim_mult: Sequence[int] = (1, 2, 4, 4),
        num_res_blocks: int = 2,
        temperal_downsample: Sequence[bool] = (False, True, True),
    ):
        super().__init__()
        levels = dim_mult, num_res_blocks, temperal_downsample
        self.encoder = CodecEncoder(base_dim, 2 * z_dim, *levels)
        self.quant_conv = nn.Conv3d(2 * z_dim, 2 * z_dim, 1)
        self.post_quant_conv = nn.Conv3d(z_dim, z_dim, 1)
        self.decoder = Decoder(decoder_base_dim or base_dim, z_dim, *levels)

    def encode(self, clip: Clip) -> FeatureMaps:
        """Pixels (b, 3, 1 + 4k, 8h, 8w) to mean and log-variance (b, 2 z_dim, 1 + k, h, w), stacked in the channels."""
        return self.quant_conv(self.encoder(clip))

    def decode(self, z: Video) -> Clip:
        """Latents (b, z_dim, 1 + k, h, w) to pixels (b, 3, 1 + 4k, 8h, 8w), not clamped."""
        return self.decoder(self.post_quant_conv(z))


def frame_by_frame(layer: Callable[[Pictures], Pictures], x: FeatureMaps) -> FeatureMaps:
    """Each frame as a picture of its own.

    Args:
        layer: pictures (b * f, c, h, w) to pictures.
        x: features (b, c, f, h, w).
    """
    b, f = x.shape[0], x.shape[2]
    return layer(x.movedim(2, 1).flatten(0, 1)).unflatten(0, (b, f)).movedim(1, 2)
