"""`pusa-lab train`: a toy, or by a recipe a Wan."""

import functools
import inspect
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

from pusa_lab.cli.parser import Parser
from pusa_lab.cli.terminal import line, say
from pusa_lab.cli.values import flag, given

BOUNDS = ("t_min", "t_max")
"""Fields that --expert sets."""
OUT = Path("outputs/train")
"""Default folder for checkpoints."""
SAVED = ("ac_save_attention", "ac_skip_blocks", "offload_activations", "float8", "attention", "compiled")
"""Options that trade memory for time and hardly change the result."""
WAN = ("gpus", *(name for name in SAVED if name != "compiled"), "expert", "plan_only")
"""Options that need --recipe."""
TOYS = ("stage", "base", "fast", "clips")
"""Options that are for toys only."""
PLANNED = ("size", "gpu", "price")
"""Options that need --plan-only."""
COUNTED = ("max_steps", "global_batch_size", "micro_batch_size", "optimizer", "lora_rank")
"""Fields that change the cost of a recipe."""
RECIPE = "A field that is left out, or null, is as in --recipe, or as in the toy's own recipe for the stage."
"""Help of the fields of a recipe."""
MODE = "compile"
"""The field that --compiled sets for a toy."""
COMPILED = "reduce-overhead"
"""What it is then: the quickest on a GPU, and the usual one on a CPU."""
CURVES = ("log_every", "validate_every", "save_every")
"""Fields that change what is written to --logs."""


def train_command(
    *,
    model: str | None = None,
    stage: str | None = None,
    data: str | None = None,
    base: Path | None = None,
    out: Path | None = None,
    logs: Path | None = None,
    resume: Path | None = None,
    fast: bool = False,
    clips: int | None = None,
    recipe: Literal["paper", "released", "mixture"] | None = None,
    plan_only: bool = False,
    size: str | None = None,
    gpu: Literal["h200", "h100", "a100-80", "a100-40", "l40s", "rtx5090", "rtx4090", "l4", "t4"] | None = None,
    price: float | None = None,
    expert: Literal["high", "low"] | None = None,
    gpus: int | None = None,
    ac_save_attention: int | None = None,
    ac_skip_blocks: int | None = None,
    offload_activations: bool = False,
    float8: bool = False,
    attention: str | None = None,
    compiled: bool = False,
    **changes: Any,
) -> None:
    """Train a toy model or, with --recipe, a Wan model.

    A toy is trained in stages, and a Wan model on a latent cache: `pusa-lab train --recipe paper --data CACHE --model
    FOLDER --out vta.safetensors`.

    Args:
        model: nano (default), mini, or all; with --recipe, the folder of a Wan model, or with --plan-only, what `plan`
            takes.
        stage: codec, features (for the Frechet distance), base (one timestep per video, from scratch), vta (one
            timestep per frame, from the base; the default), actions (nano only: an action for each frame, from vta),
            i2v (image to video as Wan does it, from the base), or all of them in this order; for a folder of clips, all
            means codec, base and vta.
        data: nano, mini, digits, a world of your own (mine.py:calm), or a folder of clips with captions, as for
            `pusa-lab data encode`; with --recipe a latent cache.
        base: checkpoint from which vta, actions and i2v start (default: the one in --out, or else the shipped one), or
            a codec from which codec does (default: from scratch).
        out: folder for checkpoints and cards (default outputs/train); with --recipe the file of the LoRA.
        logs: folder for curves (CSV, TensorBoard), sheets and last.ckpt.
        resume: a last.ckpt, which --save-every N writes, from which the run is resumed.
        fast: take a few small steps, to test the command.
        clips: number of different clips that a toy is trained on; for a folder, the most that are used (default: all).
        recipe: how a Wan model is trained, with --data CACHE --model FOLDER: as in the paper, as in the released
            trainer, or with the mixture of timesteps that was best on the toy (docs/claims.md) but was not tried on
            14B.
        plan_only: print what a recipe costs, as `pusa-lab plan` does; with --data, for clips of their length and size.
        size: for --plan-only without --data: 480p, 720p (default), or HEIGHTxWIDTH in pixels.
        gpu: for --plan-only: kind of GPU (default: h200).
        price: for --plan-only: US dollars per GPU-hour, 0 to 1,000,000 (default: a rough price for the GPU).
        expert: which expert of Wan2.2-A14B is trained, on its own timesteps.
        gpus: number of GPUs, on all hosts together (default 1; under torchrun, one for each of its processes).
        ac_save_attention: blocks that save attention's result (default 0).
        ac_skip_blocks: blocks without activation checkpointing (default 0).
        offload_activations: keep what blocks save in the host's memory.
        float8: run the frozen base's matrix products in 8 bits.
        attention: native, cudnn, fa4 (FlashAttention 4, from Hopper on), a backend of diffusers, or auto, the fastest
            of the first three (default: cudnn with --compiled on a Hopper GPU, else native).
        compiled: compile the blocks of a Wan model, or the loss of a toy, which on a GPU is compiled anyway.
        **changes: fields of TrainConfig; None is the recipe's.

    Raises:
        ValueError: an option does not fit, before any weights are read where that can be known.
    """
    options = given({name: value for name, value in locals().items() if name != "changes"})
    changes = {name: value for name, value in changes.items() if value is not None}
    _check(options, changes)
    from pusa_lab.training.quiet import quiet_lightning

    with quiet_lightning():
        if recipe is None:
            _train_family(options, changes)
            return
        from pusa_lab.cli.train_recipe import train_recipe

        train_recipe(options, changes)


