"""Pictures of schedules and videos, for notebooks and pages without a kernel."""

from pusa_lab.viz.schedules import plot_schedule
from pusa_lab.viz.strips import filmstrip, plot_result

__all__ = ["filmstrip", "plot_result", "plot_schedule"]
