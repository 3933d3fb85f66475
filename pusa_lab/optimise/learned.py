"""Learned schedules, and learned noise on known frames, for a score of any kind."""

import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import chain, count
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import called, checked, shown
from pusa_lab.files import writing
from pusa_lab.optimise.evolution import Evolution
from pusa_lab.progress import progress_bar
from pusa_lab.sampling_inputs import AnySchedule, as_matrix, schedule_name
from pusa_lab.schedules import as_schedule, noise_levels, starts_as_noise
from pusa_lab.types import Levels, Rising, Schedule

Score: TypeAlias = Annotated[Callable[..., Any], 1]
"""(candidate) -> a finite number, of which more is better."""
Vector: TypeAlias = Float[Tensor, " n"]

STARTS = ("synchronous", "pyramid", "autoregressive", "trapezoid", "two_sided", "rolling", "blockwise", "staircase")
"""Schedules of the zoo from the best of which a search starts."""
MOST_LEARNED = 1000
"""Most steps of a learned schedule, each of which costs a call for every candidate, and most learned noise levels."""
LEAST_FALL = 1e-4
"""Fall of a level that counts for one which stays where it is, so that the search can make it fall."""


@checked
@dataclass(frozen=True, eq=False)
class Optimised:
    """A learned schedule: `generate(model, prompt, schedule=found.matrix)`, `viz.plot_schedule(found.matrix)`."""

    matrix: Schedule
    """Noise levels (rows, f), float32; every column falls from 1 to 0."""
    score: float
    """Its score."""
    starts: dict[str, float]
    """Start -> its score, of which the search began at the best."""
    history: list[dict[str, float]]
    """For each generation its number, the best score so far, the mean of its candidates, and the spread of the next."""

    @checked
    def save(self, path: str | Path) -> Path:
        """Write the matrix to a file that `pusa-lab generate --schedule FILE` reads.

        Args:
            path: ends in .npy (for `numpy.load`), .csv or .json.

        Raises:
            ValueError: it ends otherwise.
            OSError: it cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() not in _WRITERS:
            raise ValueError(f"path={str(path)!r:.300}: a schedule is written as one of {', '.join(_WRITERS)}.")
        with writing(path) as part:
            part.write_bytes(_WRITERS[path.suffix.lower()](self.matrix.cpu().numpy()))
        return path

    def _repr_html_(self) -> str:
        """Shown in a notebook: the schedule beside how its score rose, and the starts."""
        best = [max(self.starts.values(), default=self.score), *(step["best"] for step in self.history)]
        door = import_module("pusa_lab.html")
        starts = [[name, f"{score:.4g}"] for name, score in self.starts.items()]
        picture = door.schedule_html(self.matrix, {"best so far": best})
        return picture + str(door.table_html(f"learned: score {self.score:.4g}", ["start", "score"], starts))


@checked
@dataclass(frozen=True, eq=False)
class OptimisedNoise:
    """Learned noise on known frames: `tasks.image_to_video(picture, noise=found.levels)`."""

    levels: list[float]
    """Noise level in [0, 1] of each known frame."""
    score: float
    """Its score."""
    starts: dict[str, float]
    """Start -> its score, of which the search began at the best."""
    history: list[dict[str, float]]
    """As in `Optimised`."""


def _npy(matrix: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, matrix, allow_pickle=False)
    return stream.getvalue()


def _csv(matrix: np.ndarray) -> bytes:
    return "".join(",".join(f"{level:.9g}" for level in row) + "\n" for row in matrix).encode()


def _json(matrix: np.ndarray) -> bytes:
    return (json.dumps([[float(f"{level:.9g}") for level in row] for row in matrix]) + "\n").encode()


_WRITERS = {".npy": _npy, ".csv": _csv, ".json": _json}


@checked
def optimise(
    score: Score,
    steps: int,
    frames: int,
    *,
    start: Any = STARTS,
    shift: float | int = 1.0,
    terms: tuple[int, int] = (3, 3),
    generations: int = 20,
    population: int | None = None,
    spread: float | int = 0.5,
    seed: int = 0,
    progress: bool | None = None,
) -> Optimised:
    """Learn the schedule with the highest score, starting from the best of some schedules.

    S[r, i] = sum of softmax_r(log D[r, i] + sum_kl z_kl cos(pi k (r + 1/2) / steps) cos(pi l (i + 1/2) / frames)) over
    rows from r on, where D[r] = max(S0[r] - S0[r + 1], 1e-4) are the falls of the start; k = 1..terms[0], and
    l = 0..terms[1] - 1

    So every candidate is a schedule, whatever the numbers z, which an evolution strategy searches. The learned schedule
    never scores less than the best start. To learn one column for all frames, give terms=(3, 1) and a start whose
    columns are equal, such as "synchronous".

    Args:
        score: (matrix) -> a finite number, of which more is better; it should use the same prompts and noise for every
            matrix, as that of `generation_score` does.
        steps: rows less one, 2 to 1000: with the solver euler, and guidance aside, calls of the denoiser.
        frames: latent frames, at least 1.
        start: one schedule, several, or name -> schedule, each as `generate` takes it: a name, perhaps with settings, a
            function, or a matrix; the second of the same name is called "<name>, 2". Those with another number of rows
            are interpolated, see `fit_schedule`.
        shift: shift of the starts' sigmas, positive; matrices stay as they are.
        terms: number of cosines along the rows and along the frames, each at least 1; `steps - 1` and `frames` of them
            reach every schedule without a standstill, fewer are found sooner.
        generations: of the search, at least 1.
        population: candidates in each generation, at least 4; None is 4 + 3 log(n) for n numbers z.
        spread: standard deviation of the first candidates' z, above 0 and at most 10.
        seed: of the candidates.
        progress: whether to show a bar; None shows it where it is seen, see `pusa_lab.progress`.

    Raises:
        ValueError: an argument is out of range, a start is no schedule from noise to video or goes back up, or the
            score is no finite number.

    Source: the search is the separable CMA-ES, see `evolution.Evolution`.
    """
    if not 2 <= steps <= MOST_LEARNED:
        raise ValueError(f"steps={steps}: give 2 to {MOST_LEARNED:,}; with one step there is nothing to learn.")
    if min(terms) < 1:
        raise ValueError(f"terms={terms}: give the number of cosines along rows and frames, each at least 1.")
    starts = _starts(start, steps, frames, shift)
    rows, columns = _cosines(steps, terms[0] + 1)[1:], _cosines(frames, terms[1])
    evolution = Evolution(len(rows) * len(columns), generations, population, spread, seed)

    def around(matrix: Schedule, z: Vector) -> Schedule:
        change = rows.T @ z.view(len(rows), len(columns)) @ columns
        falls = ((matrix[:-1] - matrix[1:]).double().clamp(min=LEAST_FALL).log() + change).softmax(0)
        levels = falls.flip(0).cumsum(0).flip(0)
        levels[0] = 1
        return torch.cat([levels.clamp(max=1), levels.new_zeros(1, frames)]).float()

    return Optimised(*_search(score, "matrix", starts, around, evolution, progress))


@checked
def optimise_noise(
    score: Score,
    known: int,
    *,
    start: Sequence[Levels] = (0.0, 0.1, 0.2, 0.5),
    generations: int = 10,
    population: int | None = None,
    spread: float | int = 0.2,
    seed: int = 0,
    progress: bool | None = None,
) -> OptimisedNoise:
    """Learn the noise levels of known frames with the highest score, starting from the best of some levels.

    m_j = |(m0_j + z_j + 1) mod 2 - 1|, with the levels m0 of the start and the numbers z that are searched

    Args:
        score: (levels) -> a finite number, of which more is better; levels is a list with one for each known frame. It
            should use the same prompts and noise for all levels: `lambda levels: score(matrix, noise=levels)` with a
            score from `generation_score`.
        known: number of known frames, 1 to 1000.
        start: each one noise level in [0, 1] for all known frames, or one per frame.
        generations: as for `optimise`.
        population: as for `optimise`.
        spread: standard deviation of the first candidates' z, above 0 and at most 10.
        seed: of the candidates.
        progress: as for `optimise`.

    Raises:
        ValueError: an argument is out of range, or the score is no finite number.
    """
    if not 1 <= known <= MOST_LEARNED:
        raise ValueError(f"known={known}: give the number of known frames, 1 to {MOST_LEARNED:,}.")
    if isinstance(score, torch.nn.Module):
        raise ValueError(f"score is {shown(score)}: give a function, as noise levels are a list and no tensor.")
    if not len(start):
        raise ValueError("start is empty: give at least one noise level to start from.")
    evolution = Evolution(known, generations, population, spread, seed)
    lists = [noise_levels(one, known) for one in start]
    starts = _named(
        (", ".join(f"{m:.4g}" for m in levels), torch.tensor(levels, dtype=torch.float64)) for levels in lists
    )

    def around(levels: Vector, z: Vector) -> Vector:
        return ((levels + z + 1) % 2 - 1).abs()

    def listed(levels: Vector) -> Any:
        return called("the score", score, {"levels": levels.tolist()})

    best, top, scores, history = _search(listed, "levels", starts, around, evolution, progress)
    return OptimisedNoise(best.tolist(), top, scores, history)


def _search(
    score: Score,
    what: str,
    starts: Mapping[str, Tensor],
    around: Callable[[Tensor, Vector], Tensor],
    evolution: Evolution,
    progress: bool | None,
) -> tuple[Tensor, float, dict[str, float], list[dict[str, float]]]:
    """The best of all that were scored: the starts, the candidates of every generation, and the mean of the last."""
    rate, history = partial(_rated, score, what), []
    scores = {name: rate(one, f"the start {name}") for name, one in starts.items()}
    name = max(scores, key=lambda one: scores[one])
    origin, best, top = starts[name], starts[name], scores[name]
    for number in progress_bar(
        range(1, evolution.generations + 1), evolution.generations, what, "generation", progress
    ):
        candidates = [around(origin, z) for z in evolution.ask()]
        values = [rate(one, f"candidate {i} of generation {number}") for i, one in enumerate(candidates)]
        evolution.tell(values)
        if max(values) > top:
            best, top = candidates[values.index(max(values))], max(values)
        about = {"best": top, "mean": sum(values) / len(values), "spread": evolution.spread}
        history.append({"generation": number, **about})
    middle = around(origin, evolution.mean)
    if (value := rate(middle, "the mean of the last generation")) > top:
        best, top = middle, value
    return best, top, scores, history


def _rated(score: Score, what: str, candidate: Tensor, which: str) -> float:
    value = called("the score", score, {what: candidate.clone()})
    if isinstance(value, Tensor | np.ndarray | np.generic) and math.prod(value.shape) == 1:
        value = value.item()
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"the score of {which} is {shown(value)}: return a finite number, of which more is better.")
    return float(value)


def _cosines(n: int, count: int) -> Float[Tensor, "count n"]:
    """cos(pi k (i + 1/2) / n) for k = 0..count - 1, of which at most n differ."""
    k, i = torch.arange(min(count, n), dtype=torch.float64), torch.arange(n, dtype=torch.float64)
    return torch.cos(math.pi * k[:, None] * (i + 0.5) / n)


def _starts(start: Any, steps: int, frames: int, shift: float | int) -> dict[str, Schedule]:
    """The schedules to start from by name, all with the same rows."""
    if isinstance(start, Mapping):
        named = {str(name): one for name, one in start.items()}
    else:
        alone = isinstance(start, str | Tensor | np.ndarray | Rising) or callable(start) or _is_rows(start)
        each = [start] if alone or not isinstance(start, Sequence) else start
        named = _named(
            (one if isinstance(one, str) else schedule_name(one) or f"matrix {i}", one) for i, one in enumerate(each)
        )
    if not named:
        raise ValueError("start is empty: give at least one schedule to start from.")
    return {name: fit_schedule(one, steps, frames, shift) for name, one in named.items()}


def _is_rows(start: Any) -> bool:
    """Whether it is one matrix, as rows of numbers."""
    rows = start if isinstance(start, Sequence) else []
    return any(isinstance(level, Real) for row in rows if isinstance(row, Sequence) for level in row)


def _named(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The starts by name; the second "pyramid" is "pyramid, 2"."""
    found: dict[str, Any] = {}
    for name, one in pairs:
        names = chain([name], (f"{name}, {i}" for i in count(2)))
        found[next(free for free in names if free not in found)] = one
    return found


