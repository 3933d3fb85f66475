"""Scores of schedules by what a model makes with them."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.evaluation import KNOWN, known_frames
from pusa_lab.generate import generate, prepare
from pusa_lab.pixels import crop_and_resize, to_pixels, to_uint8
from pusa_lab.runs import Result
from pusa_lab.schedules import noise_levels
from pusa_lab.sentences import counted
from pusa_lab.sweeps.scores import metrics_of, scores_of
from pusa_lab.tasks import Task
from pusa_lab.types import Levels, Video, VideoModel

_OWN = {
    *("schedule", "steps", "shift", "prompt", "latent_frames", "output", "progress", "callback", "generator"),
    *("num_videos_per_prompt", "height", "width", "prompt_embeds"),
}
"""Arguments of `generate` that `generation_score` gives itself."""


@checked
def generation_score(
    model: VideoModel,
    clips: Any,
    prompts: str | Sequence[str],
    *,
    task: str = "image_to_video",
    metric: str | Annotated[Callable[..., Any], 1] | None = None,
    noise: Levels = 0.0,
    seed: int = 0,
    **sampling: Any,
) -> Callable[..., float]:
    """Make a score of schedules: how close the videos of a model come to true clips, of the same prompts and noise.

    -10 log10 of the mean squared error of a frame's latents, in the mean over clips and free frames; or another metric

    Latents are the usual metric because they need no decoding; in pixel space this is the PSNR, but for a constant.

    Args:
        model: any `VideoModel`.
        clips: true clips (b, pixel frames, h, w, 3), uint8 or floats in [0, 1], all generated in one batch.
        prompts: one caption per clip, or one for all.
        task: name in `evaluation.KNOWN`, whose known frames are taken from the clips.
        metric: None compares latents; or a name in `metrics.METRICS`, or a function (result) or (result, truth) -> a
            number, of which more is better, for the whole batch and its clips (b, pixel frames, h, w, 3) uint8.
        noise: level in [0, 1] at which known frames are kept, one for all or one per known latent frame.
        seed: clip i starts from the noise of seed + i.
        **sampling: arguments of `generate`, such as guidance and solver.

    Returns:
        A function (schedule, noise=None) -> the score, for `optimise` and `optimise_noise`; its schedule is as for
        `generate`, its noise as here.

    Raises:
        ValueError: clips, prompts or an option do not fit the model, or the task leaves no frame to generate; nothing
            is sampled before.
    """
    if taken := [name for name in sampling if name in _OWN]:
        raise ValueError(f"{taken[0]} is settled by the score, or by the schedule that is scored: leave it out.")
    if task not in KNOWN or task == "reconstruction":
        raise ValueError(f"task={task!r:.40}: choose from {', '.join(k for k in KNOWN if k != 'reconstruction')}.")
    pixels, g = crop_and_resize(to_pixels(clips), model.geometry.size), model.geometry
    truth, frames = to_uint8(pixels), g.latent_frames(pixels.shape[2])
    known = KNOWN[task](frames)
    if len(known) == frames:
        raise ValueError(f"the task {task} leaves no frame of {counted(frames, 'latent frame')} to generate.")
    words = [prompts] * len(truth) if isinstance(prompts, str) else list(prompts)
    if len(words) != len(truth):
        raise ValueError(f"{counted(len(words), 'prompt')} for {counted(len(truth), 'clip')}: give one each.")
    free, given = [i for i in range(frames) if i not in known], {p for i in known for p in g.pixels_at(i)}
    wanted = [] if metric is None else metrics_of([metric] if isinstance(metric, str) else {"score": metric})

    def asked(noise: Levels) -> dict[str, Any]:
        kept = known_frames(truth, known, g, noise_levels(noise, len(known)))
        options = {"prompt": words, "task": Task(task, kept), "latent_frames": frames, "seed": seed}
        return {"model": model, **options, **sampling}

    prepare(**asked(noise), schedule="synchronous", steps=2)
    with torch.no_grad():
        goal = model.encode_video(to_pixels(truth).to(model.device))[:, :, free] if metric is None else None

    usual, output = noise, "video" if goal is None else "latents"

    def score(schedule: Any, noise: Levels | None = None) -> float:
        made = generate(**asked(usual if noise is None else noise), schedule=schedule, output=output, progress=False)
        if goal is not None:
            return _closeness(made, goal, free)
        found = scores_of(wanted, made, truth, given)
        if list(found) != [wanted[0].name]:
            raise ValueError("the metric returned a dict: return one number, of which more is better.")
        return found[wanted[0].name]

    return score


def _closeness(made: Result, goal: Video, free: list[int]) -> float:
    """Mean of -10 log10 of the squared error of every free frame of every clip; equal latents count as 120 dB."""
    errors = (made.latents[:, :, free].to(goal) - goal).float().square().mean(dim=(1, 3, 4))
    return (-10 * errors.clamp(min=1e-12).log10()).mean().item()
