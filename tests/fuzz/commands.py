"""Command lines of every `pusa-lab` command: 0, or 2 with one sentence, no traceback, and nothing written when refused.

The long part of a command is left out: a valid line ends where sampling, training or a notebook would begin.
"""
# ruff: noqa: E501, tables of values

import contextlib
import io
import os
import random
import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from . import judge, objects
from .guard import guarded

PATHS = [
    "missing",
    "FOLDER",
    "FILE/x.mp4",
    "a:b/c.mp4",
    "x" * 300 + ".mp4",
    "/dev/full",
    "/dev/null",
    "/proc/none/x.mp4",
    "",
    "-",
]
ODD = [
    "", "abc", "-1", "0", "1e400", "nan", "inf", "-inf", "99999999999999999999", "None", "True", "ü ∞", "1.5", "a,b", "[]", "a\nb",
    "1000000000", " ", "--", "@x", "%s", "{}", *PATHS,
]  # fmt: skip
"""Values for any option; FOLDER and FILE are there."""

LINES: dict[str, tuple[list[str], dict[str, list[str]]]] = {
    "generate": (
        ["'a red circle moves right'", "--model", "nano-vta", "--steps", "2", "--out", "out/video.mp4"],
        {
            "--model": ["nano-vta", "nano-base", "CHECKPOINT", "mini-codec", "mini-features", "mini-i2v"], "--image": ["PICTURE"],
            "--end-image": ["PICTURE"], "--loop": [], "--video": ["CLIP"], "--end-video": ["CLIP"], "--known-parts": ["[0..1]", "[0..1, 6..7]"],
            "--keyframes+": ["PICTURE"], "--at": ["[0]", "[-1]"], "--pixel-at": ["[3]"], "--mode": ["hold", "label"], "--lora": ["CHECKPOINT"],
            "--strength": ["1.4", "0"], "--negative-prompt": ["a"], "--num-videos": ["1", "2"], "--num-frames": ["8", "5"], "--size": ["16x16"],
            "--schedule-options.lag": ["2"], "--shift": ["1", "3"], "--save": ["latents", "both"], "--device": ["cpu"], "--config": ["CONFIG", "PICTURE"],
            "--offload": ["model"], "--precision": ["float8", "float8-storage"], "--attention": ["auto"], "--known": ["1", "2", "8"], "--noise": ["0.3", "0", "1"],
            "--schedule": ["pyramid", "hold", "autoregressive", "MATRIX"], "--steps": ["1", "3"], "--guidance": ["1", "2.5"],
            "--solver": ["heun", "ab2", "churn"], "--seed": ["1", "7"], "--out": ["out/b.mp4", "c.mp4"],
        },
    ),
    "stream": (
        ["'a red circle moves right'", "--model", "nano-vta", "--steps", "2", "--seconds", "0.5", "--out", "out/video.mp4"],
        {
            "--model": ["nano-vta", "CHECKPOINT", "mini-codec", "mini-i2v"], "--image": ["PICTURE"], "--lora": ["CHECKPOINT"], "--strength": ["1.4"],
            "--negative-prompt": ["a"], "--seconds": ["0.1", "0.4"], "--schedule-options.window": ["2"], "--shift": ["1", "3"], "--device": ["cpu"],
            "--schedule": ["rolling", "autoregressive", "synchronous", "'blockwise(lag=2, block=2)'", "MATRIX"], "--steps": ["1", "3"], "--guidance": ["1", "2.5"],
            "--solver": ["heun", "ab2", "churn"], "--seed": ["1", "7"], "--out": ["out/b.mp4", "c.mp4"], "--latent-frames": ["8", "4"], "--overlap": ["0", "2"],
            "--offload": ["model"], "--precision": ["float8", "float8-storage"], "--attention": ["auto"], "--config": ["CONFIG", "PICTURE"],
        },
    ),
    "data encode": (
        ["CLIPS", "--model", "nano-vta", "--out", "out/cache"],
        {
            "--model": ["nano-vta", "nano-base", "WAN"], "--out": ["out/b"], "--size": ["16x16", "32x16"], "--num-frames": ["8", "4"],
            "--fps": ["16", "8"], "--start": ["0", "0.1"], "--devices": ["1"],
        },
    ),
    "data show": (["CACHE"], {}),
    "train": (
        ["--model", "nano", "--stage", "vta", "--fast", "--out", "out/train"],
        {
            "--model": ["nano", "mini", "all"], "--stage": ["vta", "base", "i2v", "codec", "features", "all"], "--base": ["CHECKPOINT"],
            "--data": ["nano", "CLIPS", "digits"], "--out": ["out/b"], "--logs": ["out/logs"], "--resume": ["FILE"],
            "--max-steps": ["3"], "--lr": ["1e-3"], "--per-sample-weighting": ["True", "false"], "--global-batch-size": ["0"], "--clips": ["4"], "--ema": ["nan"],
            "--price": ["2"], "--expert": ["high"], "--gpus": ["1", "2"], "--ac-save-attention": ["1"], "--ac-skip-blocks": ["1"],
            "--plan-only": [], "--size": ["480p"], "--gpu": ["h100"], "--offload-activations": [], "--float8": [], "--compiled": [], "--recipe": ["paper"],
        },
    ),
    "train --recipe paper": (
        ["--data", "CACHE", "--model", "WAN", "--out", "out/a.safetensors"],
        {
            "--plan-only": [], "--price": ["2"], "--expert": ["high", "low"], "--gpus": ["1"], "--ac-save-attention": ["0", "2"], "--offload-activations": [],
            "--max-steps": ["3"], "--lora-rank": ["2", "0"], "--global-batch-size": ["1"], "--timestep-sampler": ["shared"], "--logs": ["out/logs"], "--resume": ["FILE"],
            "--data": ["CACHE", "CLIPS"], "--model": ["WAN", "nano"], "--out": ["out/b.safetensors", "out/folder"],
            "--ac-skip-blocks": ["1"], "--float8": [], "--attention": ["auto", "fa4"], "--compiled": [], "--stage": ["vta"], "--base": ["CHECKPOINT"],
        },
    ),
    "plan": (
        [],
        {
            "--model": ["wan2.1-14b", "wan2.2-5b", "WAN", "mini-vta"], "--size": ["480p", "480x832"], "--num-frames": ["81", "5"], "--steps": ["10"],
            "--guidance": ["1", "3"], "--dtype": ["bfloat16", "float16"], "--offload": ["model", "group"], "--gpu": ["h100", "t4"],
            "--precision": ["float8", "float8-storage"],
            "--workload": ["sample", "lora", "full"], "--lora-rank": ["64"], "--num-videos": ["2"], "--compiled": [], "--cached-prompts": [],
            "--gpus": ["2"], "--experts": ["1"], "--price": ["3"], "--json": [], "--optimizer": ["adamw8bit"], "--offload-activations": [], "--float8": [],
            "--max-steps": ["3"], "--global-batch-size": ["4"], "--micro-batch-size": ["2"], "--ac-save-attention": ["40"],
            "--ac-skip-blocks": ["1"], "--attention": ["fa4"],
        },
    ),
    "demo": (
        ["--fast", "--out", "out/demo"],
        {"--image": ["PICTURE"], "--video": ["CLIP"], "--prompt": ["a"], "--out": ["out/b"], "--fast": []},
    ),
    "sweep": (
        ["--model", "pusa_lab.sweeps.expanded:t_quantile", "--settings", "{level: [0.5, 0.9], degrees: 3}", "--cache", "out/c", "--no-progress"],
        {
            "--settings": ["{level: 0.5, degrees: [1, 2]}"], "--prompts": ["[a, b]"], "--seeds": ["[0, 1]"], "--baseline": ["{level: 0.5}"],
            "--score": ["value"], "--x": ["level"], "--figure": ["out/f.png"], "--table": ["out/t.csv"], "--retry": [], "--config": ["CONFIG", "PICTURE"],
        },
    ),
    "bench paper": (
        ["--table", "steps", "--small", "--out", "out/paper", "--work", "out/work"],
        {
            "--list": [], "--show": [], "--figures": [], "--wait": [], "--table": ["[steps, cost]", "all"], "--set.swept": ["8"],
            "--set.ranks": ["[4, 8]"],
        },
    ),
    "new-notebook": (["'Noise that waits'"], {}),
    "doctor": ([], {}),
}  # fmt: skip
"""Command -> a line that works, and its options with values that may."""


