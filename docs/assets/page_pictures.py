"""The pictures of the pages in docs/ and of benchmarks/README.md."""

import tempfile
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from drawing import BENCHMARKS, CARDS, ROOT, RUNS, WIDE, figure, strip
from gallery import FORWARDS, SHADES
from matplotlib.figure import Figure

import pusa_lab as pl
import small_models
from pusa_lab.pixels import to_uint8
from pusa_lab.streaming import steady_window
from pusa_lab.viz.animate import middles
from pusa_lab.viz.results import COLOURS
from small_models import world


@figure(BENCHMARKS / "wan_forward.json")
def wan(found: Any) -> Figure:
    """Seconds and peak memory of one forward of the 14B model, at both sizes."""
    drawn, axes = plt.subplots(1, 2, figsize=WIDE, layout="constrained")
    for place, key, label in zip(axes, ("seconds", "peak_gib"), ("seconds", "peak memory, GiB"), strict=True):
        for at, (colour, (name, (how, time))) in enumerate(zip(SHADES, FORWARDS.items(), strict=True)):
            heights = [found[f"{size} {how}"][time][key] for size in ("480p", "720p")]
            bars = place.bar(np.arange(2) + 0.21 * (at - 1.5), heights, 0.19, color=colour, label=name)
            place.bar_label(bars, [f"{height:.1f}" for height in heights], padding=2, fontsize=9)
        place.set_xticks([0, 1], ["480 x 832", "720 x 1280"])
        place.set_ylabel(label)
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    return drawn


TOY = {
    "the truth through the codec": ("mini-vta", "truth_through_the_codec"),
    "Wan's own way (mini-i2v)": ("mini-i2v", "mini-i2v"),
    "adapted, all weights": ("mini-vta-full", "mini-vta"),
    "adapted (mini-vta, LoRA)": ("mini-vta", "mini-vta"),
    "adapted as in the paper, LoRA": ("mini-vta-independent", "mini-vta"),
    "frame 0 repeated": ("mini-vta", "copy_of_frame_0"),
    "control: one timestep, trained on": ("mini-vta-control", "mini-vta"),
    "base, no training": ("mini-vta", "base_with_untrained_timestep_vectors"),
    "base, frame 0 replaced": ("mini-vta", "base_with_replacement"),
}
"""Label -> the card that has the row, and its key there."""


@figure(
    *(CARDS / f"mini-{n}.json" for n in ("vta", "i2v")),
    *(RUNS / f"mini-vta-{n}.json" for n in ("full", "control", "independent")),
)
def toy(*cards: Any) -> Figure:
    """Image to video of `mini` and what it is compared with."""
    found = dict(
        zip(("mini-vta", "mini-i2v", "mini-vta-full", "mini-vta-control", "mini-vta-independent"), cards, strict=True)
    )
    rows = [found[card]["metrics"][key]["image_to_video"] for card, key in TOY.values()]
    drawn, axes = plt.subplots(figsize=WIDE, layout="constrained")
    colours = [COLOURS[0] if "adapted" in label else COLOURS[1] if "Wan" in label else COLOURS[7] for label in TOY]
    bars = axes.barh(list(TOY), [row["psnr_db"] for row in rows], color=colours)
    axes.bar_label(bars, [f"{row['psnr_db']:.1f} dB, {row['position_error_px']:.1f} px" for row in rows], padding=4)
    axes.invert_yaxis()
    axes.set(xlabel="PSNR of the frames not given, dB; beside it, how far objects are off", xlim=(0, 43))
    return drawn


