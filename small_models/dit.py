"""The Wan video transformer, written to be read, with one clock per frame.

Tokens are the patches of a video, in order of frame, row, column: s = f * hw of them. Per frame, the clock makes
six vectors (shift, scale and gate, for attention and for the feed-forward), which meet the tokens viewed as
(b, f, hw, d): nothing is ever repeated per token. Weights convert both ways to diffusers' WanTransformer3DModel.

Architecture: Wan2.1, arXiv 2503.20314; the vector of clocks: arXiv 2507.16116.
"""

import inspect
import math
import re
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pusa_lab.timesteps import check_tau
from pusa_lab.types import Tau, Video

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

Tokens = Float[Tensor, "b s d"]
Modulation = Float[Tensor, "b f six d"]
Turn = Float[Tensor, "2 s half"]


def sinusoid(tau: Tau, dim: int) -> Float[Tensor, "b f dim"]:
    """Waves of 1000 tau, from period 2 pi to 2 pi 10^4.

    [cos(1000 tau w_k), sin(1000 tau w_k)], w_k = 10^(-4 k / (dim / 2)), k = 0..dim/2-1

    Args:
        tau: clocks (b, f) in [0, 1].
        dim: even size of the embedding.
    """
    waves = torch.exp(-math.log(10_000) * torch.arange(dim // 2, device=tau.device) / (dim // 2))
    angle = 1000 * tau.float()[..., None] * waves
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def rope(grid: tuple[int, int, int], head_dim: int, device: torch.device) -> Turn:
    """Rotary positions in three dimensions: each head is cut in three parts, turned by frame, row and column.

    (cos, sin) of p w_k, w_k = 10^(-4 k / half the part's size)

    Args:
        grid: frames, rows and columns of tokens.
        head_dim: even size of a head; rows and columns get 2 (head_dim // 6) each, frames the rest.
        device: where to build it.
    """
    exact = torch.float32 if device.type == "mps" else torch.float64
    side = 2 * (head_dim // 6)
    parts = []
    for axis, (n, dim) in enumerate(zip(grid, (head_dim - 2 * side, side, side), strict=True)):
        waves = 10_000.0 ** (-torch.arange(0, dim, 2, dtype=exact, device=device) / dim)
        shape = [1, 1, 1, dim // 2]
        shape[axis] = n
        angle = torch.outer(torch.arange(n, dtype=exact, device=device), waves)
        parts.append(angle.view(shape).expand(*grid, -1))
    angles = torch.cat(parts, dim=-1).flatten(0, 2)
    return torch.stack([angles.cos(), angles.sin()]).float()


def rotate(x: Float[Tensor, "b s n k"], turn: Turn) -> Float[Tensor, "b s n k"]:
    """Turn neighbouring pairs of numbers: (p, q) -> (p cos - q sin, p sin + q cos).

    Args:
        x: queries or keys, n heads of size k = 2 * half.
        turn: from `rope`.
    """
    p, q = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = turn[:, :, None]
    return torch.stack([p * cos - q * sin, p * sin + q * cos], dim=-1).flatten(-2).type_as(x)


class Attention(nn.Module):
    """Self- or cross-attention with RMS-normalised queries and keys, the norm taken over all heads together."""

    def __init__(self, dim: int, heads: int, eps: float):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = nn.RMSNorm(dim, eps), nn.RMSNorm(dim, eps)

    def forward(self, x: Tokens, context: Float[Tensor, "b l d"], turn: Turn | None = None) -> Tokens:
        """Each token of x looks at all of context; turn adds positions (self-attention)."""
        q = self.norm_q(self.to_q(x)).unflatten(2, (self.heads, -1))
        k = self.norm_k(self.to_k(context)).unflatten(2, (self.heads, -1))
        v = self.to_v(context).unflatten(2, (self.heads, -1))
        if turn is not None:
            q, k = rotate(q, turn), rotate(k, turn)
        out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.to_out(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two layers with a GELU between, on each token alone."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tokens) -> Tokens:
        """Tokens in, tokens out."""
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    """Self-attention, cross-attention to the caption, feed-forward; first and last modulated by each frame's clock."""

    def __init__(self, dim: int, hidden: int, heads: int, cross_attn_norm: bool, eps: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.attn1 = Attention(dim, heads, eps)
        self.norm2 = nn.LayerNorm(dim, eps) if cross_attn_norm else nn.Identity()
        self.attn2 = Attention(dim, heads, eps)
        self.norm3 = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.ffn = FeedForward(dim, hidden)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(self, x: Tokens, text: Float[Tensor, "b l d"], clock: Modulation, turn: Turn) -> Tokens:
        """x: tokens (b, s, d); text: caption; clock: the six vectors of every frame; turn: positions."""
        shift, scale, gate, c_shift, c_scale, c_gate = (self.scale_shift_table + clock).unbind(2)
        y = modulate(self.norm1(x), shift, scale)
        x = x + gated(self.attn1(y, y, turn), gate)
        x = x + self.attn2(self.norm2(x), text)
        y = modulate(self.norm3(x), c_shift, c_scale)
        return x + gated(self.ffn(y), c_gate)


def modulate(x: Tokens, shift: Float[Tensor, "b f d"], scale: Float[Tensor, "b f d"]) -> Tokens:
    """x (1 + scale) + shift, with the scale and shift of the frame a token belongs to.

    Args:
        x: tokens (b, f * hw, d).
        shift: one vector per frame (b, f, d).
        scale: one vector per frame (b, f, d).
    """
    frames = x.unflatten(1, (shift.shape[1], -1))
    return (frames * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)


def gated(x: Tokens, gate: Float[Tensor, "b f d"]) -> Tokens:
    """x times the gate of the frame a token belongs to.

    Args:
        x: tokens (b, f * hw, d).
        gate: one vector per frame (b, f, d).
    """
    return (x.unflatten(1, (gate.shape[1], -1)) * gate[:, :, None]).flatten(1, 2)


class ToyDiT(nn.Module):
    """The transformer. Its arguments are diffusers' names, so one dictionary builds both.

    Args:
        patch_size: frames, rows and columns of a patch; one frame per patch, so that each has its clock.
        num_attention_heads: heads.
        attention_head_dim: size of a head, even; the width is heads times this.
        in_channels: latent channels.
        out_channels: channels of the velocity.
        text_dim: size of a text embedding.
        freq_dim: even size of the clock's sinusoid.
        ffn_dim: hidden size of the feed-forward.
        num_layers: blocks.
        cross_attn_norm: whether cross-attention normalises its input.
        eps: of all norms.

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
    ):
        super().__init__()
        if patch_size[0] != 1:
            raise ValueError(f"patch_size={patch_size}: a patch spans one frame, (1, h, w), so each frame has a clock.")
        self.config = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        dim = num_attention_heads * attention_head_dim
        self.patch_embedding = nn.Conv3d(in_channels, dim, patch_size, patch_size)
        self.time_embedder = nn.Sequential(nn.Linear(freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_proj = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.text_embedder = nn.Sequential(nn.Linear(text_dim, dim), nn.GELU("tanh"), nn.Linear(dim, dim))
        self.blocks = nn.ModuleList(
            Block(dim, ffn_dim, num_attention_heads, cross_attn_norm, eps) for _ in range(num_layers)
        )
        self.norm_out = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.proj_out = nn.Linear(dim, out_channels * math.prod(patch_size))
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.apply(_initialise)
        nn.init.zeros_(self.proj_out.weight)

    def forward(self, x: Video, tau: Tau, text: Float[Tensor, "b l text_dim"]) -> Video:
        """The velocity at x (b, c, f, h, w), one clock per frame in tau (b, f), for the caption's embedding."""
        check_tau(tau, x)
        _, ph, pw = self.config["patch_size"]
        if x.shape[3] % ph or x.shape[4] % pw:
            raise ValueError(f"x has frames of {x.shape[3]} x {x.shape[4]}: patches want multiples of {ph} x {pw}.")
        grid = self.patch_embedding(x)
        turn = rope(grid.shape[2:], self.config["attention_head_dim"], x.device)
        tokens = grid.flatten(2).transpose(1, 2)

        clock = self.time_embedder(sinusoid(tau, self.config["freq_dim"]).to(x.dtype))
        six = self.time_proj(clock).unflatten(2, (6, -1))
        words = self.text_embedder(text)
        for block in self.blocks:
            tokens = block(tokens, words, six, turn)

        shift, scale = (self.scale_shift_table + clock[:, :, None]).unbind(2)
        patches = self.proj_out(modulate(self.norm_out(tokens), shift, scale))
        return self._unpatch(patches, grid.shape[2:])

    def _unpatch(self, patches: Tokens, grid: torch.Size) -> Video:
        """(b, f * h * w, 1 * ph * pw * c) -> (b, c, f, h * ph, w * pw)."""
        _, ph, pw = self.config["patch_size"]
        x = patches.unflatten(1, tuple(grid)).unflatten(4, (ph, pw, -1))
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def to_diffusers(self) -> "WanTransformer3DModel":
        """The same model as diffusers' class: same outputs, ready for its loaders, adapters and offloading."""
        from diffusers import WanTransformer3DModel

        model = WanTransformer3DModel(**self.config)
        model.load_state_dict({_rename(k, OURS_TO_DIFFUSERS): v for k, v in self.state_dict().items()})
        weight = self.proj_out.weight
        model = model if weight.dtype == torch.float32 else model.to(weight.dtype)
        return model.to(weight.device).train(self.training)

    @classmethod
    def from_diffusers(cls, model: "WanTransformer3DModel") -> "ToyDiT":
        """A text-to-video Wan from diffusers, of any size, as the readable model with the same outputs."""
        if model.config.image_dim is not None or model.config.added_kv_proj_dim is not None:
            raise ValueError("this is an image-to-video Wan with image cross-attention: give a text-to-video one.")
        ours = cls(**{k: model.config[k] for k in inspect.signature(cls).parameters})
        ours.load_state_dict({_rename(k, DIFFUSERS_TO_OURS): v for k, v in model.state_dict().items()})
        return ours.to(model.device, model.dtype).train(model.training)


def _initialise(module: nn.Module) -> None:
    """As Wan starts from nothing: layers keep the variance, and the first velocity is 0."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


OURS_TO_DIFFUSERS = {
    r"^time_embedder\.0\.": "condition_embedder.time_embedder.linear_1.",
    r"^time_embedder\.2\.": "condition_embedder.time_embedder.linear_2.",
    r"^time_proj\.1\.": "condition_embedder.time_proj.",
    r"^text_embedder\.0\.": "condition_embedder.text_embedder.linear_1.",
    r"^text_embedder\.2\.": "condition_embedder.text_embedder.linear_2.",
    r"\.to_out\.": ".to_out.0.",
    r"\.ffn\.up\.": ".ffn.net.0.proj.",
    r"\.ffn\.down\.": ".ffn.net.2.",
}
DIFFUSERS_TO_OURS = {
    ("^" if ours.startswith("^") else "") + re.escape(theirs): re.sub(r"\\|\^", "", ours)
    for ours, theirs in OURS_TO_DIFFUSERS.items()
}


def _rename(key: str, rules: dict[str, str]) -> str:
    for pattern, name in rules.items():
        key = re.sub(pattern, name, key)
    return key
