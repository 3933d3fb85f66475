"""The front door of streams: everything that can be refused is refused before the model is asked."""

from dataclasses import is_dataclass, replace
from typing import Literal

import torch

from pusa_lab.arguments import checked
from pusa_lab.causal import Causal
from pusa_lab.generate import GUIDANCE
from pusa_lab.guidance import Guider
from pusa_lab.inputs import MOST_STEPS, count_of, guider_of, is_none
from pusa_lab.memory import Movable
from pusa_lab.models import picture_input
from pusa_lab.sampling_inputs import AnySchedule, solver_of
from pusa_lab.sentences import counted
from pusa_lab.solvers import Solver, StatefulSolver, Step
from pusa_lab.streaming.actions import Actions, FrameActions
from pusa_lab.streaming.blocks import check_blocks
from pusa_lab.streaming.captions import FramePrompts, Prompts
from pusa_lab.streaming.decoding import decoder_of
from pusa_lab.streaming.plan import SteadyWindow, steady_window
from pusa_lab.streaming.window import Stream, placed_in_stream
from pusa_lab.tasks import MOST_LATENT_FRAMES, Task, text_to_video
from pusa_lab.types import VideoModel


@checked
def stream(
    model: VideoModel,
    prompt: Prompts,
    task: Task | None = None,
    *,
    schedule: AnySchedule = "rolling",
    steps: int | None = None,
    shift: float | None = None,
    guidance: float | str | Guider = GUIDANCE,
    negative_prompt: str = "",
    latent_frames: int | None = None,
    overlap: int | None = None,
    solver: str | Solver = "euler",
    seed: int = 0,
    actions: Actions | None = None,
    output: Literal["video", "latents"] = "video",
) -> Stream:
    """A video without end: `for part in stream(model, "a ship"): show(part.video)`, in memory that does not grow.

    A window of frames goes down the rows of the schedule. Frames that are final are decoded and given out; when room is
    needed for new ones, which start as noise, the oldest leave the window. So every frame runs as it does in the whole
    long schedule, and ends as that schedule would make it if the model looked no further than the window.

    Args:
        model: any `VideoModel` that takes no picture as an input of its call.
        prompt: one caption; one for each latent frame, of which the last stays; or a function (frame) -> caption. A
            frame has the velocity of its own caption, so that rows in which two meet cost twice the calls.
        task: which frames are known, the first or later ones, counted from the start; None is none.
        schedule: one whose window is steady: rolling, blockwise, staircase, pyramid or autoregressive, perhaps with
            settings, "blockwise(block=3, lag=10)"; a function (steps, frames, shift=...) of your own; or the rows of a
            steady window, as `schedules.rolling_window` makes them.
        steps: steps of each frame, 1 to 10,000; None is 10. Refused when schedule is a matrix.
        shift: shift of the sigmas; None is the model's own. A matrix, or a function without it, takes none.
        guidance: scale of text guidance, or any other guider, as for `generate`; 1 is none and halves the work. The
            final frames in the window are the known ones of a guider.
        negative_prompt: caption to be guided away from; refused without guidance.
        latent_frames: of the window; None is the model's own number.
        overlap: final frames that stay in the window; behind those in progress, frames of noise fill it. None keeps as
            many as fit.
        solver: as for `generate`; a stateful one of your own needs a step function with `slide(drop, add)`, see
            `memory.Movable`.
        seed: every frame gets noise of its own from it.
        actions: of a model that takes them, as `streaming.ActionConditioned` says: one name for all latent frames; an
            iterable with one for each, after which there are none; or a function (frame) -> name. Each frame's action
            is asked for once, just before its first step.
        output: "latents" leaves them undecoded.

    Returns:
        An iterator over `streaming.Streamed` parts, which takes new prompts and known frames on the way.

    Raises:
        ValueError: an argument is not valid; before the model is called, one sentence says what was received and what
            to do.
    """
    geometry = model.geometry
    frames = count_of("latent_frames", geometry.frames if latent_frames is None else latent_frames, MOST_LATENT_FRAMES)
    steps = None if steps is None else count_of("steps", steps, MOST_STEPS)
    plan = steady_window(schedule, steps, shift, geometry.shift)
    _check_room(plan, frames, overlap)
    guider = guider_of(guidance, frames)
    unguided = is_none(guidance)
    if isinstance(model, Causal):
        check_blocks(model, plan, frames, overlap, 1 if unguided else 2)
    if unguided and negative_prompt:
        raise ValueError("negative_prompt has no effect without guidance: leave it out, or give a guidance above 1.")
    if argument := picture_input(model):
        raise ValueError(
            f"the model takes its first picture as an input of every call ({argument}), and in a stream that frame "
            f"leaves the window: give a model with known frames, such as mini-vta."
        )
    if actions is not None and isinstance(model, Causal):
        raise ValueError(
            "a causal model takes no actions on the way, as its keys and values belong to one condition: give the "
            "model without its mask, model.model."
        )
    told = None if actions is None else FrameActions(actions, model)
    found = placed_in_stream(task or text_to_video(), geometry)
    step = _step_of(solver, seed, plan, frames, overlap)
    with torch.no_grad():
        captions = FramePrompts(prompt, model)
        null = {} if unguided else model.encode_text([negative_prompt])
        decoder = decoder_of(model) if output == "video" else None
        made = Stream(model, plan, frames, overlap, step, guider, null, captions, decoder, seed, told)
        made.keep(found.encode(model))
        made.check_guider()
    return made


def _check_room(plan: SteadyWindow, frames: int, overlap: int | None) -> None:
    """Refuse a window in which the frames in progress, and the overlap, have no room."""
    row, busy = plan.widest()
    if overlap is not None and not 0 <= overlap < frames:
        raise ValueError(
            f"overlap={overlap} in a window of {counted(frames, 'latent frame')}: give 0 to {frames - 1}, so that "
            f"frames in progress have room."
        )
    if (need := len(busy) + (overlap or 0)) > frames:
        kept = f", {need} with an overlap of {overlap}," if overlap else ""
        less = f"an overlap of at most {frames - len(busy)}, " if overlap and len(busy) <= frames else ""
        raise ValueError(
            f"frames {busy.start}..{busy.stop - 1} are in progress at row {row}, which is {len(busy)}{kept} for a "
            f"window of {frames}: give {less}latent_frames={need}, or a schedule with fewer frames in progress, such "
            f"as one with a smaller window or a larger lag."
        )


def _step_of(solver: str | Solver, seed: int, plan: SteadyWindow, frames: int, overlap: int | None) -> Step:
    """The solver's step function, whose memory can move."""
    chosen = solver_of(solver)
    if is_dataclass(chosen) and getattr(chosen, "seed", 0) is None:
        chosen = replace(chosen, seed=seed)
    if not isinstance(chosen, StatefulSolver):
        return chosen
    step = chosen.init_state()
    if not isinstance(step, Movable):
        row = 0
        while not plan.first(row, frames, overlap):
            row += 1
        raise ValueError(
            f"the solver {type(chosen).__name__} keeps a memory that cannot move with the frames, and at row {row} "
            f"frame 0 leaves the window: let its init_state return a step function with slide(drop, add), as "
            f"memory.Movable says, or give unipc, dpmpp_2m, ab2 or euler."
        )
    return step
