"""Train VTA on a Wan: `pusa-lab train --recipe paper --data CACHE --model FOLDER --out FILE`."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

OUT = Path("outputs/train")
"""Default folder for checkpoints."""
SAVED = ("ac_save_attention", "ac_skip_blocks", "offload_activations", "float8", "compiled")
"""Options that trade memory for time and hardly change the result."""
WAN = ("devices", "nodes", *SAVED, "expert", "plan_only")
"""Options that need --recipe."""
TOYS = ("stage", "base", "fast")
"""Options that are for toys only."""
PLANNED = ("size", "gpu", "price")
"""Options that need --plan-only."""
COUNTED = ("steps", "batch", "micro", "optimizer", "lora_rank")
"""Fields that change the cost of a recipe."""
CURVES = ("log_every", "validate_every")
"""Fields that change what is written to --logs."""


def add_wan_options(train: argparse.ArgumentParser) -> None:
    """Put the options of a Wan's training beside those of the toys.

    Options that are not given are None, so that those without effect can be refused.

    Args:
        train: the parser of `pusa-lab train`.
    """
    train.add_argument("--recipe", choices=["paper", "released"], help="train a Wan: --data CACHE --model FOLDER")
    train.add_argument(
        "--plan-only", action="store_true", default=None, help="print what a recipe costs, as `pusa-lab plan` does"
    )
    train.add_argument("--size", help="for --plan-only: 480p, 720p (default), or HEIGHTxWIDTH in pixels")
    train.add_argument("--gpu", help="for --plan-only: h200 (default), h100, a100-80, ...")
    train.add_argument("--price", type=float, help="for --plan-only: US dollars per GPU and hour (default: a guess)")
    train.add_argument("--expert", choices=["high", "low"], help="of Wan2.2-A14B: train this one, on its own timesteps")
    train.add_argument("--devices", type=int, help="GPUs of each host (default 1; under torchrun its own)")
    train.add_argument("--nodes", type=int, help="hosts (default 1; under torchrun its own)")
    train.add_argument("--ac-save-attention", type=int, help="blocks that save attention's result (default 0)")
    train.add_argument("--ac-skip-blocks", type=int, help="blocks without activation checkpointing (default 0)")
    offloaded = "what blocks save waits in the host's memory"
    train.add_argument("--offload-activations", action="store_true", default=None, help=offloaded)
    train.add_argument("--float8", action="store_true", default=None, help="multiply with a LoRA's base in 8 bits")
    train.add_argument("--compiled", action="store_true", default=None, help="compile the blocks of a Wan")


def check_options(args: argparse.Namespace, changes: dict[str, Any]) -> None:
    """Refuse options and fields that would have no effect.

    Args:
        args: parsed command line; options that were not given are None.
        changes: fields from --set, of TrainConfig or `clips`.

    Raises:
        ValueError: an option or field would have no effect; the sentence names the first one.
    """
    if not args.plan_only:
        _refuse(args, PLANNED, "is for --plan-only: give both, or leave it out")
    if args.recipe is None:
        _refuse(args, WAN, "is for a Wan: give --recipe too, or leave it out")
    else:
        _refuse(args, TOYS, "is for toys only: leave it out, or leave out --recipe")
        if "clips" in changes:
            raise ValueError("clips is a field for toys only: leave it out, a Wan trains on all clips of --data.")
    if args.plan_only:
        there = ("data", "out", "logs", "resume", "expert")
        _refuse(args, there, "has no effect with --plan-only: leave out one of them")
        if idle := [name for name in changes if name not in COUNTED]:
            raise ValueError(f"{idle[0]} has no effect with --plan-only: set only {', '.join(COUNTED)}.")
    elif args.logs is None and (idle := [name for name in CURVES if changes.get(name)]):
        raise ValueError(f"{idle[0]} has no effect without --logs: give --logs, or leave {idle[0]} out.")
    if args.expert and (fixed := [name for name in ("lowest", "highest") if name in changes]):
        raise ValueError(f"--expert {args.expert} sets lowest and highest: leave out {fixed[0]}.")


def _refuse(args: argparse.Namespace, names: Sequence[str], why: str) -> None:
    if given := [name for name in names if getattr(args, name) is not None]:
        value = getattr(args, given[0])
        shown = "" if value is True else f" {value}"
        raise ValueError(f"--{given[0].replace('_', '-')}{shown} {why}.")


def run_recipe(args: argparse.Namespace, changes: dict[str, Any]) -> None:
    """What `pusa-lab train --recipe` does.

    Args:
        args: of the command line.
        changes: fields of TrainConfig.

    Raises:
        ValueError: something does not fit, before any weights are read where that can be known.
    """
    from pusa_lab.training.recipes import WAN_RECIPES

    config = replace(WAN_RECIPES[args.recipe], **changes)
    if args.plan_only:
        _say(str(plan_of(args, config)))
        return
    if not args.data or not args.model or not Path(args.model).is_dir():
        raise ValueError(f"--data {args.data!r}, --model {args.model!r}: give a latent cache and a Wan's folder.")
    from pusa_lab.finetune import check_wan, train_wan
    from pusa_lab.wan.folders import check, find
    from pusa_lab.wan.loading import read_codec, read_transformer

    folder = check(find(args.model))
    name, config = _expert(folder, args.expert, config)
    out = args.out or OUT
    if config.lora_rank and out.suffix != ".safetensors":
        out = out / f"{args.recipe}.safetensors"
    devices, nodes = processes(*(1 if x is None else x for x in (args.devices, args.nodes)))
    options = saved(args)
    # before gigabytes of weights are read
    _check_blocks(folder.path / name, options["ac_save_attention"], options["ac_skip_blocks"])
    compiled, float8 = options["compiled"], options["float8"]
    check_wan(Path(args.data), out, config, args.logs, args.resume, compiled, float8, devices * nodes)
    transformer = read_transformer(folder, name, torch.bfloat16, None)
    if config.lora_rank and torch.cuda.is_available():
        # Of several processes each has a GPU of its own; all weights go there later, split.
        transformer = transformer.to(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    about = {"recipe": args.recipe, "base": str(args.model), "expert": name, "command": args.command}
    options |= {"logs": args.logs, "resume": args.resume, "devices": devices, "nodes": nodes, "about": about}
    path = train_wan(transformer, Path(args.data), out, config, codec=read_codec(folder), **options)
    if not int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))):
        _say(str(path))


def saved(args: argparse.Namespace) -> dict[str, Any]:
    """What decides memory and time: of blocks a number, of the others whether.

    Args:
        args: of the command line.
    """
    return {name: getattr(args, name) or (0 if name.startswith("ac_") else False) for name in SAVED}


def _check_blocks(place: Path, attention: int, skipped: int) -> None:
    from pusa_lab.files import read_json
    from pusa_lab.training.recompute import keep_plan

    blocks = read_json(place / "config.json", "a transformer's config", {"num_layers": int})["num_layers"]
    try:
        keep_plan(blocks, attention, skipped)
    except ValueError as error:
        raise ValueError(f"--ac-save-attention {attention} --ac-skip-blocks {skipped}: {error}") from error


def processes(devices: int, nodes: int) -> tuple[int, int]:
    """GPUs of each host, and hosts: as torchrun started this process, else as asked for.

    Args:
        devices: asked for.
        nodes: asked for.

    Raises:
        ValueError: more GPUs than there are, several hosts without torchrun, or torchrun was told otherwise.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        each = int(os.environ["LOCAL_WORLD_SIZE"])
        given = each, int(os.environ["WORLD_SIZE"]) // each
        if (devices, nodes) not in ((1, 1), given):
            raise ValueError(
                f"--devices {devices} --nodes {nodes}, but torchrun started {given[1]} x {given[0]} processes: "
                "leave both away."
            )
        return given
    if min(devices, nodes) < 1 or nodes > 1:
        raise ValueError(
            f"--devices {devices} --nodes {nodes}: give at least one GPU, and start several hosts with "
            "`torchrun --nnodes N --nproc-per-node GPUS -m -- pusa_lab train ...` on each."
        )
    if torch.cuda.is_available() and devices > torch.cuda.device_count():
        raise ValueError(f"--devices {devices}, but this host has {torch.cuda.device_count()} GPUs: give no more.")
    return devices, nodes


