"""Draw the pictures of the README and of docs/: from results that are committed, or from the shipped toys.

    python docs/assets/figures.py              # all of them, about two minutes on two cores
    python docs/assets/figures.py wan zoo      # only these

A picture that is drawn from a result holds that file's digest as PNG metadata; tests/test_docs.py compares them.
"""

import sys

import gallery  # noqa: F401
import page_pictures  # noqa: F401
from drawing import FIGURES, write


def main() -> None:
    """Draw the figures that are named, or all."""
    for name in sys.argv[1:] or FIGURES:
        sys.stdout.write(f"{write(name)}\n")


if __name__ == "__main__":
    main()
