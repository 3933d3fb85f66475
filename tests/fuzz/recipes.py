"""What the annotation alone does not say: names of parameters, particular functions, and the lists of odd values."""
# ruff: noqa: E501, tables of values

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .own import OWN

AXES = {
    "b": (1, 1, 2, 3),
    "c": (3, 4),
    "f": (2, 3, 4, 5),
    "h": (4, 5, 8),
    "w": (4, 6, 8),
    "pf": (3, 5, 9),
    "hp": (16, 24),
    "wp": (16, 20),
    "k": (1, 2),
    "rows": (2, 3, 5),
    "n": (2, 3, 8),
    "m": (2, 3, 8),
    "d": (2, 3),
}
"""Sizes to choose from."""

LEVELS = {"tau", "tau_next", "weight", "weights", "mask", "picture_mask", "level", "levels", "area", "values", "noise"}
"""Arrays in [0, 1]."""

NAMES: dict[str, list[str]] = {
    "steps": ["1", "2", "3", "6"],
    "frames": ["{f}"],
    "latent_frames": ["{f}"],
    "batch": ["1", "2", "3"],
    "shift": ["1.0", "3.0", "5", "0.5"],
    "seed": ["0", "1", "7"],
    "noise": ["0.0", "0.3", "1"],
    "mode": ["'denoise'", "'hold'", "'replacement'", "'label'"],
    "at": ["[0]", "(0, -1)", "range(1)"],
    "known": ["[0]", "(0,)"],
    "lag": ["0", "1", "2"],
    "wait": ["'end'", "'start'"],
    "sigmas": ["'linear'", "'wan'", "'cosine'"],
    "generator": ["None", "torch.Generator().manual_seed(0)"],
    "solver": ["'euler'", "'heun'", "'ab2'", "'unipc'", "pusa_lab.solvers.Churn(0.5)"],
    "title": ["'a title'", "''"],
    "ax": ["None"],
    "prompt": ["'a red circle moves right'", "['a', 'b']"],
    "picture": ["picture(8, 8)", "picture(9, 13) / 255"],
    "first": ["picture(8, 8)", "picture(9, 13)"],
    "last": ["picture(8, 8)", "picture(9, 13)"],
    "device": ["'cpu'", "torch.device('cpu')"],
    "fps": ["8", "16", "23.976"],
    "sampler": ["schedules.timestep_samplers.independent", "schedules.timestep_samplers.mixed(0.5)"],
    "rest": ["schedules.timestep_samplers.independent", "schedules.timestep_samplers.shared"],
    "each": ["schedules.timestep_samplers.independent"],
    "eps": ["randn({b}, {c}, {f}, {h}, {w})"],
    "model": ["Stub()"],
    "geometry": ["Geometry((1, 1, 1), 3, 4, (8, 8))", "Geometry((4, 8, 8), 16, {f}, (64, 48))"],
}
"""Parameter -> values that most functions take, sizes in braces."""

FUNCTIONS: dict[str, list[str]] = {
    "sigmas": ["schedules.linear"],
    "decode": ["None", "Stub().decode"],
    "statistic": ["lambda rows: float(len(rows))"],
    "read": ["lambda *x: x[0].mean((1, 2, 3, 4))"],
    "loss": ["lambda v, x: (v - x).square()"],
}
"""Parameter that takes a function -> functions."""

