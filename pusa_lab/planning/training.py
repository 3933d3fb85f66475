"""Seconds and bytes of a training step by closed formulas: the arithmetic of `pusa-lab train` on a Wan."""

from dataclasses import dataclass

from pusa_lab.arguments import checked
from pusa_lab.checkpointing import checkpointing_plan
from pusa_lab.planning.arithmetic import FLOAT8_SPEED, HOST_BYTES, efficiency, forward_flops
from pusa_lab.planning.settings import Settings
from pusa_lab.planning.tables import OPTIMIZERS
from pusa_lab.wan.configs import WanConfig

OPTIMIZER_SECONDS = {"adamw": 0.024, "adamw8bit": 0.43}
"""Seconds of one optimizer step of a LoRA of the 14B, the mean of wan_train.json; in 8 bits it launches a small kernel
for each of 800 tensors."""
COMPILED = 0.935
"""What compiled blocks work with, as a share of what is counted for eager ones (wan_train.json)."""
FLOAT8_NUMBERS = 4.1
"""How many times d numbers a token 8-bit products work with in addition (wan_train.json)."""
SKIPPED = 0.717
"""Share of what a block works with that it saves where it skips checkpointing (wan_train.json)."""
LOGSUMEXP = 2
"""bfloat16 numbers that attention's backward needs for each head and token, besides its result."""


@checked
def working_bytes(config: WanConfig, tokens: int, rank: int = 0) -> float:
    """Peak of activations while one block is recomputed and differentiated, in bytes, what is saved apart.

    Counted (eager, bfloat16 numbers a token): 24.5 d + 3.6 m + 10 r for a LoRA; 38 d + 2.5 m with all weights, where
    the gradients of the six vectors keep float32 tensors.

    Args:
        config: the transformer's sizes.
        tokens: of all videos of a batch.
        rank: r of the LoRA; 0 trains all weights.
    """
    d, m = config.dim, config.ffn_dim
    return 2 * tokens * (24.5 * d + 3.6 * m + 10 * rank if rank else 38 * d + 2.5 * m)


@checked
def sample_seconds(s: Settings) -> float:
    """Seconds of one clip on one GPU, forward and backward, and of the optimizer's step.

    Linear layers compute forward, backward to their input, and to their weights where these are trained; attention's
    backward is 2.5 forwards. What is not saved is computed again. What several GPUs exchange is not counted (measured:
    4 % of a step on four).

    Args:
        s: settings of training.
    """
    work = forward_flops(s)
    again = 1 - (s.ac_skip_blocks or 0) / s.config.num_layers
    attention = again - (s.ac_save_attention or 0) / s.config.num_layers
    base = work["linear"] * ((2 + again) / FLOAT8_SPEED if s.float8 else 2 + again)
    trained = (3 + again) * work["LoRA"] if s.lora_rank else work["linear"]
    total = base + trained + (3.5 + attention) * work["self-attention"] + (3.5 + again) * work["cross-attention"]
    seconds = total / (s.card.tflops * 1e12 * efficiency(s.gpu, s.compiled))
    if s.offload_activations:
        seconds = max(seconds, 2 * sum(block.hosted for block in _blocks(s)) / HOST_BYTES)
    return (seconds + OPTIMIZER_SECONDS[s.optimizer or ""]) / (s.micro_batch_size or 1)


@checked
def training_bytes(s: Settings) -> dict[str, float]:
    """Bytes on one GPU, by part, at the moment of a step at which they are most.

    A LoRA, its gradients and moments are in float32 on every GPU, and where several exchange gradients (DDP) a copy of
    these. All weights, gradients and moments in float32 are split over the GPUs, with two blocks whole in 16 bits
    (FSDP2).

    Args:
        s: settings of training.
    """
    c = s.config
    moments = OPTIMIZERS[s.optimizer or ""]
    if s.workload == "lora":
        trained = float(s.lora_parameters)
        parts = {"transformer": 2.0 * c.parameters, "LoRA": 4 * trained, "optimizer": moments * trained}
        if s.gpus > 1:
            parts["gradients to exchange"] = 4 * trained
        return parts | _most(s, 4 * trained)
    split = c.parameters / s.gpus
    parts = {"transformer": 4 * split, "whole blocks": 6.0 * c.block_parameters, "optimizer": moments * split}
    return parts | _most(s, 4 * split)


def _most(s: Settings, gradients: float) -> dict[str, float]:
    """Gradients and activations together, going backwards block by block: saved ones leave, gradients come."""
    layers = s.config.num_layers
    saved, found = 0.0, {"gradients": 0.0, "activations": 0.0}
    for i, block in enumerate(_blocks(s)):
        saved += block.saved
        # of the clips before, where several are summed up, all gradients stay
        made = gradients if s.accumulated > 1 else gradients * (layers - 1 - i) / layers
        if made + saved + block.working > sum(found.values()):
            found = {"gradients": made, "activations": saved + block.working}
    return found


@dataclass(frozen=True)
class _Block:
    """Bytes of one block."""

    hosted: float
    """Bytes kept in the host's memory from forward to backward."""
    saved: float
    """Bytes kept on the GPU from forward to backward."""
    working: float
    """In its backward, besides."""


def _blocks(s: Settings) -> list[_Block]:
    """The bytes of each block, in order."""
    c = s.config
    one = 2.0 * s.tokens * c.dim
    result = one + 2.0 * s.tokens * c.num_attention_heads * LOGSUMEXP
    working = working_bytes(c, s.tokens, s.lora_rank or 0) * (COMPILED if s.compiled else 1)
    working += FLOAT8_NUMBERS * one if s.float8 else 0
    # eager, attention's result stays on the GPU
    hosted = {"input": one, "attention": one + (result if s.compiled else 0), "everything": 0.0}
    if not s.offload_activations:
        hosted = dict.fromkeys(hosted, 0.0)
    saved = {"input": one, "attention": one + result, "everything": SKIPPED * working}
    left = {"input": working, "attention": working, "everything": (1 - SKIPPED) * working}
    plan = checkpointing_plan(c.num_layers, s.ac_save_attention or 0, s.ac_skip_blocks or 0)
    return [_Block(hosted[k], saved[k] - hosted[k], left[k] + hosted[k]) for k in plan]
