"""What is to be planned, checked: one sentence for whatever is wrong."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pusa_lab.wan.configs import WAN_CONFIGS, WanConfig
from pusa_lab.wan.plan_tables import DTYPES, GPUS, MODES, Gpu

SIZES = {"480p": (480, 832), "720p": (720, 1280)}
"""Names of sizes; cut to whole patches where a model's are larger: 704 x 1280 for wan2.2-5b."""
RANK, GUIDANCE = 512, 3.0
"""Defaults of the modes that use them."""
STEPS = {"sample": 10, "lora": 900, "full": 900}
"""Default steps, of sampling and of the optimizer: the paper's (App. C, arXiv 2507.16116)."""


@dataclass(frozen=True)
class Settings:
    """What was asked, checked, every default filled in; `plan(**dataclasses.asdict(settings))` plans it again."""

    model: str
    """Name in WAN_CONFIGS."""
    size: tuple[int, int]
    """Height and width in pixels."""
    frames: int
    """Pixel frames, 1 + 4k."""
    steps: int
    """Steps of sampling, or of the optimizer in training."""
    guidance: float | None
    """Scale of text guidance; 1 is none and halves the calls; None in training, which has none."""
    dtype: str
    """Name in DTYPES, of the transformer's weights."""
    offload: str
    """Name in OFFLOADS."""
    gpu: str
    """Name in GPUS."""
    mode: str
    """sample, lora or full (training all weights)."""
    rank: int | None
    """Of the LoRA that is trained; None where none is. In sampling it is merged and costs nothing."""
    batch: int
    """Videos at a time on each GPU."""
    compiled: bool
    """Whether the blocks are compiled."""
    cached_prompts: bool
    """Whether the captions were encoded before, so that no text encoder is loaded; training expects it."""
    price: float
    """US dollars per GPU and hour."""
    gpus: int
    """In sampling each makes its own videos; training splits gradients and optimizer over them (ZeRO-2)."""

    @property
    def config(self) -> WanConfig:
        """Of the model."""
        return WAN_CONFIGS[self.model]

    @property
    def card(self) -> Gpu:
        """The GPU."""
        return GPUS[self.gpu]

    @property
    def tokens(self) -> int:
        """Of all videos of a batch."""
        return self.batch * self.config.tokens(self.size, self.frames)

    @property
    def calls(self) -> int:
        """Forwards of the transformer; each expert is trained for as many steps."""
        return self.steps * (self.config.experts if self.mode != "sample" else 1 if self.guidance == 1 else 2)


def _settle(given: Mapping[str, Any]) -> Settings:
    """Fill in the defaults that depend on others, and check.

    Args:
        given: the arguments of `plan`, all of them.

    Raises:
        ValueError: a name is unknown, a number is out of range, or two of them exclude each other.
    """
    tables: dict[str, Iterable[str]] = {"model": WAN_CONFIGS, "gpu": GPUS, "mode": MODES, "dtype": DTYPES}
    for name, known in tables.items():
        if given[name] is not None:
            _choose(name, given[name], known)
    config, card, mode = WAN_CONFIGS[given["model"]], GPUS[given["gpu"]], given["mode"]
    _choose("offload", given["offload"], MODES[mode], f" for mode={mode!r}")
    own: dict[str, Any] = {"frames": config.frames, "steps": STEPS[mode], "price": card.price}
    _check_used(given)
    own |= {"guidance": GUIDANCE} if mode == "sample" else {}
    own |= {"rank": RANK} if mode == "lora" else {}
    own["dtype"] = "bfloat16" if card.bfloat16 else "float16"
    own = {name: value for name, value in own.items() if given[name] is None}
    s = Settings(**{**given, **own, "size": _size(given["model"], given["size"])})
    _check_numbers(s)
    if s.dtype == "bfloat16" and not card.bfloat16:
        raise ValueError(f"the {s.gpu} does not compute in bfloat16: give dtype='float16'.")
    if s.dtype == "float8" and mode == "full":
        raise ValueError("mode='full' trains the weights, and float8 only stores them: give dtype='bfloat16'.")
    return s


def _check_used(given: Mapping[str, Any]) -> None:
    """Refuse what the mode has no use for."""
    mode = given["mode"]
    unused = {
        "rank": mode != "lora" and "only mode='lora' trains a LoRA",
        "guidance": mode != "sample" and "training asks the transformer once a step, without guidance",
        "cached_prompts": mode != "sample" and "training always expects encoded captions",
    }
    for name, why in unused.items():
        if why and given[name] not in (None, False):
            raise ValueError(f"{name}={given[name]} has no effect with mode={mode!r}: {why}; leave it out.")


def _check_numbers(s: Settings) -> None:
    for name in ("frames", "steps", "rank", "batch", "gpus"):
        if (value := getattr(s, name)) is not None and (value < 1 or value != int(value)):
            raise ValueError(f"{name}={value}: give a whole number of at least 1.")
    stride = s.config.stride[0]
    if (s.frames - 1) % stride:
        near = 1 + stride * round((s.frames - 1) / stride)
        raise ValueError(f"frames={s.frames}: give 1 + {stride} * k pixel frames, such as {near}.")
    if s.guidance is not None and not 1 <= s.guidance < math.inf:
        raise ValueError(f"guidance={s.guidance}: give 1 (none) or more.")
    if not 0 <= s.price < math.inf:
        raise ValueError(f"price={s.price}: give US dollars per GPU and hour, 0 or more.")


def _choose(name: str, value: str, known: Iterable[str], where: str = "") -> None:
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}{where}: choose from {', '.join(known)}.")


def _size(model: str, size: str | tuple[int, int]) -> tuple[int, int]:
    config = WAN_CONFIGS[model]
    units = [stride * patch for stride, patch in zip(config.stride[1:], config.patch_size[1:], strict=True)]
    if isinstance(size, str):
        _choose("size", size, SIZES)
        size = SIZES[size][0] // units[0] * units[0], SIZES[size][1] // units[1] * units[1]
    height, width = size
    if any(n < unit or n % unit for n, unit in zip(size, units, strict=True)):
        near = " x ".join(str(unit * max(1, round(n / unit))) for n, unit in zip(size, units, strict=True))
        raise ValueError(
            f"size {height} x {width}: {model} wants height and width in multiples of {units[0]}, such as {near}."
        )
    return height, width
