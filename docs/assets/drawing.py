"""What the pictures of the README and of docs/ share: a registry, how they are written, and a filmstrip."""

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin

import pusa_lab as pl
from pusa_lab.viz.animate import middles
from pusa_lab.viz.strips import KNOWN

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BENCHMARKS, PAPER = ROOT / "benchmarks" / "results", ROOT / "small_models" / "results" / "paper"
CARDS, RUNS = ROOT / "small_models" / "checkpoints", ROOT / "small_models" / "results"
SMALL, WIDE = (5.2, 2.7), (9.0, 3.4)
"""Inches of a picture in the README's gallery, and of one on a page."""
DPI = 150
STYLE = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "figure.facecolor": "white"}
PROMPT = "a big red square bounces down and right"
FIGURES: dict[str, tuple[Callable[..., Figure], tuple[Path, ...]]] = {}
"""Name -> the function that draws it, and the files of results that it reads."""


def figure(*sources: Path) -> Callable[[Callable[..., Figure]], Callable[..., Figure]]:
    """Register a figure, with the results that it is drawn from."""

    def register(draw: Callable[..., Figure]) -> Callable[..., Figure]:
        FIGURES[draw.__name__] = (draw, sources)
        return draw

    return register


def digests(sources: tuple[Path, ...]) -> str:
    """The files that a figure is drawn from, with what they hold now."""
    return "; ".join(
        f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" for path in sources
    )


def read(path: Path) -> Any:
    """One file of results."""
    return json.loads(path.read_text())


def write(name: str, folder: Path = HERE) -> Path:
    """Draw a figure and write it as a small PNG."""
    draw, sources = FIGURES[name]
    buffer, path = BytesIO(), folder / f"{name}.png"
    with matplotlib.rc_context(STYLE):
        drawn = draw(*map(read, sources))
        drawn.savefig(buffer, dpi=DPI)
        plt.close(drawn)
    about = PngImagePlugin.PngInfo()
    about.add_text("Source", digests(sources) or "the shipped toys")
    Image.open(buffer).convert("RGB").quantize(200).save(path, optimize=True, pnginfo=about)
    return path


def still() -> np.ndarray:
    """The course's picture."""
    return pl.data.read_picture(ROOT / "notebooks" / "assets" / "still.png")


def strip(axes: Any, video: np.ndarray, known: tuple[int, ...], label: str) -> None:
    """One picture per latent frame, side by side; the known ones framed in orange."""
    shown = middles(9, len(video))
    side, gap = video.shape[1], 4
    sheet = np.full((side, len(shown) * (side + gap) - gap, 3), 255, np.uint8)
    for column, at in enumerate(shown):
        sheet[:, column * (side + gap) : column * (side + gap) + side] = video[at]
    axes.imshow(sheet, interpolation="antialiased")
    for column in known:
        corner = (column * (side + gap) + 1, 1)
        axes.add_patch(plt.Rectangle(corner, side - 3, side - 3, fill=False, edgecolor=KNOWN, linewidth=2.2))
    axes.set_xticks([])
    axes.set_yticks([side / 2], [label])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
