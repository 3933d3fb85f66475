"""Rows of a results file: chosen by their keys, and as the points that pictures show."""

from collections.abc import Sequence
from typing import Any

from pusa_lab.arguments import checked, shown
from pusa_lab.viz.results import EMPTY, Numbers
from small_models.evaluation.suite import VBENCH
from small_models.experiments.records import HUNDREDS, Found, MissingError, Record, ResultRow, row_of, table_of

NAMES = {
    "skill": "skill, 0 stands still, 1 is the truth",
    "psnr": "PSNR of the frames not given, dB",
    "known_psnr": "PSNR of the given frames, dB",
    "total": "Total, of 100",
    "position_error": "objects off by, pixels",
    "velocity_error": "velocity off by, pixels per frame",
    "relative_velocity_error": "velocity off by, 1 is the true speed",
    "pace": "pace, 1 is the true speed",
    "size": "radius, 1 is the truth's",
    "shape": "colour and shape right, %",
    "text_alignment": "text alignment, %",
    "direction": "direction as prompted, %",
    "physics_error": "off the law of motion, pixels",
    "motion": "motion, 1 is the truth's",
    "boundary_position": "jump at the boundary, pixels",
    "psnr_frame": "PSNR, dB",
    "colour_error_frame": "mean colour off by, of 255",
    "latent_distance": "distance of the latents from the base's",
    "velocity_distance": "distance of the velocities from the base's",
    "feature_distance": "distance of the features from the base's",
    "alignment_lost": "text alignment lost, points",
}
"""Score -> what its axis says."""


@checked
def score_numbers(row: ResultRow | None, name: str) -> Numbers:
    """A score's mean and interval in the units of NAMES; EMPTY if the row has none.

    Args:
        row: of a table, or None.
        name: of the score.
    """
    value = row_of(row).get("scores", {}).get(name) if row is not None else None
    if not isinstance(value, list) or len(value) != 3 or None in value:
        return EMPTY
    return [(100 if name in HUNDREDS or name in VBENCH else 1) * v for v in value]


@checked
def values(rows: Sequence[ResultRow], key: str) -> list[Any]:
    """The different values of one part of the keys, in the order of the rows.

    Args:
        rows: of a table.
        key: the part, such as "way"; rows without it are passed over.
    """
    found: list[Any] = []
    for here in (row_of(row)["key"] for row in rows):
        if key in here and here[key] not in found:
            found.append(here[key])
    return found


@checked
def pick(rows: Sequence[ResultRow], **key: Any) -> list[Record]:
    """The rows whose keys have all these parts.

    Args:
        rows: of a table.
        **key: parts of the key and their values, such as way="VTA, all weights".

    Raises:
        ValueError: a value is of a type that no key has.
    """
    for name, value in key.items():
        if not isinstance(value, str | int | float | list | None):
            raise ValueError(f"{name} is {shown(value)}: give a text, a number, a list or None, as keys have them.")
    return [row for row in map(row_of, rows) if all(row["key"].get(k) == v for k, v in key.items())]


@checked
def one(rows: Sequence[ResultRow], **key: Any) -> Record | None:
    """The first row whose key has all these parts, or None.

    Args:
        rows: of a table.
        **key: as for `pick`.
    """
    return next(iter(pick(rows, **key)), None)


@checked
def find_row(found: Found, **key: Any) -> Record:
    """The first row of a table whose key has all these parts.

    Args:
        found: a table.
        **key: parts of the key and their values.

    Raises:
        ValueError: there is none.
    """
    table = table_of(found)
    if (row := one(table["rows"], **key)) is None:
        name = table["table"]
        raise MissingError(f"{name} has no row {key!s:.200}: run `pusa-lab bench paper --table {name}` anew.")
    return row


@checked
def line_of(rows: Sequence[ResultRow], x: str, name: str) -> list[tuple[float | int, Numbers]]:
    """Points for `plot_lines`.

    Args:
        rows: of one line.
        x: part of the key that goes across, a number in every row.
        name: of the score.

    Raises:
        ValueError: a row has no such number in its key.
    """
    found: list[tuple[float | int, Numbers]] = []
    for row in map(row_of, rows):
        at = row["key"][x]
        if not isinstance(at, int | float):
            raise ValueError(f"{x!r:.60} of {row.where} is {shown(at)}: give a part of the key that is a number.")
        found.append((at, score_numbers(row, name)))
    return found


@checked
def share(value: float) -> str:
    """A share of the base's training as a fraction.

    Args:
        value: above 0.

    Raises:
        ValueError: it is 0 or below, or so small that no fraction is left.
    """
    if not value >= 1e-12:
        raise ValueError(f"value={value:g}: give a share of the training above 0.")
    return f"1/{round(1 / value):,}" if value < 1 else f"{value:g}"
