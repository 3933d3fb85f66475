"""Training draws of tau: each is (batch, frames, generator) -> tau (b, f) in [0, 1].

Draws are built from draws: `logit_normal(blockwise(3, nondecreasing()))`. A warp around a draw moves all its clocks;
one around its `rest` leaves the frames that are kept at a level of their own alone.
"""

from collections.abc import Callable

import torch

from pusa_lab.arguments import checked
from pusa_lab.schedules.draws_paths import Draw, check_draw, drawn, nondecreasing, tau_of
from pusa_lab.schedules.grids import check_logits, check_shift, shift_levels
from pusa_lab.types import Tau


def _uniform(batch: int, frames: int, generator: torch.Generator | None) -> Tau:
    check_draw(batch, frames)
    return torch.rand(batch, frames, generator=generator, device=generator.device if generator else None)


@checked
def shared(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """One clock per sample, the same for all frames: how scalar models are trained.

    tau_i = u, u ~ U[0, 1)

    Args:
        batch: samples.
        frames: latent frames.
        generator: source of randomness; tau is made on its device.
    """
    check_draw(batch, frames)
    return _uniform(batch, 1, generator).repeat(1, frames)


@checked
def independent(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """An independent clock for every frame: the paper's training of Pusa (p_async = 1).

    tau_i ~ U[0, 1) iid

    Args:
        batch: samples.
        frames: latent frames.
        generator: source of randomness; tau is made on its device.

    Source: section 2.3.2, arXiv 2507.16116.
    """
    return _uniform(batch, frames, generator)


@checked
def mixed(p_async: float | int = 0.5) -> Draw:
    """A draw that tosses a coin per sample: independent clocks with probability p_async, one shared clock otherwise.

    Args:
        p_async: probability in [0, 1].

    Raises:
        ValueError: p_async is outside [0, 1].

    Source: probabilistic timestep sampling (PTSS), arXiv 2410.03160; Eq. 11, arXiv 2507.16116.
    """
    if not 0 <= p_async <= 1:
        raise ValueError(f"p_async={p_async}: a probability lies in [0, 1].")

    @drawn
    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        alone = _uniform(batch, 1, generator) < p_async
        return torch.where(alone, independent(batch, frames, generator), shared(batch, frames, generator))

    return draw


@checked
def clean_prefix(k: int = 1, noise: float | int = 0.0, rest: Draw = independent) -> Draw:
    """A draw that keeps the first frames clean, or nearly so: training for image-to-video and extension.

    tau_i = noise for i < k, the rest as drawn by `rest`

    Args:
        k: clean frames, at least 1, fewer than the video has.
        noise: their level in [0, 1].
        rest: draw of the other frames' clocks, `shared` or `independent` as a rule.

    Raises:
        ValueError: an argument is out of range; with the first draw, if k frames are the whole video.

    Source: fixed context, arXiv 2502.06764.
    """
    _check_history(k)
    if not 0 <= noise <= 1:
        raise ValueError(f"noise={noise}: a level lies in [0, 1], and 0 is clean.")

    @drawn
    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        _check_history(k, frames)
        tau = tau_of(rest, batch, frames - k, generator)
        return torch.cat([tau.new_full((batch, k), noise), tau], dim=1)

    return draw


@checked
def uniform_future(k: int = 1) -> Draw:
    """A draw with independent clocks for the history and one shared clock for the future.

    tau_i ~ U[0, 1) iid for i < k, tau_i = u ~ U[0, 1) for i >= k

    Args:
        k: history frames, at least 1, fewer than the video has.

    Raises:
        ValueError: k is below 1; with the first draw, if k frames are the whole video.

    Source: appendix A.5 of arXiv 2502.06764, for videos so long that independent clocks cost quality.
    """
    _check_history(k)

    @drawn
    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        _check_history(k, frames)
        return torch.cat([independent(batch, k, generator), shared(batch, frames - k, generator)], dim=1)

    return draw


@checked
def blockwise(block: int = 3, each: Draw = independent) -> Draw:
    """A draw with one clock per block of frames; a shorter block at the end has its own.

    tau_i = c_(i // block), the clocks c as drawn by `each`

    Args:
        block: frames of a block, at least 1.
        each: draw of the blocks' clocks.

    Raises:
        ValueError: block is below 1.

    Source: CausVid, arXiv 2412.07772.
    """
    if block < 1:
        raise ValueError(f"block={block}: a block holds at least 1 frame.")

    @drawn
    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        check_draw(batch, frames)
        of = torch.arange(frames) // block
        tau = tau_of(each, batch, -(-frames // block), generator)
        return tau[:, of.to(tau.device)]

    return draw


@checked
def wan_leftover(p: float | int = 0.2, mean: float | int = -3.5, std: float | int = 0.5, rest: Draw = shared) -> Draw:
    """A draw in which some samples have a nearly clean first frame: image-to-video mixed into text-to-video.

    With probability p a sample, tau_0 = min(exp(z), 1), z ~ N(mean, std^2); all else as drawn by `rest`. The median of
    exp(z) is .030. Wan's function scales the frame's noise so but labels it 0; here the label tells the noise.

    Args:
        p: probability in [0, 1].
        mean: of the logarithm of the level, at most 1e6 from 0.
        std: of the logarithm of the level, from 0 to 1e6.
        rest: draw of all other clocks.

    Raises:
        ValueError: an argument is out of range.

    Source: `masks_like` in the code of Wan2.2, a training rule left in it.
    """
    if not (0 <= p <= 1 and 0 <= std <= 1e6 and abs(mean) <= 1e6):
        raise ValueError(
            f"p={p}, mean={mean}, std={std}: a probability lies in [0, 1], a mean within 1e6 of 0, and a standard "
            f"deviation in [0, 1e6]."
        )

    @drawn
    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        tau = tau_of(rest, batch, frames, generator).clone()
        z = torch.randn(batch, generator=generator, device=tau.device)
        chosen = _uniform(batch, 1, generator)[:, 0] < p
        tau[:, 0] = torch.where(chosen, (mean + std * z).exp().clamp(max=1), tau[:, 0])
        return tau

    return draw


@checked
def shifted(draw: Draw, shift: float | int) -> Draw:
    """A draw with its clocks pushed towards noise: tau' = s tau / (1 + (s - 1) tau).

    Args:
        draw: any draw.
        shift: s from 1e-6 to 1e6; the released Pusa trainer draws from a grid of shift 5 (median tau .83).

    Raises:
        ValueError: shift is out of range.
    """
    check_shift(shift)

    @drawn
    def shifted_draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        return shift_levels(tau_of(draw, batch, frames, generator), shift)

    return shifted_draw


@checked
def logit_normal(draw: Draw, mean: float | int = 0.0, std: float | int = 1.0) -> Draw:
    """A draw with its clocks pushed to the middle, as Stable Diffusion 3 is trained; 0 and 1 stay.

    tau' = sigmoid(mean + std Phi^-1(tau)): a uniform clock becomes logit-normal, and frames keep their order

    Args:
        draw: any draw.
        mean: of logit tau'; above 0 leans to noise.
        std: of logit tau', positive, at most 1e6.

    Raises:
        ValueError: mean or std is out of range.

    Source: section 3.1, arXiv 2403.03206.
    """
    check_logits(mean, std)

    @drawn
    def warped(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        return torch.sigmoid(mean + std * torch.special.ndtri(tau_of(draw, batch, frames, generator)))

    return warped


def _check_history(k: int, frames: int | None = None) -> None:
    if k < 1:
        raise ValueError(f"k={k}: at least 1 frame is history.")
    if frames is not None and k >= frames:
        raise ValueError(f"k={k} frames of history leave none of the video's {frames} to generate: give a smaller k.")


DRAWS: dict[str, Callable[..., Draw]] = {
    "shared": lambda: shared,
    "independent": lambda: independent,
    **{
        maker.__name__: maker for maker in (mixed, clean_prefix, uniform_future, blockwise, nondecreasing, wan_leftover)
    },
}
"""Name -> maker of a draw, for configurations: DRAWS["mixed"](p_async=0.2); every maker has defaults."""
