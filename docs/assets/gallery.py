"""The six pictures of the README's gallery."""

import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from drawing import BENCHMARKS, PAPER, PROMPT, ROOT, SMALL, figure, still, strip
from matplotlib.figure import Figure

import pusa_lab as pl
import small_models
from pusa_lab.viz.results import COLOURS


@figure()
def zoo() -> Figure:
    """Five schedules of the zoo and one of one's own."""
    made = {name: pl.sampling_inputs.as_matrix(name, 10, 9, None) for name in ("synchronous", "pyramid")}
    made["autoregressive"] = pl.schedules.autoregressive(10, 9)
    made["rolling"] = pl.schedules.rolling(10, 9)
    made["two-sided"] = pl.schedules.two_sided(10, 9)
    rows = torch.linspace(0, 1, 24)[:, None]
    made["your own"] = (1.6 - 2.6 * rows + 0.5 * torch.sin(torch.arange(9) * 1.6)).clamp(0, 1)
    drawn, axes = plt.subplots(2, 3, figsize=SMALL, layout="constrained")
    for place, (name, matrix) in zip(axes.flat, made.items(), strict=True):
        place.imshow(matrix, cmap="cividis", aspect="auto", vmin=0, vmax=1, interpolation="nearest")
        place.set_title(name, fontsize=11)
        place.set(xticks=[], yticks=[])
    drawn.supxlabel("frames", fontsize=10)
    drawn.supylabel("steps", fontsize=10)
    return drawn


@figure()
def tasks() -> Figure:
    """Four tasks with one model: the given frames are framed."""
    model = small_models.load("mini-vta")
    clip = pl.generate(model, PROMPT, pl.tasks.image_to_video(still()), guidance=3.0, seed=0).video[0]
    asked = {
        "picture": (pl.tasks.image_to_video(clip[0]), (0,)),
        "both ends": (pl.tasks.start_end(clip[0], clip[-1]), (0, 8)),
        "extension": (pl.tasks.extension(clip, known=9), (0, 1, 2)),
        "keyframes": (pl.tasks.keyframes([clip[0], clip[16], clip[32]], at=[0, 4, 8]), (0, 4, 8)),
        "no picture": (None, ()),
    }
    drawn, axes = plt.subplots(len(asked), 1, figsize=SMALL)
    drawn.subplots_adjust(0.19, 0.01, 0.995, 0.99, hspace=0.06)
    for place, (label, (task, known)) in zip(axes, asked.items(), strict=True):
        video = pl.generate(model, PROMPT, task, guidance=3.0, seed=1).video[0]
        strip(place, video, known, label)
    return drawn


