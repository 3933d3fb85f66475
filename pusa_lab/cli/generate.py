"""`pusa-lab generate`: videos from any model, by any task and schedule."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pusa_lab.cli.terminal import line, say
from pusa_lab.cli.values import check_finite_guidance, check_prompts, given, pixels

SUFFIX = {"video": ".mp4", "latents": ".safetensors", "both": ".mp4"}
"""What is saved -> how --out ends."""
LOADING = (
    *("lora", "strength", "lora_low", "strength_low", "transformer", "transformer_low"),
    *("device", "offload", "precision", "attention"),
)
"""Options that go to the model's family."""
STEPS = 10
"""Sampling steps of a named schedule, as `generate` takes them."""


def generate_videos(
    prompt: list[str],
    *,
    model: str = "mini-vta",
    lora: str | list[str] | None = None,
    strength: float | list[float] | None = None,
    lora_low: str | list[str] | None = None,
    strength_low: float | list[float] | None = None,
    transformer: str | None = None,
    transformer_low: str | None = None,
    image: str | None = None,
    end_image: str | None = None,
    loop: bool = False,
    video: str | None = None,
    end_video: str | None = None,
    known: int | None = None,
    known_parts: list[str] | None = None,
    keyframes: list[str] | None = None,
    at: list[int] | None = None,
    pixel_at: list[int] | None = None,
    task: str | None = None,
    task_options: dict[str, Any] | None = None,
    noise: float | list[float] | None = None,
    mode: str | None = None,
    negative_prompt: str = "",
    num_videos: int = 1,
    seed: int | list[int] = 0,
    num_frames: int | None = None,
    size: str | None = None,
    schedule: str = "synchronous",
    schedule_options: dict[str, Any] | None = None,
    steps: int | None = None,
    shift: float | None = None,
    guidance: float | list[float] | str = 2.0,
    solver: str = "euler",
    refresh: int | Literal["auto"] | None = None,
    device: str | None = None,
    offload: Literal["none", "model", "group"] | None = None,
    precision: Literal["float8", "float8-storage"] | None = None,
    attention: str | None = None,
    save: Literal["video", "latents", "both"] = "video",
    out: Path | None = None,
) -> None:
    """Make videos from prompts, and from pictures or a clip if you have them.

    The task follows from what is given: a prompt alone, --image (with --end-image or --loop), --keyframes, or --video
    (with --end-video or --known-parts). Lists are written [A, B], in quotes if they contain spaces.

    Args:
        prompt: captions, each in quotes; for each, one video is made per seed.
        model: a shipped toy, a .safetensors file of one, the folder or repository of a Wan model, or your own,
            mine.py:make.
        lora: file or files that adapt the model, such as one that `pusa-lab train` wrote.
        strength: how much each LoRA adds; 1 is as trained (default), and Pusa uses 1.4.
        lora_low: file or files that adapt the low-noise expert of Wan2.2-A14B, where --lora adapts the other one.
        strength_low: how much each LoRA of --lora-low adds (default 1).
        transformer: other weights of a Wan's transformer, such as the folder that `pusa-lab train --lora-rank 0` wrote.
        transformer_low: the same for the low-noise expert of Wan2.2-A14B.
        image: picture known as the first frame.
        end_image: picture known as the last frame (with --image).
        loop: let the video end where it began (with --image).
        video: clip that the video continues.
        end_video: clip with which the video ends (with --video, which is then its beginning).
        known: how many of the clip's last pixel frames are continued (default: a third of the video).
        known_parts: pixel frames of --video that are kept while the others are made anew, such as [0..4, 77..80].
        keyframes: known pictures, at the frames given by --at or --pixel-at.
        at: latent frame of each picture; -1 is the last.
        pixel_at: pixel frame of each picture, from 0.
        task: text_to_video, image_to_video, start_end, loop, transition, keyframes, completion, extension, or your own,
            mine.py:name; in place of the options above.
        task_options: arguments of --task, with a file where it takes a picture or clip: --task-options.picture a.png.
        noise: noise level of known frames, one for all or one for each (default: 0, which keeps them exactly).
        mode: how known frames are kept: freeze, denoise (default), hold, replacement or label.
        negative_prompt: what the video should not show.
        num_videos: videos of each prompt, from the seeds --seed, --seed + 1, and so on.
        seed: seed of the noise, from -2**63 to 2**63 - 1, or a list of them.
        num_frames: pixel frames, 1 + 4k for Wan (default: the model's own).
        size: HEIGHTxWIDTH in pixels, for models that take it (default: the model's own).
        schedule: synchronous, hold, pyramid, autoregressive, trapezoid, two_sided, rolling, blockwise, staircase,
            repaint, restart, or your own, mine.py:name, perhaps with settings, 'pyramid(lag=4)'; or a .npy, .csv or
            .json file with a matrix (rows, latent frames). If its number of frames is not the model's own, give
            --num-frames too.
        schedule_options: arguments of a named schedule: --schedule-options.lag 4.
        steps: sampling steps of each frame (default 10; a matrix has its own).
        shift: shift of the sigmas (default: the model's own).
        guidance: scale of text guidance, where 1 is none, or a list with one for each latent frame; or a guider with
            its settings, such as 'apg(scale=5)': text_cfg, apg, cfg_zero_star, skip_layer_guidance, history_guidance,
            picture_guidance, or your own, mine.py:name.
        solver: euler, heun, midpoint, ab2, ab3, dpmpp_2m, unipc, churn, consistency, or your own, mine.py:name, perhaps
            with settings, 'churn(amount=0.3)'.
        refresh: number of rows after which frames at rest (known, finished or waiting ones) are computed again; auto
            chooses it. Without this option, every frame is computed at every step.
        device: cpu or cuda (default: the GPU if there is one).
        offload: what part of a Wan model waits in the host's memory, so that it fits on a small GPU (default: the
            model's own).
        precision: run the large layers of a Wan model in 8 bits (float8: faster and smaller, less exact), or only keep
            its weights in 8 bits (float8-storage).
        attention: native (PyTorch's choice, the default), cudnn, fa4 (FlashAttention 4, from Hopper on), a backend of
            diffusers, or auto, the fastest of the first three; for a Wan model.
        save: what is written: the video, the latents (a .safetensors file with the schedule), or both. The request is
            always written too, for pl.rerun.
        out: file to write (default outputs/video.mp4); the request and the known pictures are written beside it, and
            several videos are numbered.

    Raises:
        ValueError: an option does not fit the others or the model, or a file cannot be read or written.
    """
    options = dict(locals())
    import pusa_lab
    from pusa_lab.cli.tasks import check_loading, check_task, outline_of, read_pictures, task_of
    from pusa_lab.models import load

    check_task(options)
    sampling = _sampling(options)
    jobs = _jobs(options)
    pictures = read_pictures(options)
    loading = given({name: options[name] for name in LOADING}) | given({"size": pixels(size)})
    check_loading(model, loading)

    def asked_of(loaded: Any) -> dict[str, Any]:
        frames = _frames(options, loaded.geometry, sampling["schedule"])
        return sampling | {"task": task_of(options, pictures, loaded, frames), "latent_frames": frames}

    if (tried := outline_of(model, loading)) is not None:
        pusa_lab.prepare(tried, prompt[0], **asked_of(tried) | {"refresh": None}, seed=jobs[0][1])
    loaded = load(model, **loading)
    asked = asked_of(loaded)
    loaded.encode_text(prompt)  # what it cannot read is said before the first video is made
    for caption, number, path in jobs:
        _write(path, pusa_lab.generate(loaded, caption, **asked, seed=number), options)


