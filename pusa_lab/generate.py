"""The front door: one call for every model, task and schedule."""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass, replace
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.annotations import attribute
from pusa_lab.arguments import ArgumentError, CallError, called, calling, checked
from pusa_lab.causal import Causal
from pusa_lab.conditions import Conditions, place
from pusa_lab.guidance import Guided, Guider, calls, guide, text_cfg
from pusa_lab.inputs import (
    Samples,
    check_seeds,
    count_of,
    geometry_of,
    guider_of,
    is_none,
    matrix_of,
    samples_of,
)
from pusa_lab.models import picture_input
from pusa_lab.named import spelled
from pusa_lab.noise import noise_of
from pusa_lab.progress import bar
from pusa_lab.resting import Refresh, moving_frames, refresh_of
from pusa_lab.runs import Asked, Result, Run
from pusa_lab.samplers import Solver, State
from pusa_lab.sampling_inputs import AnySchedule, levels_of, solver_of, with_levels
from pusa_lab.schedulers import Scheduler
from pusa_lab.tasks import MOST_LATENT_FRAMES, Task, text_to_video
from pusa_lab.types import Cond, Denoiser, Geometry, Tau, Video, VideoModel

GUIDANCE = 2.0
"""Default scale of text guidance, of the command line and the planner too."""
MOST_LATENTS = 2**32
"""Numbers in the latents of one call; more would fill memory long before the model is asked."""
GUIDE_ROW = 100_002
"""Beyond all rows: where the noise of a guider's views is drawn, as `_noise` draws that of the rows."""
OTHERS = {
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "num_frames": "latent_frames=model.geometry.latent_frames(num_frames)",
    "frames": "latent_frames",
    "flow_shift": "shift",
    "image": "task=tasks.image_to_video(image)",
    "last_image": "task=tasks.start_end(image, last_image)",
    "video": "task=tasks.extension(video)",
    "num_videos": "num_videos_per_prompt",
    "scheduler": "schedule, which takes a scheduler of diffusers too",
    "output_type": "output='latents', or nothing",
    "latents": "run = prepare(...), and replace(run, x=latents) to start from them",
    "callback_on_step_end": "callback(row, rows, state)",
    "schedule_args": "schedule='pyramid(lag=2)', with the settings in the text",
    "schedule_options": "schedule='pyramid(lag=2)', with the settings in the text",
}
"""What diffusers' pipelines call their arguments -> what to use here."""

Callback: TypeAlias = Annotated[Callable[..., Any], 3]
"""(row, rows, state), called at every row, row 0 included; rows is the number of the last one. It may assign to
state.x; False cancels the run; None and everything else continues it."""


