"""A LoRA training step of Wan-14B, in each of the ways that wan_train.py compares."""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from wan_random import SIZES, latents, transformer

from pusa_lab.losses import fafm_frame_loss
from pusa_lab.training.activation_checkpointing import set_activation_checkpointing
from pusa_lab.training.float8 import to_float8
from pusa_lab.training.lora import WAN_LAYERS, add_lora
from pusa_lab.wan.attention import set_attention

LAYERS = 40


@dataclass(frozen=True)
class Way:
    """One way to do a step."""

    name: str
    compiled: bool = False
    attention: str = ""
    """As `pusa_lab.wan.attention.set_attention`; "" is PyTorch's choice."""
    keep: str = "input"
    float8: bool = False


WAYS = [
    Way("eager, full checkpointing"),
    Way("eager, cuDNN attention", attention="cudnn"),
    Way("compiled, cuDNN attention", True, "cudnn"),
    Way("compiled, cuDNN attention, attention kept", True, "cudnn", "attention"),
    Way("compiled, cuDNN attention, float8", True, "cudnn", "attention", True),
    Way("compiled, full checkpointing", True),
    Way("compiled, cuDNN attention, everything kept", True, "cudnn", "everything"),
    Way("compiled, FlashAttention 4, attention kept", True, "fa4", "attention"),
    Way("compiled, FlashAttention 4, float8", True, "fa4", "attention", True),
]


class Step:
    """A LoRA training step: model, optimizer, one clip."""

    def __init__(self, args: SimpleNamespace, size: tuple[int, int], way: Way, saves: Sequence[str]):
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(0)
        wide = {"attention_head_dim": 16, "ffn_dim": 64} if args.tiny else {}  # 8 bits want multiples of 16
        self.model = transformer(device, tiny=args.tiny, num_layers=len(saves), **wide)
        with torch.device(device):
            add_lora(self.model, args.lora_rank, WAN_LAYERS)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        for name, p in self.model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(p, std=1e-3)  # at zero, A would have no gradient and errors would hide
        if way.float8:
            to_float8(self.model)
        if way.attention and device == "cuda":
            set_attention(self.model, way.attention)
        compiled = way.compiled and device == "cuda"
        set_activation_checkpointing(self.model, saves, compiled, args.offload_activations)
        self.saves = saves
        self.optimizer = optimizer(args.optimizer, self.trained)
        self.optimizer_seconds: list[float] = []
        g = torch.Generator().manual_seed(1)
        self.x0 = latents(device, size, 81).float()
        self.text = torch.randn(1, 512, self.model.config.text_dim, generator=g).to(device, torch.bfloat16)
        self.tau = torch.rand(1, self.x0.shape[2], generator=g).to(device)
        self.eps = torch.randn(self.x0.shape, generator=g).to(device)

    def denoise(self, x: torch.Tensor, tau: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """The velocity."""
        return self.model(x.to(text.dtype), 1000 * tau, text, return_dict=False)[0]

    def gradients(self) -> float:
        """Forward and backward; the loss."""
        loss = fafm_frame_loss(self.denoise, self.x0, self.tau, self.eps, text=self.text).mean()
        loss.backward()
        return loss.item()

    def __call__(self) -> float:
        """One whole step."""
        loss = self.gradients()
        synchronise()
        began = time.perf_counter()
        self.optimizer.step()
        synchronise()
        self.optimizer_seconds.append(time.perf_counter() - began)
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def of_kind(self, keep: str) -> list[nn.Module]:
        """The blocks that keep this."""
        return [block for block, kept in zip(self.model.blocks, self.saves, strict=True) if kept == keep]

    @contextmanager
    def only(self, blocks: Sequence[nn.Module]) -> Iterator[None]:
        """For a while the model is no more than these of its blocks."""
        whole = self.model.blocks
        self.model.blocks = nn.ModuleList(blocks)
        try:
            yield
        finally:
            self.model.blocks = whole

    def warm_up(self) -> None:
        """Compile, with few blocks of each kind, and let the optimizer make its state; no number changes."""
        # two, because the very first block's input needs no gradient, and compiles to another graph
        with self.only([block for keep in dict.fromkeys(self.saves) for block in self.of_kind(keep)[:2]]):
            self.gradients()
        for p in self.trained:
            p.grad = torch.zeros_like(p)
        (group,) = self.optimizer.param_groups
        rate, group["lr"] = group["lr"], 0 * group["lr"]
        self.optimizer.step()
        group["lr"] = rate
        for state in self.optimizer.state.values():
            state["step"].zero_()
        self.optimizer.zero_grad(set_to_none=True)
        synchronise()

    def petaflop(self) -> float:
        """Three forwards, without what is computed again and without the LoRA."""
        c, n = self.model.config, self.x0[0, 0].numel() // 4
        d = c.num_attention_heads * c.attention_head_dim
        linear = 2 * n * (6 * d * d + 2 * d * c.ffn_dim) + 2 * 512 * 2 * d * d
        return 3 * c.num_layers * (linear + 4 * n * d * (n + 512)) / 1e15


def optimizer(name: str, trained: list[nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW with moments in 32 bits, or in 8."""
    about: dict[str, Any] = {"lr": 1e-5, "betas": (0.9, 0.999), "weight_decay": 0.01}
    if name == "adamw":
        return torch.optim.AdamW(trained, fused=True, **about)
    from torchao.optim import AdamW8bit

    return AdamW8bit(trained, **about)


def clip(args: SimpleNamespace, size: str) -> tuple[int, int]:
    """Height and width."""
    return (64, 64) if args.tiny else SIZES[size]


def synchronise() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def free() -> None:
    """Give memory back between ways."""
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak() -> float:
    """GiB."""
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else 0.0
