"""Functions that the sweeps of the tests run, also in other processes."""

import os
from pathlib import Path

import numpy as np
import torch

import pusa_lab as pl


def log(*words):
    """A line in the file that SWEEP_LOG names: what was run, and where."""
    with Path(os.environ["SWEEP_LOG"]).open("a") as stream:
        stream.write(" ".join(map(str, (os.getpid(), *words))) + "\n")


def noisy(a, prompt, seed, b=1.0):
    """Numbers that depend on everything, random ones too."""
    log(a, prompt, seed)
    return {"score": a * b + torch.randn(()).item() + np.random.rand(), "length": len(prompt)}


def unlucky(a, seed):
    """Fails in one row, until the file `mended` is there."""
    if a == 2 and seed == 1 and not Path(os.environ["SWEEP_LOG"]).with_name("mended").exists():
        raise RuntimeError("out of luck,\nonce")
    return a + seed


def meeting(a):
    """Row 0 ends only while row 1 is run, which takes two processes."""
    log(a)
    if a in (0, 1):
        os.close(os.open(Path(os.environ["SWEEP_LOG"]).with_name("pipe"), os.O_WRONLY if a else os.O_RDONLY))
    return a


def squared(a):
    """Needs no log."""
    return a**2


def brightness(result):
    """Mean of a video."""
    return result.video.mean() / 255


def closeness(result, truth):
    """To a truth, of frames that were made; and of the one that was given."""
    off = np.abs(result.video[0].astype(float) - truth).mean((1, 2, 3))
    return {"made": -off[1:].mean(), "given": -off[0]}


PICTURE = np.full((16, 16, 3), 90, np.uint8)
CLIP = np.repeat(PICTURE[None], 8, 0)


def first_frame(prompt, noise=0.0):
    """Image to video, whatever the prompt."""
    return pl.tasks.image_to_video(PICTURE, noise=noise)
