"""Progress bars: rows of a generation, clips of an encoding, gigabytes of a load, with the time left.

They are tqdm's, if it is installed. They appear where somebody watches: on a terminal, and in a notebook that is open
in a front end; not in a notebook that papermill or nbconvert executes, nor in a file or a pipe. A bar is removed when
it has ended, so that stored outputs hold none. `progress=False` switches off those of one call, and the environment
variable PUSA_LAB_PROGRESS=0 all of them.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from pusa_lab.arguments import checked

SWITCH = "PUSA_LAB_PROGRESS"
"""Environment variable that switches all bars off if it is 0."""
OPEN = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
"""Environment variables of a kernel that a front end has started: Jupyter, VS Code, Colab."""


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules and "IPython" in sys.modules


def watched() -> bool:
    """Whether bars are shown here: on a terminal or in an open notebook, if tqdm is installed and nobody said no."""
    if os.environ.get(SWITCH) == "0" or find_spec("tqdm") is None:
        return False
    if _in_notebook():
        return any(name in os.environ for name in OPEN)
    return sys.stderr is not None and sys.stderr.isatty()


@contextlib.contextmanager
@checked
def bar(total: float | int, title: str, unit: str, progress: bool = True) -> Iterator[Callable[..., None]]:
    """Context manager for a progress bar: gives `advance(n=1, **notes)`, which does nothing if no bar is shown.

    Args:
        total: what n adds up to.
        title: before the bar, such as "sampling".
        unit: of the total, such as "row".
        progress: False shows none.
    """
    if not (progress and watched()):
        yield lambda n=1, **notes: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=title, unit=unit, leave=False, dynamic_ncols=True) as shown:

        def advance(n: float = 1, **notes: object) -> None:
            shown.set_postfix(notes, refresh=False)
            shown.update(n)

        yield advance