@figure(BENCHMARKS / "wan_train.json")
def training(found: Any) -> Figure:
    """Seconds and memory of every whole training step of the 14B model."""
    drawn, axes = plt.subplots(figsize=WIDE, layout="constrained")
    for row in found["rows"]:
        h100, eight = "H100" in row["device"], row["precision"] == "float8"
        colour = COLOURS[0] if row["size"][0] == 480 else COLOURS[1]
        mark, filled = ("s" if h100 else "o"), (colour if not eight else "white")
        axes.plot(row["peak_gib"], row["seconds_per_sample"], mark, color=colour, markerfacecolor=filled, markersize=9)
    axes.axvline(80e9 / 2**30, color="black", linestyle=":", linewidth=1)
    axes.text(80e9 / 2**30 - 0.6, 52, "a GPU of 80 GB", ha="right", va="top", fontsize=10)
    kinds = {
        "480 x 832": (COLOURS[0], "o"),
        "720 x 1280": (COLOURS[1], "o"),
        "H200": ("grey", "o"),
        "H100": ("grey", "s"),
    }
    for label, (colour, mark) in kinds.items():
        axes.plot([], [], mark, color=colour, label=label, markersize=9)
    axes.plot([], [], "o", color="grey", markerfacecolor="white", label="8-bit products", markersize=9)
    axes.set(xlabel="peak memory, GiB", ylabel="seconds per clip", ylim=(0, 54))
    drawn.legend(loc="outside right upper", frameon=False)
    return drawn


@figure(BENCHMARKS / "wan_forward.json", BENCHMARKS / "wan_float8.json")
def kernels(found: Any, fastest: Any) -> Figure:
    """Where the time of one forward of the 14B model goes."""
    drawn, axes = plt.subplots(figsize=(9.0, 2.6), layout="constrained")
    rows = {
        "eager": found["480p eager, seconds by kind of kernel"],
        "compiled": found["480p compiled, seconds by kind of kernel"],
        "FlashAttention 4": found["480p compiled, kinds of attention, seconds by kind of kernel of fa4"],
        "and float8": fastest["480p float8 and fa4, paired"]["seconds by kind of kernel"],
    }
    for at, parts in enumerate(rows.values()):
        left = 0.0
        for colour, kind in zip(COLOURS, ("attention", "matmul", "other"), strict=False):
            axes.barh(at, parts[kind], left=left, color=colour, label=kind if not at else None)
            axes.text(
                left + parts[kind] / 2, at, f"{parts[kind]:.2f}", ha="center", va="center", color="white", fontsize=9
            )
            left += parts[kind]
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlabel("seconds of one forward at 480 x 832")
    drawn.legend(loc="outside right upper", frameon=False)
    return drawn


@figure()
def guidance() -> Figure:
    """The last frame of one prompt from nine noises, with five guiders."""
    model, noises = small_models.load("mini-vta"), 9
    asked = {
        "scale 3": 3.0,
        "scale 9": 9.0,
        "scale 9, APG": "apg(scale=9)",
        "scale 9, rescaled": "text_cfg(scale=9, rescale=0.7)",
        "scale 9, CFG-Zero*": "cfg_zero_star(scale=9)",
    }
    drawn, axes = plt.subplots(len(asked), 1, figsize=(9.0, 4.8))
    drawn.subplots_adjust(0.18, 0.01, 0.995, 0.99, hspace=0.06)
    for place, (label, guider) in zip(axes, asked.items(), strict=True):
        prompts = ["a small green triangle moves left"] * noises
        video = pl.generate(model, prompts, guidance=guider, seed=0)
        strip(place, video.video[:, -1], (), label)
    return drawn


