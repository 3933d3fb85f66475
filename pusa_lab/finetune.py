"""Train VTA on a Wan: from a latent cache to a LoRA, or to all weights."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from pusa_lab import tasks
from pusa_lab.arguments import checked
from pusa_lab.files import check_writable, writing
from pusa_lab.generate import generate
from pusa_lab.metrics import follow_errors
from pusa_lab.pixels import to_uint8
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import LatentVideoDataModule
from pusa_lab.training.float8 import to_float8
from pusa_lab.training.latents import LatentCache, identity
from pusa_lab.training.loop import check_run, run
from pusa_lab.training.lora import WAN_LAYERS, add_lora, lora_state
from pusa_lab.training.module import Report, ShardedVTAModule, TrainedModule, VTAModule
from pusa_lab.training.recipes import CacheBatches
from pusa_lab.training.recompute import keep_plan, set_recompute
from pusa_lab.training.rescue import save_or_rescue
from pusa_lab.types import Geometry
from pusa_lab.wan.model import SHIFT
from pusa_lab.wan.trainable import TrainableWan
from pusa_lab.wan.transformer import VTAWanTransformer3DModel


@checked
def train_wan(
    transformer: Any,
    data: Path,
    out: Path,
    config: TrainConfig,
    *,
    about: Mapping[str, str] | None = None,
    logs: Path | None = None,
    resume: Path | None = None,
    codec: Any = None,
    keep: int = 0,
    everything: int = 0,
    host: bool = False,
    compiled: bool = False,
    float8: bool = False,
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
) -> Path:
    """Train a Wan on a cache, and write what was learned; returns its path.

    A LoRA is one file in diffusers' naming, with rank, recipe, base and commit. All weights are a folder as diffusers
    writes it; in training they are split over the processes, with their moments (FSDP2).

    Args:
        transformer: a text-to-video Wan; gets the LoRA.
        data: folder of a latent cache.
        out: ends in .safetensors for a LoRA, else a new folder.
        config: the run; lora_rank 0 trains all weights. With validate_every, the loss of the clips that are held out
            is logged, and what `watch` measures.
        about: words for the file's metadata, such as recipe and base.
        logs: folder for curves, validation videos and last.ckpt.
        resume: such a last.ckpt.
        codec: the base's; a cache from another one is refused. None is not compared, and shows no videos.
        keep: blocks that keep their attention, more memory and less time.
        everything: blocks that keep all they need, far more memory and a little less time.
        host: keep all this in the host's memory, less memory and a little more time.
        compiled: compile the blocks; on a Hopper GPU they use cuDNN's attention, whose backward is faster.
        float8: under a LoRA, multiply with the base in 8 bits: less time, and gradients some 3 % off.
        devices: GPUs of each host, or processes.
        nodes: hosts.
        accelerator: Lightning's.

    Raises:
        ValueError: the name does not fit what is trained, the cache does not fit, a loss is not finite, memory is too
            small, or a folder cannot be written to.
        OSError: the disk is full at the end; the sentence says where the weights are.
    """
    source = check_wan(data, out, config, logs, resume, compiled, float8, devices * nodes)
    cache, plan = source.cache, keep_plan(len(transformer.blocks), keep, everything)
    if codec is not None:
        cache.require(codec=identity(codec), channels=transformer.config.in_channels)
    torch.manual_seed(config.seed)
    module = _module(transformer, cache, config, codec, logs)
    module.about = about_cache(cache)
    if float8:
        to_float8(module.model.transformer)
    if compiled and transformer.device.type == "cuda" and torch.cuda.get_device_capability() >= (9, 0):
        module.model.transformer.set_attention_backend("_native_cudnn")
    set_recompute(module.model.transformer, plan, compiled, host)
    source.place = lambda: (module.trainer.global_rank, module.trainer.world_size)
    batches = LatentVideoDataModule(source, source if config.validate_every else None)
    try:
        run(module, batches, logs, resume, accelerator=accelerator, devices=devices, nodes=nodes)
    except torch.OutOfMemoryError as error:
        raise ValueError(_too_large(config, cache, keep + everything, host)) from error
    if module.global_rank == 0:
        words = {**(about or {}), "config": json.dumps(asdict(config)), "commit": _commit()}
        save = _save_lora if config.lora_rank else _save_whole
        save_or_rescue(lambda place: save(place, module, words), out, logs)
    return out


@checked
def about_cache(cache: LatentCache) -> dict[str, str]:
    """What a run on a cache is of: its clips in their order, and how they were encoded.

    Args:
        cache: what is learned from.
    """
    m = cache.manifest
    clips = [[clip.get(name) for name in ("name", "hash", "caption")] for clip in m["clips"]]
    told = json.dumps([clips, *(m.get(name) for name in ("codec", "text_encoder", "size", "pixel_frames", "fps"))])
    return {"data": f"{len(clips)} clips {hashlib.sha256(told.encode()).hexdigest()[:16]}"}


@checked
def watch(model: TrainableWan, cache: LatentCache, row: int, folder: Path | None = None) -> Report:
    """A `report` for training: image-to-video from a clip's first frame and caption, and its `follow_errors`.

    Always from the same noise, by `generate` with its defaults; the truth is the clip after encoding and decoding.

    Args:
        model: with a codec; learns the clip's caption.
        cache: holds the clip.
        row: which one.
        folder: gets step-000100.mp4, made beside true, at every validation; None writes none.

    Raises:
        ValueError: the cache has no such clip.
    """
    if not -len(cache) <= row < len(cache):
        raise ValueError(f"row={row}: the cache has {len(cache)} clips, give 0 to {len(cache) - 1}.")
    clip = cache[row]
    model.words = {**model.words, clip["caption"]: clip["text"]}
    true: list[Any] = []

    def report(wan: Any, step: int) -> dict[str, float]:
        if not true:
            true.append(to_uint8(wan.decode(clip["latents"][None].float())))
        made = generate(wan, clip["caption"], tasks.image_to_video(true[0][0, 0])).video
        if folder is not None and not (dist.is_initialized() and dist.get_rank()):
            from pusa_lab import media  # brings what shows videos in notebooks

            pair = torch.cat([torch.from_numpy(video[0]) for video in (made, true[0])], dim=2).numpy()
            media.write_clip(folder / f"step-{step:06d}.mp4", pair, wan.geometry.fps)
        return follow_errors(made, true[0], wan.geometry.stride[0])

    return report


@checked
def check_wan(
    data: Path,
    out: Path,
    config: TrainConfig,
    logs: Path | None = None,
    resume: Path | None = None,
    compiled: bool = False,
    float8: bool = False,
    processes: int = 1,
) -> CacheBatches:
    """Refuse what `train_wan` could not do, without its weights; returns the batches.

    Args:
        data: as for `train_wan`.
        out: the same.
        config: the same.
        logs: the same.
        resume: the same.
        compiled: the same.
        float8: the same.
        processes: on all hosts together.

    Raises:
        ValueError: something does not fit.
    """
    file = out.suffix == ".safetensors"
    if bool(config.lora_rank) != file:
        raise ValueError(
            f"lora_rank={config.lora_rank}, out={out}: a LoRA wants a name in .safetensors, all weights (lora_rank=0) "
            "that of a folder."
        )
    if not file and out.exists():
        raise ValueError(f"out={out} is there already: give a new folder for the weights.")
    if not file and logs is not None and out.resolve() in (Path(logs).resolve(), *Path(logs).resolve().parents):
        raise ValueError(f"out={out} is to hold the weights alone: give logs={logs} another folder.")
    if compiled and not config.lora_rank:
        raise ValueError("lora_rank=0 splits the weights of every block, which is not compiled: leave out --compiled.")
    if config.optimizer == "adamw8bit" and not config.lora_rank:
        # its compiled step, cached by one process, reads beyond the shards of another that are smaller or empty
        raise ValueError("optimizer='adamw8bit', lora_rank=0: it does not work on split weights, set optimizer=adamw.")
    _check_float8(config, float8)
    if config.validate_every and not config.held_out:
        raise ValueError(f"validate_every={config.validate_every}, held_out=0: hold clips out, such as held_out=1.")
    if config.ema and not config.lora_rank:
        raise ValueError(f"lora_rank=0, ema={config.ema}: split weights are not averaged, set ema=0.")
    check_writable(out, "out")
    config.accumulate(processes)
    batches = CacheBatches(LatentCache(data), config)
    check_run(config, logs, resume, about_cache(batches.cache))
    return batches


def _check_float8(config: TrainConfig, float8: bool) -> None:
    if float8 and not config.lora_rank:
        raise ValueError("float8=True, lora_rank=0: 8 bits are for weights that are not trained, leave out --float8.")
    if float8 and torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 9):
        raise ValueError(
            f"float8=True on a {torch.cuda.get_device_name()}: products in 8 bits need an Ada, Hopper or newer GPU, "
            "leave out --float8."
        )


def _module(transformer: Any, cache: LatentCache, config: TrainConfig, codec: Any, logs: Path | None) -> TrainedModule:
    """Model and loss, with a validation if there is one."""
    m = cache.manifest
    geometry = Geometry(_stride(cache), m["channels"], m["frames"], tuple(m["size"]), round(m["fps"]), SHIFT)
    model = TrainableWan(transformer, geometry, {"": cache.empty}, codec)
    report = None
    if config.validate_every and codec is not None:
        report = watch(model, cache, len(cache) - config.held_out, logs and Path(logs) / "validation")
    if not config.lora_rank:
        return ShardedVTAModule(model, config, report)
    add_lora(model.transformer, config.lora_rank, WAN_LAYERS)
    return VTAModule(model, config, report)


def _stride(cache: LatentCache) -> tuple[int, int, int]:
    """Pixels in a latent, in time and space, as the cache's own sizes have it; 8 or 16 by the Wan."""
    m, (h, w) = cache.manifest, cache[0]["latents"].shape[2:]
    return (m["pixel_frames"] - 1) // max(m["frames"] - 1, 1) or 1, m["size"][0] // h, m["size"][1] // w


