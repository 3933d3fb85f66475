"""Memory, time and money before anything is loaded: `plan("wan2.1-14b", "720p", gpu="rtx4090")` says what will happen.

One planner for sampling and training: closed formulas, corrected by what was measured, with the source of every figure.
"""

from dataclasses import replace
from pathlib import Path

from pusa_lab.arguments import checked
from pusa_lab.planning.advice import advise
from pusa_lab.planning.estimate import estimate
from pusa_lab.planning.result import Plan, what
from pusa_lab.planning.settings import _settle


@checked
def plan(
    model: str | Path = "wan2.1-14b",
    size: str | tuple[int, int] = "720p",
    *,
    num_frames: int | None = None,
    gpu: str = "h200",
    gpus: int = 1,
    price: float | None = None,
    workload: str = "sample",
    lora_rank: int | None = None,
    compiled: bool = False,
    attention: str = "native",
    steps: int | None = None,
    guidance: float | None = None,
    num_videos: int | None = None,
    dtype: str | None = None,
    precision: str | None = None,
    offload: str | None = None,
    cached_prompts: bool | None = None,
    experts: int | None = None,
    max_steps: int | None = None,
    global_batch_size: int | None = None,
    micro_batch_size: int | None = None,
    optimizer: str | None = None,
    ac_save_attention: int | None = None,
    ac_skip_blocks: int | None = None,
    offload_activations: bool | None = None,
    float8: bool | None = None,
) -> Plan:
    """Memory, time and money of sampling or training with one timestep per frame; nothing is loaded.

    seconds = FLOPs / (peak of the GPU * efficiency measured), GiB = weights + activations counted; where the very
    setting was measured, that; between two measured sizes, the arithmetic times the measured ratio, linear in tokens.

    Args:
        model: name in WAN_CONFIGS, or a Wan's folder or repository, whose configs are read.
        size: "480p", "720p", or height and width in pixels, also as "480x832": multiples of 16, for wan2.2-5b of 32.
        num_frames: pixel frames, 1 + 4k; None is the model's own: 81, for wan2.2-5b 121.
        gpu: name in GPUS.
        gpus: in sampling each makes its own videos; training shares a step's clips among them, a LoRA with all of its
            numbers on each (DDP), all weights split (FSDP2).
        price: US dollars per GPU and hour; None is the rough one of GPUS.
        workload: "sample" (make videos), "lora" (train one) or "full" (train all weights); training expects encoded
            videos and captions.
        lora_rank: of the LoRA that is trained, on all linears of attention and feed-forward (None is 512), or that is
            attached in sampling (None is none, or merged).
        compiled: whether the blocks are compiled.
        attention: name in ATTENTIONS.
        steps: of sampling; None is 10. This and the next six are for sampling.
        guidance: scale of text guidance, 1 or more; 1 is none and halves the calls. None is 2, as for `generate`.
        num_videos: at a time on each GPU; None is 1.
        dtype: in what the transformer computes: bfloat16, or float16. None is bfloat16, or float16 where the GPU has
            none, as in `WanModel.from_pretrained`.
        precision: name in PRECISIONS: float8 or float8-storage; None is dtype alone.
        offload: name in OFFLOADS; None is none.
        cached_prompts: whether captions are encoded already, so that no text encoder is loaded.
        experts: transformers that are trained, one after the other; None is all that the model has, for Wan2.2-A14B 2.
            This and all that follow are for training.
        max_steps: of the optimizer, for each of them; None is the paper's 900.
        global_batch_size: clips per step, on all GPUs together; None is the paper's 8.
        micro_batch_size: clips at a time on each GPU; None is 1.
        optimizer: adamw, or adamw8bit with moments of 8 bits. None is adamw.
        ac_save_attention: blocks that save the result of self-attention instead of computing it again; None is 0.
        ac_skip_blocks: blocks without activation checkpointing; None is 0.
        offload_activations: whether what blocks save of the tokens waits in the host's memory.
        float8: whether products with a LoRA's base are of 8-bit numbers.

    Raises:
        ValueError: a name is unknown, the model's folder is damaged, a number is out of range, two arguments exclude
            each other, or one has no effect with this workload.
    """
    settings = _settle({**locals(), "model": str(model)})
    found = estimate(settings)
    return found if found.fits else replace(found, advice=advise(settings))


@checked
def require_fit(plan: Plan) -> None:
    """Stop before anything is loaded.

    Args:
        plan: of what is about to run.

    Raises:
        ValueError: it does not fit, with what would.
    """
    if not plan.fits:
        helps = " or ".join(str(advice) for advice in plan.advice) or "a smaller size or fewer frames"
        raise ValueError(f"{what(plan.settings)}, {plan.reason}: use {helps}.")
