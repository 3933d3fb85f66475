"""Draw the animation at the top of the README: one timestep for all frames, above one timestep per frame.

    python docs/assets/animation.py    # writes timesteps.webp and a still of it here; about a minute on two cores

Above, `mini-base` makes a video from a prompt with one timestep for all frames. Below, `mini-vta` continues a given
picture with one timestep per frame: frame 0 stays at 0, and the others follow as a wave. A column is the noise level
of a latent frame, and the picture below it is that frame as the sampling loop holds it, decoded.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

import pusa_lab as pl
import small_models
from pusa_lab.pixels import to_uint8
from pusa_lab.runs import Run
from pusa_lab.types import Clip, Video
from pusa_lab.viz.animate import middles

HERE = Path(__file__).resolve().parent
PROMPT, SEED, GUIDANCE, STEPS, LAG = "a big red square bounces down and right", 0, 3.0, 16, 2
WIDTH, PANEL, LEFT, TOP, BAR, SIDE, GAP, PLAYER = 900, 272, 62, 44, 106, 70, 6, 146
INK, GREY, PALE, WATER, KNOWN = "#1f2328", "#57606a", "#e8ebef", "#2f6f9f", "#e07b00"
FRAME_MS, LAST_MS = 130, 1800


class Panel(NamedTuple):
    """One half of the animation: its title, and for every picture the noise levels, frames and video."""

    title: str
    about: str
    known: tuple[int, ...]
    levels: np.ndarray
    strips: list[np.ndarray]
    videos: list[np.ndarray]


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib."""
    return ImageFont.truetype(findfont("DejaVu Sans:bold" if bold else "DejaVu Sans"), size)


def sampled(run: Run, decode: Callable[[Video], Clip]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Noise levels (f,) and pixels (pixel frames, h, w, 3) at every row of a run."""
    for state in run.states():
        with torch.no_grad():
            yield state.tau[0].numpy(), to_uint8(decode(state.x[:1]))[0]


def panel(title: str, about: str, known: tuple[int, ...], run: Run, decode: Callable[[Video], Clip]) -> Panel:
    """Run the sampling loop and keep what is drawn of it."""
    levels, videos = zip(*sampled(run, decode), strict=True)
    shown = middles(len(levels[0]), len(videos[0]))
    return Panel(title, about, known, np.stack(levels), [video[shown] for video in videos], list(videos))


def panels() -> list[Panel]:
    """Both runs, with the same number of rows."""
    base, vta = small_models.load("mini-base"), small_models.load("mini-vta")
    picture = pl.data.read_picture(HERE.parents[1] / "notebooks" / "assets" / "still.png")
    frames = vta.geometry.frames
    rows = STEPS + LAG * (frames - 1)
    scalar = pl.prepare(base, PROMPT, steps=rows, guidance=GUIDANCE, seed=SEED)
    wave = pl.schedules.pyramid(STEPS, frames, lag=LAG, shift=vta.geometry.shift)
    task = pl.tasks.image_to_video(picture)
    vector = pl.prepare(vta, PROMPT, task, schedule=wave, guidance=GUIDANCE, seed=SEED)
    return [
        panel("One timestep for all frames", "text to video: all columns drain together", (), scalar, base.decode),
        panel("One timestep per frame", "frame 0 is given and stays at 0, the others follow", (0,), vector, vta.decode),
    ]


def draw(canvas: Image.Image, top: int, shown: Panel, row: int, tick: int) -> None:
    """Draw one panel at one row of its schedule."""
    pen = ImageDraw.Draw(canvas)
    pen.text((LEFT, top + 32), shown.title, INK, font(23, bold=True), anchor="ls")
    after = LEFT + 14 + pen.textlength(shown.title, font(23, bold=True))
    pen.text((after, top + 32), shown.about, GREY, font(17), anchor="ls")
    floor = top + TOP + BAR
    for level, label in ((1, "noise"), (0, "clean")):
        pen.text((LEFT - 8, floor - level * BAR + (8 if level else -8)), label, GREY, font(16), anchor="rm")
    for frame, level in enumerate(shown.levels[row]):
        x = LEFT + frame * (SIDE + GAP)
        pen.rectangle((x, floor - BAR, x + SIDE - 1, floor), fill=PALE)
        if level > 0:
            pen.rectangle((x, floor - round(BAR * float(level)), x + SIDE - 1, floor), fill=WATER)
        picture = Image.fromarray(shown.strips[row][frame]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        canvas.paste(picture, (x, floor + GAP))
        if frame in shown.known:
            pen.rectangle((x, floor + GAP, x + SIDE - 1, floor + GAP + SIDE - 1), outline=KNOWN, width=4)
            pen.text((x + SIDE // 2, floor - 12), "given", KNOWN, font(16, bold=True), anchor="mm")
        pen.text((x + SIDE // 2, floor + GAP + SIDE + 12), str(frame), GREY, font(16), anchor="mm")
    pen.text((LEFT - 8, floor + GAP + SIDE + 12), "frame", GREY, font(16), anchor="rm")
    x, video = WIDTH - PLAYER - 4, shown.videos[row]
    playing = Image.fromarray(video[2 * tick % len(video)]).resize((PLAYER, PLAYER), Image.Resampling.BICUBIC)
    canvas.paste(playing, (x, top + TOP))
    pen.text((x + PLAYER // 2, top + TOP + PLAYER + 16), "video", GREY, font(16), anchor="mm")


def pictures(both: list[Panel]) -> list[Image.Image]:
    """Every picture of the animation: the rows of the schedules, then the finished videos played once."""
    rows = len(both[0].levels)
    found = []
    for tick in range(rows + len(both[0].videos[0]) // 2):
        canvas = Image.new("RGB", (WIDTH, 2 * PANEL), "white")
        for at, shown in enumerate(both):
            draw(canvas, at * PANEL, shown, min(tick, rows - 1), tick)
        found.append(canvas)
    return found


def main() -> None:
    """Write the animation."""
    both = panels()
    first, *others = pictures(both)
    durations = [*[FRAME_MS] * len(others), LAST_MS]
    how = {"save_all": True, "append_images": others, "duration": durations, "loop": 0, "quality": 45, "method": 6}
    first.save(HERE / "timesteps.webp", **how)
    others[len(both[0].levels) // 2].save(HERE / "timesteps_still.webp", quality=80, method=6)  # for less motion


if __name__ == "__main__":
    main()
