"""What a person gives `prepare`, checked: one caption and seed per sample, the sizes, the solver, guider and matrix."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.annotations import attribute
from pusa_lab.guidance import Guider, guider_named, text_cfg
from pusa_lab.guidance.guided import MOST_SCALE
from pusa_lab.sampling_inputs import AnySchedule, Matrix, as_matrix, checked_matrix, schedule_name
from pusa_lab.schedulers import Scheduler, sigmas_of
from pusa_lab.sentences import counted, shown
from pusa_lab.types import Cond, Geometry, Rising, VideoModel

MOST_STEPS = 10_000
"""A larger number is taken for a mistake."""
MOST_LEVELS = 10_000_000
"""Steps times latent frames of a schedule that is made."""
MOST_VIDEOS = 10_000
"""Videos per prompt."""


@dataclass(frozen=True)
class Samples:
    """What is asked for, one entry per sample of the batch."""

    prompts: list[str]
    """Captions; empty texts where embeddings were given in their place."""
    negative_prompts: list[str]
    """Negative prompts."""
    seed: int | list[int]
    """Of sample 0, where the others count up from it; or of each sample."""
    embeds: Cond | None = None
    """Encoded captions, in place of them."""
    negative_embeds: Cond | None = None
    """Encoded negative prompts, in place of them."""
    each: int = 1
    """Videos of each prompt, which stand side by side."""

    @property
    def seeds(self) -> list[int]:
        """One per sample, within 64 bits."""
        if isinstance(self.seed, list):
            return self.seed
        return [(self.seed + i + 2**63) % 2**64 - 2**63 for i in range(len(self.prompts))]


def samples_of(
    prompt: str | Sequence[str] | None,
    negative: str | Sequence[str],
    seed: int | Sequence[int],
    generator: torch.Generator | list[torch.Generator] | None,
    each: int,
    embeds: Cond | None,
    negative_embeds: Cond | None,
) -> Samples:
    """Captions, negative prompts and seeds of all samples.

    Args:
        prompt: one caption, or one per prompt; None with `embeds`.
        negative: one for all, or one per prompt.
        seed: of the first sample, or one per sample.
        generator: in place of a seed.
        each: videos of each prompt.
        embeds: encoded captions, in place of prompt.
        negative_embeds: encoded negative prompts, in place of negative_prompt.

    Raises:
        ValueError: they do not fit each other.
    """
    if prompt is None and embeds is None:
        raise ValueError("prompt is None: give a text, a list with one per sample, or prompt_embeds.")
    if prompt is not None and embeds is not None:
        raise ValueError("both prompt and prompt_embeds were given: give one of them.")
    prompts = [""] * _rows("prompt_embeds", embeds) if embeds is not None else _list(prompt)
    if not prompts:
        raise ValueError("no prompt was given: pass a caption, or a list with one caption per sample.")
    if not 1 <= each <= MOST_VIDEOS:
        raise ValueError(f"num_videos_per_prompt={each}: give 1 to {MOST_VIDEOS:,}.")
    negative_prompts = one_each("negative_prompt", negative, len(prompts))
    if negative_embeds is not None and any(negative_prompts):
        raise ValueError("both negative_prompt and negative_prompt_embeds were given: give one of them.")
    if negative_embeds is not None and (rows := _rows("negative_prompt_embeds", negative_embeds)) != len(prompts):
        raise ValueError(f"negative_prompt_embeds of {counted(rows, 'row')} for {counted(len(prompts), 'prompt')}.")
    seed = _seed(seed, generator)
    seed = seed if isinstance(seed, int) else one_each("seed", seed, each * len(prompts), each > 1)
    embeds, negative_embeds = _repeated(embeds, each), _repeated(negative_embeds, each)
    return Samples(_times(prompts, each), _times(negative_prompts, each), seed, embeds, negative_embeds, each)


def _list(prompt: Any) -> list[str]:
    return [prompt] if isinstance(prompt, str) else list(prompt)


def _times(values: list[str], each: int) -> list[str]:
    return [value for value in values for _ in range(each)]


def _rows(name: str, embeds: Cond) -> int:
    if odd := [value for value in embeds.values() if not isinstance(value, Tensor) or not value.ndim]:
        raise ValueError(f"{name} holds {shown(odd[0])}: give what model.encode_text(prompts) returns.")
    rows = {len(value) for value in embeds.values()}
    if len(rows) != 1 or 0 in rows:
        raise ValueError(f"{name} holds tensors of {sorted(rows)} rows: give what model.encode_text(prompts) returns.")
    return rows.pop()


def _repeated(embeds: Cond | None, each: int) -> Cond | None:
    return embeds if embeds is None else {key: value.repeat_interleave(each, 0) for key, value in embeds.items()}


def _seed(seed: int | Sequence[int], generator: torch.Generator | list[torch.Generator] | None) -> Any:
    if generator is None:
        return seed
    if seed != 0:
        raise ValueError("both seed and generator were given: give one of them.")
    return [_initial(one) for one in generator] if isinstance(generator, list) else _initial(generator)


def _initial(generator: torch.Generator) -> int:
    seed = generator.initial_seed()
    fresh = torch.Generator(generator.device).manual_seed(seed)
    if not torch.equal(generator.get_state(), fresh.get_state()):
        raise ValueError(
            "generator has been drawn from already, so that no seed means the same: give a fresh one, such as "
            "torch.Generator().manual_seed(0), or a seed."
        )
    return (seed + 2**63) % 2**64 - 2**63


def one_each(name: str, value: Any, count: int, samples: bool = False) -> list[Any]:
    """One value per prompt or sample.

    Args:
        name: of the argument.
        value: one for all, or a list of as many.
        count: prompts or samples.
        samples: whether samples are counted.

    Raises:
        ValueError: the list has another length.
    """
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        what = "sample" if samples else "prompt"
        values, counts = counted(len(value), "value"), counted(count, what)
        raise ValueError(f"{values} of {name} for {counts}: give one for all, or one per {what}.")
    return value


def check_seeds(samples: Samples) -> None:
    """Refuse samples that would come out equal.

    Args:
        samples: without known frames or schedules of their own.

    Raises:
        ValueError: a seed was given twice for the same captions.
    """
    if isinstance(samples.seed, int) or samples.embeds is not None:
        return
    rows = list(zip(samples.seed, samples.prompts, samples.negative_prompts, strict=True))
    if again := [row for i, row in enumerate(rows) if row in rows[:i]]:
        raise ValueError(
            f"seed={again[0][0]} was given twice for the prompt {again[0][1]!r:.60}: the same seed makes the same "
            f"video, give another one."
        )


def geometry_of(model: VideoModel, height: int | None, width: int | None) -> Geometry:
    """The sizes of a model, with another height and width in pixels if it makes such videos.

    Args:
        model: any; one that can be asked for other sizes has a method `geometry_at(size)`.
        height: in pixels; None is the model's own.
        width: in pixels; None is the model's own.

    Raises:
        ValueError: the model makes no videos of that size.
    """
    own = model.geometry
    size = (own.size[0] if height is None else height, own.size[1] if width is None else width)
    if size == tuple(own.size):
        return own
    at = attribute(model, "geometry_at")
    if not callable(at):
        raise ValueError(
            f"height={size[0]}, width={size[1]}: this model makes videos of {own.size[0]} x {own.size[1]} pixels only, "
            f"leave height and width out."
        )
    return replace(own, size=at(size).size)


def count_of(name: str, value: int, most: int) -> int:
    """A number of things, checked.

    Args:
        name: of the argument.
        value: what was given.
        most: the largest number.

    Raises:
        ValueError: it is below 1 or above `most`.
    """
    if not 1 <= value <= most:
        raise ValueError(f"{name}={value}: give 1 to {most:,}.")
    return value


def guider_of(guidance: float | Float[Tensor, " f"] | str | Guider, frames: int) -> Guider:
    """The guider that was asked for; a number is the scale of text guidance.

    Args:
        guidance: as `prepare` takes it.
        frames: latent frames.

    Raises:
        ValueError: a number is not finite or too large, or there is not one per frame.
    """
    if isinstance(guidance, str):
        return guider_named(guidance)
    if isinstance(guidance, Tensor):
        if len(guidance) != frames:
            raise ValueError(
                f"guidance of {counted(len(guidance), 'number')} for {counted(frames, 'latent frame')}: give one "
                f"finite number, or one per latent frame."
            )
        if not (guidance.abs() <= MOST_SCALE).all():
            raise ValueError(f"guidance={guidance.tolist()}: give numbers from -{MOST_SCALE:,} to {MOST_SCALE:,}.")
    elif callable(guidance):
        return guidance
    elif not abs(guidance) <= MOST_SCALE:
        raise ValueError(f"guidance={guidance}: give a number from -{MOST_SCALE:,} to {MOST_SCALE:,}; 1 is none.")
    return partial(text_cfg, scale=guidance)


def is_none(guidance: float | Float[Tensor, " f"] | str | Guider) -> bool:
    """Whether no guidance is asked for, so that nothing but the caption needs to be encoded.

    Args:
        guidance: as `prepare` takes it.
    """
    if isinstance(guidance, Tensor):
        return bool((guidance == 1).all())
    return not callable(guidance) and guidance == 1


def matrix_of(
    schedule: AnySchedule | Scheduler,
    steps: int | None,
    frames: int,
    shift: float | None,
    own_shift: float,
    own_solver: bool,
    samples: int,
) -> tuple[Matrix, str]:
    """The noise levels that were asked for, checked, and the name of the solver that goes with them.

    Args:
        schedule: a name, noise levels, a function, or a scheduler of diffusers.
        steps: steps of each frame; None is 10.
        frames: latent frames.
        shift: of the sigmas; None is `own_shift`.
        own_shift: the model's.
        own_solver: whether no solver was given.
        samples: of the batch.

    Raises:
        ValueError: they do not fit each other, or the matrix is not valid.
    """
    if isinstance(schedule, Tensor | Rising):
        return checked_matrix(as_matrix(schedule, steps, frames, shift), samples, name="the matrix"), "euler"
    if inspect.isclass(schedule) and isinstance(schedule, Scheduler):
        name = schedule.__name__
        raise ValueError(f"schedule is the class {name}: give an object of it, such as {name}.from_config(...).")
    if not isinstance(schedule, str) and isinstance(schedule, Scheduler):
        if shift is not None:
            raise ValueError(f"shift={shift} with a scheduler, which shifts its own sigmas: leave shift out.")
        steps = None if steps is None else count_of("steps", steps, MOST_STEPS)
        sigmas, solver = sigmas_of(schedule, steps, own_solver)
        return checked_matrix(sigmas.repeat(1, frames), samples, name="the scheduler's sigmas"), solver
    steps = count_of("steps", 10 if steps is None else steps, MOST_STEPS)
    if steps * frames > MOST_LEVELS:
        raise ValueError(
            f"{steps:,} steps of {frames:,} latent frames are more than {MOST_LEVELS:,} levels: ask for fewer."
        )
    made = as_matrix(schedule, steps, frames, shift, own_shift)
    return checked_matrix(made, samples, name=schedule_name(schedule)), "euler"
