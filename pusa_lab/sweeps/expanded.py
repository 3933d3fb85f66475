"""Percentile intervals of few groups, made as wide as they must be."""

from math import cos, exp, lgamma, log, log1p, pi, sin, sqrt, tan
from statistics import NormalDist

from pusa_lab.arguments import checked

MANY = 1000
"""Groups from which on the correction is too small to matter."""


@checked
def expanded_level(level: float, groups: int) -> float:
    """Level of the percentile interval that covers with probability `level` when only a few groups are resampled.

    2 Phi(sqrt(n / (n - 1)) t) - 1, where t is the quantile of Student's distribution with n - 1 degrees of freedom for
    which P(|T| < t) = level, and Phi the normal distribution

    The bootstrap's means vary by sqrt((n - 1) / n) too little, and their quantiles take the variance for known. For
    normal means the widened interval is the t interval.

    Args:
        level: between 0 and 1.
        groups: n, at least 2.

    Raises:
        ValueError: the level or number is out of range.

    Source: Hesterberg, What teachers should know about the bootstrap, The American Statistician 69(4), 2015.
    """
    if not 0 < level < 1 or groups < 2:
        raise ValueError(f"level={level} of groups={groups}: give a level between 0 and 1, and at least 2 groups.")
    if groups >= MANY:
        return level
    return 2 * NormalDist().cdf(sqrt(groups / (groups - 1)) * t_quantile(level, groups - 1)) - 1


@checked
def t_quantile(level: float, degrees: float) -> float:
    """The t for which P(|T| < t) = level under Student's distribution.

    Args:
        level: between 0 and 1.
        degrees: of freedom, from 1 to MANY, whole or not: Satterthwaite's seldom are whole.

    Raises:
        ValueError: the level or number is out of range.
    """
    if not 0 < level < 1 or not 1 <= degrees <= MANY:
        raise ValueError(f"level={level}, degrees={degrees}: give a level between 0 and 1, and 1 to {MANY} degrees.")
    low, high = 0.0, pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < level else (low, middle)
    return sqrt(degrees) * tan(low)


def _within(angle: float, degrees: float) -> float:
    """P(|T| < sqrt(degrees) tan(angle)) = I_x(1/2, degrees/2) at x = sin(angle)^2, from the faster side."""
    x, rest = sin(angle) ** 2, cos(angle) ** 2
    return _beta(x, 1 / 2, degrees / 2) if x < rest else 1 - _beta(rest, degrees / 2, 1 / 2)


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b) by its power series, for 0 < x <= 1/2.

    x^a (1 - x)^b / (a B(a, b)) sum_k x^k prod_j (a + b + j) / (a + 1 + j), over j < k: DLMF 8.17.8
    """
    log_beta = lgamma(a) + lgamma(b) - lgamma(a + b)
    term = total = exp(a * log(x) + b * log1p(-x) - log_beta) / a
    k = 0
    while term > 1e-17 * total:
        term *= x * (a + b + k) / (a + 1 + k)
        total += term
        k += 1
    return total
