"""What `pusa-lab train --recipe` does: VTA on a Wan, from a latent cache."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pusa_lab.cli.launch import processes
from pusa_lab.cli.terminal import line, say
from pusa_lab.cli.train import OUT, SAVED


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
        say(str(plan_of(given, config)))
        return
    data, model = str(given.get("data") or ""), str(given.get("model") or "")
    for name, value in {"data": data, "model": model}.items():
        if not value or not Path(value).is_dir():
            fault = f"--{name} {value!r:.300} is not an existing folder" if value else f"--{name} is missing"
            raise ValueError(f"{fault}: give --data CACHE, a latent cache, and --model FOLDER, a Wan's folder.")
    from pusa_lab.checkpointing import checkpointing_plan
    from pusa_lab.finetune import check_wan, train_wan
    from pusa_lab.wan.folders import check_wan_folder, find_folder
    from pusa_lab.wan.loading import read_codec, read_transformer

    folder = check_wan_folder(find_folder(model))
    name, config = _expert(folder, given.get("expert"), config)
    out = _lora_file(given.get("out", OUT), recipe) if config.lora_rank else given.get("out", OUT)
    devices, nodes = processes("--gpus", given.get("gpus", 1), "train")
    options, logs, resume = saved(given), given.get("logs"), given.get("resume")
    # before gigabytes of weights are read
    blocks = folder.config(name)["num_layers"]
    checkpointing_plan(blocks, options["ac_save_attention"], options["ac_skip_blocks"])
    compiled, float8 = options["compiled"], options["float8"]
    ways = compiled, float8, devices * nodes, options["attention"]
    source = check_wan(Path(data), out, config, logs, resume, *ways)
    transformer = read_transformer(folder, name, torch.bfloat16, None)
    if config.lora_rank and torch.cuda.is_available():
        # Of several processes each has a GPU of its own; all weights go there later, split.
        transformer = transformer.to(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    about = {"recipe": recipe, "base": str(model), "expert": name, "command": line.get()}
    options |= {"logs": logs, "resume": resume, "devices": devices, "nodes": nodes, "about": about}
    path = train_wan(transformer, source.cache, out, config, codec=read_codec(folder), **options)
    if not int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))):
        say(str(path))


def _lora_file(out: Path, recipe: str) -> Path:
    """Where a LoRA goes: a file of that name, or one of the recipe's name in that folder."""
    from pusa_lab.wan.lora.files import PICKLES

    if out.suffix == ".safetensors":
        return out
    if out.suffix.lower() in (*PICKLES, ".safetensor"):
        raise ValueError(f"--out {out}: give a name that ends in .safetensors, or that of a folder for it.")
    return out / f"{recipe}.safetensors"


def saved(given: Mapping[str, Any]) -> dict[str, Any]:
    """What decides memory and time: of blocks a number, of attention its name or None, of the others whether.

    Args:
        given: options of the command that were given.
    """
    usual = {"attention": None}
    return {name: given.get(name, usual.get(name, 0 if name.startswith("ac_") else False)) for name in SAVED}


def _expert(folder: Any, wanted: str | None, config: Any) -> tuple[str, Any]:
    """The expert's name in the folder, and the recipe on its timesteps."""
    if len(folder.experts) == 1:
        if wanted:
            raise ValueError(f"--expert {wanted}: {folder.path} has one transformer, leave --expert out.")
        return folder.experts[0], config
    if not wanted:
        raise ValueError(f"{folder.path} has two experts, which train one after the other: give --expert high or low.")
    boundary = folder.index.get("boundary_ratio") or 0.875
    bounds = {"t_min": boundary} if wanted == "high" else {"t_max": boundary}
    return folder.experts[wanted == "low"], replace(config, **bounds)


def _clips(given: Mapping[str, Any]) -> dict[str, Any]:
    """Size and frames of the clips in --data, if a plan is of these."""
    from pusa_lab.data.latents import LatentCache

    if "data" not in given:
        return {}
    if "size" in given:
        raise ValueError(f"--size {given['size']} and --data, whose clips have a size: leave out one of them.")
    manifest = LatentCache(Path(given["data"])).manifest
    return {"size": tuple(manifest["size"]), "num_frames": manifest["num_frames"]}


def plan_of(given: Mapping[str, Any], config: Any) -> Any:
    """What a recipe costs: the plan that `pusa-lab plan` makes of the same settings.

    Args:
        given: options of the command that were given; --model is what `plan` takes.
        config: the recipe's settings.

    Raises:
        ValueError: as for `plan`.
    """
    from pusa_lab.planning.planner import plan
    from pusa_lab.planning.recipe import run_arguments
    from pusa_lab.planning.settings import ALWAYS, find_sizes

    options = {name: given[name] for name in ("model", "size", "gpu", "price") if name in given} | _clips(given)
    if "expert" in given:
        model = options.get("model", ALWAYS["model"])
        if find_sizes(model).experts == 1:
            raise ValueError(f"--expert {given['expert']}: {model} has one transformer, leave --expert out.")
        options["experts"] = 1
    return plan(**run_arguments(config, given.get("gpus", 1), **saved(given)), **options)