def miss(solver: str, steps: int) -> tuple[int, float]:
    """Calls of the exact denoiser, and how far the covariance of 2,000 videos ends from the truth."""
    f = 5
    cov = 0.8 ** (torch.arange(f)[:, None] - torch.arange(f)).abs().double()
    exact, calls = pl.analytic.GaussianDenoiser(torch.zeros(f, dtype=torch.float64), cov), 0

    def counted(x, tau, **cond):
        nonlocal calls
        calls += 1
        return exact(x, tau, **cond)

    basis = torch.eye(f, dtype=torch.float64)[:, None, :, None, None]
    schedule = pl.schedules.pyramid(steps, f, lag=max(1, steps // 4))
    *_, last = pl.samplers.sample_steps(counted, basis, schedule, solver=solver)
    transport = last.x[:, 0, :, 0, 0].T
    return calls, float((transport @ transport.T - cov).abs().max())


@figure()
def exact() -> Figure:
    """Solvers on the exact denoiser, along an asynchronous schedule: the error falls as theory says."""
    drawn, axes = plt.subplots(figsize=SMALL, layout="constrained")
    for colour, (solver, label) in zip(COLOURS, {"euler": "Euler", "ab2": "AB2", "heun": "Heun"}.items(), strict=False):
        calls, errors = zip(*(miss(solver, steps) for steps in (8, 16, 32, 64, 128, 256)), strict=True)
        axes.loglog(calls, errors, "o-", color=colour, label=label)
    axes.set(xlabel="calls of the denoiser", ylabel="error of the covariance")
    axes.legend(frameon=False)
    return drawn


def by_budget(found: Any, way: str) -> tuple[list[float], np.ndarray]:
    """Shares of the base's training, and PSNR with its interval, of one way to adapt."""
    rows = sorted((row["key"]["share"], row["scores"]["psnr"]) for row in found["rows"] if row["key"]["way"] == way)
    return [share for share, _ in rows], np.array([score for _, score in rows])


@figure(PAPER / "cost.json")
def claims(found: Any) -> Figure:
    """The 1/200 claim: image to video by training, three ways."""
    drawn, axes = plt.subplots(figsize=SMALL, layout="constrained")
    ways = {
        "Wan's own way": "Wan's way, all weights",
        "one timestep per frame": "VTA, all weights",
        "one timestep": "control: one timestep, all weights",
    }
    for colour, (label, way) in zip((COLOURS[1], COLOURS[0], COLOURS[7]), ways.items(), strict=True):
        shares, scores = by_budget(found, way)
        axes.semilogx(shares, scores[:, 0], "o-", color=colour, label=label)
        axes.fill_between(shares, scores[:, 1], scores[:, 2], color=colour, alpha=0.18, linewidth=0)
    axes.axvline(1 / 200, color="black", linestyle=":", linewidth=1, ymax=0.6)
    axes.set_xticks([1 / 200, 1 / 20, 1], ["1/200", "1/20", "1"])
    axes.minorticks_off()
    axes.set(xlabel="training, as a share of the base's", ylabel="PSNR, dB")
    axes.legend(frameon=False, fontsize=9)
    return drawn


FORWARDS = {
    "one timestep": ("eager", "scalar"),
    "one per token\n(diffusers)": ("eager", "per token"),
    "one per frame": ("eager", "per frame"),
    "one per frame,\ncompiled": ("compiled", "per frame"),
}
SHADES = (COLOURS[7], COLOURS[1], COLOURS[0], COLOURS[5])


@figure(BENCHMARKS / "wan_forward.json")
def wan_memory(found: Any) -> Figure:
    """Peak memory of one forward of the 14B model at 720p."""
    drawn, axes = plt.subplots(figsize=SMALL, layout="constrained")
    peaks = [found[f"720p {how}"][time]["peak_gib"] for how, time in FORWARDS.values()]
    bars = axes.barh(list(FORWARDS), peaks, color=SHADES)
    axes.bar_label(bars, [f"{peak:.1f}" for peak in peaks], padding=4)
    axes.invert_yaxis()
    axes.set(xlabel="peak memory at 14B, GiB", xlim=(0, 1.15 * max(peaks)))
    return drawn


class Mistaken:
    """`mini-vta` with two mistakes: it takes one timestep for all frames, and its answer has the wrong sign."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, x: torch.Tensor, tau: torch.Tensor, **cond: Any) -> torch.Tensor:
        """The wrong velocity."""
        return -self.model(x, tau[:, :1].expand_as(tau), **cond)


@figure()
def check() -> Figure:
    """What `check_model` says of a model with two mistakes."""
    clip = pl.data.read_clip(ROOT / "notebooks" / "assets" / "clip.mp4", num_frames=33, size=(64, 64), fps=16)
    prompts = ["a red square moves left", "a green circle moves up"]
    report = pl.check_model(Mistaken(small_models.load("mini-vta")), clip, prompts=prompts)
    lines = [line.split(None, 2) for line in str(report).replace("first frame", "first_frame").splitlines()[1:]]
    drawn = plt.figure(figsize=SMALL)
    drawn.text(0.02, 0.96, ">>> print(pl.check_model(model))", va="top", family="monospace", fontsize=11)
    passed = ", ".join(name.replace("_", " ") for name, verdict, _ in lines if verdict == "passed")
    said = [("✓ ", COLOURS[2], passed)]
    said += [("✗ ", COLOURS[1], f"{name}: {text}") for name, verdict, text in lines if verdict == "failed"]
    top = 0.82
    for mark, colour, text in said:
        wrapped = textwrap.wrap(text, 52)
        drawn.text(0.02, top, mark, va="top", color=colour, fontsize=12)
        drawn.text(0.07, top, "\n".join(wrapped), va="top", fontsize=10.5, linespacing=1.15)
        top -= 0.075 * len(wrapped) + 0.035
    return drawn
