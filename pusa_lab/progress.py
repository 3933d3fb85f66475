"""Progress bars with the time left, where somebody is watching."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def watched() -> bool:
    """Whether a bar would be seen: on a terminal or in a live notebook, not in one that papermill executes."""
    return sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ or "google.colab" in sys.modules


def progress_bar(steps: Iterable[T], total: int, title: str, unit: str, progress: bool | None = None) -> Iterator[T]:
    """The same steps, with a bar that says how many are done and how long the rest will take.

    Args:
        steps: what is iterated over.
        total: number of steps.
        title: at the left of the bar.
        unit: name of a step.
        progress: whether to show the bar; None shows it where it is seen, see `watched`.
    """
    if not (watched() if progress is None else progress):
        yield from steps
        return
    from tqdm.auto import tqdm

    yield from tqdm(steps, desc=title, total=total, unit=unit, leave=False)
