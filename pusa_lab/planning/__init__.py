"""Memory, time and money of a Wan before anything is loaded: one planner for sampling and training."""

from pusa_lab.planning.planner import plan, require_fit
from pusa_lab.planning.result import Advice, Plan, plan_table
from pusa_lab.planning.settings import Settings
from pusa_lab.planning.tables import GPUS

__all__ = ["GPUS", "Advice", "Plan", "Settings", "plan", "plan_table", "require_fit"]
