"""From a training run to its plan: the settings of `pusa-lab train`, and what to change when its memory runs out."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.planning.advice import advise
from pusa_lab.planning.estimate import estimate
from pusa_lab.planning.result import command, options
from pusa_lab.planning.settings import Settings, _settle
from pusa_lab.sentences import memory_shown
from pusa_lab.training.config import TrainConfig
from pusa_lab.wan.configs import WAN_CONFIGS

TRAIN = {
    "size": "clips of size {}",
    "num_frames": "clips of {} frames",
    "workload": "a {} instead of all weights",
    "gpu": "a GPU such as {}",
}
"""Arguments of `plan` -> the same in `pusa-lab train`; the others are options of the same name there."""


@checked
def run_arguments(config: TrainConfig, gpus: int = 1, **saved: Any) -> dict[str, Any]:
    """Arguments of `plan` for a training run.

    Args:
        config: the run.
        gpus: on all hosts together.
        **saved: of `train_wan`: compiled, float8, attention, ac_save_attention, ac_skip_blocks, offload_activations.

    Raises:
        ValueError: there are no GPUs, or the batch does not divide among them.
    """
    if gpus < 1:
        raise ValueError(f"gpus={gpus}: give a whole number of at least 1.")
    return {
        "workload": "lora" if config.lora_rank else "full",
        "lora_rank": config.lora_rank or None,
        "gpus": gpus,
        "max_steps": config.max_steps,
        "global_batch_size": config.global_batch_size,
        "micro_batch_size": config.global_batch_size // (gpus * config.accumulate(gpus)),
        "optimizer": config.optimizer,
        **saved,
        "attention": "fa4" if saved.get("attention") == "fa4" else "native",
    }


@checked
def find_model(transformer: Mapping[str, Any]) -> str | None:
    """The name in WAN_CONFIGS of the first model with this transformer, or None.

    Args:
        transformer: its configuration, as diffusers has it.
    """
    same = (name for name, c in WAN_CONFIGS.items() if all(transformer.get(k) == v for k, v in c.transformer.items()))
    return next(same, None)


@checked
def out_of_memory(s: Settings, known: bool) -> str:
    """What to change, and the plan of it: for a training run whose memory ran out.

    Args:
        s: settings of the run.
        known: whether they are of its very model and GPU; else the advice says only what to try.
    """
    found = estimate(s)
    advice = [one for one in advise(s) if one.peak < found.peak] if known else []
    planned = f"{memory_shown(found.peak)} are planned ({found.sources['peak']})"
    said = f"out of memory: {planned}, and one {s.gpu} has {found.capacity:g}"
    if not advice:
        return f"{said if known else 'out of memory'}: try {', '.join(_left(s))}; `{command(s)}` counts."
    then = _settle({**asdict(s), **advice[0].changes}, s.config)
    return f"{said}: try {_as_typed(advice[0].changes)}, {memory_shown(advice[0].peak)} by `{command(then)}`."


def _as_typed(changes: Mapping[str, Any]) -> str:
    """Arguments of `plan` in the words of `pusa-lab train`."""
    given = {name: value for name, value in changes.items() if value is not None}
    return " ".join(
        TRAIN[name].format(value) if name in TRAIN else options({name: value}) for name, value in given.items()
    )


def _left(s: Settings) -> list[str]:
    """Ways of saving memory that a run does not use yet, the cheapest first."""
    ways = {
        "--ac-save-attention 0 --ac-skip-blocks 0": s.ac_save_attention or s.ac_skip_blocks,
        "--offload-activations": not s.offload_activations,
        "--optimizer adamw8bit": s.workload == "lora" and s.optimizer == "adamw",
        "--micro-batch-size 1": s.micro_batch_size != 1,
        f"a lora_rank below {s.lora_rank}": s.workload == "lora" and s.lora_rank != 1,
        "more --gpus": s.workload == "full",
        "smaller clips": True,
    }
    return [way for way, helps in ways.items() if helps]
