"""What is to be planned, checked: one sentence for whatever is wrong."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked, returned
from pusa_lab.generate import GUIDANCE
from pusa_lab.import_paths import is_import_path
from pusa_lab.inputs import MOST_STEPS
from pusa_lab.models import families, find_family
from pusa_lab.pixels import MOST_SIDE
from pusa_lab.planning.tables import (
    ATTENTIONS,
    DTYPES,
    GPUS,
    OFFLOADS,
    OPTIMIZERS,
    PRECISIONS,
    WORKLOADS,
    Gpu,
)
from pusa_lab.sentences import counted
from pusa_lab.tasks import MOST_LATENT_FRAMES
from pusa_lab.wan.configs import WAN_CONFIGS, WanConfig

SIZES = {"480p": (480, 832), "720p": (720, 1280)}
"""Names of sizes; cut to whole patches where a model's are larger: 704 x 1280 for wan2.2-5b."""
ALWAYS: dict[str, Any] = {
    "model": "wan2.1-14b",
    "size": "720p",
    "gpu": "h200",
    "gpus": 1,
    "workload": "sample",
    "compiled": False,
    "attention": "native",
}
"""Defaults of every workload."""
SAMPLING: dict[str, Any] = {
    "steps": 10,
    "guidance": GUIDANCE,
    "num_videos": 1,
    "offload": "none",
    "cached_prompts": False,
}
"""Defaults of sampling: the paper's steps."""
TRAINING: dict[str, Any] = {
    "max_steps": 900,
    "global_batch_size": 8,
    "micro_batch_size": 1,
    "optimizer": "adamw",
    "ac_save_attention": 0,
    "ac_skip_blocks": 0,
    "offload_activations": False,
    "float8": False,
}
"""Defaults of training: the paper's recipe (App. C, arXiv 2507.16116), with every block's activations recomputed."""
LORA_RANK = 512
"""The paper's."""
BOUNDS = {
    **{"steps": MOST_STEPS, "num_videos": MOST_LATENT_FRAMES, "gpus": 100_000, "lora_rank": 2**16},
    **{"max_steps": 10**9, "global_batch_size": 2**20, "micro_batch_size": 2**20},
}
"""Largest numbers that are planned, those that sampling and training take; a larger one is taken for a mistake."""
MOST_PRICE = 1_000_000
"""US dollars per GPU and hour; more is taken for a mistake."""
WHY = {
    "lora_rank": "workload='full' trains all weights",
    "guidance": "training asks the transformer once a step, without guidance",
    "cached_prompts": "training always expects encoded captions",
    "dtype": "training keeps the weights as `pusa-lab train` does",
    "precision": "it is for sampling, and in training a LoRA float8=True",
    "float8": "it is for training, and in sampling precision='float8'",
}
"""Why some arguments have no effect in another workload than theirs."""


