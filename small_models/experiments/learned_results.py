"""What the table of learned schedules says: one sentence, and its picture."""

from collections.abc import Mapping, Sequence
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted
from pusa_lab.viz import results as plots
from pusa_lab.viz.results import Figure, Numbers
from small_models.experiments import rows as take
from small_models.experiments.pairs import clearly, lead, signed
from small_models.experiments.records import Found, MissingError, Record, table_of
from small_models.records import check_entries

PLAIN = "synchronous"
"""What all others are compared with."""
SHARED, LEARNED, NOISE = "learned, one for all frames", "learned", "synchronous, learned noise"
BOTH = "learned, learned noise"
"""Names of what is learned, beside the schedules of the zoo."""


@checked
def learned_verdict(found: Found) -> tuple[bool | None, str]:
    """By how much the learned schedules, the learned noise, and the zoo's best other are above synchronous.

    Args:
        found: the table `learned`.

    Raises:
        ValueError: rows to compare are missing.
    """
    found = table_of(found)
    said, signs = list[str](), list[int]()
    for task in take.values(found["rows"], "task"):
        for calls in take.values(found["rows"], "calls"):
            rows = take.pick(found["rows"], task=task, calls=calls)
            plain = take.one(rows, schedule=PLAIN)
            if plain is None or len(rows) < 2:
                raise MissingError(f"learned has no rows to compare for {task} at {calls} calls: measure it anew.")
            chosen = [row for row in rows if row["key"]["schedule"] in (SHARED, LEARNED, NOISE, BOTH)]
            zoo = [row for row in rows if row is not plain and row not in chosen]
            gains = {row["key"]["schedule"]: lead(row, plain) for row in chosen + _best(zoo, chosen)}
            signs += [clearly(gain) for gain in gains.values()]
            listed = ", ".join(f"{name} {signed(gain)}" for name, gain in gains.items())
            said.append(f"{task} at {calls} calls: {listed}")
    return None, (
        f"Nothing was published. PSNR over one timestep for all frames at equal calls, in dB, prompt by prompt, of all "
        f"that was learned, and of the zoo's best on the scenes of learning; clearly above 0 in {signs.count(1)} of "
        f"{counted(len(signs), 'comparison')}: {'; '.join(said)}."
    )


def _best(zoo: Sequence[Record], learned: Sequence[Record]) -> list[Record]:
    """The schedule of the zoo that had the best score where schedules were learned, and not where they are tested."""
    learning: Mapping[str, Any] = next(
        (row.get("learning", {}) for row in learned if row["key"]["schedule"] == LEARNED), {}
    )
    check_entries(learning, {"starts": dict[str, float]}, "'learning' of a row")
    starts = learning.get("starts", {})
    scored = [row for row in zoo if row["key"]["schedule"] in starts]
    return sorted(scored, key=lambda row: -starts[row["key"]["schedule"]])[:1]


@checked
def learned_figure(found: Found) -> Figure:
    """PSNR over synchronous at equal calls for each task, and the learned matrices.

    Args:
        found: the table `learned`.

    Raises:
        ValueError: a row lacks its task, schedule or calls.
    """
    found = table_of(found)
    rows, tasks = found["rows"], take.values(found["rows"], "task")
    drawn = [row for row in take.pick(rows, task=tasks[0], schedule=LEARNED) if "matrix" in row]
    across = max(len(tasks), len(drawn))
    layout = [_padded(tasks, across)] + ([_padded([f"matrix {i}" for i in range(len(drawn))], across)] if drawn else [])
    picture, ax = plots.panels(layout, height=4.8 * len(layout))
    for task in tasks:
        bars = {
            f"{calls:g} calls": _gains(take.pick(rows, task=task, calls=calls)) for calls in take.values(rows, "calls")
        }
        plots.plot_bars(ax[task], bars, from_zero=False)
        ax[task].axvline(0, color="0.6", linewidth=1, zorder=0)
        plots.dress(ax[task], task.replace("_", " "), f"PSNR over {PLAIN}, dB")
    for i, row in enumerate(drawn):
        _matrix(ax[f"matrix {i}"], row["matrix"], f"learned for {row['key']['calls']:g} calls")
    plots.legend(picture, 4)
    return picture


def _gains(rows: Sequence[Record]) -> dict[str, Numbers]:
    """Schedule -> how much more PSNR it has than synchronous, prompt by prompt."""
    plain = take.one(rows, schedule=PLAIN)
    if plain is None:
        return {}
    others = [row for row in rows if row["key"]["schedule"] != PLAIN]
    return {row["key"]["schedule"].replace(", ", ",\n"): [*lead(row, plain)] for row in others}


def _padded(names: Sequence[str], count: int) -> list[str]:
    return [*names, *["."] * (count - len(names))]


def _matrix(ax: Any, matrix: list[list[float]], title: str) -> None:
    form = ".2f" if len(matrix) <= 9 else ""
    rows, frames = [str(i) for i in range(len(matrix))], [str(i) for i in range(len(matrix[0]))]
    plots.plot_grid(ax, matrix, rows, frames, limits=(0.0, 1.0), form=form, colours="cividis")
    plots.dress(ax, title, "latent frame", "row")