def _frames(options: Mapping[str, Any], geometry: Any, schedule: Any) -> int:
    """Latent frames of the video; a matrix has as many columns."""
    from pusa_lab.sentences import counted
    from pusa_lab.tasks import MOST_LATENT_FRAMES

    asked, frames = options["num_frames"], geometry.frames
    if asked is not None:
        k, rest = divmod(asked - 1, geometry.stride[0])
        if asked < 1 or rest:
            every = f"1 + {geometry.stride[0]} * k pixel frames, such as {geometry.pixel_frames(max(k, 0) + 1)}"
            raise ValueError(f"--num-frames {asked}: give {every if geometry.stride[0] > 1 else 'at least 1'}.")
        frames = k + 1
        if frames > MOST_LATENT_FRAMES:
            raise ValueError(
                f"--num-frames {asked}: give at most {geometry.pixel_frames(MOST_LATENT_FRAMES):,} pixel frames."
            )
    columns = getattr(schedule, "shape", (0, frames))[1]
    if columns != frames:
        raise ValueError(
            f"--schedule {options['schedule']} has {counted(columns, 'column')} for a video of "
            f"{counted(frames, 'latent frame')}: give a column for each, or --num-frames "
            f"{geometry.pixel_frames(columns)}."
        )
    return frames


def _jobs(options: Mapping[str, Any]) -> list[tuple[str, int, Path]]:
    """Caption, seed and file of every video; the files can be written."""
    from pusa_lab.files import check_writable
    from pusa_lab.inputs import MOST_VIDEOS

    check_prompts(options["prompt"])
    seed, count = options["seed"], options["num_videos"]
    for name in ("prompt", "seed"):
        entries = options[name] if isinstance(options[name], list) else []
        if again := [entry for i, entry in enumerate(entries) if entry in entries[:i]]:
            which = f"--seed {again[0]}" if name == "seed" else f"the prompt {again[0]!r:.60}"
            raise ValueError(f"{which} was given twice, which would make the same video twice: give it once.")
    if isinstance(seed, list) and count != 1:
        raise ValueError(f"--num-videos {count} and a list of seeds were given: give one of them.")
    if not 1 <= count <= MOST_VIDEOS:
        raise ValueError(f"--num-videos {count}: give 1 to {MOST_VIDEOS:,}.")
    seeds = seed if isinstance(seed, list) else range(seed, seed + count)
    if wrong := [number for number in seeds if not -(2**63) <= number < 2**63]:
        raise ValueError(f"--seed {wrong[0]}: give whole numbers from -2**63 to 2**63 - 1.")
    suffix = SUFFIX[options["save"]]
    out = options["out"] or _default_out(options)
    if out.suffix != suffix:
        raise ValueError(f"--out {out}: give a name that ends in {suffix}.")
    pairs = [(caption, number) for caption in options["prompt"] for number in seeds]
    paths = [out] if len(pairs) == 1 else [out.with_name(f"{out.stem}-{i}{suffix}") for i in range(len(pairs))]
    for path in paths:
        for beside in (path, path.with_suffix(".safetensors"), path.with_suffix(".request.json")):
            check_writable(beside, "--out")
    return [(*pair, path) for pair, path in zip(pairs, paths, strict=True)]


