"""The parts of wan_train.py that need several GPUs, or a training run: scaling, all weights, overfitting."""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from torch import Tensor, nn
from wan_random import SIZES, TINY, transformer

from pusa_lab.losses import fafm_frame_loss
from pusa_lab.samplers import sample
from pusa_lab.schedules import hold
from pusa_lab.training.activation_checkpointing import set_activation_checkpointing
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import InMemoryDataset
from pusa_lab.training.loop import fit
from pusa_lab.training.lora import WAN_LAYERS, add_lora
from pusa_lab.types import Geometry
from pusa_lab.wan.configs import WAN_CONFIGS
from pusa_lab.wan.trainable import TrainableWan
from pusa_lab.wan.transformer import VTAWanTransformer3DModel
from small_models.machine import device_name, library_versions

Add = Callable[[dict[str, Any]], None]
BATCH = 4


def about(mode: str, args: SimpleNamespace) -> dict[str, Any]:
    """What every row says."""
    known = {"mode": mode, "device": device_name(), "versions": library_versions(), "seed": 0, "layers": args.layers}
    return known | {"gpus": dist.get_world_size() if dist.is_initialized() else 1}


def start() -> tuple[int, int, torch.device]:
    """Rank, number of processes, device; the group is joined."""
    if not dist.is_initialized():
        if "RANK" not in os.environ:
            os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if gpu else "gloo")
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    return dist.get_rank(), dist.get_world_size(), device


def peaks(device: torch.device) -> float:
    """GiB of the rank that needs most."""
    peak = torch.tensor([torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0], device=device)
    dist.all_reduce(peak, dist.ReduceOp.MAX)
    return round(peak.item(), 2)


