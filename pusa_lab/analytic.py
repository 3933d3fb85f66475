"""The exact denoiser of Gaussian videos: the truth against which schedules, samplers and tasks are checked.

Pixels are independent; the f frames of a pixel are jointly normal, x0 ~ N(mean, cov). The best velocity
E[eps - x0 | x] is then a matrix, for any timestep vector, and following it transports noise to the data exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.schedules import frame_indices
from pusa_lab.sentences import counted
from pusa_lab.timesteps import check_tau
from pusa_lab.types import Tau, Video


@checked
@dataclass(frozen=True, eq=False)
class GaussianDenoiser:
    """v(x, tau) = -mean + (B - cov A) (A cov A + B^2)^-1 (x - A mean), A = diag(1 - tau), B = diag(tau).

    Args:
        mean: mean of each frame (f,).
        cov: covariance between frames (f, f), positive definite.

    Raises:
        ValueError: mean or covariance is not finite, or the covariance is not symmetric and positive definite.
    """

    mean: Float[Tensor, " f"]
    cov: Float[Tensor, "f f"]

    def __post_init__(self) -> None:
        _check_gaussian(self.mean, self.cov)

    @checked
    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The exact velocity at x (b, c, f, h, w) with timesteps tau (b, f); any cond is ignored."""
        check_tau(tau, x)
        if x.shape[2] != len(self.mean):
            raise ValueError(f"x has {counted(x.shape[2], 'frame')}, the Gaussian {len(self.mean)}: give as many.")
        dtype, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        mean, cov, t = self.mean.to(x), self.cov.to(x), tau.to(x)
        t = t[:1] if torch.equal(t, t[:1].expand_as(t)) else t  # sampled clips share their timesteps: solve once
        a, b = torch.diag_embed(1 - t), torch.diag_embed(t)
        gain = torch.linalg.solve(a @ cov @ a + b @ b, b - cov @ a, left=False)
        centred = x - ((1 - t) * mean)[:, None, :, None, None]
        gain = gain.expand(len(x), -1, -1)
        return (torch.einsum("bij,bcjhw->bcihw", gain, centred) - mean[:, None, None]).to(dtype)

    @checked
    def sample(self, shape: Sequence[int], generator: torch.Generator | None = None) -> Video:
        """Clean videos of the given shape (b, c, f, h, w), drawn from N(mean, cov)."""
        if len(shape) != 5 or min(shape) < 0 or shape[2] != len(self.mean):
            raise ValueError(f"shape={tuple(shape)}: give (b, c, f, h, w) with f = {counted(len(self.mean), 'frame')}.")
        z = torch.randn(*shape, generator=generator, dtype=self.cov.dtype, device=self.cov.device)
        return torch.einsum("ij,bcjhw->bcihw", torch.linalg.cholesky(self.cov), z) + self.mean[:, None, None]


def _check_gaussian(mean: Float[Tensor, " f"], cov: Float[Tensor, "f f"]) -> None:
    if cov.shape != (len(mean), len(mean)):
        raise ValueError(
            f"cov has shape {tuple(cov.shape)}: give ({len(mean)}, {len(mean)}), a row and a column per frame."
        )
    if not (mean.isfinite().all() and cov.isfinite().all()):
        raise ValueError("mean or cov holds NaN or infinite numbers: give finite ones.")
    if not torch.allclose(cov, cov.T, rtol=1e-4) or torch.linalg.cholesky_ex(cov.double()).info > 0:
        raise ValueError("cov is not symmetric and positive definite: give a covariance matrix.")


@checked
def condition(
    mean: Float[Tensor, " f"], cov: Float[Tensor, "f f"], known: Sequence[int], values: Float[Tensor, " n"]
) -> tuple[Float[Tensor, " f"], Float[Tensor, "f f"]]:
    """Mean and covariance of all frames once some are known: the exact answer to image-to-video and its kin.

    mean + C[:, k] C[k, k]^-1 (values - mean[k]),  C - C[:, k] C[k, k]^-1 C[k, :]

    Args:
        mean: mean of each frame (f,).
        cov: covariance between frames C (f, f), positive definite.
        known: known frames k, n of them; negative ones count from the end.
        values: their values (n,).

    Raises:
        ValueError: a frame is outside the video or named twice, the number of values is not the number of known frames,
            or mean and covariance are not those of a Gaussian.
    """
    k = frame_indices(known, len(mean))
    if len(values) != len(k):
        raise ValueError(f"{counted(len(values), 'value')} for {counted(len(k), 'known frame')}: give one for each.")
    _check_gaussian(mean, cov)
    wide = torch.promote_types(torch.promote_types(mean.dtype, cov.dtype), torch.float32)
    mean, cov, values = mean.to(wide), cov.to(wide), values.to(wide)
    gain = torch.linalg.solve(cov[k][:, k], cov[:, k], left=False)
    return mean + gain @ (values - mean[k]), cov - gain @ cov[k]
