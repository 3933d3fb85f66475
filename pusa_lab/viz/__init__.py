"""Plots of schedules, videos, results and the inside of models, for notebooks and for pages without a kernel."""

from pusa_lab.viz.animate import animate
from pusa_lab.viz.inside import plot_attention, plot_change
from pusa_lab.viz.preview import preview
from pusa_lab.viz.results import plot_bars, plot_grid, plot_lines, save_figure
from pusa_lab.viz.schedules import plot_schedule
from pusa_lab.viz.strips import filmstrip, plot_result
from pusa_lab.viz.sweeps import pareto_front, plot_clips, plot_pareto, plot_sweep
from pusa_lab.viz.timestep_samplers import plot_task_shares, plot_timestep_sampler

__all__ = [
    "animate",
    "filmstrip",
    "pareto_front",
    "plot_attention",
    "plot_bars",
    "plot_change",
    "plot_clips",
    "plot_grid",
    "plot_lines",
    "plot_pareto",
    "plot_result",
    "plot_schedule",
    "plot_sweep",
    "plot_task_shares",
    "plot_timestep_sampler",
    "preview",
    "save_figure",
]
