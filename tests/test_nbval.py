"""pytest tests/test_nbval.py: the built chapters run from top to bottom, each in a kernel of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILT = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("chapter", BUILT, ids=lambda p: p.stem)
def test_nbval_runs_it(chapter):
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=120", "-p", "no:cacheprovider"]
    words = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-W", "ignore", *options, str(chapter)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout
