"""Sweeps: any settings with the same prompts and seeds, resumable, and what differs between them."""

from pusa_lab.sweeps.compare import averages, compare
from pusa_lab.sweeps.run import sweep
from pusa_lab.sweeps.store import read_kept_clip

__all__ = ["averages", "compare", "read_kept_clip", "sweep"]