class BeginsError(Exception):
    """Where the long part would begin: the line was taken."""


class Command:
    """One command, as a thing that is played."""

    def __init__(self, name: str) -> None:
        self.name, self.module = f"command {name}", f"pusa-lab {name.split(' --')[0]}"
        self.command = name

    def played(self, rng: random.Random) -> tuple[str, judge.Verdict]:
        """Draw a line and run it.

        Args:
            rng: of the case.
        """
        words = _drawn(self.command, rng)
        at = objects.new("run")
        at.mkdir()
        before = Path.cwd()
        os.chdir(at)
        try:
            return f"cli({words!r})", _judged(self.command.split(" --")[0], [_place(w) for w in words], at)
        finally:
            os.chdir(before)
            shutil.rmtree(at, ignore_errors=True)


def commands() -> list[Command]:
    """All of them."""
    return [Command(name) for name in LINES]


def _drawn(command: str, rng: random.Random) -> list[str]:
    base, options = LINES[command]
    words = [*command.split(), *(word.strip("'") for word in base)]
    for name in rng.sample(list(options), min(len(options), rng.choice((0, 1, 1, 2, 3)))):
        words += [name, *([rng.choice(options[name])] if options[name] else [])]
    for _ in range(rng.choice((0, 1, 1, 2))):
        change = rng.random()
        if change < 0.7 and len(words) > len(command.split()):
            words[rng.randrange(len(command.split()), len(words))] = rng.choice(ODD)
        elif change < 0.8:
            words.insert(rng.randrange(1, len(words) + 1), rng.choice(["--unknown", "extra", "--steps", "--lr"]))
        elif change < 0.9 and len(words) > 1:
            words.pop(rng.randrange(1, len(words)))
        elif options:
            words += [rng.choice(list(options)), rng.choice(ODD)]
    return words