@dataclass(frozen=True)
class Settings:
    """What was asked, checked, every default filled in; `plan(**dataclasses.asdict(settings))` plans it again."""

    model: str
    """Name in WAN_CONFIGS, or a Wan's folder or repository."""
    size: tuple[int, int]
    """Height and width in pixels."""
    num_frames: int
    """Pixel frames, 1 + 4k."""
    gpu: str
    """Name in GPUS."""
    gpus: int
    """How many. In sampling each makes its own videos; in training each takes its share of a step's clips."""
    price: float
    """US dollars per GPU and hour."""
    workload: str
    """sample, lora or full (training all weights)."""
    lora_rank: int | None
    """Rank of the LoRA that is trained, or attached in sampling; None where there is none, or it is merged."""
    compiled: bool
    """Whether the blocks are compiled."""
    attention: str
    """Name in ATTENTIONS."""
    steps: int | None
    """Sampling steps; like all that follow, None in the other workloads."""
    guidance: float | None
    """Scale of text guidance; 1 is none and halves the calls."""
    num_videos: int | None
    """Videos at a time on each GPU."""
    dtype: str | None
    """Name in DTYPES: in what the transformer computes in sampling."""
    precision: str | None
    """Name in PRECISIONS; None where weights are of dtype and computed in it."""
    offload: str | None
    """Name in OFFLOADS."""
    cached_prompts: bool | None
    """Whether the captions were encoded before, so that no text encoder is loaded."""
    experts: int | None
    """Transformers that are trained, one after the other."""
    max_steps: int | None
    """Steps of the optimizer, for each of them."""
    global_batch_size: int | None
    """Clips per step, on all GPUs together."""
    micro_batch_size: int | None
    """Clips at a time on each GPU."""
    optimizer: str | None
    """Name in OPTIMIZERS."""
    ac_save_attention: int | None
    """Blocks that save the result of self-attention, and do not compute it again."""
    ac_skip_blocks: int | None
    """Blocks without activation checkpointing: they save all that their backward pass needs."""
    offload_activations: bool | None
    """Whether what blocks save of the tokens waits in the host's memory."""
    float8: bool | None
    """Whether products with a LoRA's base are of 8-bit numbers in training."""
    sizes: InitVar[WanConfig | None] = None
    """The configuration of the model, if it was read already."""

    def __post_init__(self, sizes: WanConfig | None) -> None:
        if sizes is not None:
            vars(self)["config"] = sizes

    @cached_property
    def config(self) -> WanConfig:
        """The configuration of the model."""
        return find_sizes(self.model)

    @property
    def card(self) -> Gpu:
        """The GPU."""
        return GPUS[self.gpu]

    @property
    def transformer_bytes(self) -> int:
        """Bytes of the weights of one transformer in sampling."""
        blocks = self.config.num_layers * self.block_bytes
        rest = self.config.parameters - self.config.num_layers * self.config.block_parameters
        return blocks + rest * (1 if self.precision == "float8-storage" else 2)

    @property
    def block_bytes(self) -> int:
        """Bytes of the weights of one of its blocks."""
        saved = {"float8": self.config.large_parameters, "float8-storage": self.config.block_parameters}
        return 2 * self.config.block_parameters - saved.get(self.precision or "", 0)

    @property
    def training(self) -> bool:
        """Whether something is trained."""
        return self.workload != "sample"

    @property
    def tokens(self) -> int:
        """Number of tokens of all videos that a GPU works on at a time."""
        return (self.num_videos or self.micro_batch_size or 1) * self.config.tokens(self.size, self.num_frames)

    @property
    def lora_parameters(self) -> int:
        """Number of parameters of the LoRA; 0 where there is none."""
        return self.config.lora_parameters(self.lora_rank) if self.lora_rank else 0

    @property
    def samples(self) -> int:
        """Clips that a training goes through, for all experts; 0 in sampling."""
        return (self.max_steps or 0) * (self.global_batch_size or 0) * (self.experts or 1)

    @property
    def accumulated(self) -> int:
        """Backward passes of a GPU before each step of the optimizer."""
        return (self.global_batch_size or 1) // (self.gpus * (self.micro_batch_size or 1))

    @property
    def calls(self) -> int:
        """Forwards of the transformer on each GPU; each expert is trained for as many steps."""
        if self.training:
            return (self.max_steps or 0) * self.accumulated * (self.experts or 1)
        return (self.steps or 0) * (1 if self.guidance == 1 else 2)


@checked
def find_sizes(model: str | Path) -> WanConfig:
    """The configuration of a model, from WAN_CONFIGS or by its family; no weights are read.

    Args:
        model: name in WAN_CONFIGS, or what `load` takes: a Wan's folder or repository.

    Raises:
        ValueError: there is no such model, its folder is damaged, or it is of a family whose models are not planned.
    """
    name = str(model)
    published = WAN_CONFIGS | {config.repo: config for config in WAN_CONFIGS.values()}
    if name in published:
        return published[name]
    others = f"choose from {', '.join(WAN_CONFIGS)}, or give a Wan's folder or repository"
    if not is_import_path(name) and not any(family.knows(name) for family in families()):
        raise ValueError(f"unknown model {name!r:.300}: {others}.")
    family = find_family(name)
    if family.sizes is None:
        raise ValueError(f"{name!r:.300} is {family.what}, whose memory and time cannot be planned: {others}.")
    return returned(family.sizes(name), WanConfig, f"`sizes` of the model family {family.name}")


