"""Caches of diffusers under one timestep per frame: what they can serve, and the calls that share a state.

A cache leaves out layers whose output has changed little since the step before. Those of diffusers decide so for all
frames and samples at once: by a mean over all tokens (first block), or by the number of the step (MagCache,
TaylorSeer). So they are right where the same frames move in every step, and refused where other frames begin to move or
come to rest on the way, whose change would drown in the mean or come at any step. Frames at rest are left out by
`pusa_lab.resting` instead.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from diffusers.hooks import FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig

from pusa_lab.sentences import counted
from pusa_lab.types import Schedule, Schedules
from pusa_lab.wan.lora.adapters import unwrapped

SERVED = (FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig)
LAYERS = r"blocks\.\d+\.attn[12]"
"""Wan's attention, as TaylorSeer's `cache_identifiers` name layers; its own names match none of a Wan."""
LEAVE = "call transformer.disable_cache()"


@dataclass
class CachedSteps:
    """Gives each call of a step a state of its own in the caches, the same in every step.

    The first call of a step, such as that with the caption, is compared with the first of the step before, the second,
    such as that with the negative prompt, with the second.
    """

    calls: int | None = None
    """Calls in this step so far; None outside of a run."""
    before: int | None = None
    """Calls in the step before."""

    def begin(self, experts: Sequence[Any], step: int | None) -> None:
        """Begin a step; the first forgets what is kept of an earlier run, and None ends the run.

        Args:
            experts: transformers of the model.
            step: number of the step.

        Raises:
            ValueError: a cache counts steps, and the last two had different numbers of calls.
        """
        found = [model for model in map(unwrapped, experts) if model.is_cache_enabled]
        counts = [name for model in found if (name := _name(model)) != FirstBlockCacheConfig.__name__]
        if step and counts and self.before and self.calls != self.before:
            raise ValueError(
                f"{counts[0]} counts steps, and this guidance or solver asked the model {counted(self.before, 'time')} "
                f"in one step and {counted(self.calls or 0, 'time')} in the next: {LEAVE}, or guide every step."
            )
        if step == 0 or step is None:
            for model in found:
                model._reset_stateful_cache()
        self.calls, self.before = (None if step is None else 0), (self.calls if step else None)

    @contextmanager
    def call(self, transformer: Any) -> Iterator[None]:
        """A call of the transformer.

        Args:
            transformer: one of the model, compiled or not.

        Raises:
            ValueError: it has a cache, and no run has begun.
        """
        model = unwrapped(transformer)
        if not model.is_cache_enabled:
            yield
            return
        if self.calls is None:
            raise ValueError(
                f"the transformer has a cache of diffusers ({_name(model)}), which needs to know the steps: make the "
                f"video with generate, or {LEAVE}."
            )
        self.calls += 1
        with model.cache_context(f"call {self.calls}"):
            yield


def check_caches(experts: Sequence[Any], schedule: Schedule | Schedules, renewed: Sequence[int] = ()) -> None:
    """Refuse a schedule that a cache of diffusers on a transformer cannot serve.

    Args:
        experts: transformers of the model.
        schedule: noise levels (rows, f) or (b, rows, f), known frames included.
        renewed: frames that get fresh noise at every row.

    Raises:
        ValueError: the same frames do not move in every step, the samples differ in this, or the cache is of a kind
            that is not served or has settings that do not fit.
    """
    for model in map(unwrapped, experts):
        if model.is_cache_enabled:
            _check_kind(model, len(experts))
            _check_steps(_name(model), model._cache_config, schedule, renewed)


def _name(model: Any) -> str:
    return type(model._cache_config).__name__


def _check_kind(model: Any, experts: int) -> None:
    name = _name(model)
    if not isinstance(model._cache_config, SERVED):
        others = ", ".join(kind.__name__ for kind in SERVED)
        raise ValueError(
            f"{name} cannot serve one timestep per frame, nor a call for the prompt and one for the negative prompt: "
            f"{LEAVE}, or enable one of {others}."
        )
    if experts > 1 and not isinstance(model._cache_config, FirstBlockCacheConfig):
        raise ValueError(
            f"{name} counts the steps of one transformer, and this Wan has two: {LEAVE} of both, or enable "
            "FirstBlockCacheConfig."
        )
    if isinstance(model._cache_config, TaylorSeerCacheConfig) and not any(map(_predicts, model.modules())):
        raise ValueError(f"{name} finds none of its layers in this Wan: give cache_identifiers=[r'{LAYERS}'].")


def _predicts(module: Any) -> bool:
    registry = getattr(module, "_diffusers_hook", None)
    return registry is not None and registry.get_hook("taylorseer_cache") is not None


def _check_steps(name: str, config: Any, schedule: Schedule | Schedules, renewed: Sequence[int]) -> None:
    moves = schedule.diff(dim=-2) != 0
    again = moves.any(-1, keepdim=True)
    moves[..., list(renewed)] |= again
    first = moves if moves.ndim == 2 else moves[0]
    steps = again if again.ndim == 2 else again[0]
    first = first[steps[:, 0]]
    instead = f"{LEAVE}, and give refresh='auto' instead, which leaves out frames at rest."
    if moves.ndim == 3 and not (moves == moves[:1]).all():
        raise ValueError(f"{name} decides for all samples at once, and here other frames move in each: {instead}")
    if others := (first != first[:1]).any(1).nonzero().flatten().tolist():
        raise ValueError(
            f"{name} decides for all frames at once, and in this schedule other frames move in step {others[0] + 1} "
            f"than in the first: {instead}"
        )
    if isinstance(config, MagCacheConfig) and config.num_inference_steps != len(first):
        raise ValueError(
            f"{name}(num_inference_steps={config.num_inference_steps}) for {counted(len(first), 'step')}: give "
            f"num_inference_steps={len(first)}, and mag_ratios of such a run."
        )
