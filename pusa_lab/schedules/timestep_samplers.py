"""Timestep samplers for training: each is a function (batch, frames, generator) -> tau (b, f) in [0, 1].

They can be nested: `logit_normal_timesteps(per_block(3, nondecreasing()))`. `shift_timesteps` and
`logit_normal_timesteps` around a sampler change all its timesteps; around its argument `rest`, they do not change the
frames that have a fixed level.
"""

from collections.abc import Callable, Sequence

import torch

from pusa_lab.arguments import checked
from pusa_lab.registry import Registry
from pusa_lab.schedules.sigmas import check_logits, check_shift, shift_levels
from pusa_lab.schedules.timestep_sampler_checks import (
    TimestepSampler,
    check_cells,
    check_made,
    checked_sampler,
    cumulative,
    tau_of,
)
from pusa_lab.schedules.timestep_sampler_tasks import next_frame, task_mixture
from pusa_lab.types import Tau

MOST_PATH_LEVELS = 2**40
"""Most levels of a path; float64 can tell them apart."""


def _uniform(batch: int, frames: int, generator: torch.Generator | None) -> Tau:
    check_cells(batch, frames)
    return torch.rand(batch, frames, generator=generator, device=generator.device if generator else None)


@checked
def shared(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """One timestep per sample, the same for all frames, as scalar models are trained.

    tau_i = u, u ~ U[0, 1)

    Args:
        batch: samples, at least 0.
        frames: latent frames, at least 1.
        generator: source of randomness; tau is made on its device. None uses torch's default on the CPU.

    Raises:
        ValueError: batch or frames is out of range.
    """
    check_cells(batch, frames)
    return _uniform(batch, 1, generator).repeat(1, frames)


@checked
def independent(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """An independent timestep for every frame, as in the paper's training of Pusa (p_async = 1).

    tau_i ~ U[0, 1) iid

    Args:
        batch: samples, at least 0.
        frames: latent frames, at least 1.
        generator: source of randomness; tau is made on its device. None uses torch's default on the CPU.

    Raises:
        ValueError: batch or frames is out of range.

    Source: section 2.3.2, arXiv 2507.16116.
    """
    return _uniform(batch, frames, generator)


@checked
def mixture(
    samplers: Sequence[TimestepSampler | str] = (shared, independent), weights: Sequence[float | int] | None = None
) -> TimestepSampler:
    """Timestep sampler that picks one of several others for each sample, such as `independent` or `task_mixture`.

    tau ~ sum_i w_i P_i, with P_i the distribution of the i-th sampler

    Args:
        samplers: timestep samplers or names of TIMESTEP_SAMPLERS, such as "task_mixture(subset=0.4)"; at least one.
        weights: their probabilities, which must sum to 1; None makes all equal.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: there are no samplers, one of them was not called or is an unknown name, or the weights are not one
            probability for each, with sum 1.
    """
    if not samplers:
        raise ValueError("samplers is empty: give at least one timestep sampler.")
    parts = [TIMESTEP_SAMPLERS.find(each)() if isinstance(each, str) else each for each in samplers]
    check_made(*parts)
    weights = [1 / len(samplers)] * len(samplers) if weights is None else weights
    if len(weights) != len(samplers):
        raise ValueError(f"{len(weights)} weights for {len(samplers)} samplers: give one weight for each.")
    edges = cumulative(weights, f"weights={list(weights)}"[:80])

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        check_cells(batch, frames)
        u = _uniform(batch, 1, generator)
        chosen = torch.searchsorted(edges.to(u.device), u, right=True)
        tau = tau_of(parts[0], batch, frames, generator)
        for i, other in enumerate(parts[1:], 1):
            tau = torch.where(chosen == i, tau_of(other, batch, frames, generator), tau)
        return tau

    return sample


@checked
def mixed(p_async: float | int = 0.5) -> TimestepSampler:
    """Timestep sampler that uses independent timesteps with probability p_async per sample, and else a shared one.

    Args:
        p_async: probability in [0, 1].

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: p_async is outside [0, 1].

    Source: probabilistic timestep sampling (PTSS), arXiv 2410.03160; Eq. 11, arXiv 2507.16116.
    """
    if not 0 <= p_async <= 1:
        raise ValueError(f"p_async={p_async}: give a probability in [0, 1].")
    either = mixture([independent, shared], [p_async, 1 - p_async])

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        return either(batch, frames, generator)

    return sample


@checked
def clean_prefix(k: int = 1, noise: float | int = 0.0, rest: TimestepSampler = independent) -> TimestepSampler:
    """Timestep sampler that keeps the first frames clean, or nearly so, to train image-to-video and extension.

    tau_i = noise for i < k, the others from `rest`

    Args:
        k: number of clean frames, at least 1 and fewer than the video has.
        noise: their noise level in [0, 1].
        rest: timestep sampler for the other frames, usually `shared` or `independent`.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f), which raises ValueError unless frames > k.

    Raises:
        ValueError: an argument is out of range.

    Source: fixed context, arXiv 2502.06764.
    """
    _check_history(k)
    if not 0 <= noise <= 1:
        raise ValueError(f"noise={noise}: give a noise level in [0, 1], where 0 is clean.")

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        _check_history(k, frames)
        tau = tau_of(rest, batch, frames - k, generator)
        return torch.cat([tau.new_full((batch, k), noise), tau], dim=1)

    return sample


@checked
def uniform_future(k: int = 1) -> TimestepSampler:
    """Timestep sampler with independent timesteps for the history and one shared timestep for the future.

    tau_i ~ U[0, 1) iid for i < k, tau_i = u ~ U[0, 1) for i >= k

    Args:
        k: number of history frames, at least 1 and fewer than the video has.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f), which raises ValueError unless frames > k.

    Raises:
        ValueError: k is below 1.

    Source: appendix A.5 of arXiv 2502.06764, for videos so long that independent timesteps reduce quality.
    """
    _check_history(k)

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        _check_history(k, frames)
        return torch.cat([independent(batch, k, generator), shared(batch, frames - k, generator)], dim=1)

    return sample


@checked
def per_block(block: int = 3, each: TimestepSampler = independent, first_alone: bool = False) -> TimestepSampler:
    """Timestep sampler with one timestep per block of frames; the last block may be shorter.

    tau_i = c_((i + a) // block), with c from `each`, and a = block - 1 if frame 0 is alone, otherwise 0

    Args:
        block: frames per block, at least 1.
        each: timestep sampler for the blocks.
        first_alone: whether frame 0 is a block by itself, as in `schedules.blockwise`.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: block is below 1.

    Source: CausVid, arXiv 2412.07772.
    """
    if block < 1:
        raise ValueError(f"block={block}: give the frames of a block, at least 1.")
    ahead = block - 1 if first_alone else 0

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        check_cells(batch, frames)
        of = (torch.arange(frames) + ahead) // block
        tau = tau_of(each, batch, -(-(frames + ahead) // block), generator)
        return tau[:, of.to(tau.device)]

    return sample


@checked
def nondecreasing(levels: int = 1000) -> TimestepSampler:
    """Timestep sampler with non-decreasing timesteps: frame-oriented probability propagation (FoPP).

    A pivot frame p ~ U{0..f-1} gets level t_p ~ U{0..T-1}. Given both, every non-decreasing path through it is equally
    likely, and there are C(t_p + p, p) C(T-1-t_p + f-1-p, f-1-p) of them. So

        P(t) = 1 / (f T) sum_p 1 / (C(t_p + p, p) C(T-1-t_p + f-1-p, f-1-p)),  t_0 <= ... <= t_{f-1}

    tau_i = (t_i + u) / T with one u ~ U[0, 1) per sample. The timestep of the pivot is uniform on [0, 1], and frames of
    equal level have equal timesteps. The marginal of a given frame is not uniform: the first frames tend to be clean,
    the last ones noisy.

    Args:
        levels: T, from 1 to 2^40; 1 gives the sampler `shared`.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: levels is out of range.

    Source: FoPP, arXiv 2503.07418. Its tables of path counts are not needed, because a uniform path is a sorted uniform
    multiset of levels, which Polya's urn samples for the whole batch at once.
    """
    if not 1 <= levels <= MOST_PATH_LEVELS:
        raise ValueError(f"levels={levels}: give the number of levels of the path, from 1 to 2^40.")

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        check_cells(batch, frames)
        device = generator.device if generator else None
        pivot = torch.randint(frames, (batch, 1), generator=generator, device=device)
        start = torch.randint(levels, (batch, 1), generator=generator, device=device)
        chance = torch.rand(batch, frames + 1, dtype=torch.float64, generator=generator, device=device)
        # Frames before the pivot take from an urn with the levels 0..t_p, those after it from one with t_p..T-1.
        frame = torch.arange(frames, device=device)
        after = frame > pivot
        first = torch.where(after, pivot + 1, 0)
        kinds = torch.where(after, levels - start, start + 1)
        ball = (chance[:, 1:] * (kinds + frame - first)).long()
        level = torch.where(after, start, 0) + ball
        level.scatter_(1, pivot, start)
        # The urn has one ball of each kind and a copy of each ball taken: numbers beyond the kinds are these copies.
        copied = (ball >= kinds) & (frame != pivot)
        source = (first + ball - kinds).clamp(min=0)
        for i in range(1, frames):
            earlier = level.gather(1, source[:, i : i + 1])[:, 0]
            level[:, i] = torch.where(copied[:, i], earlier, level[:, i])
        return ((level.sort(dim=1).values + chance[:, :1]) / levels).float()

    return sample


@checked
def noisy_first_frame(
    p: float | int = 0.2, mean: float | int = -3.5, std: float | int = 0.5, rest: TimestepSampler = shared
) -> TimestepSampler:
    """Timestep sampler with a noisy first frame in some samples, which mixes image-to-video into text-to-video.

    With probability p per sample tau_0 = min(exp(z), 1), z ~ N(mean, std^2); all other timesteps are from `rest`. The
    median of exp(z) is .030 with the defaults. Wan's function scales the noise of the frame like this but gives the
    model the timestep 0; here the model gets the true noise level.

    Args:
        p: probability in [0, 1].
        mean: mean of the logarithm of the noise level, from -1e6 to 1e6.
        std: standard deviation of the logarithm of the noise level, from 0 to 1e6.
        rest: timestep sampler for all other timesteps.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: an argument is out of range.

    Source: `masks_like`, a training rule that was left in the code of Wan2.2.
    """
    if not (0 <= p <= 1 and 0 <= std <= 1e6 and abs(mean) <= 1e6):
        raise ValueError(
            f"p={p}, mean={mean}, std={std}: give a probability in [0, 1], a mean in [-1e6, 1e6], and a standard "
            f"deviation in [0, 1e6]."
        )

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        tau = tau_of(rest, batch, frames, generator).clone()
        z = torch.randn(batch, generator=generator, device=tau.device)
        chosen = _uniform(batch, 1, generator)[:, 0] < p
        tau[:, 0] = torch.where(chosen, (mean + std * z).exp().clamp(max=1), tau[:, 0])
        return tau

    return sample


@checked
def shift_timesteps(sampler: TimestepSampler, shift: float | int) -> TimestepSampler:
    """Timestep sampler with the timesteps of another one shifted towards noise: tau' = s tau / (1 + (s - 1) tau).

    Args:
        sampler: any timestep sampler.
        shift: s from 1e-6 to 1e6; the released Pusa trainer samples from sigmas of shift 5 (median tau .83).

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: shift is out of range.
    """
    check_shift(shift)

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        return shift_levels(tau_of(sampler, batch, frames, generator), shift)

    return sample


@checked
def logit_normal_timesteps(
    sampler: TimestepSampler, mean: float | int = 0.0, std: float | int = 1.0
) -> TimestepSampler:
    """Timestep sampler with the timesteps of another one moved to the middle, as in Stable Diffusion 3; 0 and 1 stay.

    tau' = sigmoid(mean + std Phi^-1(tau)): uniform timesteps become logit-normal, and the order of frames is kept

    Args:
        sampler: any timestep sampler.
        mean: mean of logit tau', from -1e6 to 1e6; a positive mean gives more noise.
        std: standard deviation of logit tau', above 0 and at most 1e6.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: mean or std is out of range.

    Source: section 3.1, arXiv 2403.03206.
    """
    check_logits(mean, std)

    @checked_sampler
    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        return torch.sigmoid(mean + std * torch.special.ndtri(tau_of(sampler, batch, frames, generator)))

    return sample


def _check_history(k: int, frames: int | None = None) -> None:
    if k < 1:
        raise ValueError(f"k={k}: give the number of history frames, at least 1.")
    if frames is not None and k >= frames:
        raise ValueError(f"k={k} frames of history leave none of the video's {frames} to generate: give a smaller k.")


_MAKERS = (
    *(mixed, clean_prefix, uniform_future, per_block, nondecreasing, noisy_first_frame),
    *(task_mixture, next_frame, mixture),
)
TIMESTEP_SAMPLERS: Registry[Callable[..., TimestepSampler]] = Registry(
    "timestep sampler",
    "pusa_lab.timestep_samplers",
    {"shared": lambda: shared, "independent": lambda: independent} | {maker.__name__: maker for maker in _MAKERS},
    "(setting=1) -> ((batch, frames, generator) -> tau (b, f))",
)
"""Name -> maker of a timestep sampler, such as TIMESTEP_SAMPLERS["mixed"](p_async=0.2); all arguments have defaults."""
