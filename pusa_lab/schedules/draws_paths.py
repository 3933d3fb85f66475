"""Training clocks that never fall from frame to frame: the past is at most as noisy as the future."""

from collections.abc import Callable

import torch

from pusa_lab.types import Tau


def nondecreasing(levels: int = 1000) -> Callable[..., Tau]:
    """A draw of non-decreasing clocks: frame-oriented probability propagation (FoPP).

    A pivot frame p ~ U{0..f-1} gets level t_p ~ U{0..T-1}; given both, every non-decreasing path through it is equally
    likely, and C(t_p + p, p) C(T-1-t_p + f-1-p, f-1-p) of them exist. So

        P(t) = 1 / (f T) sum_p 1 / (C(t_p + p, p) C(T-1-t_p + f-1-p, f-1-p)),  t_0 <= ... <= t_{f-1}

    tau_i = (t_i + u) / T with one u ~ U[0, 1) a sample: the pivot's clock is uniform on [0, 1], those of equal level
    are equal. The marginal of one given frame is not uniform: first frames lean to clean, last ones to noise.

    Args:
        levels: T, at least 1; 1 is the draw `shared`.

    Raises:
        ValueError: levels is below 1.

    Source: FoPP, arXiv 2503.07418. Its tables of path counts are not needed: a uniform path is a uniform multiset of
    levels, put in order, and Polya's urn draws it for all samples at once.
    """
    if levels < 1:
        raise ValueError(f"levels={levels}: paths live on a grid of at least 1 level.")

    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        device = generator.device if generator else None
        pivot = torch.randint(frames, (batch, 1), generator=generator, device=device)
        start = torch.randint(levels, (batch, 1), generator=generator, device=device)
        chance = torch.rand(batch, frames + 1, dtype=torch.float64, generator=generator, device=device)
        # Frames before the pivot draw from an urn of the levels 0..t_p, those after it from t_p..T-1.
        frame = torch.arange(frames, device=device)
        after = frame > pivot
        first = torch.where(after, pivot + 1, 0)
        kinds = torch.where(after, levels - start, start + 1)
        ball = (chance[:, 1:] * (kinds + frame - first)).long()
        level = torch.where(after, start, 0) + ball
        level.scatter_(1, pivot, start)
        # One ball of each kind, and one more for each drawn: beyond the kinds lie copies of the draws before.
        copied = (ball >= kinds) & (frame != pivot)
        source = (first + ball - kinds).clamp(min=0)
        for i in range(1, frames):
            earlier = level.gather(1, source[:, i : i + 1])[:, 0]
            level[:, i] = torch.where(copied[:, i], earlier, level[:, i])
        return ((level.sort(dim=1).values + chance[:, :1]) / levels).float()

    return draw
