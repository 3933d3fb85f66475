"""The totals of VBench-I2V: weighted means of all dimensions after normalization."""

from collections.abc import Mapping

from pusa_lab.arguments import checked

RANGES: dict[str, tuple[float, float]] = {
    "subject_consistency": (0.1462, 1.0),
    "i2v_subject": (0.1462, 1.0),
    "background_consistency": (0.2615, 1.0),
    "i2v_background": (0.2615, 1.0),
    "motion_smoothness": (0.706, 0.9975),
    "dynamic_degree": (0.0, 1.0),
    "aesthetic_quality": (0.0, 1.0),
    "imaging_quality": (0.0, 1.0),
    "camera_motion": (0.0, 1.0),
}
"""Lowest and highest value of each dimension, as VBench sets them."""
QUALITY: dict[str, float] = {
    "subject_consistency": 1.0,
    "background_consistency": 1.0,
    "motion_smoothness": 1.0,
    "dynamic_degree": 0.5,
    "aesthetic_quality": 1.0,
    "imaging_quality": 1.0,
}
"""Weights of the dimensions that are measured on the video alone."""
I2V: dict[str, float] = {"i2v_subject": 1.0, "i2v_background": 1.0, "camera_motion": 0.1}
"""Weights of the dimensions that compare with the given picture and caption."""


@checked
def totals(
    scores: Mapping[str, float | int], ranges: Mapping[str, tuple[float | int, float | int]] = RANGES
) -> dict[str, float]:
    """Compute the quality and I2V totals and their mean, as VBench-I2V does.

    n = (score - low) / (high - low); quality = sum(w n) / sum(w) with the weights QUALITY, i2v with I2V,
    total = (quality + i2v) / 2

    Dimensions that are missing in `scores` are omitted from both sums; names that are not dimensions are ignored.

    The total cannot carry a comparison of models: a clip that stands still has as much as the truth, or more, since all
    dimensions but dynamic_degree reward it. Where the truth is known, compare by `skill`, which it cannot win.

    Args:
        scores: dimension -> score, as fractions, not percent.
        ranges: dimension -> (low, high).

    Returns:
        {"quality": ..., "i2v": ..., "total": ...}, as fractions.

    Raises:
        ValueError: there is no dimension of QUALITY or none of I2V, a score is above 1 and so may be percent, or a
            dimension has no range.

    Source: VBench (2311.17982, 2411.13503); checked against Table 1 of Pusa (2507.16116).
    """
    out = {}
    for name, weights in (("quality", QUALITY), ("i2v", I2V)):
        found = {key: weight for key, weight in weights.items() if key in scores}
        if not found:
            raise ValueError(f"scores has {sorted(scores)}: the {name} total needs at least one of {list(weights)}.")
        if high := [key for key in found if scores[key] > 1 + 1e-6]:
            raise ValueError(f"scores of {high} are above 1: give fractions, not percent.")
        if bad := [key for key in found if key not in ranges or not ranges[key][0] < ranges[key][1]]:
            raise ValueError(f"ranges has no (low, high) with low < high for {bad}: give one for each dimension.")
        parts = [w * (scores[key] - ranges[key][0]) / (ranges[key][1] - ranges[key][0]) for key, w in found.items()]
        out[name] = sum(parts) / sum(found.values())
    return out | {"total": (out["quality"] + out["i2v"]) / 2}
