"""Plots of timestep samplers."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pusa_lab.arguments import checked
from pusa_lab.schedules import frame_indices, task_shares
from pusa_lab.schedules.timestep_sampler_checks import tau_of
from pusa_lab.schedules.timestep_samplers import TimestepSampler

INK = "tab:blue"
BINS = 40
DARKEST = 4.0
"""Densities above this many times the uniform one share the darkest colour."""
NAMED = 0.05
"""Shares from this on are written into the bar."""


@checked
def plot_timestep_sampler(
    sampler: TimestepSampler,
    frames: int = 9,
    pair: tuple[int, int] = (0, -1),
    samples: int = 20_000,
    seed: int = 0,
    title: str = "",
) -> Figure:
    """Plot the timesteps of every frame by itself (left), and of two frames together (right).

    Left: density of tau_i in 40 bins, where 1 is uniform; right: one dot for each of the first 2,000 samples

    Args:
        sampler: timestep sampler (batch, frames, generator) -> tau, see `schedules.timestep_samplers`.
        frames: latent frames, at least 1.
        pair: the two frames on the right; negative numbers count from the end.
        samples: number of timestep vectors, at least 1.
        seed: seed of the timestep sampler.
        title: title above both plots.

    Raises:
        ValueError: a frame of the pair is outside the video, there are no samples, or the timestep sampler does not
            return timesteps.
    """
    if samples < 1:
        raise ValueError(f"samples={samples}: give at least 1.")
    columns = [frame_indices([i], frames)[0] for i in pair]
    tau = tau_of(sampler, samples, frames, torch.Generator().manual_seed(seed)).cpu()
    figure = plt.figure(figsize=(7.6, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1.45, 1), "wspace": 0.08})
    _marginals(tau, left)
    _joint(tau[:2000, columns], columns, right)
    figure.suptitle(title)
    return figure


def _marginals(tau: torch.Tensor, ax: Axes) -> None:
    density = torch.stack([torch.histc(column, BINS, 0, 1) for column in tau.T], dim=1) * BINS / len(tau)
    extent = (-0.5, tau.shape[1] - 0.5, 0, 1)
    picture = ax.imshow(
        density.numpy(),
        cmap="Blues",
        vmin=0,
        vmax=DARKEST,
        aspect="auto",
        extent=extent,
        origin="lower",
        rasterized=True,
    )
    ax.set(xlabel="frame", ylabel="tau", title="each frame")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.figure.colorbar(picture, ax=ax, label="density (uniform is 1)", extend="max")


def _joint(pairs: torch.Tensor, names: list[int], ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], color="0.8", linewidth=1, zorder=0)
    ax.scatter(pairs[:, 0].numpy(), pairs[:, 1].numpy(), s=5, color=INK, alpha=0.35, linewidths=0, rasterized=True)
    ax.set(xlabel=f"tau of frame {names[0]}", ylabel=f"tau of frame {names[1]}", title="two frames")
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), aspect="equal")


@checked
def plot_task_shares(
    samplers: Mapping[str, TimestepSampler], frames: int = 9, known_level: float | int = 0.0, seed: int = 0
) -> Figure:
    """Plot how many samples of each timestep sampler look like text-to-video, image-to-video and the other tasks.

    One bar per sampler, with the shares that `schedules.task_shares` estimates from 20,000 samples.

    Args:
        samplers: name -> timestep sampler (batch, frames, generator) -> tau, at least one.
        frames: latent frames, at least 1.
        known_level: largest noise level of a known frame, in [0, 1].
        seed: seed of the timestep samplers.

    Raises:
        ValueError: there are no samplers, an argument is out of range, or a sampler does not return timesteps.
    """
    if not samplers:
        raise ValueError("samplers is empty: give at least one timestep sampler by name.")
    found = {name: task_shares(one, frames, known_level, seed=seed) for name, one in samplers.items()}
    figure = plt.figure(figsize=(7.6, 0.9 + 0.45 * len(found)), layout="constrained")
    ax, names = figure.subplots(), list(found)
    left = [0.0] * len(names)
    for i, task in enumerate(found[names[0]]):
        shares = [found[name][task] for name in names]
        label = "none (text-to-video)" if task == "none" else task
        bar = ax.barh(names, shares, left=left, label=label, color=f"C{i}", height=0.7)
        ax.bar_label(bar, [f"{x:.0%}" if x >= NAMED else "" for x in shares], label_type="center", fontsize=8)
        left = [x + share for x, share in zip(left, shares, strict=True)]
    ax.set(xlim=(0, 1), xlabel="share of samples")
    ax.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    return figure
