"""The cards of shipped toys, measured anew with the weights as they are.

pusa-lab bench cards mini-base mini-vta
"""

import sys
from pathlib import Path

from jsonargparse.typing import PositiveInt

from pusa_lab import cli
from pusa_lab.cli.terminal import say
from pusa_lab.files import check_folder, write_json
from small_models import card, load
from small_models.evaluation import evaluate
from small_models.machine import conditions
from small_models.models.zoo import CHECKPOINTS


def main(names: list[str], *, clips: PositiveInt = 512, out: Path | None = None) -> None:
    """Quality of shipped toys, as stated on their cards.

    Only `metrics` changes in a card, and says when, where and by which command it was measured.

    Args:
        names: names of the toys.
        clips: number of unseen scenes that are measured.
        out: folder of the cards (default: where the shipped ones are).

    Raises:
        ValueError: no toy was named, or there is none of a name.
    """
    if not names:
        raise ValueError("no toy was named: give one or more, such as mini-vta.")
    out = check_folder(out or CHECKPOINTS, "--out")
    for name in names:
        about = card(name)
        base = f"{name.split('-')[0]}-base" if "base" in about else ""
        metrics = evaluate.measure(load(name), name, load(base) if base else None, clips)
        write_json(out / f"{name}.json", about | {"metrics": metrics | conditions()})
        say(str(out / f"{name}.json"))


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