def add_options(parser: Parser) -> None:
    """Add the fields of a recipe, which have no defaults here: those of the recipe stand.

    Args:
        parser: of the command.
    """
    from pusa_lab.training.config import TrainConfig

    group = parser.add_argument_group("fields of the recipe", RECIPE)
    for field in (field for field in fields(TrainConfig) if field.name != MODE):
        group.add_argument("--" + field.name.replace("_", "-"), type=field.type | None, help=_helps()[field.name])  # type: ignore


@functools.cache
def _helps() -> dict[str, str | None]:
    """What each field of a recipe is: the sentence under it."""
    from docstring_parser import parse_from_object

    from pusa_lab.training.config import TrainConfig

    return {param.arg_name: param.description for param in parse_from_object(TrainConfig).params}


def settled_train_command(options: dict[str, Any]) -> dict[str, Any]:
    """The defaults that depend on other options; null is left to the toy's own recipe, or would have no effect.

    Args:
        options: of the command, fields of the recipe among them.
    """
    if options["recipe"] is None:
        return _settled_toy(options)
    from pusa_lab.planning.settings import ALWAYS
    from pusa_lab.training.recipes import WAN_RECIPES

    found = asdict(WAN_RECIPES[options["recipe"]]) | {
        "gpus": processes_started(),
        "ac_save_attention": 0,
        "ac_skip_blocks": 0,
    }
    if options["plan_only"]:
        kept = (*COUNTED, "gpus", "ac_save_attention", "ac_skip_blocks")
        planned = ("model", "gpu", *(("size",) if options["data"] is None else ()))
        return {name: found[name] for name in kept} | {name: ALWAYS[name] for name in planned}
    idle = (*(CURVES if options["logs"] is None else ()), *(BOUNDS if options["expert"] else ()))
    return {name: value for name, value in found.items() if name not in (*idle, MODE)} | {"out": OUT}


def processes_started() -> int:
    """Processes that torchrun has started on all hosts, each with a GPU of its own; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def _settled_toy(options: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"model": next(iter(presets := _presets()), None), "out": OUT}
    family = presets.get(options["model"] or found["model"])
    stage = None if family is None else inspect.signature(family.train).parameters.get("stage")
    return found if stage is None else found | {"stage": stage.default}


def _check(options: dict[str, Any], changes: dict[str, Any]) -> None:
    """Refuse options and fields that would have no effect; options that were not given are not in `options`."""
    if "plan_only" not in options:
        _refuse(options, PLANNED, "is for --plan-only: give both, or leave out {option}")
    if "recipe" not in options:
        _refuse(options, WAN, "is for a Wan: give --recipe too, or leave out {option}")
    else:
        _refuse(options, TOYS, "is for toys only: leave out {option}, or leave out --recipe")
    if "plan_only" in options:
        there = ("out", "logs", "resume")
        _refuse(options, there, "has no effect with --plan-only: leave out {option} or --plan-only")
        counted = ", ".join(map(flag, COUNTED))
        idle = [name for name in changes if name not in COUNTED]
        _refuse(changes, idle, f"has no effect with --plan-only: set only {counted}")
    elif "logs" not in options:
        _refuse(
            changes,
            [name for name in CURVES if changes.get(name)],
            "has no effect without --logs: give --logs too, or leave out {option}",
        )
    if "expert" in options:
        _refuse(changes, BOUNDS, f"is set by --expert {options['expert']}: leave out one of them")


def _refuse(options: dict[str, Any], names: Sequence[str], why: str) -> None:
    for name in names:
        if name in options:
            value = "" if options[name] is True else f" {options[name]}"
            raise ValueError(f"{flag(name)}{value} {why.format(option=flag(name))}.")


def _presets() -> dict[str, Any]:
    """Name -> the first family that trains it."""
    from pusa_lab.models import families

    found: dict[str, Any] = {}
    for family in families():
        for name in family.presets() if family.train is not None else ():
            found.setdefault(name, family)
    return found


def _train_family(options: dict[str, Any], changes: dict[str, Any]) -> None:
    """Train models of the family that has a preset of this name; the first one of all if none was named."""
    presets = _presets()
    model = options.pop("model", next(iter(presets), ""))
    if model not in presets:
        raise ValueError(f"no model {model!r:.100} to train: choose one of {', '.join(presets)}; a Wan needs --recipe.")
    if options.pop("compiled", False):
        changes = {MODE: COMPILED, **changes}
    for path in presets[model].train(model, out=options.pop("out", OUT), command=line.get(), **options, **changes):
        say(f"{path}, and its card {path.with_suffix('.json')}")
