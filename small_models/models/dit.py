"""The Wan video transformer, written to be read, with one timestep per frame.

Tokens (b, f, hw, d) are the patches of a video, hw in every frame, row by row. Per frame, the timestep makes six
vectors (shift, scale and gate, for attention and for the feed-forward), and they broadcast over the frame's tokens:
nothing is ever repeated per token. Weights convert both ways to diffusers' WanTransformer3DModel.

Architecture: Wan2.1, arXiv 2503.20314; the timestep vector: arXiv 2507.16116.
"""

import inspect
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pusa_lab.guidance import layer_indices
from pusa_lab.resting import Kept, attend_in_parts
from pusa_lab.timesteps import check_tau
from pusa_lab.types import Tau, Video
from small_models.models.naming import DIFFUSERS_TO_OURS, OURS_TO_DIFFUSERS, rename

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

Tokens = Float[Tensor, "b f hw d"]
Text = Float[Tensor, "b l d"]
PictureTokens = Float[Tensor, "b m d"]
Modulation = Float[Tensor, "b f six 1 d"]
Turn = Float[Tensor, "s 1 half 2"]


def sinusoid(tau: Tau, dim: int) -> Float[Tensor, "b f dim"]:
    """Waves of 1000 tau, from period 2 pi to 2 pi 10^4.

    [cos(1000 tau w_k), sin(1000 tau w_k)], w_k = 10^(-4 k / (dim / 2)), k = 0..dim/2-1

    Args:
        tau: timesteps (b, f) in [0, 1].
        dim: even size of the embedding.
    """
    waves = torch.exp(-math.log(10_000) * torch.arange(dim // 2, device=tau.device) / (dim // 2))
    angle = 1000 * tau.float()[..., None] * waves
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def rope(grid: tuple[int, int, int], head_dim: int, device: torch.device, first: int = 0) -> Turn:
    """Rotary positions in three dimensions: each head is cut in three parts, turned by frame, row and column.

    (cos, sin) of p w_k, w_k = 10^(-4 k / half the part's size), for position p

    Args:
        grid: frames, rows and columns of tokens.
        head_dim: even size of a head; rows and columns get 2 (head_dim // 6) each, frames the rest.
        device: where to build it.
        first: position of the first frame.
    """
    exact = torch.float32 if device.type == "mps" else torch.float64
    side = 2 * (head_dim // 6)
    parts = []
    for axis, (n, dim) in enumerate(zip(grid, (head_dim - 2 * side, side, side), strict=True)):
        place = torch.arange(n, dtype=exact, device=device) + (0 if axis else first)
        waves = 10_000.0 ** (-torch.arange(0, dim, 2, dtype=exact, device=device) / dim)
        shape = [1, 1, 1, dim // 2]
        shape[axis] = n
        angle = torch.outer(place, waves)
        parts.append(torch.stack([angle.cos(), angle.sin()], dim=-1).view(*shape, 2).expand(*grid, -1, 2))
    return torch.cat(parts, dim=-2).flatten(0, 2)[:, None].float()


def rotate(x: Float[Tensor, "b s n k"], turn: Turn) -> Float[Tensor, "b s n k"]:
    """Turn neighbouring pairs of numbers: (p, q) -> (p cos - q sin, p sin + q cos).

    This is the product of p + iq and cos + i sin, and quickest so; but torch.compile is slow with complex numbers.

    Args:
        x: queries or keys, n heads of size k = 2 * half.
        turn: from `rope`.
    """
    pairs = x.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        (p, q), (cos, sin) = pairs.unbind(-1), turn.unbind(-1)
        turned = torch.stack([p * cos - q * sin, p * sin + q * cos], dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turn))
    return turned.flatten(-2).type_as(x)


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean(x^2) + eps), times a learnt weight: nn.RMSNorm in fewer passes over x."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, normalised over the last dimension."""
        mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).square() / x.shape[-1]
        return (x * (mean_square + self.eps).rsqrt() * self.weight).type_as(x)


class Attention(nn.Module):
    """Self- or cross-attention with RMS-normalised queries and keys, the norm taken over all heads together."""

    def __init__(self, dim: int, heads: int, eps: float, image: bool = False):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim, eps), RMSNorm(dim, eps)
        if image:
            self.add_k_proj, self.add_v_proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
            self.norm_added_k = RMSNorm(dim, eps)

    def forward(
        self,
        x: Tokens,
        context: Tokens | Text,
        turn: Turn | None = None,
        image: PictureTokens | None = None,
        kept: Kept | None = None,
    ) -> Tokens:
        """Each token of x looks at all of context, at a picture's tokens, and at what is kept of other frames.

        Turn adds positions, in self-attention. With `kept`, a token may see only a part of the frames.
        """
        q = self._heads(self.norm_q(self.to_q(x)))
        k = self._heads(self.norm_k(self.to_k(context)))
        v = self._heads(self.to_v(context))
        if turn is not None:
            q, k = rotate(q, turn), rotate(k, turn)
        parts = None
        if kept is not None:
            k, v = kept.join(id(self), k, v)
            parts = kept.parts(x.shape[2])
        out = attend_in_parts(_attend, q, k, v, parts)
        if image is not None:
            k, v = self._heads(self.norm_added_k(self.add_k_proj(image))), self._heads(self.add_v_proj(image))
            out = out + _attend(q, k, v)
        return self.to_out(out.reshape(x.shape))

    def _heads(self, x: Tokens | Text | PictureTokens) -> Float[Tensor, "b s n k"]:
        return x.reshape(x.shape[0], -1, self.heads, x.shape[-1] // self.heads)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention with heads (b, s, n, k)."""
    return F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)