def _default_out(options: Mapping[str, Any]) -> Path:
    return Path("outputs") / f"video{SUFFIX[options['save']]}"


def settled_generate_videos(options: dict[str, Any]) -> dict[str, Any]:
    """The defaults that depend on other options; null is left to the model, the task and the machine.

    Args:
        options: of the command.
    """
    from pusa_lab.cli.schedules import HOLDS

    found: dict[str, Any] = {"out": _default_out(options)}
    found |= {f"strength{which}": 1.0 for which in ("", "_low") if options[f"lora{which}"]}
    # a matrix has rows of its own
    return found if Path(options["schedule"]).suffix.lower() in HOLDS else found | {"steps": STEPS}


def _sampling(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `generate` is called with, for all videos."""
    import torch

    from pusa_lab.cli.schedules import schedule_of
    from pusa_lab.resting import MOST_REFRESH
    from pusa_lab.sentences import counted

    guidance = options["guidance"]
    check_finite_guidance(guidance)
    if isinstance(guidance, list):
        guidance = torch.tensor(guidance)
    if not isinstance(guidance, torch.Tensor) and guidance == 1 and options["negative_prompt"]:
        raise ValueError("--negative-prompt has no effect with --guidance 1: leave out one of them.")
    schedule, steps = schedule_of(options["schedule"], options["schedule_options"]), options["steps"]
    if isinstance(schedule, torch.Tensor) and steps is not None:
        rows = counted(len(schedule), "row")
        raise ValueError(
            f"--steps {steps} has no effect with --schedule {options['schedule']} of {rows}: leave it out."
        )
    refresh = options["refresh"]
    if isinstance(refresh, int) and not 1 <= refresh <= MOST_REFRESH:
        raise ValueError(f"--refresh {refresh}: give 1 (every row) to {MOST_REFRESH:,}, or auto.")
    found = {name: options[name] for name in ("negative_prompt", "steps", "shift", "solver", "refresh")}
    return found | {"schedule": schedule, "guidance": guidance}


def _write(path: Path, result: Any, options: Mapping[str, Any]) -> None:
    from pusa_lab.saved import save_result
    from pusa_lab.sentences import counted

    shown = {name: str(value) if isinstance(value, Path) else value for name, value in given(options).items()}
    for name in ("prompt", "seed", "num_videos", "out", "save"):
        shown.pop(name, None)
    save_result(result, path, options["save"] == "both", {"command": line.get(), "options": shown})
    summary = f"{counted(result.schedule.shape[-2] - 1, 'step')}, {counted(result.calls, 'call')}"
    summary += "" if result.share == 1 else f" ({result.share:.0%} of the frames computed)"
    say(f"{result.task}, {summary}, {result.seconds:.2f} s: {path}")