def _expert(folder: Any, wanted: str | None, config: Any) -> tuple[str, Any]:
    """The expert's name in the folder, and the recipe on its clocks."""
    if len(folder.experts) == 1:
        if wanted:
            raise ValueError(f"--expert {wanted}: {folder.path} has one transformer, leave it away.")
        return folder.experts[0], config
    if not wanted:
        raise ValueError(f"{folder.path} has two experts, which train one after the other: give --expert high or low.")
    boundary = folder.index.get("boundary_ratio") or 0.875
    bounds = {"lowest": boundary} if wanted == "high" else {"highest": boundary}
    return folder.experts[wanted == "low"], replace(config, **bounds)


def plan_of(args: argparse.Namespace, config: Any) -> Any:
    """What a recipe costs: the plan that `pusa-lab plan` makes of the same settings.

    Args:
        args: of the command line; --model is a name in WAN_CONFIGS.
        config: the recipe's settings.

    Raises:
        ValueError: as for `plan`.
    """
    from pusa_lab.planning.planner import plan
    from pusa_lab.planning.recipe import run_arguments
    from pusa_lab.planning.settings import read_size

    given = {name: getattr(args, name) for name in ("model", "gpu", "price") if getattr(args, name) is not None}
    given |= {"size": read_size(args.size)} if args.size else {}
    gpus = (1 if args.devices is None else args.devices) * (1 if args.nodes is None else args.nodes)
    return plan(**run_arguments(config, gpus, **saved(args)), **given)


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
