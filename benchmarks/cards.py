"""Measure the cards of shipped toys anew, with the weights as they are:

    python benchmarks/cards.py [--clips 512] [--out FOLDER] NAME ...

Only `metrics` changes, and says when, where and by which command it was measured.
"""

import argparse
import shlex
import sys
from datetime import date
from pathlib import Path

from pusa_lab.cli.terminal import say
from pusa_lab.files import write_json
from small_models import card, load
from small_models.evaluation import evaluate
from small_models.machine import device_name, library_versions
from small_models.models.zoo import CHECKPOINTS


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--clips", type=int, default=512)
    parser.add_argument("--out", type=Path, default=CHECKPOINTS)
    args = parser.parse_args()
    for name in args.names:
        about = card(name)
        base = f"{name.split('-')[0]}-base" if "base" in about else ""
        metrics = evaluate.measure(load(name), name, load(base) if base else None, args.clips)
        metrics |= {"command": shlex.join(["python", *sys.argv]), "date": date.today().isoformat()}
        metrics |= {"device": device_name(), "versions": library_versions()}
        args.out.mkdir(parents=True, exist_ok=True)
        write_json(args.out / f"{name}.json", about | {"metrics": metrics})
        say(str(args.out / f"{name}.json"))


if __name__ == "__main__":
    main()
