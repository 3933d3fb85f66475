"""Does the distance from the base predict how much text alignment is lost? Read from the table `forgetting`."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval, bootstrap_of
from pusa_lab.sentences import counted
from small_models.experiments.pairs import signed
from small_models.experiments.records import Found, MissingError, Record, ResultRow, interval, row_of, table_of
from small_models.experiments.rows import pick, share, values

DISTANCES = ("latent_distance", "velocity_distance", "feature_distance")
"""Distances from the base in the table."""
ALL, VTA = "all", "one timestep per frame"
"""Of which rows a correlation is: all, or those without Wan's way and the control."""


@checked
def rank_correlation(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """Spearman's rank correlation: 1 if y rises wherever x does, -1 if it always falls; NaN if one is constant.

    Pearson's correlation of the ranks, where equal numbers share their mean rank.

    Args:
        x: numbers (n,), n at least 2.
        y: as many.

    Raises:
        ValueError: there are not as many of both, fewer than 2, or some are NaN.

    Source: Spearman, Am. J. Psychol. 15, 1904.
    """
    if len(x) < 2 or x.isnan().any() or y.isnan().any():
        raise ValueError(f"x has {counted(len(x), 'number')}, or there are NaNs: give 2 or more, without any NaN.")
    return _correlated(x.detach(), y.detach())


def _correlated(x: Tensor, y: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([_ranks(x), _ranks(y)]))[0, 1])


def _ranks(x: Tensor) -> Tensor:
    """Twice the mean rank of every number, counted from 0, but for a constant."""
    return torch.sign(x[:, None] - x).double().sum(1)


@checked
def prediction(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """Rank correlation of each distance with the text alignment lost, over the rows of the table `forgetting`.

    The intervals resample whole trainings, because the models along one training are much alike.

    Args:
        rows: of the table; a distance that a row lacks is left out.

    Returns:
        For each distance and ALL or VTA: distance, rows, correlation (with its interval), and the numbers of
        "measured" rows and of "trainings". A set of fewer than 2 trainings is left out.

    Raises:
        ValueError: a row has no text alignment.
    """
    found, every = list[dict[str, Any]](), [row_of(row) for row in rows]
    for name, some in {ALL: every, VTA: [row for row in every if _per_frame(row)]}.items():
        trainings = [(row["key"]["timestep_sampler"], row["key"]["rank"]) for row in some]
        if len(set(trainings)) < 2:
            continue
        lost = torch.tensor([interval(row, "alignment_lost").mean for row in some])
        for distance in DISTANCES:
            if any(distance not in row["scores"] for row in some):
                continue
            far = torch.tensor([interval(row, distance).mean for row in some])
            rank_correlation(far, lost)  # which refuses what has no ranks

            def correlation(rows: Tensor, far: Tensor = far, lost: Tensor = lost) -> float:
                return _correlated(far[rows], lost[rows])

            about = {"measured": len(some), "trainings": len(set(trainings))}
            value = list(bootstrap_of(correlation, trainings))
            found.append({"distance": distance, "rows": name, "correlation": value, **about})
    return found


def _per_frame(row: Record) -> bool:
    return not row["key"]["timestep_sampler"].startswith(("Wan's way", "shared"))


@checked
def forgetting_verdict(found: Found) -> tuple[bool | None, str]:
    """Whether independent timesteps lose no text alignment, and whether the distance tells what is lost.

    Args:
        found: the table `forgetting`.

    Raises:
        ValueError: rows or correlations are missing.
    """
    table = table_of(found)
    rows = table["rows"]
    longest = max(values(rows, "share"), default=0)
    if not longest:
        raise MissingError(f"{table.where} has no row of a training: measure it anew.")
    last = pick(rows, share=longest)
    worse = [row for row in rows if interval(row, "alignment_lost").low > 0]
    named = ", ".join(f"{_label(row)} at {share(row['key']['share'])}" for row in worse)
    listed = "; ".join(f"{_label(row)} {_points(row)}" for row in last)
    told = "; ".join(f"{one['distance'].replace('_', ' ')} {_told(one)}" for one in table["prediction"])
    ours = pick(rows, timestep_sampler="independent")
    fine = not any(row in worse for row in ours) if ours else None
    return fine, (
        f"The paper calls the adaptation non-destructive; here, after {share(longest)} of the base's training, text "
        f"alignment lost in points, and the distance of the latents: {listed}. Clearly lost by: {named or 'none'}. "
        f"Rank correlation of the distance with what is lost: {told or 'too few trainings'}."
    )


def _label(row: Record) -> str:
    rank = row["key"]["rank"]
    return f"{row['key']['timestep_sampler']} ({rank if isinstance(rank, str) else f'rank {rank}'})"


def _points(row: Record) -> str:
    lost, far = interval(row, "alignment_lost"), interval(row, "latent_distance").mean
    return f"{signed(lost, 100, 1)} at {far:.2f}"


def _told(one: Record) -> str:
    if None in one["correlation"]:
        return f"none ({one['rows']})"
    found = Interval(*one["correlation"])
    says = (
        "predicts it" if found.low > 0 else "predicts the opposite" if found.high < 0 else "does not clearly predict it"
    )
    over = f"{counted(one['measured'], 'row')} of {counted(one['trainings'], 'training')}, {one['rows']}"
    return f"{signed(found)[:-1]}; {over}) {says}"
