"""Distance between two sets of clips in a space of features."""

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked


@checked
def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance between Gaussians with the means and covariances of two sets: 0 if these are equal.

    |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), covariances with n - 1, in float64

    It is biased upward, more so for fewer samples, so compare only distances with equal n.

    Args:
        a: features (n, d), one row per clip, n at least 2.
        b: features (m, d), m at least 2.

    Raises:
        ValueError: a set has fewer than 2 rows, the sets have different numbers of features, or numbers are not finite.

    Source: Dowson, Landau, J. Multivariate Anal. 12, 1982; FID (1706.08500), FVD (1812.01717).
    """
    for x in (a, b):
        if x.ndim != 2 or len(x) < 2 or x.shape[1] != a.shape[1] or not x.shape[1] or not x.isfinite().all():
            raise ValueError(
                f"features of shapes {tuple(a.shape)} and {tuple(b.shape)}: give finite (n, d) and (m, d), n and m at "
                "least 2."
            )
    a, b = a.detach().double(), b.detach().double()
    s_a, s_b = (torch.cov(x.T).view(x.shape[1], -1) for x in (a, b))
    root = _root(s_a)
    # S_a S_b has the eigenvalues of the symmetric root(S_a) S_b root(S_a).
    shared = torch.linalg.eigvalsh(root @ s_b @ root).clamp(min=0).sqrt().sum()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return max(0.0, (apart + s_a.trace() + s_b.trace() - 2 * shared).item())


def _root(s: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    values, vectors = torch.linalg.eigh(s)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
