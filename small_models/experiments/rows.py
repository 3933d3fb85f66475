"""What pictures take from the rows of a results file, and what their axes say."""

from collections.abc import Sequence
from typing import Any

from pusa_lab.viz.results import EMPTY, Numbers
from small_models.entries import needs_entries
from small_models.experiments.report import HUNDREDS
from small_models.suite import VBENCH

Row = dict[str, Any]
NAMES = {
    "psnr": "PSNR of the frames not given, dB",
    "known_psnr": "PSNR of the given frames, dB",
    "total": "Total, of 100",
    "position_error": "objects off by, pixels",
    "text_alignment": "text alignment, %",
    "direction": "direction as told, %",
    "physics_error": "off the law of motion, pixels",
    "motion": "motion, 1 is the truth's",
    "boundary_position": "jump at the boundary, pixels",
    "psnr_frame": "PSNR, dB",
    "colour_error_frame": "mean colour off by, of 255",
}
"""Score -> what its axis says."""


@needs_entries
def numbers(row: Row | None, name: str) -> Numbers:
    """Mean and interval as the axes of NAMES show them; EMPTY if there are none.

    Args:
        row: of a table, or None.
        name: of the score.
    """
    value = row.get("scores", {}).get(name) if row else None
    if value is None or None in value:
        return EMPTY
    return [(100 if name in HUNDREDS or name in VBENCH else 1) * v for v in value]


@needs_entries
def values(rows: Sequence[Row], key: str) -> list[Any]:
    """The different values of a part of the keys, in the order of the rows.

    Args:
        rows: of a table.
        key: the part.
    """
    return list(dict.fromkeys(row["key"][key] for row in rows if key in row["key"]))


@needs_entries
def pick(rows: Sequence[Row], **key: Any) -> list[Row]:
    """The rows whose keys have all this.

    Args:
        rows: of a table.
        **key: wanted.
    """
    return [row for row in rows if all(row["key"].get(k) == v for k, v in key.items())]


@needs_entries
def one(rows: Sequence[Row], **key: Any) -> Row | None:
    """The first of them, or None.

    Args:
        rows: of a table.
        **key: wanted.
    """
    return next(iter(pick(rows, **key)), None)


@needs_entries
def line(rows: Sequence[Row], x: str, name: str) -> list[tuple[float | int, Numbers]]:
    """Points for `plot_lines`.

    Args:
        rows: of one line.
        x: part of the key that goes across.
        name: of the score.
    """
    return [(row["key"][x], numbers(row, name)) for row in rows]
