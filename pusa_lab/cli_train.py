"""Train VTA on a Wan: `pusa-lab train --recipe paper --data CACHE --model FOLDER --out FILE`."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pusa_lab.types import Geometry


def add_wan_options(train: argparse.ArgumentParser) -> None:
    """Put the options of a Wan's training beside those of the toys.

    Args:
        train: the parser of `pusa-lab train`.
    """
    train.add_argument("--recipe", choices=["paper", "released"], help="train a Wan: --data CACHE --model FOLDER")
    train.add_argument("--plan-only", action="store_true", help="what a recipe would cost, by measured steps")
    train.add_argument("--expert", choices=["high", "low"], help="of Wan2.2-A14B: which one, on its own clocks")
    train.add_argument("--devices", type=int, default=1, help="GPUs of this host (default 1)")
    train.add_argument("--keep", type=int, default=0, help="blocks that keep their attention (default 0: least memory)")
    train.add_argument("--compiled", action="store_true", help="compile the blocks of a Wan")


def train_wan(
    transformer: Any,
    data: Path,
    out: Path,
    config: Any,
    *,
    about: dict[str, str] | None = None,
    logs: Path | None = None,
    resume: Path | None = None,
    codec: Any = None,
    keep: int = 0,
    compiled: bool = False,
    devices: int = 1,
    accelerator: str = "auto",
) -> Path:
    """Train a LoRA, and write it in diffusers' naming with rank, recipe, base and commit; returns its path.

    Args:
        transformer: a text-to-video Wan; gets the LoRA.
        data: folder of a latent cache.
        out: ends in .safetensors.
        config: a TrainConfig with a lora_rank.
        about: words for the file's metadata, such as recipe and base.
        logs: folder for curves and last.ckpt.
        resume: such a last.ckpt.
        codec: the base's; a cache from another one is refused, None is not compared.
        keep: blocks that keep their attention, more memory and less time.
        compiled: compile the blocks.
        devices: GPUs of this host, or processes.
        accelerator: Lightning's.

    Raises:
        ValueError: no LoRA is asked for, the cache does not fit, a loss is not finite, or memory is too small.
    """
    from pusa_lab.training import VTAModule, add_lora, check_run, lora_state, run
    from pusa_lab.training.data import LatentVideoDataModule
    from pusa_lab.training.latents import LatentCache, identity
    from pusa_lab.training.lora import WAN_LAYERS
    from pusa_lab.training.recipes import CacheBatches
    from pusa_lab.training.recompute import keep_plan, set_recompute
    from pusa_lab.wan.trainable import TrainableWan

    if not config.lora_rank or out.suffix != ".safetensors":
        raise ValueError(f"lora_rank={config.lora_rank}, out={out}: give a rank above 0 and a name in .safetensors.")
    check_run(config, logs, resume)
    cache = LatentCache(data)
    if codec is not None:
        cache.require(codec=identity(codec), channels=transformer.config.in_channels)
    source, plan = CacheBatches(cache, config), keep_plan(len(transformer.blocks), keep)
    torch.manual_seed(config.seed)
    m = cache.manifest
    geometry = Geometry(_stride(cache), m["channels"], m["frames"], tuple(m["size"]))
    model = TrainableWan(transformer, geometry, {"": cache.empty})
    add_lora(model.transformer, config.lora_rank, WAN_LAYERS)
    set_recompute(model.transformer, plan, compiled)
    module = VTAModule(model, config)
    source.place = lambda: (module.trainer.global_rank, module.trainer.world_size)
    try:
        run(module, LatentVideoDataModule(source), logs, resume, accelerator=accelerator, devices=devices)
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"out of memory with keep={keep}, micro={config.micro} and clips of {m['size'][0]} x {m['size'][1]}: set "
            "--keep 0, --set micro=1, a smaller lora_rank, or encode smaller clips; `pusa-lab plan --mode lora` counts."
        ) from error
    if module.global_rank == 0:
        state = {k.removeprefix("transformer."): v for k, v in lora_state(model).items()}
        _save(out, state, {**(about or {}), "config": asdict(config)}, config.lora_rank)
    return out


def _stride(cache: Any) -> tuple[int, int, int]:
    """Pixels in a latent, in time and space, as the cache's own sizes have it; 8 or 16 by the Wan."""
    m, (h, w) = cache.manifest, cache[0]["latents"].shape[2:]
    return (m["pixel_frames"] - 1) // max(m["frames"] - 1, 1) or 1, m["size"][0] // h, m["size"][1] // w


def _save(out: Path, state: dict[str, torch.Tensor], about: dict[str, Any], rank: int) -> None:
    words = {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.part")
    tensors = {f"transformer.{k}": v.cpu().contiguous() for k, v in state.items()}
    save_file(tensors, part, {"format": "pt", "rank": str(rank), "commit": _commit(), **words})
    part.replace(out)


def _commit() -> str:
    """Of the clone that this package lies in."""
    told = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


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
        _say(*plan_lines(args.recipe, config))
        return
    if not args.data or not Path(args.model).is_dir():
        raise ValueError(f"--data {args.data!r}, --model {args.model!r}: give a latent cache and a Wan's folder.")
    from pusa_lab.wan.folders import check, find
    from pusa_lab.wan.loading import read_codec, read_transformer

    folder = check(find(args.model))
    name, config = _expert(folder, args.expert, config)
    # Of several processes each has a GPU of its own.
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    transformer = read_transformer(folder, name, torch.bfloat16, None).to(device)
    out = args.out if args.out.suffix == ".safetensors" else args.out / f"{args.recipe}.safetensors"
    about = {"recipe": args.recipe, "base": str(args.model), "expert": name, "command": args.command}
    options: dict[str, Any] = {"logs": args.logs, "resume": args.resume, "keep": args.keep, "compiled": args.compiled}
    options |= {"about": about, "codec": read_codec(folder), "devices": args.devices}
    _say(str(train_wan(transformer, Path(args.data), out, config, **options)))


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


def plan_lines(recipe: str, config: Any) -> Sequence[str]:
    """What a recipe costs, from the steps that `benchmarks/wan_train.py` measured.

    Args:
        recipe: its name.
        config: its settings.
    """
    from pusa_lab.wan.plan_training import read_training, training_costs, training_table

    samples = config.steps * config.batch
    rows = read_training(Path(__file__).parents[1] / "benchmarks" / "results" / "wan_train.json")
    head = f"{recipe}: {config.steps} steps of {config.batch} clips, {samples} samples, LoRA of rank {config.lora_rank}"
    return [head, "", training_table(training_costs(rows, samples))]


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
