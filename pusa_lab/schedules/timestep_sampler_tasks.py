"""Timestep samplers that train what sampling visits: tasks with clean known frames, and one frame after another."""

import torch

from pusa_lab.arguments import checked
from pusa_lab.schedules.timestep_sampler_checks import TimestepSampler, check_cells, checked_sampler, cumulative, tau_of
from pusa_lab.types import Tau

LARGEST_SUBSET = 0.7
"""The probability of a frame to be in a random subset is itself uniform from 0 to this."""


@checked
def task_mixture(
    first: float | int = 0.3,
    ends: float | int = 0.1,
    keyframes: float | int = 0.1,
    prefix: float | int = 0.2,
    subset: float | int = 0.15,
    none: float | int = 0.15,
    known_level: float | int = 0.0,
) -> TimestepSampler:
    """Timestep sampler with a random set of known frames per sample, and one shared timestep for its other frames.

    These are the timestep vectors that synchronous sampling with known frames visits, so one model learns
    text-to-video, image-to-video, start-end frames, extension and completion together.

    tau_i = known_level for i in K, u ~ U[0, 1) for all others

    The six probabilities of the set K must sum to 1. If K contains all frames, as it may in short videos, it is
    emptied, so that there is always a frame to generate: a video of one frame is always text-to-video, and one of two
    frames has at most one known frame.

    Args:
        first: probability of K = {0}, for image-to-video.
        ends: probability of K = {0, f-1}.
        keyframes: probability of both ends and one frame between them.
        prefix: probability of the first k frames, k uniform from 2 to f-2 (2 if f < 4), for extension.
        subset: probability that each frame is known with probability p, p ~ U[0, 0.7] per sample, for completion.
        none: probability of no known frame: text-to-video.
        known_level: noise level of known frames in [0, 1], before any shift; 0 is clean.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: a probability is negative, they do not sum to 1, or known_level is outside [0, 1].

    Source: this project. Known frames at timestep 0 are as in the image-to-video sampling of Pusa and Wan2.2, arXiv
    2507.16116; sampling the set anew for each sample is ours.
    """
    chances = {"first": first, "ends": ends, "keyframes": keyframes, "prefix": prefix, "subset": subset, "none": none}
    edges = cumulative(list(chances.values()), ", ".join(f"{name}={p}" for name, p in chances.items()))
    if not 0 <= known_level <= 1:
        raise ValueError(f"known_level={known_level}: give a noise level in [0, 1], where 0 is clean.")

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        check_cells(batch, frames)
        u = torch.rand(batch, frames + 4, generator=generator, device=generator.device if generator else None)
        kind = torch.searchsorted(edges.to(u.device), u[:, 0].contiguous(), right=True)
        known = _known_frames(u[:, 2:3], u[:, 3:4], u[:, 4:])[kind, torch.arange(batch, device=u.device)]
        known &= ~known.all(dim=1, keepdim=True)
        return torch.where(known, known_level, u[:, 1:2])

    return sample


def _known_frames(place: torch.Tensor, share: torch.Tensor, coin: torch.Tensor) -> torch.Tensor:
    """All six sets of each sample (6, b, f), from uniform numbers (b, 1), (b, 1) and (b, f)."""
    frames = coin.shape[1]
    frame = torch.arange(frames, device=coin.device)
    ends = (frame == 0) | (frame == frames - 1)
    between = frame == 1 + (place * max(frames - 2, 1)).long()
    prefix = frame < 2 + (place * max(frames - 3, 1)).long()
    subset = coin < LARGEST_SUBSET * share
    sets = (frame == 0, ends, ends | between, prefix, subset, torch.zeros_like(subset))
    return torch.stack([one.expand(coin.shape) for one in sets])


@checked
def next_frame(steady: float | int = 0.5) -> TimestepSampler:
    """Timestep sampler with one noisy frame between clean frames and noise, as `schedules.autoregressive` has them.

    tau_i = 0 for i < k, u ~ U[0, 1) for i = k, 1 for i > k; k = f-1 in a share `steady`, and k ~ U{0..f-1} in the rest

    Args:
        steady: share of samples whose last frame is the noisy one, as in all windows of a stream but the first, in
            [0, 1].

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: steady is outside [0, 1].
    """
    if not 0 <= steady <= 1:
        raise ValueError(f"steady={steady}: give a share in [0, 1].")

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        check_cells(batch, frames)
        chance, place, u = torch.rand(3, batch, 1, generator=generator, device=generator.device if generator else None)
        at = torch.arange(frames, device=u.device) - torch.where(chance < steady, frames - 1, (place * frames).long())
        return torch.where(at == 0, u, (at > 0).to(u.dtype))  # 0 is the noisy frame's place

    return sample


@checked
def task_shares(
    sampler: TimestepSampler, frames: int = 9, known_level: float | int = 0.0, samples: int = 20_000, seed: int = 0
) -> dict[str, float]:
    """Share of a timestep sampler's samples that look like each task, by its known frames.

    Frames at or below known_level count as known, unless all of them are. Samples whose other frames share one timestep
    are named after their known frames, as the arguments of `task_mixture`: none (text-to-video), first, ends,
    keyframes, prefix, or subset, which is any other set. All other samples are asynchronous, such as those of
    `independent`.

    Args:
        sampler: timestep sampler (batch, frames, generator) -> tau.
        frames: latent frames, at least 1.
        known_level: largest noise level of a known frame, in [0, 1].
        samples: number of timestep vectors, at least 1.
        seed: seed of the timestep sampler.

    Returns:
        Name -> share; together they are 1.

    Raises:
        ValueError: an argument is out of range, or the timestep sampler does not return timesteps.
    """
    if samples < 1 or not 0 <= known_level <= 1:
        raise ValueError(f"samples={samples}, known_level={known_level}: give at least 1 sample and a level in [0, 1].")
    tau = tau_of(sampler, samples, frames, torch.Generator().manual_seed(seed))
    known = tau <= known_level
    known &= ~known.all(dim=1, keepdim=True)
    shared = tau.masked_fill(known, 2).amin(dim=1) == tau.masked_fill(known, -1).amax(dim=1)
    count, start, end = known.sum(dim=1), known[:, 0], known[:, -1]
    found = {
        "none": count == 0,
        "first": start & (count == 1),
        "ends": start & end & (count == 2),
        "keyframes": start & end & (count == 3),
        "prefix": (known.cumprod(dim=1).sum(dim=1) == count) & (count > 1),
    }
    found["subset"] = ~torch.stack(list(found.values())).any(dim=0)
    found = {name: of & shared for name, of in found.items()} | {"asynchronous": ~shared}
    return {name: of.double().mean().item() for name, of in found.items()}
