"""Sweeps: any settings with the same prompts and seeds, resumable, and what differs between them."""

from pusa_lab.sweeps.compare import averages, compare
from pusa_lab.sweeps.run import sweep

__all__ = ["averages", "compare", "sweep"]
