"""What a text-to-video toy should reach, and by how much it misses it."""

from typing import Any, SupportsFloat

from pusa_lab.arguments import checked
from small_models.records import Record, check_entries

SHARES = {"colour_and_shape_right": 0.9, "direction_right": 0.8}
"""Smallest share of what captions of OBJECTS ask for that the reader must confirm, per object and of whole captions."""
OBJECTS = (1, 2)
BEATEN = ("base_with_untrained_timestep_vectors", "base_with_replacement")
"""What an adapted model must clearly beat in image-to-video, at every latent frame."""
MEASURED = {
    "text_to_video": dict[str, dict[str, SupportsFloat]],
    "gain_over": dict[str, dict[str, list[SupportsFloat]]],
}
"""What `compare` reads of a model's entry, and its types."""
CLEARLY = 2.0
"""Standard errors of the paired gain."""


@checked
def compare_with_goals(metrics: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Each goal with the value measured, the goal, and how much is missing (0 if it is met).

    Gains are in dB, one for each latent frame after the first, and what is missing is the most that one of them lacks.

    Args:
        metrics: from `evaluate.measure`.
        name: of the model's entry in it.

    Raises:
        ValueError: the entry, or a number in it, is missing or has another type.
    """
    found: dict[str, dict[str, Any]] = {}
    measured = Record(metrics, "metrics")[name]
    check_entries(measured, MEASURED, f"{name!r:.60} of metrics", tuple(MEASURED))
    spoken = measured["text_to_video"]
    for n in (n for n in OBJECTS if f"{n}_objects" in spoken):
        for label, goal in SHARES.items():
            for what in (label, f"{label}_whole_caption"):
                value = spoken[f"{n}_objects"][what]
                found[f"{n}_objects {what}"] = {"value": value, "goal": goal, "missed_by": max(goal - value, 0.0)}
    for other in (key for key in BEATEN if key in measured["gain_over"]):
        gain = measured["gain_over"][other]
        if len(gain["stderr"]) != len(gain["db_by_latent_frame"]):
            raise ValueError(f"{gain.where} has other frames in its errors than in its gains: measure it anew.")
        least = [CLEARLY * error for error in gain["stderr"]]
        missing = [goal - value for goal, value in zip(least, gain["db_by_latent_frame"], strict=True)]
        values = gain["db_by_latent_frame"]
        found[f"gain_over {other}"] = {"value": values, "goal": least, "missed_by": max(0.0, *missing)}
    return found
