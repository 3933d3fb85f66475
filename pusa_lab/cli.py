"""The command line: pusa-lab demo | generate | data | train | plan | bench | new-notebook | doctor."""

import argparse
import contextlib
import io
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pusa_lab.arguments import calling
from pusa_lab.cli_data import add_data, number_or_text
from pusa_lab.cli_plan import add_plan
from pusa_lab.cli_train import OUT, add_wan_options, check_options, run_recipe
from pusa_lab.files import check_folder, check_writable, writing

if TYPE_CHECKING:
    from pusa_lab.tasks import Task
    from pusa_lab.types import Geometry

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
DEMO = ("text_to_video", "image_to_video", "start_end", "extension", "pyramid")
"""Names of the videos that the demo makes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, or 2 after one sentence on what is wrong with the input.

    Args:
        argv: the words after `pusa-lab`; None takes them from the shell.
    """
    _make_output_safe()
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(words)
    args.command = shlex.join(["pusa-lab", *words])
    name = " ".join(["pusa-lab", *words[: 2 if words[0] == "data" else 1]])
    try:
        with calling(name):
            args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        _drop_output()
        return 1
    except (ValueError, OSError, MemoryError, RecursionError, RuntimeError, ModuleNotFoundError) as error:
        if (sentence := _sentence(error)) is None:
            raise
        if isinstance(error, OSError):
            _drop_output()
        sys.stderr.write(f"{name}: {sentence.removeprefix(f'{name}: ')}\n")
        return 2
    return 0


def _sentence(error: BaseException) -> str | None:
    """The error as one line; None for an error in this package, whose traceback is needed."""
    said = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed: pip install -e '.[all]' in the clone brings it."
    if isinstance(error, RecursionError):
        return "the input is nested too deeply: give another file."
    if isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said:
        return "memory is full: ask for a smaller size, fewer frames or fewer steps."
    if isinstance(error, OSError) and error.errno and said.startswith("[Errno"):
        where = f"{error.filename or 'the output'}: " if error.filename else ""
        return f"{where}{error.strerror}; give another path, or free space on the disk."
    return said if isinstance(error, ValueError | OSError) else None


