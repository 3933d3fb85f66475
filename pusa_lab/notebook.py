"""Helpers for the chapters: setup, videos, diagrams, files of the course, and immediate checks of exercises."""

import base64
import dis
import html
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import mediapy
import numpy as np
import torch

from pusa_lab import media
from pusa_lab.arguments import checked, shown
from pusa_lab.data.clips import check_times

COURSE = Path(__file__).parent / "tour"
"""Files that the chapters use; in a clone these are links."""
DIAGRAMS = Path(__file__).parent / "diagrams"
IDLE = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "CACHE"}
"""What a function of `...` alone consists of."""
PLAYER = (
    '<figure style="margin:0"><video src="data:video/mp4;base64,{data}" width="{width}" height="{height}" '
    'style="image-rendering:pixelated;max-width:100%;height:auto" controls loop muted playsinline aria-label="{title}" '
    'onloadedmetadata="{plays}"></video>'
    '<figcaption style="width:{width}px;max-width:100%;text-align:center">{title}</figcaption></figure>'
)


class Wrong(AssertionError):
    """An answer that is not right; a notebook shows its sentence alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


@checked
def setup(seed: int = 0, shapes: bool = False) -> str:
    """Seed torch and NumPy, set the plot style, and choose the device.

    Args:
        seed: seed of torch and NumPy, from 0 to 2^32 - 1.
        shapes: whether to check jaxtyping's shapes in the functions of this notebook (needs beartype).

    Returns:
        "cuda" if a GPU is available, else "cpu".

    Raises:
        ValueError: the seed is out of range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed}: give 0 to {2**32 - 1}.")
    torch.manual_seed(seed)
    np.random.seed(seed)
    plt.rcParams.update({"figure.dpi": 80, "axes.titlesize": "medium", "image.cmap": "cividis"})
    if shapes and "IPython" in sys.modules:
        from IPython import get_ipython

        if (shell := get_ipython()) is not None:
            shell.run_line_magic("load_ext", "jaxtyping")
            shell.run_line_magic("jaxtyping.typechecker", "beartype.beartype")
    return "cuda" if torch.cuda.is_available() else "cpu"


@checked
def play(videos: dict[str, np.ndarray], fps: int | float = 8, width: int = 192) -> None:
    """Show small videos side by side in a loop, with every pixel enlarged to a sharp square.

    Args:
        videos: title -> (frames, h, w, 3) uint8.
        fps: frames per second, 0.001 to 1000.
        width: approximate width of each video on the screen, in pixels, at least 1.

    Raises:
        ValueError: there is no video, a video has another shape or type, or fps or width is out of range.
    """
    if not videos:
        raise ValueError("no videos to play: give a dict, title -> (frames, h, w, 3) uint8.")
    for title, video in videos.items():
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
            raise ValueError(f"{title!r:.80} has shape {video.shape}, {video.dtype}: give (frames, h, w, 3) uint8.")
    check_times(fps)
    if width < 1:
        raise ValueError(f"width={width}: give 1 pixel or more.")
    players = []
    for title, video in videos.items():
        big = media.enlarge(video, max(1, round(width / video.shape[2])))
        data = base64.b64encode(mediapy.compress_video(big, fps=fps, codec="h264", qp=16)).decode()
        sizes = {"width": big.shape[2], "height": big.shape[1]}
        players.append(PLAYER.format(data=data, title=html.escape(title), plays=media.PLAYS, **sizes))
    _display_html(f'<div style="display:flex;flex-wrap:wrap;gap:16px">{"".join(players)}</div>')


def _display_html(text: str) -> None:
    from IPython.display import HTML, display

    display(HTML(text))


@checked
def diagram(name: str, alt: str) -> None:
    """Show a diagram of the course.

    Args:
        name: such as "01_timestep_vector"; the code that draws it is notebooks/diagrams/NAME.py.
        alt: what it shows, in one sentence, for those who do not see it.

    Raises:
        ValueError: there is no diagram of that name, or alt is empty.
    """
    known = sorted(path.stem for path in DIAGRAMS.glob("*.svg"))
    if name not in known:
        raise ValueError(f"there is no diagram {name!r:.80}: choose one of {', '.join(known)}.")
    if not alt.strip():
        raise ValueError(f"the diagram {name!r} has no alt text: say in one sentence what it shows.")
    from IPython.display import display

    text = (DIAGRAMS / f"{name}.svg").read_text(encoding="utf-8")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(alt)}" ', 1)
    display({"image/svg+xml": text, "text/plain": alt}, raw=True, metadata={"image/svg+xml": {"alt": alt}})


@checked
def asset(path: str | Path) -> Path:
    """Path of a file of the course: as given if it exists, else the package's own file of that name.

    Args:
        path: such as "assets/still.png".

    Raises:
        ValueError: there is no such file, here or in the package.
    """
    if Path(path).is_file():
        return Path(path)
    own = {file.name: file for file in (COURSE / "assets").iterdir()}
    if Path(path).name not in own:
        raise ValueError(
            f"there is no file {str(path)!r:.200}, here or in the course, which has {', '.join(sorted(own))}."
        )
    return own[Path(path).name]


@checked
def result(name: str) -> dict[str, Any]:
    """A measured result that the chapters tell, from benchmarks/results.

    Args:
        name: such as "wan_forward".

    Raises:
        ValueError: there is no such result in the package.
    """
    own = {file.stem: file for file in (COURSE / "results").iterdir()}
    if name not in own:
        raise ValueError(f"there is no result {name!r:.80}: choose one of {', '.join(sorted(own))}.")
    found: dict[str, Any] = json.loads(own[name].read_text(encoding="utf-8"))
    return found


