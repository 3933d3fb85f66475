"""What `pusa-lab train --recipe` does: VTA on a Wan, from a latent cache."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pusa_lab.cli import clone
from pusa_lab.cli.terminal import line, say
from pusa_lab.cli.train import OUT


def train_recipe(given: dict[str, Any], changes: dict[str, Any]) -> None:
    """Train a Wan, or print what it would cost.

    Args:
        given: options of the command that were given.
        changes: fields of TrainConfig.

    Raises:
        ValueError: something does not fit, before any weights are read where that can be known.
    """
    from pusa_lab.training.recipes import WAN_RECIPES

    recipe = given["recipe"]
    config = replace(WAN_RECIPES[recipe], **changes)
    if "plan_only" in given:
        say(*plan_lines(recipe, config, given.get("price")))
        return
    data, model = given.get("data"), given.get("model")
    if not data or not model or not Path(model).is_dir():
        raise ValueError(f"--data {data!r}, --model {model!r}: give a latent cache and a Wan's folder.")
    from pusa_lab.finetune import check_wan, train_wan
    from pusa_lab.wan.folders import check, find
    from pusa_lab.wan.loading import read_codec, read_transformer

    folder = check(find(model))
    name, config = _expert(folder, given.get("expert"), config)
    out = given.get("out", OUT)
    if config.lora_rank and out.suffix != ".safetensors":
        out = out / f"{recipe}.safetensors"
    devices, nodes = processes(given.get("devices", 1), given.get("nodes", 1))
    options: dict[str, Any] = {name: given.get(name, 0) for name in ("keep", "everything")}
    options |= {name: given.get(name, False) for name in ("host", "compiled", "float8")}
    options |= {name: given.get(name) for name in ("logs", "resume")}
    # before gigabytes of weights are read
    _check_blocks(folder.path / name, options["keep"], options["everything"])
    logs, resume, compiled, float8 = (options[name] for name in ("logs", "resume", "compiled", "float8"))
    check_wan(Path(data), out, config, logs, resume, compiled, float8, devices * nodes)
    transformer = read_transformer(folder, name, torch.bfloat16, None)
    if config.lora_rank and torch.cuda.is_available():
        # Of several processes each has a GPU of its own; all weights go there later, split.
        transformer = transformer.to(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    about = {"recipe": recipe, "base": str(model), "expert": name, "command": line.get()}
    options |= {"devices": devices, "nodes": nodes, "about": about}
    path = train_wan(transformer, Path(data), out, config, codec=read_codec(folder), **options)
    if not int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))):
        say(str(path))


def _check_blocks(place: Path, keep: int, everything: int) -> None:
    from pusa_lab.files import read_json
    from pusa_lab.training.recompute import keep_plan

    blocks = read_json(place / "config.json", "a transformer's config", {"num_layers": int})["num_layers"]
    try:
        keep_plan(blocks, keep, everything)
    except ValueError as error:
        raise ValueError(f"--keep {keep} --everything {everything}: {error}") from error


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
                "leave both out."
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
            raise ValueError(f"--expert {wanted}: {folder.path} has one transformer, leave --expert out.")
        return folder.experts[0], config
    if not wanted:
        raise ValueError(f"{folder.path} has two experts, which train one after the other: give --expert high or low.")
    boundary = folder.index.get("boundary_ratio") or 0.875
    bounds = {"lowest": boundary} if wanted == "high" else {"highest": boundary}
    return folder.experts[wanted == "low"], replace(config, **bounds)


def plan_lines(recipe: str, config: Any, price: float | None = None) -> Sequence[str]:
    """What a recipe costs, from the steps that `benchmarks/wan_train.py` measured.

    Args:
        recipe: its name.
        config: its settings.
        price: US dollars an hour of any GPU; None is a guess for each.

    Raises:
        ValueError: a price below 0.
    """
    from pusa_lab.wan.plan_tables import GPUS
    from pusa_lab.wan.plan_training import read_training, training_costs, training_table

    if price is not None and not 0 <= price < math.inf:
        raise ValueError(f"price={price}: give US dollars per GPU and hour, 0 or more.")
    prices = None if price is None else dict.fromkeys(GPUS, price)

    samples = config.steps * config.batch
    rows = read_training(clone.BENCHMARKS / "results" / "wan_train.json")
    head = f"{recipe}: {config.steps} steps of {config.batch} clips, {samples} samples, LoRA of rank {config.lora_rank}"
    return [head, "", training_table(training_costs(rows, samples, prices=prices))]
