"""Inside a video transformer: how much frames attend to each other, and which weights were changed by training.

Both work for the toys' transformer and for diffusers' Wan, because their modules have the same names.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted

KINDS: tuple[tuple[str, str], ...] = (
    ("self_attention", r"(^|\.)blocks\.\d+\.attn1\.(?!norm_)"),
    ("cross_attention", r"(^|\.)blocks\.\d+\.attn2\.(?!norm_|add_)"),
    ("feed_forward", r"(^|\.)blocks\.\d+\.ffn\."),
    ("modulation", r"(^|\.)(scale_shift_table$|time_embedder\.|time_proj\.)"),
    ("text", r"(^|\.)text_embedder\."),
    ("image", r"(^|\.)(image_embedder|add_[kv]_proj|norm_added_k)\."),
    ("norms", r"(^|\.)(blocks\.\d+\.(norm\d|attn\d\.norm_[qk])|norm_out)\."),
    ("patch_and_head", r"(^|\.)(patch_embedding|proj_out)\."),
    ("other", r""),
)
"""(kind, pattern of the name of a weight): no name matches two patterns, and "other" is for the rest."""
AT_ONCE = 2**25
"""Attention weights in memory at a time, 128 MiB in float32, but at least those of one head for one frame."""

Mass = Float[Tensor, "layers b f f"]
Heads = Float[Tensor, "b s n k"]


@checked
@contextmanager
def attention_mass(transformer: nn.Module) -> Iterator[list[Mass]]:
    """Context manager that records how much every frame attends to every frame, in each self-attention layer.

    A_ij = mean over heads and over tokens q of frame i of (sum over tokens k of frame j of softmax_k(q . k / sqrt(d)))

    The softmax over all keys is taken before averaging, so rows sum to 1; averaging queries and keys first would give
    something else. Queries and keys are those that the layers compute; the forward pass and gradients are unchanged.
    The frames are those of the output (b, d, f, h, w) of the patch embedding, and tokens are ordered frame by frame.

    Args:
        transformer: `ToyDiT` of small_models or WanTransformer3DModel of diffusers, not compiled, on a single device.

    Yields:
        A list to which every forward pass appends its attention mass (layers, b, f, f), with the axes query frame and
        key frame last, in float32 on the CPU.

    Raises:
        ValueError: it is not such a transformer; or, during a forward pass, layers were skipped or saw only a part of
            the tokens.
    """
    if not all(hasattr(transformer, name) for name in ("blocks", "patch_embedding")):
        raise ValueError(
            f"a {type(transformer).__name__} has no blocks and patch_embedding: "
            f"give the transformer, such as model.dit of a toy or model.transformer of a Wan."
        )
    parts: Any = transformer
    masses: list[Mass] = []
    layers: list[Tensor] = []
    grid: list[int] = []

    def begin(module: nn.Module, args: Any, patches: Tensor) -> None:
        grid[:] = patches.shape[2:]
        layers.clear()

    def end(module: nn.Module, args: Any, velocity: Any) -> None:
        if len(layers) != len(parts.blocks):
            raise ValueError(
                f"{len(layers)} of {counted(len(parts.blocks), 'layer')} were seen: turn off caches and compilation "
                "first."
            )
        masses.append(torch.stack(layers))

    handles = [parts.patch_embedding.register_forward_hook(begin), transformer.register_forward_hook(end)]
    try:
        for block in parts.blocks:
            handles += _watch(block.attn1, grid, layers)
        yield masses
    finally:
        for handle in handles:
            handle.remove()


def _watch(attn: Any, grid: list[int], layers: list[Tensor]) -> list[Any]:
    """Register hooks that append the attention mass of one layer to `layers`."""
    seen: dict[str, Tensor] = {}

    def done(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> None:
        positions = [given for given in (*args, *kwargs.values()) if given is not None][-1]
        with torch.no_grad(), torch.autocast(out.device.type, enabled=False):
            q, k = (_turned(_split(seen.pop(name), module.heads), positions) for name in ("q", "k"))
            layers.append(frame_mass(q, k, (grid[0], grid[1], grid[2])).cpu())

    return [
        attn.norm_q.register_forward_hook(lambda module, args, out: seen.update(q=out)),
        attn.norm_k.register_forward_hook(lambda module, args, out: seen.update(k=out)),
        attn.register_forward_hook(done, with_kwargs=True),
    ]


def _split(x: Tensor, heads: int) -> Heads:
    """Split tokens (b, s, d) or (b, f, hw, d) into heads."""
    return x.flatten(1, -2).unflatten(-1, (heads, -1))


def _turned(x: Heads, positions: Any) -> Heads:
    """Apply rotary positions: cos and sin (s, 1, k / 2, 2) in the toys, two tensors with each number twice in Wan."""
    toy = isinstance(positions, Tensor)
    cos, sin = positions.unbind(-1) if toy else (positions[0][..., ::2], positions[1][..., ::2])
    p, q = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([p * cos - q * sin, p * sin + q * cos], dim=-1).flatten(-2).type_as(x)


@checked
def frame_mass(q: Heads, k: Heads, grid: tuple[int, int, int]) -> Float[Tensor, "b f f"]:
    """Mean attention of the tokens of each frame to all tokens of each frame, see `attention_mass`.

    Args:
        q: queries (b, tokens, heads, size), with rotary positions applied.
        k: keys of the same shape.
        grid: numbers of frames, rows and columns of tokens, each at least 1.

    Raises:
        ValueError: the number of tokens does not fit the grid, or the attention is not finite.
    """
    b, tokens, heads, size = q.shape
    frames, per_frame = grid[0], grid[1] * grid[2]
    if min(*grid, size) < 1:
        raise ValueError(f"grid={grid} for queries of shape {tuple(q.shape)}: give at least 1 of each.")
    if tokens != frames * per_frame:
        raise ValueError(
            f"attention over {counted(tokens, 'token')} of {frames} x {per_frame}: give every rank the whole video."
        )
    some = max(1, AT_ONCE // (b * per_frame * tokens))
    mass = q.new_zeros(b, frames, frames, dtype=torch.float32)
    for i, asks in enumerate(q.split(per_frame, dim=1)):
        for ask, key in zip(asks.split(some, dim=2), k.split(some, dim=2), strict=True):
            scores = ask.transpose(1, 2).float() @ key.permute(0, 2, 3, 1).float()
            weights = scores.mul_(size**-0.5).softmax(dim=-1)
            mass[:, i] += weights.sum(dim=(1, 2)).unflatten(-1, (frames, -1)).sum(-1)
    if not mass.isfinite().all():
        raise ValueError("q and k give attention that is not finite: give queries and keys as the model computes them.")
    return mass / (heads * per_frame)


@checked
def kind_of(name: str) -> str:
    """Return the kind of a weight, one of those in KINDS.

    Args:
        name: name of the weight in a toy or in diffusers' Wan, with or without a prefix.
    """
    return next(kind for kind, pattern in KINDS if re.search(pattern, name))


@checked
@torch.no_grad()
def parameter_change(
    before: nn.Module | Mapping[str, Tensor], after: nn.Module | Mapping[str, Tensor]
) -> dict[str, dict[str, Any]]:
    """Measure how much each kind of weights changed.

    relative = ||W' - W|| / ||W||, share = ||W' - W||^2 / its sum over all kinds; Frobenius norms over a kind

    Args:
        before: a module, or its weights by name.
        after: the same after training, with low-rank updates merged.

    Returns:
        kind -> "relative" (0 if nothing changed, infinite if all weights were 0 before), "share" of the total squared
        change, and the number of "parameters". Weights that only one of the two has, or that differ in shape, are
        counted under "new" instead: their "names", "parameters", and "kinds" (kind -> parameters).
    """
    old, new = (dict(w.state_dict() if isinstance(w, nn.Module) else w) for w in (before, after))
    fits = [name for name in old if name in new and old[name].shape == new[name].shape]
    names: dict[str, list[str]] = {kind: [n for n in fits if kind_of(n) == kind] for kind, _ in KINDS}
    moved = {k: sum(_square(_exact(new[n]) - _exact(old[n])) for n in names[k]) for k in names}
    size = {k: sum(_square(_exact(old[n])) for n in names[k]) for k in names}
    whole = sum(moved.values())
    found: dict[str, dict[str, Any]] = {
        kind: {
            "relative": _ratio(moved[kind], size[kind]) ** 0.5,
            "share": _ratio(moved[kind], whole),
            "parameters": sum(old[n].numel() for n in some),
        }
        for kind, some in names.items()
        if some
    }
    apart = {n: w.numel() for n, w in {**old, **new}.items() if n not in fits}
    kinds = {k: sum(m for n, m in apart.items() if kind_of(n) == k) for k in dict.fromkeys(map(kind_of, apart))}
    return found | ({"new": {"names": list(apart), "parameters": sum(apart.values()), "kinds": kinds}} if apart else {})


def _exact(x: Tensor) -> Tensor:
    return x.to("cpu", torch.float64)  # small changes of large weights; not every device has float64


def _square(x: Tensor) -> float:
    return float(x.square().sum())


def _ratio(part: int | float, whole: int | float) -> float:
    return part / whole if whole else float("inf") if part else 0.0
