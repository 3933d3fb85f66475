"""Progress bars with the time left: rows of a generation or a sweep, clips of an encoding, gigabytes of a load.

They are tqdm's, if it is installed. They appear where somebody watches: on a terminal, and in a notebook that is open
in a front end; not in a notebook that papermill or nbconvert executes, nor in a file or a pipe. A bar is removed when
it has ended, so that stored outputs hold none. `progress=False` switches off those of one call, and the environment
variable PUSA_LAB_PROGRESS=0 all that were not asked for.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import TypeVar

T = TypeVar("T")
SWITCH = "PUSA_LAB_PROGRESS"
"""Environment variable that switches bars off if it is 0."""
OPEN = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
"""Environment variables of a kernel that a front end has started: Jupyter, VS Code, Colab."""


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def watched() -> bool:
    """Whether a bar would be seen: on a terminal or in a live notebook, not in one that papermill executes."""
    if os.environ.get(SWITCH) == "0":
        return False
    if _in_notebook():
        return any(name in os.environ for name in OPEN)
    return sys.stderr is not None and sys.stderr.isatty()


def in_open_notebook() -> bool:
    """Whether this is the kernel of a notebook that somebody has open, whose outputs are seen at once."""
    return _in_notebook() and watched()


@contextlib.contextmanager
def bar(total: float | None, title: str, unit: str, progress: bool | None = None) -> Iterator[Callable[..., None]]:
    """Context manager for a progress bar: gives `advance(n=1, **notes)`, which does nothing if no bar is shown.

    Args:
        total: what n adds up to; None if it is not known.
        title: before the bar, such as "sampling".
        unit: of the total, such as "row".
        progress: whether to show the bar; None shows it where it is seen, see `watched`.
    """
    if not (watched() if progress is None else progress) or find_spec("tqdm") is None:
        yield lambda n=1, **notes: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=title, unit=unit, leave=False, dynamic_ncols=True) as shown:

        def advance(n: float = 1, **notes: object) -> None:
            shown.set_postfix(notes, refresh=False)
            shown.update(n)

        yield advance


def progress_bar(
    steps: Iterable[T], total: int | None, title: str, unit: str, progress: bool | None = None
) -> Iterator[T]:
    """The same steps, with a bar that says how many are done and how long the rest will take.

    Args:
        steps: what is iterated over.
        total: number of steps; None if it is not known.
        title: at the left of the bar.
        unit: name of a step.
        progress: as `bar`.
    """
    with bar(total, title, unit, progress) as advance:
        for step in steps:
            yield step
            advance()
