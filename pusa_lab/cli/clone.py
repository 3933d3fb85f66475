"""Where the clone's notebooks and benchmarks lie; an installed wheel has neither."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Folder of the clone."""
NOTEBOOKS = ROOT / "notebooks"
"""Chapters, their sources and assets."""
BENCHMARKS = ROOT / "benchmarks"
"""One script per published number."""