def _settle(given: Mapping[str, Any], sizes: WanConfig | None = None) -> Settings:
    """Fill in the defaults that depend on others, and check.

    Args:
        given: arguments of `plan`; what is not there has its default.
        sizes: of the model, if they were read already.

    Raises:
        ValueError: a name is unknown, a number is out of range, or two of them exclude each other.
    """
    given = {**{field.name: None for field in fields(Settings)}, **ALWAYS, **given}
    tables: dict[str, Iterable[str]] = {"gpu": GPUS, "workload": WORKLOADS, "attention": ATTENTIONS}
    for name, known in tables.items():
        _choose(name, given[name], known)
    config, card, workload = sizes or find_sizes(given["model"]), GPUS[given["gpu"]], given["workload"]
    _refuse_unused(given)
    own: dict[str, Any] = {"num_frames": config.num_frames, "price": card.price}
    own |= workload_defaults(workload) | (
        {"dtype": card.dtype} if workload == "sample" else {"experts": config.experts}
    )
    own = {name: value for name, value in own.items() if given[name] is None}
    s = Settings(**{**given, **own, "size": _size(given["model"], config, given["size"])}, sizes=config)
    tables = {"dtype": DTYPES, "precision": PRECISIONS, "offload": OFFLOADS, "optimizer": OPTIMIZERS}
    for name, known in tables.items():
        if (value := getattr(s, name)) is not None:
            _choose(name, value, known)
    _check_numbers(s)
    _check_together(s)
    return s


@checked
def workload_defaults(workload: str) -> dict[str, Any]:
    """Defaults of the arguments that one workload has and others have not, whatever the model and the GPU.

    Args:
        workload: name in WORKLOADS.

    Raises:
        ValueError: there is no such workload.
    """
    _choose("workload", workload, WORKLOADS)
    if workload == "sample":
        return {**SAMPLING}
    return {**TRAINING, **({"lora_rank": LORA_RANK} if workload == "lora" else {})}


def _refuse_unused(given: Mapping[str, Any]) -> None:
    """Refuse what the workload has no use for."""
    workload = given["workload"]
    unused = (
        ["experts", *TRAINING]
        if workload == "sample"
        else [*SAMPLING, "dtype", "precision"] + ["lora_rank"] * (workload == "full")
    )
    for name in unused:
        if given[name] is not None:
            why = WHY.get(name, f"it is for {'training' if workload == 'sample' else 'sampling'}")
            raise ValueError(f"{name}={given[name]} has no effect with workload={workload!r}: {why}; leave it out.")


def _check_numbers(s: Settings) -> None:
    counts = ("num_frames", "steps", "lora_rank", "num_videos", "gpus", "experts")
    for name in (*counts, "max_steps", "global_batch_size", "micro_batch_size"):
        if (value := getattr(s, name)) is not None and value < 1:
            usual = f"{LORA_RANK}; workload='full' trains all weights" if s.training else "none"
            without = f", or leave it out for {usual}" if name == "lora_rank" else ""
            raise ValueError(f"{name}={value}: give a whole number of at least 1{without}.")
    stride = s.config.stride[0]
    bounds = BOUNDS | {"num_frames": 1 + stride * (MOST_LATENT_FRAMES - 1), "experts": s.config.experts}
    for name, most in bounds.items():
        if (value := getattr(s, name)) is not None and value > most:
            raise ValueError(f"{name}={value}: give at most {most:,}.")
    if (s.num_frames - 1) % stride:
        near = 1 + stride * round((s.num_frames - 1) / stride)
        raise ValueError(f"num_frames={s.num_frames}: give 1 + {stride} * k pixel frames, such as {near}.")
    if s.guidance is not None and not 1 <= s.guidance < math.inf:
        raise ValueError(f"guidance={s.guidance}: give 1 (none) or more.")
    if not 0 <= s.price <= MOST_PRICE:
        raise ValueError(f"price={s.price}: give US dollars per GPU and hour, 0 to {MOST_PRICE:,}.")