class ModulatedNorm(nn.Module):
    """LayerNorm without weights of its own, then x (1 + scale) + shift, each frame with its own scale and shift."""

    one: Tensor
    zero: Tensor

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        # Given a weight of 1 and a bias of 0, PyTorch's LayerNorm is twice as fast on a CPU as given none.
        self.register_buffer("one", torch.ones(dim), persistent=False)
        self.register_buffer("zero", torch.zeros(dim), persistent=False)

    def forward(self, x: Tokens, shift: Float[Tensor, "b f 1 d"], scale: Float[Tensor, "b f 1 d"]) -> Tokens:
        """x: tokens; shift and scale: one vector per frame."""
        return torch.addcmul(shift, F.layer_norm(x, self.one.shape, self.one, self.zero, self.eps), 1 + scale)


class FeedForward(nn.Module):
    """Two layers with a GELU between, on each token alone."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tokens) -> Tokens:
        """Tokens in, tokens out."""
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    """Self-attention, cross-attention to the caption, feed-forward; first and last modulated by the timestep."""

    def __init__(self, dim: int, hidden: int, heads: int, cross_attn_norm: bool, eps: float, image: bool = False):
        super().__init__()
        self.norm1 = ModulatedNorm(dim, eps)
        self.attn1 = Attention(dim, heads, eps)
        self.norm2 = nn.LayerNorm(dim, eps) if cross_attn_norm else nn.Identity()
        self.attn2 = Attention(dim, heads, eps, image)
        self.norm3 = ModulatedNorm(dim, eps)
        self.ffn = FeedForward(dim, hidden)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(
        self,
        x: Tokens,
        text: Text,
        modulation: Modulation,
        turn: Turn,
        image: PictureTokens | None = None,
        kept: Kept | None = None,
    ) -> Tokens:
        """x: tokens; text: caption; modulation: the six vectors of every frame; turn: positions; image: a picture."""
        shift, scale, gate, c_shift, c_scale, c_gate = (self.scale_shift_table[:, :, None] + modulation).unbind(2)
        y = self.norm1(x, shift, scale)
        x = torch.addcmul(x, self.attn1(y, y, turn, kept=kept), gate)
        x = x + self.attn2(self.norm2(x), text, image=image)
        return torch.addcmul(x, self.ffn(self.norm3(x, c_shift, c_scale)), c_gate)


class ToyDiT(nn.Module):
    """The transformer. Its arguments are diffusers' names, so one dictionary builds both.

    Args:
        patch_size: frames, rows and columns of a patch; one frame per patch, so that each has its timestep.
        num_attention_heads: heads.
        attention_head_dim: size of a head, even; the width is heads times this.
        in_channels: latent channels.
        out_channels: channels of the velocity.
        text_dim: size of a text embedding.
        freq_dim: even size of the timestep's sinusoid.
        ffn_dim: hidden size of the feed-forward.
        num_layers: blocks.
        cross_attn_norm: whether cross-attention normalises its input.
        eps: of all norms.
        image_dim: size of a picture's tokens, which cross-attention reads beside the caption; None takes no picture.

    Raises:
        ValueError: a patch spans several frames.
    """

    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 4,
        attention_head_dim: int = 64,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 128,
        freq_dim: int = 256,
        ffn_dim: int = 1024,
        num_layers: int = 8,
        cross_attn_norm: bool = True,
        eps: float = 1e-6,
        image_dim: int | None = None,
    ):
        super().__init__()
        if patch_size[0] != 1:
            raise ValueError(
                f"patch_size={patch_size}: a patch spans one frame, (1, h, w), so that each frame has a timestep."
            )
        self.config = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        dim = num_attention_heads * attention_head_dim
        self.patch_embedding = nn.Conv3d(in_channels, dim, patch_size, patch_size)
        self.time_embedder = nn.Sequential(nn.Linear(freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_proj = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.text_embedder = nn.Sequential(nn.Linear(text_dim, dim), nn.GELU("tanh"), nn.Linear(dim, dim))
        image = image_dim is not None
        self.blocks = nn.ModuleList(
            Block(dim, ffn_dim, num_attention_heads, cross_attn_norm, eps, image) for _ in range(num_layers)
        )
        if image_dim is not None:
            inner, outer = nn.Linear(image_dim, image_dim), nn.Linear(image_dim, dim)
            self.image_embedder = nn.Sequential(nn.LayerNorm(image_dim), inner, nn.GELU(), outer, nn.LayerNorm(dim))
        self.norm_out = ModulatedNorm(dim, eps)
        self.proj_out = nn.Linear(dim, out_channels * math.prod(patch_size))
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.apply(_initialise)
        nn.init.zeros_(self.proj_out.weight)

    def forward(
        self,
        x: Video,
        tau: Tau,
        text: Float[Tensor, "b l text_dim"],
        image: Float[Tensor, "b m image_dim"] | None = None,
        skip_layers: Sequence[int] = (),
        kept: Kept | None = None,
        more_time: Float[Tensor, "b f d"] | None = None,
    ) -> Float[Tensor, "b out f h w"]:
        """The velocity at x (b, c, f, h, w), one timestep per frame in tau (b, f), for a caption and perhaps a picture.

        Of 2 b captions or more, the first b make the first b velocities, and so on, all at the same x and tau.
        Blocks in `skip_layers` are left out: a worse model, which `guidance.skip_layer_guidance` leads away from. With
        `kept`, frames at rest may be left out: see `pusa_lab.resting`. `more_time` is added to the embedding of tau.
        """
        check_tau(tau, x)
        if (image is None) != (self.config["image_dim"] is None):
            raise ValueError("a picture's tokens are given exactly where the transformer was built with image_dim.")
        _, ph, pw = self.config["patch_size"]
        if x.shape[3] % ph or x.shape[4] % pw:
            raise ValueError(f"x has frames of {x.shape[3]} x {x.shape[4]}: patches want multiples of {ph} x {pw}.")
        first = 0 if kept is None else kept.first
        grid_size = (x.shape[2], x.shape[3] // ph, x.shape[4] // pw)
        turn = rope(grid_size, self.config["attention_head_dim"], x.device, first)
        if kept is not None:
            turn = kept.cut(turn.unflatten(0, (x.shape[2], -1)), 0).flatten(0, 1)
            x, tau = kept.cut(x, 2), kept.cut(tau, 1)
            more_time = None if more_time is None else kept.cut(more_time, 1)
        grid = self.patch_embedding(x)
        tokens = grid.flatten(3).permute(0, 2, 3, 1).contiguous()

        time = self.time_embedder(sinusoid(tau, self.config["freq_dim"]).to(x.dtype))
        if more_time is not None:
            time = time + more_time
        six = self.time_proj(time).unflatten(2, (6, 1, -1))
        if (captions := len(text) // len(x)) > 1:
            tokens, time, six = (part.repeat(captions, *[1] * (part.ndim - 1)) for part in (tokens, time, six))
        context = self.text_embedder(text)
        picture = None if image is None else self.image_embedder(image)
        skipped = layer_indices(skip_layers, len(self.blocks))
        for block in (block for i, block in enumerate(self.blocks) if i not in skipped):
            tokens = block(tokens, context, six, turn, picture, kept)

        shift, scale = (self.scale_shift_table[:, :, None] + time[:, :, None, None]).unbind(2)
        patches = self.proj_out(self.norm_out(tokens, shift, scale))
        v = self._unpatch(patches, grid.shape[2:])
        return v if kept is None else kept.fill(v)

    @property
    def num_layers(self) -> int:
        """Blocks, of which `skip_layers` leaves some out."""
        return len(self.blocks)

    def _unpatch(self, patches: Tokens, grid: tuple[int, int, int]) -> Float[Tensor, "b out f h w"]:
        """(b, f, h * w, ph * pw * c) -> (b, c, f, h * ph, w * pw)."""
        _, ph, pw = self.config["patch_size"]
        x = patches.unflatten(2, grid[1:]).unflatten(4, (ph, pw, -1))
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def to_diffusers(self) -> "WanTransformer3DModel":
        """The same model as diffusers' class: same outputs, ready for its loaders, adapters and offloading."""
        from diffusers import WanTransformer3DModel

        dim = self.norm_out.one.numel() if self.config["image_dim"] else None
        model = WanTransformer3DModel(**self.config, added_kv_proj_dim=dim)
        model.load_state_dict({rename(k, OURS_TO_DIFFUSERS): v for k, v in self.state_dict().items()})
        weight = self.proj_out.weight
        model = model if weight.dtype == torch.float32 else model.to(weight.dtype)
        return model.to(weight.device).train(self.training)

    @classmethod
    def from_diffusers(cls, model: "WanTransformer3DModel") -> "ToyDiT":
        """A Wan from diffusers, of any size, as the readable model with the same outputs."""
        ours = cls(**{k: model.config[k] for k in inspect.signature(cls).parameters})
        ours.load_state_dict({rename(k, DIFFUSERS_TO_OURS): v for k, v in model.state_dict().items()})
        return ours.to(model.device, model.dtype).train(model.training)


def _initialise(module: nn.Module) -> None:
    """Initialise as Wan does: layers keep the variance, and the first velocity is 0."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