@figure()
def idea() -> Figure:
    """A clean clip, a timestep for every frame, and the mixture of clip and noise that they make."""
    clip = pl.data.read_clip(ROOT / "notebooks" / "assets" / "clip.mp4", num_frames=33, size=(64, 64), fps=16)
    clean = torch.from_numpy(np.array(clip)[middles(9, 33)]).permute(3, 0, 1, 2)[None] / 127.5 - 1
    tau = torch.tensor([[0.0, 0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0]])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    mixed = pl.timesteps.interpolate(clean, noise, tau)
    drawn, axes = plt.subplots(3, 1, figsize=(9.0, 3.6), layout="constrained")
    for place, video, label in ((axes[0], clean, "$x_0$, clean"), (axes[2], mixed, "$x$, what the\nmodel sees")):
        strip(place, np.repeat(to_uint8(video)[0], [1, *[4] * 8], axis=0), (), label)
    axes[1].bar(range(9), tau[0], color=COLOURS[0], width=0.94)
    axes[1].set(ylim=(0, 1.25), xlim=(-0.5, 8.5), yticks=[0.5], xticks=[])
    axes[1].set_yticklabels([r"$\tau$, one timestep" + "\nper frame"])
    axes[1].tick_params(length=0)
    axes[1].spines[:].set_visible(False)
    for at, level in enumerate(tau[0].tolist()):
        axes[1].text(at, level + 0.05, f"{level:g}", ha="center")
    return drawn


@figure(BENCHMARKS / "own_clips_gpu.json")
def own_clips(found: Any) -> Figure:
    """What a codec and a model trained on real footage reach, and what they are compared with."""
    codec, base, vta = (found["stages"][stage]["metrics"] for stage in ("codec", "base", "vta"))
    rows = {
        "codec as shipped": found["mini-codec, psnr_db"],
        "codec trained on the footage": codec["psnr_db"],
        "frame 0 repeated": found["frame 0 repeated"]["psnr"],
        "image to video, base": base["mini-base"]["image_to_video"]["psnr"][0],
        "image to video, adapted": vta["mini-vta"]["image_to_video"]["psnr"][0],
    }
    drawn, axes = plt.subplots(figsize=(9.0, 2.6), layout="constrained")
    colours = [COLOURS[2], COLOURS[2], COLOURS[7], COLOURS[0], COLOURS[0]]
    bars = axes.barh(list(rows), list(rows.values()), color=colours)
    axes.bar_label(bars, [f"{score:.1f} dB" for score in rows.values()], padding=4)
    axes.invert_yaxis()
    axes.set(xlabel="PSNR of the held-out pieces, dB", xlim=(0, 30))
    return drawn


@figure()
def stream() -> Figure:
    """Noise levels of the frames in the window, row by row, on three schedules of a stream."""
    names = ("rolling(window=4)", "blockwise(block=3, lag=8)", "staircase(chunk=5, overlap=2)")
    drawn, axes = plt.subplots(1, 3, figsize=WIDE, layout="constrained", sharex=True)
    for place, name in zip(axes, names, strict=True):
        plan, levels = steady_window(name, steps=8), np.full((48, 20), np.nan)
        for row in range(48):
            first = plan.first(row, 8)
            window = range(first, min(first + 8, 20))
            levels[row, window] = [plan.level(frame, row) for frame in window]
        place.imshow(levels, aspect="auto", cmap="magma", vmin=0, vmax=1, interpolation="nearest")
        place.set_title(name, fontsize=10)
        place.set(xlabel="latent frame", xticks=range(0, 20, 4))
    axes[0].set_ylabel("row")
    return drawn


@figure()
def sweep() -> Figure:
    """The sweep of docs/sweep.md: PSNR by the noise kept on the first frame."""
    scenes = world.draw_scenes(10, seed=1, world=world.NANO)
    clips = dict(zip(world.captions(scenes), to_uint8(world.render(scenes)), strict=True))

    def first_frame(prompt: str, noise: float = 0.0) -> pl.tasks.Task:
        return pl.tasks.image_to_video(clips[prompt][0], noise=noise)

    settings = {"task": first_frame, "noise": [0.0, 0.2, 0.4, 0.6], "steps": [2, 10]}
    with tempfile.TemporaryDirectory() as cache:
        df = pl.sweep("nano-vta", settings, prompts=list(clips), metrics=["psnr"], truth=clips, cache=cache)
    drawn, axes = plt.subplots(figsize=WIDE, layout="constrained")
    pl.viz.plot_sweep(df, x="noise", y="psnr", ax=axes)
    return drawn
