"""`pusa-lab stream`: a video of any length, written while it is made, in memory that does not grow."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from pusa_lab.cli.generate import LOADING
from pusa_lab.cli.terminal import line, say
from pusa_lab.cli.values import check_finite_guidance, check_prompts, given, pixels

MOST_SECONDS = 86_400
"""Longest video of one command, in seconds; a longer one is taken for a mistake."""
OUT = Path("outputs") / "stream.mp4"
MODEL, PROMPTS = "mini-vta", ("a big red square bounces down and right", "a green circle circles clockwise")
"""The default model, and what it shows if nothing is asked for: things that stay in the picture."""


def stream_video(
    prompt: list[str],
    *,
    model: str = MODEL,
    seconds: float = 10.0,
    lora: str | list[str] | None = None,
    strength: float | list[float] | None = None,
    lora_low: str | list[str] | None = None,
    strength_low: float | list[float] | None = None,
    transformer: str | None = None,
    transformer_low: str | None = None,
    image: Path | None = None,
    negative_prompt: str = "",
    seed: int = 0,
    size: str | None = None,
    schedule: str = "rolling",
    schedule_options: dict[str, Any] | None = None,
    steps: int | None = None,
    shift: float | None = None,
    guidance: float | str = 2.0,
    solver: str = "euler",
    latent_frames: int | None = None,
    overlap: int | None = None,
    causal: int | None = None,
    first_alone: bool = False,
    device: str | None = None,
    offload: Literal["none", "model", "group"] | None = None,
    precision: Literal["float8", "float8-storage"] | None = None,
    attention: str | None = None,
    out: Path = OUT,
) -> None:
    """Make a long video, whose frames are written as they become final; memory does not grow with its length.

    Several prompts share the time in equal parts: at the frame where one ends, the next takes over.

    Args:
        prompt: captions in the order in which they are shown, each in quotes; mini-vta has two of its own.
        model: a shipped toy, a .safetensors file of one, the folder or repository of a Wan model, or your own,
            mine.py:make.
        seconds: length of the video, at the model's frame rate; at most a day.
        lora: file or files that adapt the model.
        strength: how much each LoRA adds; 1 is as trained (default).
        lora_low: file or files that adapt the low-noise expert of Wan2.2-A14B, where --lora adapts the other one.
        strength_low: how much each LoRA of --lora-low adds (default 1).
        transformer: other weights of a Wan's transformer, such as the folder that `pusa-lab train --lora-rank 0` wrote.
        transformer_low: the same for the low-noise expert of Wan2.2-A14B.
        image: picture known as the first frame.
        negative_prompt: what the video should not show.
        seed: seed of the noise.
        size: HEIGHTxWIDTH in pixels, for models that take it (default: the model's own).
        schedule: one whose window is steady: rolling, blockwise, staircase, pyramid or autoregressive, or mine.py:name,
            perhaps with settings, 'blockwise(block=3, lag=10)'; or a .npy, .csv or .json file with the rows of a steady
            window.
        schedule_options: arguments of a named schedule: --schedule-options.window 3.
        steps: sampling steps of each frame (default 10; a matrix has its own).
        shift: shift of the sigmas (default: the model's own).
        guidance: scale of text guidance, where 1 is none; or a guider with its settings, such as 'apg(scale=5)':
            text_cfg, apg, cfg_zero_star, skip_layer_guidance, history_guidance, picture_guidance, or your own,
            mine.py:name.
        solver: euler, heun, midpoint, ab2, ab3, dpmpp_2m, unipc, churn, consistency, or your own, mine.py:name.
        latent_frames: number of latent frames in the window (default: the model's own).
        overlap: final frames that stay in the window (default: as many as fit).
        causal: frames of a block; no frame then sees a later block, and finished ones are not computed again: for
            models that were trained so, with a schedule that moves by blocks, such as 'blockwise(block=3, lag=10)'
            (default: all frames see each other).
        first_alone: with --causal, frame 0 is a block by itself; give the schedule the same setting.
        device: cpu or cuda (default: the GPU if there is one).
        offload: what part of a Wan model waits in the host's memory (default: the model's own).
        precision: run the large layers of a Wan model in 8 bits (float8: faster and smaller, less exact), or only keep
            its weights in 8 bits (float8-storage).
        attention: native (PyTorch's choice, the default), cudnn, fa4 (FlashAttention 4, from Hopper on), a backend of
            diffusers, or auto, the fastest of the first three; for a Wan model.
        out: file to write, which appears when the video is complete.

    Raises:
        ValueError: an option does not fit the others or the model, or a file cannot be read or written.
    """
    options = dict(locals())
    import pusa_lab
    from pusa_lab.cli.schedules import schedule_of
    from pusa_lab.cli.tasks import check_loading, outline_of
    from pusa_lab.data import read_picture
    from pusa_lab.files import check_writable
    from pusa_lab.models import load
    from pusa_lab.tasks import image_to_video

    if not prompt and model == MODEL:
        prompt = options["prompt"] = list(PROMPTS)
    _check(options)
    chosen = schedule_of(schedule, schedule_options)
    check_writable(out, "--out")
    picture = None if image is None else read_picture(image)
    loading = given({name: options[name] for name in LOADING}) | given({"size": pixels(size)})
    check_loading(model, loading)
    task = None if picture is None else image_to_video(picture)
    names = ("negative_prompt", "seed", "steps", "shift", "guidance", "solver", "latent_frames", "overlap")
    asked = {name: options[name] for name in names} | {"schedule": chosen}
    if (tried := outline_of(model, loading)) is not None:
        pusa_lab.stream(tried, prompt[0], task, **asked)
    loaded: Any = load(model, **loading)
    if causal is not None:
        loaded = pusa_lab.causal(loaded, causal, first_alone=first_alone)
    most, frames = _length(seconds, loaded.geometry)
    captions = [prompt[i * len(prompt) // frames] for i in range(frames)]
    _write(loaded, captions, task, asked, options, most)


def _check(options: Mapping[str, Any]) -> None:
    check_prompts(options["prompt"])
    check_finite_guidance(options["guidance"])
    seconds, out, seed, block = (options[name] for name in ("seconds", "out", "seed", "causal"))
    if block is not None and block < 1:
        raise ValueError(f"--causal {block}: give the frames of a block, at least 1.")
    if block is None and options["first_alone"]:
        raise ValueError("--first-alone has no effect without --causal: give that too, or leave both out.")
    if not (isfinite(seconds) and 0 < seconds <= MOST_SECONDS):
        raise ValueError(f"--seconds {seconds}: give a number above 0, at most {MOST_SECONDS:,}.")
    if out.suffix != ".mp4":
        raise ValueError(f"--out {out}: give a name that ends in .mp4.")
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"--seed {seed}: give a whole number from -2**63 to 2**63 - 1.")


def _length(seconds: float, geometry: Any) -> tuple[int, int]:
    """Pixel frames of the video, and the latent frames that hold them."""
    most = max(1, round(seconds * geometry.fps))
    return most, geometry.latent_at(most - 1) + 1


def _write(model: Any, prompt: list[str], task: Any, asked: dict[str, Any], options: dict[str, Any], most: int) -> None:
    """Stream until so many pixel frames are there, and write them on the way."""
    import pusa_lab
    from pusa_lab.media import writing_clip
    from pusa_lab.progress import bar
    from pusa_lab.requests import describe_model
    from pusa_lab.saved import written_scale
    from pusa_lab.versions import device_name, versions

    shown = {name: str(value) if isinstance(value, Path) else value for name, value in given(options).items()}
    about = {
        **{"prompt": options["prompt"], "seed": options["seed"], "task": "stream", "command": line.get()},
        **{"options": shown, "model": describe_model(model), "versions": versions()},
        **{"device": device_name(model.device)},
    }
    stream, geometry = pusa_lab.stream(model, prompt, task, **asked), model.geometry
    held, out = 0, options["out"]
    with (
        writing_clip(out, geometry.size, geometry.fps, written_scale(list(geometry.size)), lambda: about) as add,
        bar(most, "streaming", "frame") as advance,
    ):
        for part in stream:
            new = part.video[: most - held]
            add(new)
            held += len(new)
            advance(len(new), calls=part.calls)
            if held == most:
                about |= {"rows": part.row, "calls": part.calls, "seconds": part.seconds}
                break
    say(f"stream, {about['rows']} rows, {about['calls']} calls, {about['seconds']:.2f} s for {held} frames: {out}")