def _too_large(config: TrainConfig, cache: LatentCache, kept: int, host: bool) -> str:
    """What to do about memory, the cheapest first."""
    (h, w), rank = cache.manifest["size"], config.lora_rank
    ways = {
        "--keep 0 --everything 0": kept > 0,
        "--host": not host,
        "--optimizer adamw8bit": rank > 0 and config.optimizer == "adamw",
        "--micro 1": config.micro != 1,
        f"a lora_rank below {rank}": rank > 1,
        "more --devices": not rank,
        "smaller clips": True,
    }
    mode = f"lora --rank {rank}" if rank else "full"
    return (
        f"out of memory with {kept} blocks that keep more than their input, host={host}, "
        f"optimizer={config.optimizer}, micro={config.micro} and clips of "
        f"{h} x {w}: try {', '.join(way for way, helps in ways.items() if helps)}; "
        f"`pusa-lab plan --size {h}x{w} --mode {mode}` counts."
    )


def _save_lora(out: Path, module: TrainedModule, words: Mapping[str, str]) -> None:
    state = {k.removeprefix("transformer."): v for k, v in lora_state(module.model).items()}
    tensors = {f"transformer.{k}": v.cpu().contiguous() for k, v in state.items()}
    with writing(out) as part:
        save_file(tensors, part, {"format": "pt", "rank": str(module.config.lora_rank), **words})


def _save_whole(out: Path, module: Any, words: Mapping[str, str]) -> None:
    """As diffusers does, in bfloat16 but for what it keeps in float32; `training.json` tells where it comes from."""
    config = module.model.transformer.config
    with torch.device("meta"):
        empty = VTAWanTransformer3DModel.from_config(config)
    wide = set(VTAWanTransformer3DModel._keep_in_fp32_modules)
    weights: dict[str, Tensor] = {
        name.removeprefix("transformer."): w if wide & set(name.split(".")) else w.bfloat16()
        for name, w in module.whole.items()
    }
    empty.load_state_dict(weights, assign=True)
    with writing(out) as part:
        empty.save_pretrained(part)
        (part / "training.json").write_text(json.dumps(words, indent=1) + "\n")


def _commit() -> str:
    """Of the clone that this package lies in."""
    told = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"