class Loss(nn.Module):
    """Latents to the loss, so that DDP sees one forward."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x0: Tensor, tau: Tensor, eps: Tensor, text: Tensor) -> Tensor:
        """The mean loss of the samples."""

        def denoise(x: Tensor, t: Tensor, text: Tensor) -> Tensor:
            return self.model(x.to(text.dtype), 1000 * t, text, return_dict=False)[0]

        return fafm_frame_loss(denoise, x0, tau, eps, text=text).mean()


def samples(count: int, shape: tuple[int, ...], text_dim: int, seed: int = 0) -> list[tuple[Tensor, ...]]:
    """Latents, timesteps, noise and captions, the same on every rank."""
    g = torch.Generator().manual_seed(seed)
    c, f, h, w = shape
    one = lambda: (  # noqa: E731
        torch.randn(1, c, f, h, w, generator=g),
        torch.rand(1, f, generator=g),
        torch.randn(1, c, f, h, w, generator=g),
        torch.randn(1, 512, text_dim, generator=g).bfloat16(),
    )
    return [one() for _ in range(count)]


def shape_of(args: SimpleNamespace, frames: int = 21) -> tuple[int, int, int, int]:
    """Latents (c, f, h, w) of one clip."""
    height, width = (64, 64) if args.tiny else SIZES[args.size[0]]
    return 16, 3 if args.tiny else frames, height // 8, width // 8


def scaling(args: SimpleNamespace, add: Add, end: float) -> None:
    """DDP of the LoRA: the same global batch of 4 clips on however many GPUs there are."""
    rank, world, device = start()
    torch.manual_seed(0)
    model = transformer(str(device), tiny=args.tiny, num_layers=args.layers)
    with torch.device(device):
        add_lora(model, args.lora_rank, WAN_LAYERS)
    if device.type == "cuda":
        model.set_attention_backend("_native_cudnn")
    set_activation_checkpointing(model, ["input"] * args.layers, device.type == "cuda")
    trained = [p for p in model.parameters() if p.requires_grad]
    loss_of: Any = Loss(model)
    if world > 1:
        loss_of = nn.parallel.DistributedDataParallel(loss_of, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(trained, 1e-5, fused=True)
    batch = samples(BATCH, shape_of(args), model.config.text_dim)[rank::world]
    seconds, losses = [], []
    for step in range(args.steps + 1):
        began = time.perf_counter()
        total = torch.zeros((), device=device)
        for i, one in enumerate(batch):
            alone = loss_of.no_sync() if world > 1 and i + 1 < len(batch) else nullcontext()
            with alone:
                loss = loss_of(*(t.to(device) for t in one)) / len(batch)
                loss.backward()
            total += loss.detach()
        optimizer.step()
        optimizer.zero_grad(set_to_none=world == 1)
        dist.all_reduce(total)
        losses.append(total.item() / world)
        seconds.append(time.perf_counter() - began)
        late = torch.tensor(float(time.perf_counter() > end and step > 0), device=device)
        dist.all_reduce(late)
        if late:
            break
    best = min(seconds[1:])
    row = about("scaling", args) | {"size": list(SIZES[args.size[0]]), "global_batch": BATCH, "losses": losses}
    row |= {"seconds_per_step": best, "samples_per_second": BATCH / best, "all_seconds": seconds}
    add(row | {"peak_gib": peaks(device), "rank": args.lora_rank})


def full(args: SimpleNamespace, add: Add, end: float) -> None:
    """FSDP2: all weights in float32 over the GPUs, computed in bfloat16; shorter clips if long ones do not fit."""
    for frames in (21, 13, 5) if not args.tiny else (3,):
        try:
            add(_full(args, frames, end))
            return
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            add(about("full", args) | {"frames": 1 + 4 * (frames - 1), "error": "out of memory"})


def _full(args: SimpleNamespace, frames: int, end: float) -> dict[str, Any]:
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    _, world, device = start()
    config = {**WAN_CONFIGS["wan2.1-14b"].transformer, **(TINY if args.tiny else {}), "num_layers": args.layers}
    with torch.device("meta"):
        model = VTAWanTransformer3DModel(**config)
    model.rope = WanRotaryPosEmbed(config["attention_head_dim"], config["patch_size"], 1024)
    gpu = device.type == "cuda"
    policy = MixedPrecisionPolicy(torch.bfloat16 if gpu else torch.float32, torch.float32)
    mesh = dist.device_mesh.init_device_mesh(device.type, (world,))
    # FSDP casts a block's inputs in its forward, and not when checkpointing computes it again.
    inside = MixedPrecisionPolicy(policy.param_dtype, torch.float32, cast_forward_inputs=False)
    for block in model.blocks:
        fully_shard(block, mp_policy=inside, mesh=mesh)
    fully_shard(model, mp_policy=policy, mesh=mesh)
    model.to_empty(device=device)
    model.rope = WanRotaryPosEmbed(config["attention_head_dim"], config["patch_size"], 1024).to(device)
    torch.manual_seed(0)
    for name, p in model.named_parameters():
        nn.init.ones_(p) if "norm" in name and name.endswith("weight") else nn.init.normal_(p, std=0.02)
    if gpu:
        model.set_attention_backend("_native_cudnn")
    set_activation_checkpointing(model, ["input"] * args.layers)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5, fused=gpu)
    one = [t.to(device) for t in samples(world, shape_of(args, frames), config["text_dim"])[dist.get_rank()]]
    loss_of, seconds, losses = Loss(model), [], []
    for step in range(args.steps + 1):
        began = time.perf_counter()
        loss = loss_of(*one[:3], one[3].to(policy.param_dtype))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - began)
        late = torch.tensor(float(time.perf_counter() > end and step > 0), device=device)
        dist.all_reduce(late)
        if late:
            break
    row = about("full", args) | {"size": list(SIZES[args.size[0]]), "frames": 1 + 4 * (frames - 1), "losses": losses}
    best = min(seconds[1:])
    row |= {"seconds_per_step": best, "samples_per_second": world / best, "peak_gib": peaks(device)}
    return row | {"parameters": sum(p.numel() for p in model.parameters())}


def overfit(args: SimpleNamespace, add: Add, end: float) -> None:
    """Four clips, four blocks, all weights: the loss and the error of image-to-video before and after."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    layers, steps = (2, 20) if args.tiny else (4, 600)
    model = transformer(device, torch.float32, args.tiny, num_layers=layers).requires_grad_(True)
    g = torch.Generator().manual_seed(3)
    clips = moving_fields(4, (16, 5, 16, 16), g)
    words = {f"clip {i}": torch.randn(8, model.config.text_dim, generator=g) for i in range(4)}
    words[""] = torch.zeros(1, model.config.text_dim)
    wan = TrainableWan(model, Geometry((4, 8, 8), 16, 5, (128, 128)), words)
    captions = [f"clip {i}" for i in range(4)]
    config = TrainConfig(
        max_steps=steps,
        global_batch_size=4,
        lr=1e-4,
        warmup=20,
        lr_scheduler="cosine",
        ema=0.0,
        caption_dropout=0.0,
        timestep_sampler="independent",
    )
    before = errors(wan, clips, captions, device)
    began = time.perf_counter()
    fit(
        wan, InMemoryDataset(clips.to(device), captions, 4, 0), config, accelerator="gpu" if device == "cuda" else "cpu"
    )
    seconds = time.perf_counter() - began
    wan.to(device)
    row = about("overfit", args) | {"layers": layers, "steps": steps, "seconds": seconds, "before": before}
    add(row | {"after": errors(wan, clips, captions, device), "variance_of_clips": clips.var().item()})


def moving_fields(count: int, shape: tuple[int, int, int, int], g: torch.Generator) -> Tensor:
    """Smooth random pictures that move at a constant speed, of variance 1."""
    c, f, h, w = shape
    coarse = torch.randn(count, c, h // 4, w // 4, generator=g)
    still = nn.functional.interpolate(coarse, (h, w), mode="bicubic")
    still = still / still.std(dim=(1, 2, 3), keepdim=True)
    return torch.stack([torch.roll(still, (i, 2 * i), (2, 3)) for i in range(f)], dim=2)


@torch.no_grad()
def errors(wan: TrainableWan, clips: Tensor, captions: list[str], device: str) -> dict[str, float]:
    """The loss at fixed timesteps and noise, and the mean square error of frames made from the first one."""
    g = torch.Generator().manual_seed(5)
    noise = torch.randn(clips.shape, generator=g).to(device)
    tau = torch.rand(len(clips), clips.shape[2], generator=g).to(device)
    clips, cond = clips.to(device), wan.encode_text(captions)
    loss = fafm_frame_loss(wan, clips, tau, noise, **cond).mean().item()
    x = noise.clone()
    x[:, :, :1] = clips[:, :, :1]
    made = sample(wan, x, hold(10, clips.shape[2]).to(device), **cond)
    return {"loss": loss, "image_to_video_mse": (made - clips)[:, :, 1:].square().mean().item()}
