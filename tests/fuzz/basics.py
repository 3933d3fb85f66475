"""Folders, numbers and pictures that the text of a call names, and hostile objects."""

import enum
import functools
import itertools
import os
import tempfile
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

inf, nan = float("inf"), float("nan")
ROOT = Path(__file__).parents[2]
_numbers = itertools.count()


@functools.cache
def folder():
    """A folder of this process; the working folder too, so that no stray name writes elsewhere."""
    kept = tempfile.TemporaryDirectory(prefix="fuzz-")
    globals()["_kept"] = kept
    os.chdir(kept.name)
    return Path(kept.name)


def new(name):
    """A path of its own where nothing lies yet."""
    return folder() / f"{next(_numbers)}-{name}"


def the(name):
    """A public thing by its full name, such as "pusa_lab.generate.prepare"."""
    import importlib

    module, _, thing = name.rpartition(".")
    return getattr(importlib.import_module(module), thing)


# Numbers


def rand(*shape):
    return torch.rand(*shape)


def randn(*shape):
    return torch.randn(*shape)


def whole(high, *shape):
    return torch.randint(0, high, shape)


def clip(*shape):
    """Pixels in [-1, 1]."""
    return torch.rand(*shape) * 2 - 1


def falling(rows, frames):
    """A schedule from 1 to 0, another rhythm for each frame."""
    ramp = torch.linspace(1, 0, rows)[:, None]
    return ramp ** (1 + torch.arange(frames) % 3)


def picture(h=16, w=16):
    return np.random.default_rng(0).integers(0, 256, (h, w, 3), dtype=np.uint8)


def film(frames=3, h=16, w=16):
    return np.random.default_rng(0).integers(0, 256, (frames, h, w, 3), dtype=np.uint8)


# Hostile


class Raises:
    """Whatever is asked of it, it raises."""

    def __getattr__(self, name):
        raise RuntimeError("hostile")

    def __len__(self):
        raise RuntimeError("hostile")

    def __array__(self, *args, **kwargs):
        raise RuntimeError("hostile")

    def __float__(self):
        raise RuntimeError("hostile")

    def __index__(self):
        raise RuntimeError("hostile")

    def __iter__(self):
        raise RuntimeError("hostile")

    def __eq__(self, other):
        raise RuntimeError("hostile")

    def __bool__(self):
        raise RuntimeError("hostile")

    def __str__(self):
        raise RuntimeError("hostile")

    __repr__ = __str__
    __hash__ = None


class Colour(enum.Enum):
    RED = 1


class Level(float):
    """A subclass of float."""


class Word(str):
    """A subclass of str."""


class Frozen(list):
    """A subclass of list."""


def recursive():
    x = []
    x.append(x)
    return x


def deep(n=2000):
    x = 0.0
    for _ in range(n):
        x = [x]
    return x


def quantised():
    return torch.quantize_per_tensor(torch.zeros(2, 3), 0.1, 0, torch.qint8)


def nested():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls them a prototype
        return torch.nested.nested_tensor([torch.ones(1), torch.ones(2)])


def words(*shape):
    return np.full(shape or (2,), "a")


def objects(*shape):
    return np.full(shape or (2,), None, dtype=object)


__all__ = [name for name in dir() if not name.startswith("_")]
_ = (Decimal, Fraction)