def _check_together(s: Settings) -> None:
    """Refuse what no GPU of this kind, or no training, can do."""
    if s.dtype == "bfloat16" and not s.card.bfloat16:
        raise ValueError(f"the {s.gpu} does not compute in bfloat16: give dtype='float16'.")
    if s.attention == "fa4" and not s.card.fa4:
        raise ValueError(f"the {s.gpu} does not run FlashAttention 4, which needs Hopper or newer: leave out 'fa4'.")
    if s.precision == "float8" and not s.card.float8:
        raise ValueError(f"the {s.gpu} does not multiply in 8 bits: give precision='float8-storage', or leave it out.")
    if s.precision == "float8" and s.dtype != "bfloat16":
        raise ValueError(f"precision='float8' with dtype={s.dtype!r}: its sums are in bfloat16; leave out dtype.")
    if s.float8 and not s.card.float8:
        raise ValueError(f"the {s.gpu} does not multiply in 8 bits: leave out float8=True.")
    if not s.training:
        return
    at_once = s.gpus * (s.micro_batch_size or 1)
    if (s.global_batch_size or 1) % at_once:
        raise ValueError(
            f"global_batch_size={s.global_batch_size} on {counted(s.gpus, 'GPU')}, "
            f"micro_batch_size={s.micro_batch_size}: give a global_batch_size that {at_once} divides."
        )
    layers, saving, skipping = s.config.num_layers, s.ac_save_attention or 0, s.ac_skip_blocks or 0
    if min(saving, skipping) < 0 or saving + skipping > layers:
        raise ValueError(
            f"ac_save_attention={saving}, ac_skip_blocks={skipping}: {s.model} has {layers} blocks, give numbers "
            "from 0 that add up to no more."
        )
    if s.workload == "full":
        excluded = {
            "compiled=True": s.compiled,
            "float8=True": s.float8,
            "optimizer='adamw8bit'": s.optimizer == "adamw8bit",
        }
        if given := [name for name, value in excluded.items() if value]:
            raise ValueError(f"training all weights splits them over the GPUs, without {given[0]}: leave it out.")


def _choose(name: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise ValueError(f"unknown {name} {value!r:.60}: choose from {', '.join(known)}.")


def _size(model: str, config: WanConfig, size: str | tuple[int, int]) -> tuple[int, int]:
    units = [stride * patch for stride, patch in zip(config.stride[1:], config.patch_size[1:], strict=True)]
    if isinstance(size, str) and (typed := re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", size)):
        size = int(typed[1]), int(typed[2])
    if isinstance(size, str):
        if size not in SIZES:
            raise ValueError(f"size={size!r:.60} is unknown: give {', '.join(SIZES)} or HEIGHTxWIDTH in pixels.")
        size = SIZES[size][0] // units[0] * units[0], SIZES[size][1] // units[1] * units[1]
    height, width = size
    if max(size) > MOST_SIDE:
        raise ValueError(f"size {height} x {width}: give at most {MOST_SIDE:,} pixels of height and of width.")
    if any(n < unit or n % unit for n, unit in zip(size, units, strict=True)):
        near = " x ".join(str(unit * max(1, round(n / unit))) for n, unit in zip(size, units, strict=True))
        raise ValueError(
            f"size {height} x {width}: {model} expects height and width in multiples of {units[0]}, such as {near}."
        )
    return height, width