def _make_output_safe() -> None:
    """Escape characters that the output's encoding lacks, and write to the null device where an output is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Redirect an output that cannot be written to the null device, so that Python does not fail again at exit."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """A parser that prints its errors on one line, even if the arguments hold line breaks."""

    def error(self, message: str) -> NoReturn:
        super().error(" ".join(message.split()))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pusa-lab", description="Video diffusion with one timestep per frame.")
    names = "demo | generate | data | train | plan | bench | new-notebook | doctor"
    commands = parser.add_subparsers(required=True, metavar=names)

    demo = commands.add_parser("demo", help="execute the quick tour on a picture and a clip")
    demo.add_argument("--image", default=str(NOTEBOOKS / "assets" / "still.png"), help="picture to set in motion")
    demo.add_argument("--video", default=str(NOTEBOOKS / "assets" / "clip.mp4"), help="clip to go on from")
    demo.add_argument("--prompt", help="caption; without one, that of the tour's own picture")
    demo.add_argument("--out", type=Path, default=Path("outputs/demo"), help="folder for page, videos and table")
    demo.add_argument("--fast", action="store_true", help="fewer steps and clips")
    demo.set_defaults(run=_demo)
    _generate_options(commands.add_parser("generate", help="make one video"))
    add_data(commands.add_parser("data", help="encode clips for training, once"))
    _train_options(commands.add_parser("train", help="train a toy, or by a recipe a Wan"))

    add_plan(commands.add_parser("plan", help="memory, time and money of a Wan", argument_default=argparse.SUPPRESS))

    bench = commands.add_parser("bench", help="run a benchmark of the clone, such as core")
    bench.add_argument("name", help="of a script in benchmarks/")
    bench.add_argument("rest", nargs=argparse.REMAINDER, help="its own options; --help shows them")
    bench.set_defaults(run=_bench)

    chapter = commands.add_parser("new-notebook", help="begin a chapter in the clone: notebooks/src/NN_name.py")
    chapter.add_argument("name", help='its title, such as "Clocks that wait"')
    chapter.set_defaults(run=_new_notebook)

    doctor = commands.add_parser("doctor", help="what is installed, and where it will run")
    doctor.set_defaults(run=_doctor)
    return parser


def _generate_options(gen: argparse.ArgumentParser) -> None:
    gen.add_argument("prompt", help='caption, such as "a red circle moves right"')
    gen.add_argument("--model", default="mini-vta", help="a shipped model, or a .safetensors file")
    gen.add_argument("--image", help="picture known as the first frame")
    gen.add_argument("--end-image", help="picture known as the last frame (with --image)")
    gen.add_argument("--video", help="clip that the video goes on from (instead of --image)")
    gen.add_argument("--known", type=int, help="last frames of the clip to go on from (default: a third of the video)")
    gen.add_argument("--noise", type=float, help="noise level of known frames (default: 0, which keeps them exactly)")
    gen.add_argument("--schedule", default="synchronous", help="a name in pusa_lab.schedules.SCHEDULES")
    gen.add_argument("--steps", type=int, default=10)
    gen.add_argument("--guidance", type=number_or_text, default=3.0, help="1 is none; or a guider: 'apg(scale=5)'")
    gen.add_argument("--solver", default="euler", help="a name in solvers.SOLVERS: euler, heun, ab2, unipc, ...")
    gen.add_argument("--seed", type=int, default=0)
    gen.add_argument("--out", type=Path, default=Path("outputs/video.mp4"))
    gen.set_defaults(run=_generate)


def _train_options(train: argparse.ArgumentParser) -> None:
    train.add_argument("--model", help="nano (default), mini, or all")
    train.add_argument(
        "--stage",
        help="codec, features (for the Frechet distance), base (one timestep per video, from scratch), vta (one "
        "timestep per frame, from the base; the default), i2v (as Wan's, from the base), or all of them in this order",
    )
    train.add_argument("--data", help="nano, mini, digits, or a folder of MP4s with captions in .txt files")
    train.add_argument("--base", type=Path, help="where vta and i2v start (default: in --out, else the shipped base)")
    train.add_argument("--out", type=Path, help=f"folder for checkpoints and cards (default {OUT})")
    train.add_argument("--logs", type=Path, help="folder for curves (CSV, TensorBoard), sheets and last.ckpt")
    train.add_argument("--resume", type=Path, help="go on from such a last.ckpt, which --set save_every=N writes")
    train.add_argument("--fast", action="store_true", default=None, help="a few small steps, to test the command")
    train.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        help="change the recipe: steps=500 lr=3e-4",
    )
    add_wan_options(train)
    train.set_defaults(run=_train)


def _demo(args: argparse.Namespace) -> None:
    import papermill
    from nbconvert import HTMLExporter

    from pusa_lab import media

    notebook = NOTEBOOKS / "00_quick_tour.ipynb"
    if not notebook.is_file():
        raise ValueError(f"no {notebook}: the demo needs the repository, clone it and type `make demo` there.")
    _check_demo(args.out)
    media.read_picture(args.image)
    media.read_clip(Path(args.video), last=1)
    with tempfile.TemporaryDirectory() as part:
        wanted = {"IMAGE": args.image, "VIDEO": args.video, "PROMPT": args.prompt, "FAST": args.fast}
        known = papermill.inspect_notebook(str(notebook))
        parameters = {
            **{name: _absolute(value) for name, value in wanted.items() if value is not None},
            "OUT": str(Path(part).resolve()),
        }
        if missing := sorted(set(parameters) - set(known)):
            raise ValueError(f"{notebook} has no parameters {', '.join(missing)}: restore the notebook.")
        done = Path(part) / "quick_tour.ipynb"
        try:
            options = {"kernel_name": "python3", "cwd": NOTEBOOKS, "extra_arguments": ["--IPKernelApp.log_level=40"]}
            papermill.execute_notebook(str(notebook), str(done), parameters, **options)
        except papermill.PapermillExecutionError as error:
            reason = re.sub(r"^[\w.]+: ", "", str(error.evalue))  # without the name of the function it called
            raise ValueError(f"the demo stopped: {reason}") from error
        page, _ = HTMLExporter(exclude_input_prompt=True).from_filename(str(done))
        (Path(part) / "index.html").write_text(page)
        made = sorted(Path(part).iterdir())
        for path in made:
            with writing(args.out / path.name) as copy:
                shutil.copy(path, copy)
    _say(*(f"{args.out / path.name}" for path in made), f"Open {args.out / 'index.html'} in a browser.")


def _check_demo(out: Path) -> None:
    """Refuse a folder that cannot take the results, before they are computed."""
    check_folder(out, "--out")
    for name in ("index.html", "metrics.csv", "quick_tour.ipynb", *(f"{task}.mp4" for task in DEMO)):
        if (out / name).is_dir():
            raise ValueError(f"--out {out} has a folder {name}, where a result must be written: give another folder.")


def _generate(args: argparse.Namespace) -> None:
    import small_models
    from pusa_lab import generate, media

    _check_generate(args)
    model = small_models.load(args.model)
    if isinstance(model, small_models.Codec):
        raise ValueError(f"{args.model} is a codec and makes no videos: choose a model built on it, such as mini-vta.")
    if isinstance(model, small_models.Features):
        raise ValueError(f"{args.model} only reads videos and makes none: choose another model, such as mini-vta.")
    if isinstance(model, small_models.ImageToVideo):
        if not args.image or args.end_image or args.noise is not None:
            raise ValueError(f"{args.model} takes one picture as input: give --image, without --end-image or --noise.")
        model, task = model.given(media.read_picture(args.image)), None
    else:
        task = _task(args, model.geometry)
    options = {name: getattr(args, name) for name in ("schedule", "steps", "guidance", "solver", "seed")}
    result = generate(model, args.prompt, task, **options)
    scale = max(1, 128 // model.geometry.size[0])
    media.write_clip(args.out, result.video[0], model.geometry.fps, scale)
    _say(f"{result.task}, {len(result.schedule) - 1} rows, {result.calls} calls, {result.seconds:.2f} s: {args.out}")


def _check_generate(args: argparse.Namespace) -> None:
    """Refuse options that exclude each other and an output that cannot be written, before a model is loaded."""
    if args.out.suffix != ".mp4":
        raise ValueError(f"--out {args.out}: give a name that ends in .mp4.")
    for name in ("image", "end_image", "video"):
        if getattr(args, name) == "":
            raise ValueError(f"--{name.replace('_', '-')} is empty: give the path of a file, or leave it out.")
    if args.video and args.image:
        raise ValueError("both --image and --video were given: give one of them.")
    if args.end_image and not args.image:
        raise ValueError("--end-image was given without --image: give the first picture too.")
    if args.known is not None and (args.known < 1 or not args.video):
        raise ValueError(f"--known {args.known} counts frames of the clip to extend: give --video, and at least 1.")
    if args.noise is not None and not (args.image or args.video):
        raise ValueError("--noise was given without --image or --video: it is the noise level of known frames.")
    check_writable(args.out, "--out")


def _task(args: argparse.Namespace, geometry: "Geometry") -> "Task":
    """The task that the options ask for."""
    from pusa_lab import media, tasks

    noise = 0.0 if args.noise is None else args.noise
    if args.video:
        third = geometry.pixel_frames(max(1, geometry.frames // 3))
        known = third if args.known is None else args.known
        clip = media.read_clip(Path(args.video), last=max(known, 1), fps=geometry.fps)
        if known > len(clip):
            raise ValueError(
                f"extension from {known} frames of a clip that has {len(clip)} at the model's {geometry.fps} frames a "
                f"second: give --known {len(clip)} or less, or a longer clip."
            )
        return tasks.extension(clip, known, noise)
    if args.end_image:
        return tasks.start_end(media.read_picture(args.image), media.read_picture(args.end_image), noise)
    if args.image:
        return tasks.image_to_video(media.read_picture(args.image), noise)
    return tasks.text_to_video()


def _train(args: argparse.Namespace) -> None:
    from pusa_lab.training.config import parse

    changes = parse(args.set, {"clips": int})
    check_options(args, changes)
    if args.recipe:
        run_recipe(args, changes)
        return
    from small_models.train import RECIPES, train
    from small_models.world import WORLDS

    wanted = args.model or "nano", args.stage or "vta"
    jobs = [(m, s) for m, s in RECIPES if wanted[0] in (m, "all") and wanted[1] in (s, "all")]
    for option in ("resume", "base"):
        if len(jobs) > 1 and getattr(args, option):
            raise ValueError(f"--{option} is for a single stage: give --model and --stage.")
    if len(jobs) > 1 and args.data and args.data not in WORLDS and any(s == "features" for _, s in jobs):
        raise ValueError(f"--data {args.data} has no labels for the stage features: choose another --stage.")
    if args.base and jobs and jobs[0][1] not in ("vta", "i2v"):
        raise ValueError(
            f"--base {args.base} has no effect on {jobs[0][1]}: leave it out, only vta and i2v start from a base."
        )
    for model, stage in jobs or [wanted]:
        logs = args.logs / f"{model}-{stage}" if args.logs and len(jobs) > 1 else args.logs
        options = {"data": args.data or "", "fast": bool(args.fast), "logs": logs, "resume": args.resume}
        path = train(model, stage, args.out or OUT, args.base, command=args.command, **options, **changes)
        _say(f"{path}, and its card {path.with_suffix('.json')}")


def _bench(args: argparse.Namespace) -> None:
    scripts = {path.stem: path for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py")}
    if args.name not in scripts:
        raise ValueError(f"no benchmark {args.name!r}: in the clone there are {', '.join(sorted(scripts)) or 'none'}.")
    if done := subprocess.run([sys.executable, str(scripts[args.name]), *args.rest], check=False).returncode:
        raise ValueError(f"{scripts[args.name]} ended with {done}: what it printed above says why.")


def _new_notebook(args: argparse.Namespace) -> None:
    template, chapters = NOTEBOOKS / "chapter.template", sorted((NOTEBOOKS / "src").glob("[0-9][0-9]_*.py"))
    if not template.is_file() or not chapters:
        raise ValueError(f"no chapters in {NOTEBOOKS}: run this in the clone.")
    stem = re.sub(r"\W+", "_", args.name.lower()).strip("_")
    if not stem:
        raise ValueError(f"the title {args.name!r} has no letters: give one such as 'Clocks that wait'.")
    number = int(chapters[-1].name[:2]) + 1
    setup = re.search(r'# %% tags=\["setup"\]\n.*?(?=\n\n# %%)', chapters[0].read_text(), re.S)
    path = NOTEBOOKS / "src" / f"{number:02}_{stem}.py"
    words = {"number": str(number), "title": " ".join(args.name.split()), "setup": setup[0] if setup else ""}
    text = template.read_text()
    for name, value in words.items():
        text = text.replace("{" + name + "}", value)
    check_writable(path, "the chapter")
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")
    _say(f"{path}: write it, then build it with `python {NOTEBOOKS / 'build.py'} {path.stem}`.")


def _doctor(_: argparse.Namespace) -> None:
    import torch

    import small_models

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, everything runs on the CPU"
    _say(f"python {platform.python_version()} on {platform.machine()}, {torch.get_num_threads()} threads; GPU: {gpu}")
    for name in ("torch", "numpy", "safetensors", "av", "mediapy", "papermill", "lightning", "diffusers", "jupyterlab"):
        try:
            _say(f"{name} {version(name)}")
        except PackageNotFoundError:
            _say(f"{name} is not installed (pip install -e '.[all]' in the clone brings it)")
    _say(f"models: {', '.join(small_models.list_models()) or 'none'}")


def _absolute(value: object) -> object:
    return str(Path(value).resolve()) if isinstance(value, str) and Path(value).is_file() else value


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