CLASSES: dict[str, list[str]] = {
    "VideoModel": ["Stub()"],
    "Task": ["tasks.text_to_video()", "tasks.image_to_video(picture(8, 8))"],
    "Geometry": ["Geometry((1, 1, 1), 3, {f}, (8, 8))"],
    "State": ["states()[1]"],
    "Rising": ["schedules.repaint(4, {f}, 1, 2)", "schedules.Rising(falling(3, {f}))"],
    "Run": ["prepared()"],
    "Asked": ["the('pusa_lab.runs.Asked')(velocity)"],
    "Result": ["result()"],
    "Conditions": ["conditions()"],
    "Samples": ["prepared().samples"],
    "Request": ["result().request"],
    "Scheduler": ["flow_scheduler()"],
    "Saved": ["the('pusa_lab.saved.read_saved')(result_folder())"],
    "World": ["world()", "world('mini')"],
    "Scenes": ["scenes(3)", "scenes({b})"],
    "TrainConfig": ["config()"],
    "LatentCache": ["cache()"],
    "CacheSettings": ["settings()"],
    "Codec": ["mini_codec()"],
    "ToyModel": ["nano()"],
    "Features": ["features()"],
    "WanTransformer3DModel": ["transformer()"],
    "VTAWanTransformer3DModel": ["transformer()"],
    "AutoencoderKLWan": ["wan_codec()"],
    "Folder": ["wan()"],
    "Module": ["linear()"],
    "Linear": ["torch.nn.Linear(4, 4)"],
    "Interval": ["pusa_lab.metrics.Interval(1.0, 0.5, 1.5)"],
    "Shown": ["shown()"],
    "Fraction": ["Fraction(1, 2)", "Fraction(0)"],
    "device": ["torch.device('cpu')"],
    "dtype": ["torch.float32", "torch.bfloat16"],
    "Generator": ["None"],
    "slice": ["slice(None)", "slice(0, 1)", "slice(1, None)"],
    "range": ["range(0, 1)"],
    "Slice": ["slice(None)"],
    "Hashable": ["'a'", "1"],
    "Term": ["pusa_lab.guidance.history.Term([0], 0.0, 1.0)"],
    "Figure": ["figure()"],
    "PromptEncoder": ["prompts()"],
    "Pair": ["pair()"],
    "Match": ["the('pusa_lab.wan.lora.match.Match')()"],
    "Settings": ["the('pusa_lab.planning.plan')().settings"],
    "Plan": ["the('pusa_lab.planning.plan')()"],
    "Advice": ["the('pusa_lab.planning.plan')(gpu='rtx4090').advice[0]"],
    "WanConfig": ["the('pusa_lab.wan.configs.WAN_CONFIGS')['wan2.1-14b']"],
    "Session": ["the('pusa_lab.studio.session.Session')(Stub())"],
    "Lane": ["the('pusa_lab.studio.runs.Lane')('a', falling(3, 4))"],
    "Given": ["the('pusa_lab.studio.known.Given')('a', picture(8, 8))"],
    "Phrase": ["phrase()"],
    "LoRAFile": ["the('pusa_lab.wan.lora.files.read_lora')(lora_file())"],
    "Statement": ["statement()"],
    "Namespace": ["argparse.Namespace()"],
}
"""Class -> text of an instance."""

PLAIN: dict[Any, list[str]] = {
    int: ["1", "2", "3", "np.int64(2)", "torch.tensor(2)"],
    float: ["0.5", "1.0", "1", "0.25", "np.float32(0.5)", "torch.tensor(0.5)"],
    bool: ["True", "False"],
    str: ["'a'", "'linear'"],
    bytes: ["b'a'"],
    Path: ["new('file')"],
    type(None): ["None"],
    Any: ["1", "'a'", "None"],
    object: ["1"],
    torch.Tensor: ["rand(2, 3)"],
    np.ndarray: ["film()"],
}
"""Plain type -> values."""

_INTS = ["-1", "0", "1", "2**31", "10**9", "2**62", "10**400", "-(2**31)", "2.0", "1.5", "True", "np.int8(3)"]
_FLOATS = ["nan", "inf", "-inf", "-1.0", "0.0", "2.0", "1e308", "1e-320", "-0.0", "10**400", "np.float16(0.3)"]
_TEXTS = ["''", "'unknown'", "'a' * 1000", "'\\0'", "'ü ∞'", "'a\\nb'", "'../x'", "' '"]
_LISTS = [
    "[]",
    "()",
    "[-1]",
    "[0, 0]",
    "[nan]",
    "[10**9]",
    "[[1]]",
    "[None]",
    "[0.5, 'a']",
    "list(range(50))",
    "range(3)",
]

