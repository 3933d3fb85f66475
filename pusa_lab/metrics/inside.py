"""Inside a video transformer: which frames look at which, and which weights a training changed.

Both read the toys' transformer and diffusers' Wan alike, since their modules have the same names.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pusa_lab.arguments import checked

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
"""(kind, pattern of a weight's name): no name has two of them, and "other" is the rest."""
AT_ONCE = 2**25
"""Attention weights held at a time, but at least those of one head for one frame: 128 MiB in float32."""

Mass = Float[Tensor, "layers b f f"]
Heads = Float[Tensor, "b s n k"]


@checked
@contextmanager
def attention_mass(transformer: nn.Module) -> Iterator[list[Mass]]:
    """Record how much the tokens of every frame look at every frame, in each self-attention of each forward.

    A_ij = mean over heads and over tokens q of frame i of (sum over tokens k of frame j of softmax_k(q . k / sqrt(d)))

    Softmax over all keys comes first, so rows sum to 1; averaging queries and keys before it gives something else.
    Queries and keys are those that the layers themselves computed; the forward and its gradients stay as they are.
    The frames are those of the patch embedding's output (b, d, f, h, w), and tokens come frame by frame.

    Args:
        transformer: small_models' `ToyDiT`, or diffusers' WanTransformer3DModel, not compiled, all on one device.

    Yields:
        A list; every forward appends its mass (layers, b, f, f), (asks, looked at), float32, on the CPU.

    Raises:
        ValueError: no such transformer; or, in a forward, layers that were skipped or hold a part of the tokens.
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
                f"{len(layers)} of {len(parts.blocks)} layers were seen: switch off caches and compilation first."
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
    """Hooks that put the mass of one attention into `layers`."""
    seen: dict[str, Tensor] = {}

    def done(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> None:
        positions = [*args, *kwargs.values()][-1]
        with torch.no_grad(), torch.autocast(out.device.type, enabled=False):
            q, k = (_turned(_split(seen.pop(name), module.heads), positions) for name in ("q", "k"))
            layers.append(frame_mass(q, k, (grid[0], grid[1], grid[2])).cpu())

    return [
        attn.norm_q.register_forward_hook(lambda module, args, out: seen.update(q=out)),
        attn.norm_k.register_forward_hook(lambda module, args, out: seen.update(k=out)),
        attn.register_forward_hook(done, with_kwargs=True),
    ]


def _split(x: Tensor, heads: int) -> Heads:
    """Tokens (b, s, d), or (b, f, hw, d), by heads."""
    return x.flatten(1, -2).unflatten(-1, (heads, -1))


def _turned(x: Heads, positions: Any) -> Heads:
    """Rotary positions: (s, 1, k / 2, 2) holds cos and sin in the toys; in Wan two tensors hold each number twice."""
    toy = isinstance(positions, Tensor)
    cos, sin = positions.unbind(-1) if toy else (positions[0][..., ::2], positions[1][..., ::2])
    p, q = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([p * cos - q * sin, p * sin + q * cos], dim=-1).flatten(-2).type_as(x)


@checked
def frame_mass(q: Heads, k: Heads, grid: tuple[int, int, int]) -> Float[Tensor, "b f f"]:
    """Mean attention of the tokens of one frame to all tokens of another, see `attention_mass`.

    Args:
        q: queries (b, tokens, heads, size), positions in them.
        k: keys of the same shape.
        grid: frames, rows and columns of tokens.

    Raises:
        ValueError: other tokens than the grid has, or numbers whose products are not finite.
    """
    b, tokens, heads, size = q.shape
    frames, per_frame = grid[0], grid[1] * grid[2]
    if min(*grid, size) < 1:
        raise ValueError(f"grid={grid} for queries of shape {tuple(q.shape)}: give at least 1 of each.")
    if tokens != frames * per_frame:
        raise ValueError(f"attention over {tokens} tokens of {frames} x {per_frame}: give every rank the whole video.")
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
    """What a weight belongs to, by KINDS.

    Args:
        name: of the weight, of the toys or of diffusers' Wan, with or without a prefix.
    """
    return next(kind for kind, pattern in KINDS if re.search(pattern, name))


@checked
@torch.no_grad()
def parameter_change(
    before: nn.Module | Mapping[str, Tensor], after: nn.Module | Mapping[str, Tensor]
) -> dict[str, dict[str, Any]]:
    """How far each kind of weights moved.

    relative = ||W' - W|| / ||W||, share = ||W' - W||^2 / the sum of it over all kinds; Frobenius norms over a kind

    Args:
        before: a module or its weights by name.
        after: the same after training, low-rank updates merged.

    Returns:
        kind -> "relative" (0 where nothing changed; infinite where all was 0 before), "share" of the whole squared
        change, and "parameters", their number. Weights that only one of the two has, or in another shape, are left out
        and stand under "new": their "names", and "parameters" and "kinds" (kind -> parameters).
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