def _place(word: str) -> str:
    """The word, with what it names in capitals made."""
    makes: dict[str, Any] = {
        "PICTURE": objects.picture_file, "CLIP": objects.clip_file, "CLIPS": objects.clips, "CACHE": objects.cache_folder,
        "CHECKPOINT": objects.kept_checkpoint, "WAN": objects.wan_folder, "FOLDER": objects.clips, "FILE": objects.picture_file,
        "MATRIX": objects.matrix_file, "CONFIG": objects.config_file,
    }  # fmt: skip
    name, _, rest = word.partition("/")
    return f"{makes[name]()}{'/' if rest else ''}{rest}" if name in makes else word


def _judged(command: str, words: list[str], at: Path) -> judge.Verdict:
    from pusa_lab import cli

    notebooks()
    fixed = _tree(objects.folder())
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        stubs(),
        guarded(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            code = cli.main(words)
        except BeginsError:
            return judge.Verdict(judge.RIGHT)
        except SystemExit as error:
            code = error.code
        except KeyboardInterrupt:
            raise
        except BaseException:
            return judge.Verdict(judge.ELSE, f"a traceback: {traceback.format_exc(limit=-2)[-400:]}")
    if code == 0:
        return judge.Verdict(judge.RIGHT)
    if code != 2:
        return judge.Verdict(judge.ELSE, f"exit {code!r}: {err.getvalue()[-300:]}")
    left = {str(p) for p in at.rglob("*")} | {k for k, v in _tree(objects.folder()).items() if fixed.get(k) != v}
    if left:
        return judge.Verdict(judge.ELSE, f"refused, but wrote {sorted(left)[:3]}: {err.getvalue()[-200:]}")
    return _of_text(command, err.getvalue())


def _of_text(command: str, text: str) -> judge.Verdict:
    """One sentence in the name of the command."""
    names = (f"pusa-lab {command}: ", f"pusa-lab {command.split()[0]}: ")  # the second if only its first word was read
    faults = judge.sentence_faults(text.strip(), names)
    return judge.Verdict(judge.ELSE, f"{', '.join(faults)}: {text[-400:]}") if faults else judge.Verdict(judge.SENTENCE)


def _tree(folder: Path) -> dict[str, int]:
    """Path -> bytes of every file; of the process's folder without those of the runs in it."""
    found = folder.rglob("*")
    return {str(p): p.lstat().st_size for p in found if not p.is_dir() and not _of_a_run(p.relative_to(folder))}


def _of_a_run(path: Path) -> bool:
    return bool(re.fullmatch(r"\d+-.*", path.parts[0]))


@contextlib.contextmanager
def stubs() -> Iterator[None]:
    """The long parts of the commands replaced."""

    def begins(*args: Any, **kwargs: Any) -> Any:
        raise BeginsError

    patches = [
        mock.patch("subprocess.run", lambda *a, **k: SimpleNamespace(returncode=0, stdout="", stderr="")),
        mock.patch("small_models.training.train.split_datasets", begins),
        mock.patch("pusa_lab.finetune.train_wan", begins),
        mock.patch("small_models.experiments.command.run_table", begins),
        mock.patch("papermill.execute_notebook", begins),
        mock.patch.object(sys.modules["pusa_lab.runs"], "sample_steps", _last_step),
        mock.patch("pusa_lab.cli.clone.NOTEBOOKS", notebooks()),
    ]
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def _last_step(denoiser: Any, x: Any, schedule: Any, solver: Any = "euler", **cond: Any) -> Iterator[Any]:
    """All checks of `sample_steps`, and no sampling."""
    from pusa_lab.samplers import State, sample_steps

    next(iter(sample_steps(denoiser, x, schedule, solver, **cond)))
    yield State(len(schedule) - 1, schedule[-1].expand(len(x), -1), x.clamp(-1, 1))


def notebooks() -> Path:
    """A clone's notebooks: the template and one chapter."""
    at, real = objects.folder() / "notebooks", objects.ROOT / "notebooks"
    if not at.is_dir():
        (at / "src").mkdir(parents=True)
        shutil.copy(real / "chapter.template", at)
        shutil.copy(next((real / "src").glob("00_*.py")), at / "src")
    for extra in sorted((at / "src").glob("*.py"))[1:]:
        extra.unlink()
    return at


def cli(words: list[str]) -> int:
    """Run a line again, with the same stubs: what a printed case calls.

    Args:
        words: after `pusa-lab`.
    """
    from pusa_lab.cli import main

    with stubs():
        return main([_place(word) for word in words])