NEAR: dict[Any, list[str]] = {
    int: _INTS,
    float: [*_FLOATS, "0", "torch.tensor(nan)"],
    str: _TEXTS,
    bool: ["0", "1", "np.bool_(True)", "'False'", "None"],
    Path: [
        "Path('missing')",
        "folder()",
        "''",
        "'\\0'",
        "'x' * 300",
        "'a:b/c'",
        "Path('/dev/full')",
        "Path('/dev/null')",
        "'/proc/none/x'",
    ],
    list: _LISTS,
    tuple: _LISTS,
    __import__("collections").abc.Sequence: _LISTS,
    dict: ["{}", "{'unknown': 1}", "{1: 2}", "{'a': None}", "{'a': {'a': []}}"],
    __import__("collections").abc.Mapping: ["{}", "{'unknown': 1}", "{1: 2}", "{'a': nan}"],
    __import__("collections").abc.Callable: [
        "lambda *a, **k: None",
        "lambda *a, **k: 'a'",
        "lambda *a, **k: nan",
        "print",
    ],
    torch.Tensor: [
        "rand(0)",
        "rand(())",
        "rand(2, 0, 3)",
        "torch.full((2, 3), nan)",
        "rand(3, 2, 1, 1)",
        "whole(3, 2, 3)",
    ],
    np.ndarray: [
        "film(0)",
        "film()[0, 0]",
        "np.full((3, 8, 8, 3), nan)",
        "film() / 255",
        "film() * 2.0",
        "film()[..., :2]",
    ],
}
"""Type -> values that are of it, or nearly, and odd."""

NEAR_ARRAYS = [
    "X * nan",
    "X / 0",
    "X * 1e38",
    "-X",
    "X + 2",
    "X.half()",
    "X.bfloat16()",
    "X.double()",
    "X.long()",
    "X > 0",
    "X + 0j",
    "X.to('meta')",
    "X.to_sparse()",
    "X.float().requires_grad_()",
    "X.numpy()",
    "X.tolist()",
    "X.transpose(0, -1)",
    "X[:0]",
    "X[..., :0]",
    "X.flatten()",
    "X[None]",
    "X * 0",
    "X.byte()",
    "list(X)",
    "X.numpy().astype('float64')",
    "X.numpy().astype(object)",
    "torch.nn.Parameter(X.float())",
    "X.expand_as(X)[..., ::1]",
    "X.numpy()[..., ::-1]",
]
"""What is done to a valid tensor X."""

HOSTILE = [
    "None", "'abc'", "''", "'\\0'", "b'x'", "bytearray(2)", "[]", "()", "{}", "set()", "{1, 2}", "frozenset('ab')", "object()",
    "object", "int", "lambda: None", "(x for x in [1, 2])", "iter([1])", "range(3)", "Path('missing')", "Colour.RED",
    "Decimal('0.5')", "Fraction(1, 2)", "10**400", "-1", "0", "nan", "inf", "1j", "True", "[None]", "['a', 'b']", "[[1], [1, 2]]",
    "{'a': 1}", "Raises()", "Raises", "Level(0.5)", "Word('a')", "Frozen([1])", "recursive()", "deep()", "quantised()",
    "nested()",
    "torch.zeros(2, 3).to_sparse()", "torch.zeros(2, 3) + 0j", "torch.zeros(2, 3, device='meta')", "torch.zeros(())",
    "torch.zeros(0)", "torch.tensor([True])", "words(2, 3)", "objects(2, 3)", "np.zeros(3, 'V4')", "np.array('2020', 'M8[D]')",
    "np.ma.masked_array([1, 2], [True, False])", "np.zeros(())", "np.float64('nan')", "np.str_('a')", "memoryview(b'ab')",
    "Ellipsis", "NotImplemented", "slice(None)", "type('T', (), {})()", "torch.float32", "torch.device('cpu')",
    "torch.nn.Linear(1, 1)", "torch.Generator()", "folder()", "print", "ValueError('x')", "sys", "complex('nan')",
]  # fmt: skip
"""Values of every other kind."""


def own(owner: str, name: str) -> list[str] | None:
    """Values for one parameter of one function, or None.

    Args:
        owner: full name of the function.
        name: of the parameter.
    """
    for pattern, found in OWN.items():
        if name in found and re.fullmatch(pattern, owner):
            return found[name]
    return None