def _with_our_names(function: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse unknown keywords with a sentence that says what to use instead."""

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        known = inspect.signature(renamed).parameters
        if unknown := [word for word in kwargs if word not in known]:
            word, ours = unknown[0], ", ".join(list(known)[2:])
            use = f"use {OTHERS[word]}" if word in OTHERS else f"choose from {ours}"
            if word in ("callback", "output", "progress"):
                use = "iterate run.states() and end with run.finish(state), or give it to generate"
            with calling(function.__name__):
                raise ArgumentError(f"there is no argument {word!r}: {use}.")
        return function(*args, **kwargs)

    return renamed


@_with_our_names
@checked
def prepare(
    model: VideoModel,
    prompt: str | Sequence[str] | None = None,
    task: Task | None = None,
    *,
    schedule: AnySchedule | Scheduler = "synchronous",
    steps: int | None = None,
    shift: float | None = None,
    guidance: float | Float[Tensor, " f"] | str | Guider = GUIDANCE,
    negative_prompt: str | Sequence[str] = "",
    latent_frames: int | None = None,
    solver: str | Solver | None = None,
    seed: int | Sequence[int] = 0,
    generator: torch.Generator | list[torch.Generator] | None = None,
    num_videos_per_prompt: int = 1,
    prompt_embeds: Cond | None = None,
    negative_prompt_embeds: Cond | None = None,
    height: int | None = None,
    width: int | None = None,
    refresh: Refresh = None,
) -> Run:
    """Check a request, then encode what it needs: everything except the words is checked before anything is encoded.

    Args:
        model: any `VideoModel`.
        prompt: one caption, or one per sample.
        task: from `pusa_lab.tasks`; None is text-to-video.
        schedule: a name in `schedules.SCHEDULES` or an import path, perhaps with settings, "pyramid(lag=2)"; a function
            (steps, frames, shift=...), of which shift is optional; or a matrix (rows, f), or one for each sample (b,
            rows, f); given as a `schedules.Rising`, it may go back up. It sets the levels of unknown frames; the task
            alone sets those of known ones. Or a diffusers scheduler for flow models, whose sigmas all frames take.
        steps: number of steps of each frame, at least 1; None is 10. Refused when schedule is a matrix.
        shift: shift of the sigmas; None is the model's own. A matrix, or a function without it, takes none.
        guidance: scale of text guidance, one for all or one for each latent frame (f,); 1 is none and halves the work.
            Or any guider: as text, such as "apg(scale=5)", or a function of `pusa_lab.guidance` or your own with its
            settings, such as partial(guidance.picture_guidance, scale=1.5); `guidance.chain` makes one of several.
        negative_prompt: caption to be guided away from, one for all or one per prompt; refused without guidance.
        latent_frames: of the video; None is the model's own number.
        solver: a name in `solvers.SOLVERS` or an import path, perhaps with settings, "churn(amount=0.3)"; a function,
            or settings such as `solvers.AdamsBashforth(3)`; None is euler, or the one that goes with the diffusers
            scheduler.
        seed: sample i of the batch starts from the noise of seed + i, whatever the batch; or one seed per sample.
        generator: in place of seed: a fresh torch.Generator, whose initial seed is used; or a list of one per sample.
        num_videos_per_prompt: samples of each prompt, at least 1, which stand side by side in the batch.
        prompt_embeds: in place of prompt: what `model.encode_text` returned.
        negative_prompt_embeds: the same, in place of negative_prompt.
        height: in pixels, for models that make videos of several sizes; None is the model's own.
        width: as height.
        refresh: number of rows after which frames at rest, whose noise level does not fall, are computed again, see
            `pusa_lab.resting`: in between, the others attend to what is kept of them. None and 1 compute every frame at
            every call; "auto" chooses from the schedule, and is None where little would be gained.

    Raises:
        ValueError: an argument is not valid; one sentence says what was received and what to do.
    """
    samples = samples_of(
        prompt, negative_prompt, seed, generator, num_videos_per_prompt, prompt_embeds, negative_prompt_embeds
    )
    options = {"schedule": schedule, "steps": steps, "shift": shift, "solver": solver, "guidance": guidance}
    geometry = geometry_of(model, height, width)
    frames = count_of("latent_frames", geometry.frames if latent_frames is None else latent_frames, MOST_LATENT_FRAMES)
    chosen = solver_of("euler" if solver is None else solver)
    guider = guider_of(guidance, frames)
    if is_none(guidance) and (any(samples.negative_prompts) or negative_prompt_embeds is not None):
        raise ValueError("negative_prompt has no effect without guidance: leave it out, or give a guidance above 1.")
    count = len(samples.prompts)
    matrix, own_solver = matrix_of(schedule, steps, frames, shift, geometry.shift, solver is None, count)
    matrix = with_levels(matrix, levels_of(matrix).to("cpu", torch.float32))  # as a saved request holds them
    if solver is None:
        chosen = solver_of(own_solver)
    options |= {"matrix": matrix, "solver": own_solver if solver is None else solver}
    task = task or text_to_video()
    conditions = _placed(task, geometry, frames, samples, picture_input(model))
    levels = levels_of(conditions.schedule(matrix))
    asked, shape = Asked(model), geometry.latent_shape(count, frames)
    options["refresh"] = _kept(model, refresh, levels, conditions.renewed, shape, 1 if is_none(guidance) else 2)
    if levels.ndim == 2 and all(len(clip) == 1 for clip in conditions.clips):
        check_seeds(samples)
    eps = noise_of(shape, samples.seed).to(model.device)
    given: dict[str, Any] = {"known": conditions.at}
    tau = levels[..., 0, :].to(eps).expand(count, -1)
    if getattr(guider, "func", None) is not text_cfg:
        given["eps"] = noise_of(shape, samples.seed, GUIDE_ROW).to(eps)
    _try(guider, asked, eps, tau, given)
    with torch.no_grad():
        cond, null = _words(model, samples, is_none(guidance))
        conditions = conditions.encode(model)
    if is_dataclass(chosen) and getattr(chosen, "seed", 0) is None:
        chosen = replace(chosen, seed=samples.seed)
    inputs = conditions.inputs
    denoiser = _bound(guide(guider, asked, null=null | inputs, **given), cond | inputs)
    x = conditions.start(eps, tau)
    run = Run(denoiser, x, levels, conditions, chosen, samples.seed, asked, samples, task, geometry, options)
    return replace(run, prepared=run)


def _kept(
    model: VideoModel, refresh: Refresh, levels: Any, renewed: Sequence[int], shape: Any, branches: int
) -> int | None:
    """The number of rows that was asked for as `refresh`. What a cache cannot serve is refused: keys and values of
    frames at rest or of a causal model, or a cache of the model's own.
    """
    chosen = refresh_of(refresh, model, moving_frames(levels, renewed), shape, branches)
    if isinstance(model, Causal) and refresh is None:
        model.check_run(levels, shape, branches)
    if callable(check := attribute(model, "check_caches")):
        check(levels, renewed)
    return chosen


def _placed(task: Task, geometry: Geometry, frames: int, samples: Samples, argument: str) -> Conditions:
    """The known frames; of a clip for each prompt, a copy for each of its videos. Or a picture as an argument."""
    prompts = len(samples.prompts) // samples.each
    shape = geometry.latent_shape(len(samples.prompts), frames)
    if math.prod(shape) > MOST_LATENTS:
        raise ValueError(f"latents of shape {shape} (b c f h w) are more than memory holds: ask for fewer frames.")
    found = place(task, geometry, frames, prompts)
    clips = [clip if len(clip) == 1 else clip.repeat_interleave(samples.each, 0) for clip in found.clips]
    found = replace(found, clips=clips)
    return found.as_input(argument) if argument and clips else found


def _words(model: VideoModel, samples: Samples, unguided: bool) -> tuple[Cond, Cond]:
    """Captions and negative prompts as keyword arguments of the denoiser call."""
    here = [
        given and {key: value.to(model.device) for key, value in given.items()}
        for given in (samples.embeds, samples.negative_embeds)
    ]
    cond = here[0] or model.encode_text(samples.prompts)
    return cond, here[1] or (cond if unguided else model.encode_text(samples.negative_prompts))


@_with_our_names
@checked
def generate(
    model: VideoModel,
    prompt: str | Sequence[str] | None = None,
    task: Task | None = None,
    *,
    callback: Callback | None = None,
    output: Literal["video", "latents"] = "video",
    progress: bool | None = None,
    **options: Any,
) -> Result:
    """Make a video: `generate(model, "a red circle moves right", task=tasks.image_to_video(picture))`.

    Args:
        model: any `VideoModel`: the toy or Wan-14B.
        prompt: one caption, or one per sample.
        task: from `pusa_lab.tasks`; None is text-to-video.
        callback: called with (row, rows, state) at every row, of which `rows` is the last; it may assign to `state.x`.
            When it returns False, the clean estimate at that row is returned as the result.
        output: "latents" leaves them undecoded, for `Result.decode`.
        progress: whether to show a bar; None shows it where somebody can see it, see `pusa_lab.progress`.
        **options: as `prepare`: schedule, steps, shift, guidance, negative_prompt, latent_frames, solver, seed, and
            refresh, and diffusers' own generator, num_videos_per_prompt, prompt_embeds, negative_prompt_embeds, height
            and width.

    Raises:
        ValueError: an argument is not valid; one sentence says what was received and what to do.
    """
    run = prepare(model, prompt, task, **options)
    with bar(run.last_row, "sampling", "row", progress) as advance:
        for state in run.states(watched=callback is not None):
            advance(state.row > 0, calls=run.model.times)
            if callback is not None and _is_false(called("callback", callback, _at(state, run.last_row))):
                break
    found = run.finish(state, output)
    assert found.request is not None
    return replace(found, request=replace(found.request, callback=spelled(callback)))


def _is_false(answer: Any) -> bool:
    """Whether a callback cancels: comparisons of tensors and arrays give scalars of their own."""
    if isinstance(answer, Tensor) and answer.dtype == torch.bool and answer.numel() == 1:
        answer = answer.item()
    return isinstance(answer, bool | np.bool_) and not answer


def _at(state: State, last: int) -> dict[str, Any]:
    return {"row": state.row, "rows": last, "state": state}


_OWN = list(inspect.signature(generate).parameters.values())[3:-1]
generate.__signature__ = inspect.signature(prepare).replace(  # type: ignore[attr-defined]
    parameters=[*inspect.signature(prepare).parameters.values(), *_OWN], return_annotation=Result
)
"""So that help and tab completion show the options."""


def _try(guider: Guider, model: Asked, x: Video, tau: Tau, given: dict[str, Any]) -> None:
    """One velocity with another model in place of this one: what does not fit is refused before words are encoded."""
    stand_in = Guided(lambda x, tau, **cond: torch.zeros_like(x), 1, model.num_layers)
    guided = guide(guider, stand_in, null={}, **given)
    try:
        guided(x, tau)
    except CallError:
        return  # someone's own guider asks a model of its own, for which there is no caption yet
    except ValueError:
        raise
    except Exception:
        return  # or reads the caption itself


def _bound(denoiser: Denoiser, cond: Cond) -> Guided:
    """The same with its caption: (x, tau) -> v; a solver may add what else its model takes."""
    return Guided(lambda x, tau, **more: denoiser(x, tau, **cond, **more), calls(denoiser))