@checked
def check(
    mine: Any,
    reference: Any,
    *args: Any,
    tolerance: float = 1e-5,
    mistakes: Mapping[str, Any] | None = None,
    axes: str = "",
) -> None:
    """Compare the answer to an exercise with the right one: print a note if it is unwritten, and a tick if it is right.

    Args:
        mine: the reader's function or value; unwritten if it raises NotImplementedError or is `...` or None.
        reference: the library's function, or the right value.
        *args: arguments for both functions.
        tolerance: largest absolute difference that counts as equal, at least 0. Infinities and nans can be equal, too.
        mistakes: a sentence -> the wrong answer (function or value) that it explains.
        axes: what the axes of the right answer are, such as "(batch, frames)", to be told if the shape is wrong.

    Raises:
        Wrong: the answer is not right, or the function raises; the sentence says why, and never what is right.
        ValueError: tolerance is below 0.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance={tolerance}: give 0 or more.")
    if unwritten(mine):
        print("… not written yet")
        return
    try:
        got = mine(*args) if callable(mine) else mine
    except NotImplementedError:
        print("… not written yet")
        return
    except Exception as error:  # a reader's function may do anything
        raise Wrong(_failed(error)) from None
    if got is None:
        raise Wrong("your function returns nothing: is a `return` missing?")
    right = _numbers(reference(*args) if callable(reference) else reference)
    answer = _numbers(got)
    if answer is None or right is None:
        raise Wrong(f"your answer is {shown(got)}, which cannot be read as real numbers: give a number or a tensor.")
    if _equal(answer, right, tolerance):
        print("✓ right")
        return
    telling = bool(answer.isfinite().all()) or not right.isfinite().all()  # a division by zero fits several mistakes
    for sentence, wrong in (mistakes or {}).items():
        if telling and _equal(answer, _numbers(_made(wrong, args)), tolerance):
            raise Wrong(sentence)
    raise Wrong(_difference(answer, right, axes))


@checked
def check_that(mine: Any, conditions: Mapping[str, Any]) -> None:
    """Hold the answer to an exercise against conditions, in order: a note if it is unwritten, a tick if all are met.

    Args:
        mine: the reader's function or value; unwritten if it is `...` or None.
        conditions: sentence that is told if it is not met -> the condition: a bool, or a function of the answer.

    Raises:
        Wrong: a condition is not met, or raises.
    """
    if unwritten(mine):
        print("… not written yet")
        return
    for sentence, condition in conditions.items():
        try:
            met = bool(condition(mine) if callable(condition) else condition)
        except Exception as error:  # a reader's answer may do anything
            raise Wrong(f"your answer could not be tried: {type(error).__name__}: {error!s:.300}") from None
        if not met:
            raise Wrong(sentence)
    print("✓ right")


@checked
def unwritten(mine: Any) -> bool:
    """Whether an exercise is still a stub: `...`, None, or a function that consists of one of them."""
    if mine is None or mine is Ellipsis:
        return True
    code = getattr(inspect.unwrap(mine), "__code__", None) if callable(mine) else None
    return code is not None and {step.opname for step in dis.get_instructions(code)} <= IDLE


def _numbers(value: Any) -> torch.Tensor | None:
    try:
        found = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return None if found.is_complex() else found.double()  # double() would drop an imaginary part


def _made(wrong: Any, args: tuple[Any, ...]) -> Any:
    try:
        return wrong(*args) if callable(wrong) else wrong
    except Exception:  # a mistake that cannot be made with these arguments was not made
        return None


def _equal(answer: torch.Tensor, right: torch.Tensor | None, tolerance: float) -> bool:
    if right is None or answer.shape != right.shape:
        return False
    return torch.allclose(answer, right, rtol=0, atol=tolerance, equal_nan=True)  # infinities by their sign


def _failed(error: Exception) -> str:
    said = " ".join(str(error).split())
    if isinstance(error, RuntimeError) and ("must match" in said or "cannot be multiplied" in said):
        return f"two tensors in your function do not fit together, so look at their shapes: {said:.200}"
    return f"your function stops with {type(error).__name__}: {said:.200}"


def _difference(answer: torch.Tensor, right: torch.Tensor, axes: str) -> str:
    if answer.shape != right.shape:
        meant = f": its axes should be {axes}" if axes else ""
        return f"your answer has shape {tuple(answer.shape)}, which is not the right shape{meant}."
    wild = ~torch.isclose(answer, right, rtol=0, atol=torch.inf, equal_nan=True)  # one of the two is not finite
    if (wild & ~answer.isfinite()).any():
        return "your answer holds nan or infinity: is something divided by zero?"
    if wild.any():
        return f"your answer is finite where it should not be, at {wild.sum()} of {wild.numel()} places."
    if not answer.ndim:
        return f"your answer {answer.item():.6g} is too {'large' if answer > right else 'small'}."
    off = (answer - right).abs().nan_to_num(0)  # the same infinity, or nan, at both is right
    places = (off > off.max() / 1000).nonzero()
    share = float(100 * off.max() / right[right.isfinite()].abs().max().clamp(min=1e-12))
    percent = f"{share:.0f}" if 10 <= share < 1e6 else f"{share:.2g}"
    first = tuple(places[0].tolist())
    where = f"at {len(places)} of {off.numel()} places, the first of them {first if len(first) > 1 else first[0]}"
    return f"your answer is off {where}, by up to {percent} % of the largest right value."
