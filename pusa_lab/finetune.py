"""Train VTA on a Wan model from a latent cache: a LoRA, or all weights."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pusa_lab import tasks
from pusa_lab.arguments import checked
from pusa_lab.checkpointing import checkpointing_plan
from pusa_lab.data.latents import LatentCache, identity
from pusa_lab.data.manifest import codec_psnrs
from pusa_lab.data.quality import warn_of_codec
from pusa_lab.fa4 import CAPABILITY
from pusa_lab.files import check_writable, content_digest, writing
from pusa_lab.generate import generate
from pusa_lab.metrics import follow_errors
from pusa_lab.pixels import to_uint8
from pusa_lab.planning.planner import plan
from pusa_lab.planning.recipe import find_model, out_of_memory, run_arguments
from pusa_lab.planning.tables import find_gpu
from pusa_lab.training.activation_checkpointing import set_activation_checkpointing
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import LatentVideoDataModule
from pusa_lab.training.float8 import to_float8
from pusa_lab.training.loop import check_run, run
from pusa_lab.training.lora import WAN_LAYERS, add_lora, lora_state
from pusa_lab.training.module import Report, ShardedVTAModule, TrainedModule, VTAModule
from pusa_lab.training.recipes import CacheBatches
from pusa_lab.training.rescue import save_or_rescue
from pusa_lab.types import Geometry
from pusa_lab.wan.attention import check_attention, set_attention
from pusa_lab.wan.fastest_attention import choose_attention
from pusa_lab.wan.loading import find_device
from pusa_lab.wan.lora.files import write_lora
from pusa_lab.wan.model import SHIFT
from pusa_lab.wan.trainable import TrainableWan
from pusa_lab.wan.transformer import VTAWanTransformer3DModel


@checked
def train_wan(
    transformer: Any,
    data: Path | LatentCache,
    out: Path,
    config: TrainConfig,
    *,
    about: Mapping[str, str] | None = None,
    logs: Path | None = None,
    resume: Path | None = None,
    codec: Any = None,
    ac_save_attention: int = 0,
    ac_skip_blocks: int = 0,
    offload_activations: bool = False,
    compiled: bool = False,
    float8: bool = False,
    attention: str | None = None,
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
) -> Path:
    """Train a Wan model on a latent cache, and write the trained weights.

    A LoRA is written as one file in diffusers' naming, with rank, configuration, commit, the clips' folder and the
    names of those that were held out (config.num_val_clips, the last ones of the cache) in its metadata. With all
    weights trained, a folder in diffusers' layout is written; during training the weights and the moments of the
    optimizer are sharded over the processes (FSDP2).

    Args:
        transformer: transformer of a text-to-video Wan; the LoRA is added to it in place.
        data: folder of a latent cache, or the cache itself, whose files are not read again.
        out: path of the result: a name in .safetensors for a LoRA, a new folder for all weights.
        config: the run; lora_rank=0 trains all weights. With validate_every, the loss of the validation clips and the
            measures of `watch` are logged.
        about: further metadata for the result, such as recipe and base.
        logs: folder for loss curves, validation videos and last.ckpt; None writes none.
        resume: path of a last.ckpt to resume from.
        codec: the base's codec; a cache that was encoded with another one is refused. With None the codec is not
            compared, and no validation videos are made.
        ac_save_attention: blocks that save the output of their attention for the backward pass: more memory, less time.
        ac_skip_blocks: blocks without activation checkpointing: much more memory, slightly less time.
        offload_activations: whether saved activations are moved to host memory: less GPU memory, slightly more time.
        compiled: whether to compile the blocks.
        float8: for a LoRA only, whether products with the base's weights are computed in 8 bits: less time, with an
            error of about 3 % in the gradients.
        attention: as for `WanModel.from_pretrained`, with "auto" timed forward and backward; None is cuDNN's in
            compiled blocks on a Hopper GPU, and PyTorch's choice elsewhere.
        devices: GPUs per host, or processes per host on a CPU, at least 1.
        nodes: hosts, at least 1.
        accelerator: Lightning's name for the kind of device, such as "cpu", "cuda" or "auto".

    Returns:
        `out`.

    Raises:
        ValueError: arguments, configuration and cache do not fit together, a loss is not finite, memory is too small,
            or a folder cannot be written to.
        OSError: the result could not be written, for example because the disk is full; the sentence says where the
            weights were saved instead.
    """
    source = check_wan(data, out, config, logs, resume, compiled, float8, devices * nodes, attention)
    cache, saves = source.cache, checkpointing_plan(len(transformer.blocks), ac_save_attention, ac_skip_blocks)
    warn_of_codec(cache.manifest["model"], codec_psnrs(cache.manifest))
    if codec is not None:
        cache.require(codec=identity(codec), channels=transformer.config.in_channels)
    torch.manual_seed(config.seed)
    module = _module(transformer, cache, config, codec, logs)
    module.about = about_cache(cache) | config.code()
    _set_attention(module.model, config, attention, compiled, accelerator)
    if float8:
        to_float8(module.model.transformer)
    set_activation_checkpointing(module.model.transformer, saves, compiled, offload_activations)
    source.place = lambda: (module.trainer.global_rank, module.trainer.world_size)
    batches = LatentVideoDataModule(source, source if config.validate_every else None)
    try:
        run(module, batches, logs, resume, accelerator=accelerator, devices=devices, nodes=nodes)
    except torch.OutOfMemoryError as error:
        saved: dict[str, Any] = {"ac_save_attention": ac_save_attention, "ac_skip_blocks": ac_skip_blocks}
        saved |= {"offload_activations": offload_activations, "compiled": compiled, "float8": float8}
        saved["attention"] = attention
        base = (about or {}).get("base", "")
        raise ValueError(_too_large(config, cache, transformer, devices * nodes, saved, base)) from error
    if module.global_rank == 0:
        metadata = {**(about or {}), "config": json.dumps(asdict(config)), "commit": _commit()}
        names = [clip["name"] for clip in cache.manifest["clips"]]
        metadata |= {"data": f"{cache.manifest['source']}, {len(names)} clips"}
        metadata |= {"held_out": json.dumps(names[source.learned :])}
        metadata |= {"own": json.dumps(own)} if (own := config.plugged_in()) else {}
        save = _save_lora if config.lora_rank else _save_whole
        save_or_rescue(lambda place: save(place, module, metadata), out, logs)
    return out


@checked
def about_cache(cache: LatentCache) -> dict[str, str]:
    """Metadata that identifies the training data: a digest of the clips in order and of how they were encoded.

    Args:
        cache: latent cache to train on.

    Returns:
        {"data": "<number> clips <16 hexadecimal digits>"}.
    """
    m = cache.manifest
    clips = [[clip.get(name) for name in ("name", "hash", "caption")] for clip in m["clips"]]
    content = json.dumps([clips, *(m.get(name) for name in ("codec", "text_encoder", "size", "num_frames", "fps"))])
    return {"data": f"{len(clips)} clips {content_digest(content)[:16]}"}


@checked
def watch(model: TrainableWan, cache: LatentCache, row: int, folder: Path | None = None) -> Report:
    """Make a `report` for training: it generates image-to-video for one clip and returns its `follow_errors`.

    The video is generated from the clip's first frame and caption by `generate` with its defaults, always from the same
    noise, and compared with the clip after encoding and decoding.

    Args:
        model: a model with a codec; the clip's encoded caption is added to its prompts.
        cache: cache with the clip.
        row: index of the clip in the cache; negative numbers count from the end.
        folder: folder for the videos, such as step-000100.mp4 with the generated video beside the true one; None writes
            none.

    Raises:
        ValueError: the cache has no such clip.
    """
    if not -len(cache) <= row < len(cache):
        raise ValueError(f"row={row}: the cache has {len(cache)} clips, give 0 to {len(cache) - 1}.")
    clip = cache[row]
    model.embeddings = {**model.embeddings, clip["caption"]: clip["text"]}
    true: list[Any] = []

    def report(wan: Any, step: int) -> dict[str, float]:
        if not true:
            true.append(to_uint8(wan.decode(clip["latents"][None].float())))
        made = generate(wan, clip["caption"], tasks.image_to_video(true[0][0, 0])).video
        if folder is not None and not (dist.is_initialized() and dist.get_rank()):
            from pusa_lab import media  # imported late, because it needs mediapy

            pair = torch.cat([torch.from_numpy(video[0]) for video in (made, true[0])], dim=2).numpy()
            media.write_clip(folder / f"step-{step:06d}.mp4", pair, wan.geometry.fps)
        return follow_errors(made, true[0], wan.geometry.stride[0])

    return report


@checked
def check_wan(
    data: Path | LatentCache,
    out: Path,
    config: TrainConfig,
    logs: Path | None = None,
    resume: Path | None = None,
    compiled: bool = False,
    float8: bool = False,
    processes: int = 1,
    attention: str | None = None,
) -> CacheBatches:
    """Check the arguments of `train_wan` before any weights are loaded.

    Args:
        data: as for `train_wan`.
        out: as for `train_wan`.
        config: as for `train_wan`.
        logs: as for `train_wan`.
        resume: as for `train_wan`.
        compiled: as for `train_wan`.
        float8: as for `train_wan`.
        processes: number of processes on all hosts together, at least 1.
        attention: as for `train_wan`.

    Returns:
        The batches of the cache.

    Raises:
        ValueError: arguments, configuration and cache do not fit together.
    """
    if processes < 1:
        raise ValueError(f"processes={processes}: give at least 1.")
    file = out.suffix == ".safetensors"
    if bool(config.lora_rank) != file:
        raise ValueError(
            f"out is {str(out)!r:.300} for lora_rank={config.lora_rank}: give a name that ends in .safetensors for a "
            "LoRA, or that of a folder for all weights (lora_rank=0)."
        )
    if not file and out.exists():
        raise ValueError(f"out={out} exists already: give a new folder for the weights.")
    if not file and logs is not None and out.resolve() in (Path(logs).resolve(), *Path(logs).resolve().parents):
        raise ValueError(f"logs={logs} is in out={out}, the folder of the weights: give another folder for the logs.")
    if compiled and not config.lora_rank:
        raise ValueError("lora_rank=0 shards the weights, and such blocks cannot be compiled: leave out --compiled.")
    if config.optimizer == "adamw8bit" and not config.lora_rank:
        # Its compiled step is cached by one process and reads beyond smaller or empty shards of another.
        raise ValueError("optimizer='adamw8bit', lora_rank=0: it cannot train sharded weights, set optimizer=adamw.")
    _check_float8(config, float8)
    if attention is not None:
        check_attention(attention, find_device(None))
    if config.validate_every and not config.num_val_clips:
        raise ValueError(f"validate_every={config.validate_every}, num_val_clips=0: set num_val_clips to 1 or more.")
    if config.ema and not config.lora_rank:
        raise ValueError(f"lora_rank=0, ema={config.ema}: sharded weights cannot be averaged, set ema=0.")
    check_writable(out, "out")
    config.accumulate(processes)
    batches = CacheBatches(data if isinstance(data, LatentCache) else LatentCache(data), config)
    config.check_frames(batches.cache.manifest["latent_frames"])
    check_run(config, logs, resume, about_cache(batches.cache) | config.code())
    return batches


def _check_float8(config: TrainConfig, float8: bool) -> None:
    if float8 and not config.lora_rank:
        raise ValueError("float8=True, lora_rank=0: float8 is for weights that are not trained, leave out --float8.")
    if float8 and torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 9):
        raise ValueError(
            f"float8=True on a {torch.cuda.get_device_name()}: float8 needs an Ada, Hopper or newer GPU, leave out "
            "--float8."
        )


def _set_attention(
    model: TrainableWan, config: TrainConfig, attention: str | None, compiled: bool, accelerator: str
) -> None:
    transformer, device = model.transformer, model.device
    if attention is None and compiled and device.type == "cuda" and torch.cuda.get_device_capability() >= CAPABILITY:
        attention = "cudnn"
    if device.type != "cuda":  # where Lightning will move it
        device = find_device("cpu" if accelerator == "cpu" else None)
    dtype = torch.bfloat16 if device.type == "cuda" and not config.lora_rank else transformer.dtype
    chosen = choose_attention(attention, device, dtype, transformer.config, model.geometry, backward=True)
    if chosen is not None:
        set_attention(transformer, chosen, device, dtype)


def _module(transformer: Any, cache: LatentCache, config: TrainConfig, codec: Any, logs: Path | None) -> TrainedModule:
    """The model with its loss, and its validation if the configuration has one."""
    m = cache.manifest
    geometry = Geometry(_stride(cache), m["channels"], m["latent_frames"], tuple(m["size"]), round(m["fps"]), SHIFT)
    model = TrainableWan(transformer, geometry, {"": cache.empty}, codec)
    report = None
    if config.validate_every and codec is not None:
        report = watch(model, cache, len(cache) - config.num_val_clips, logs and Path(logs) / "validation")
    if not config.lora_rank:
        return ShardedVTAModule(model, config, report)
    add_lora(model.transformer, config.lora_rank, WAN_LAYERS)
    return VTAModule(model, config, report)


def _stride(cache: LatentCache) -> tuple[int, int, int]:
    """Pixels per latent along frames, height and width, from the sizes in the cache; the spatial stride is 8 or 16."""
    m, (h, w) = cache.manifest, cache[0]["latents"].shape[2:]
    return (m["num_frames"] - 1) // max(m["latent_frames"] - 1, 1) or 1, m["size"][0] // h, m["size"][1] // w


def _too_large(
    config: TrainConfig, cache: LatentCache, transformer: Any, gpus: int, saved: dict[str, Any], base: str = ""
) -> str:
    """The sentence for a run out of memory, from the planner, which finds other sizes in the base's folder."""
    arguments = run_arguments(config, gpus, **saved)
    arguments |= {"size": tuple(cache.manifest["size"]), "num_frames": cache.manifest["num_frames"]}
    model = find_model(transformer.config) or (base if base and Path(base).is_dir() else None)
    gpu = find_gpu(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
    arguments |= {name: value for name, value in (("model", model), ("gpu", gpu)) if value}
    return out_of_memory(plan(**arguments).settings, known=bool(model and gpu))


def _save_lora(out: Path, module: TrainedModule, metadata: Mapping[str, str]) -> None:
    state = {f"transformer.{k.removeprefix('transformer.')}": v for k, v in lora_state(module.model).items()}
    write_lora(out, state, {"rank": str(module.config.lora_rank), **metadata})


def _save_whole(out: Path, module: Any, metadata: Mapping[str, str]) -> None:
    """Write a folder in diffusers' layout, in bfloat16 except what diffusers keeps in float32, and training.json."""
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
        (part / "training.json").write_text(json.dumps(metadata, indent=1) + "\n")


def _commit() -> str:
    """Commit of the clone that this package is in, or "unknown"."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
