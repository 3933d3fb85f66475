"""The scores of a row by metric: those that are kept, and others from the kept clip or from a result that is made."""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from pusa_lab.runs import Result
from pusa_lab.sweeps.scores import Metric, scores_of
from pusa_lab.sweeps.settings import COLUMNS
from pusa_lab.sweeps.store import Row, UnfitScoreError, sentence_of

NOT_KEPT = frozenset(field.name for field in fields(Result)) - {"video"}
"""Fields of a result that a kept clip does not have."""


class NotKeptError(RuntimeError):
    """A metric reads something of a result that was not kept."""


class KeptResult(Result):
    """A row's kept clip in place of its result: the video can be read, and nothing else.

    Args:
        clip: (frames, h, w, 3) uint8.
    """

    def __init__(self, clip: np.ndarray) -> None:
        object.__setattr__(self, "video", clip[None])

    def __getattribute__(self, name: str) -> Any:
        if name in NOT_KEPT:
            raise NotKeptError(f"only the video of the result was kept, and not its {name}")
        return super().__getattribute__(name)


@dataclass(frozen=True)
class Scoring:
    """What is to be known of one row."""

    wanted: Mapping[str, Metric | None]
    """Digest of a metric, and of the truth if it needs that -> the metric; None if the function returns the scores."""
    truth: Any
    """The truth of the row."""
    seed: int
    """Seed of the row: the random numbers of every metric start from it."""
    setting: Mapping[str, Any]
    """The settings of the row, whose names no score may have."""
    retry: bool
    """Whether scores that failed are missing."""

    def missing(self, row: Row) -> list[str]:
        """Digests of the metrics that a row lacks.

        Args:
            row: as the store has it: digest of a metric -> its scores, or its error as text.
        """
        kinds = dict if self.retry else dict | str
        return [key for key in self.wanted if not isinstance(row["scores"].get(key), kinds)]

    def read(self, row: Row) -> Row:
        """The row with the scores of the metrics that are wanted by their columns; without any if one of them failed.

        Args:
            row: as the store has it, with all that is wanted.
        """
        found = [row["scores"].get(key, row["error"]) for key in self.wanted]
        error = next((one for one in found if isinstance(one, str)), "")
        return row | {"scores": {} if error else {k: v for one in found for k, v in one.items()}, "error": error}

    def score(self, key: str, result: Any, is_first: Callable[[str], bool]) -> dict[str, float] | str:
        """The scores of a metric by their columns, or its error.

        Args:
            key: digest of the metric.
            result: of the row.
            is_first: whether no row has been scored by the metric so far.

        Raises:
            NotKeptError: the result is a kept clip, and the metric reads more.
            UnfitScoreError: the metric returns no numbers, for the first row of all.
        """
        metric = self.wanted[key]
        try:
            with seeded(self.seed):
                scores = scores_of([] if metric is None else [metric], result, self.truth)
            if taken := scores.keys() & {*self.setting, *COLUMNS}:
                raise UnfitScoreError(f"a score is called {min(taken)!r:.40}, as another column: give it another name.")
        except NotKeptError:
            raise
        except Exception as fault:  # of a person's metric
            if isinstance(fault, UnfitScoreError) and is_first(key):
                raise
            return sentence_of(fault)
        return scores

    def changed(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
        """Whether a row that was made again has other scores than before.

        Args:
            before: digest of a metric -> scores, or an error.
            now: likewise.
        """
        return any(isinstance(one := before.get(key), dict) and one != now[key] for key in now)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of torch, NumPy and Python that start from the seed, until the block ends.

    Args:
        seed: any whole number.
    """
    before, numpy_before = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(numpy_before)
