"""What the options of benchmarks take: places, tried before the work, and numbers in their range."""

import argparse
from pathlib import Path

from pusa_lab.files import check_folder, check_writable


def file(text: str) -> Path:
    """A file that can be written."""
    try:
        return check_writable(text, "the file")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def folder(text: str) -> Path:
    """A folder that can be made, or written to."""
    try:
        return check_folder(text, "the folder")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: give 1 or more.")
    return number


def seconds(text: str) -> float:
    """A number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{number}: give a finite number above 0.")
    return number