@checked
def fit_schedule(schedule: AnySchedule, steps: int, frames: int, shift: float | int = 1.0) -> Schedule:
    """Interpolate a schedule linearly to so many rows that schedules can be compared at equal calls.

    S'[j] = S[a] + (j R / steps - a) (S[a + 1] - S[a]), a = min(floor(j R / steps), R - 1), where S has R + 1 rows

    Args:
        schedule: as `generate` takes it: a name, perhaps with settings, a function, or a matrix (rows, f).
        steps: rows of the result less one, 1 to 1000; also the steps of each frame in the schedule of a name.
        frames: latent frames, at least 1.
        shift: shift of the sigmas of a name or function, positive; a matrix stays as it is.

    Returns:
        Noise levels (steps + 1, frames), float32.

    Raises:
        ValueError: an argument is out of range, or the schedule is not valid, goes back up, has a matrix for each
            sample, or does not start at noise.
    """
    if not 1 <= steps <= MOST_LEARNED:
        raise ValueError(f"steps={steps}: give 1 to {MOST_LEARNED:,}.")
    named = isinstance(schedule, str) or callable(schedule)
    made = as_matrix(schedule, steps, frames, own_shift=shift) if named else as_matrix(schedule, frames=frames)
    name = schedule_name(schedule) or "the schedule"
    if isinstance(made, Rising) or made.ndim != 2:
        raise ValueError(f"{name} goes back up, or has a matrix for each sample: give one that only falls.")
    matrix = as_schedule(made, name=name).to("cpu", torch.float32)
    if low := [i for i, level in enumerate(matrix[0].tolist()) if not starts_as_noise(level)]:
        raise ValueError(
            f"{name} starts frame {low[0]} at {matrix[0, low[0]]:.4g}: start every frame at 1, because the task alone "
            "sets the levels of known frames."
        )
    if len(matrix) == steps + 1:
        return matrix
    at = torch.linspace(0, len(matrix) - 1, steps + 1, dtype=torch.float64)
    row = at.long().clamp(max=len(matrix) - 2)
    here, there = matrix[row], matrix[row + 1]
    return torch.maximum(here + (at - row)[:, None].float() * (there - here), there)
