"""The paper's claims on the toys: one table each, beside the paper's own numbers.

    pusa-lab bench paper --list
    pusa-lab bench paper --table steps --small
    pusa-lab bench paper --table cost lora

Writes <out>/<table>.json; a run that was killed is resumed from the rows in <out>/<table>.rows. --show only prints what
is there; without --table, all of it.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pusa_lab.files import check_folder, writing
from pusa_lab.training.quiet import quiet_lightning
from small_models.experiments import RESULTS, SMALL, TABLES, Lab, Sizes, ToyTrainer, read_results, run_table
from small_models.experiments.records import Found
from small_models.experiments.report import show_table

WORK = Path("outputs/paper")
"""Where weights are trained unless --work says otherwise."""


def sizes_of(args: argparse.Namespace) -> Sizes:
    """The sizes asked for, with what --set changes.

    Args:
        args: of the command: small, and set.

    Raises:
        ValueError: there is no such size, or it is of another type.
    """
    sizes, known = SMALL if args.small else Sizes(), {field.name: field for field in fields(Sizes)}
    changes: dict[str, Any] = {}
    for word in args.set:
        name, _, value = word.partition("=")
        if name not in known:
            raise ValueError(f"no field {name!r} to set: choose from {', '.join(known)}.")
        old = getattr(sizes, name)
        kind = type(old[0]) if isinstance(old, tuple) else type(old)
        try:
            changes[name] = tuple(map(kind, value.split(","))) if isinstance(old, tuple) else kind(value)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{name}={value!r}: give {kind.__name__}s, several with commas where it has several."
            ) from error
    return replace(sizes, **changes)


def _check(args: argparse.Namespace, named: bool) -> None:
    """Refuse what has no effect."""
    unused = {"--table and --list": args.list and named, "--figures without --table": args.figures and not named}
    measures = named and not args.show and not args.list
    for name in ("wait", "set", "work"):
        unused[f"--{name}, where nothing is measured"] = bool(getattr(args, name)) and not measures
    if wrong := [name for name, is_so in unused.items() if is_so]:
        raise ValueError(f"{wrong[0]}: this has no effect, leave it out.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pusa-lab bench paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="the tables, and which results are there")
    parser.add_argument("--table", nargs="+", default=[], help="names, or all")
    parser.add_argument("--small", action="store_true", help="on nano, in under two minutes a table on two cores")
    parser.add_argument("--show", action="store_true", help="only print what was measured")
    parser.add_argument("--figures", action="store_true", help="also write <out>/<table>.md and draw <out>/<table>.png")
    parser.add_argument(
        "--out", type=Path, help="folder for results (default: outputs/paper; the shipped ones for --show and --list)"
    )
    parser.add_argument("--work", type=Path, help=f"folder for trained weights (default: {WORK})")
    parser.add_argument("--wait", action="store_true", help="train nothing: wait for paper_ahead.py on the same --work")
    parser.add_argument(
        "--set", nargs="*", action="extend", default=[], metavar="FIELD=VALUE", help="change a size: swept=8"
    )
    return parser


def main() -> int:
    """List, measure, or show tables."""
    args = _parser().parse_args()
    try:
        with quiet_lightning():
            _run(args)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"paper: {error}\n")
        return 2
    return 0


def _run(args: argparse.Namespace) -> None:
    shipped = (args.show or args.list or not args.table) and not args.small
    out = args.out or (RESULTS if shipped else Path("outputs/paper"))
    names = list(TABLES) if args.table == ["all"] else args.table
    if args.show and not names and not args.list:
        names = [name for name in TABLES if (out / f"{name}.json").is_file()]
        if not names:
            raise ValueError(f"{out} holds no results: measure a table first, or give another folder with --out.")
    if unknown := [name for name in names if name not in TABLES]:
        raise ValueError(f"no table {unknown[0]!r}: choose from {', '.join(TABLES)}.")
    _check(args, bool(names))
    if args.figures or not shipped:
        check_folder(out, "--out")
    if args.list or not names:
        for name, table in TABLES.items():
            there = "measured" if (out / f"{name}.json").is_file() else "not measured yet"
            sys.stdout.write(f"{name:10} {table.title} ({there} in {out})\n")
        return
    found = _shown(names, out) if args.show else _measured(names, args, out)
    if args.figures:
        _draw(found, out)
    sys.stdout.write("\n\n".join(map(show_table, found)) + "\n")


def _shown(names: Sequence[str], out: Path) -> Sequence[Found]:
    """What was measured."""
    found = [read_results(out / f"{name}.json") for name in names]
    for name, one in zip(names, found, strict=True):
        if one["table"] != name:
            raise ValueError(f"{out / name}.json holds the table {one['table']}: rename it.")
    return found


def _measured(names: Sequence[str], args: argparse.Namespace, out: Path) -> Sequence[Found]:
    lab = Lab(sizes_of(args), check_folder(args.work or WORK, "--work"))
    trainer, command = ToyTrainer(lab, wait=args.wait), shlex.join(["pusa-lab", "bench", "paper", *sys.argv[1:]])
    return [run_table(name, lab, trainer, out, command) for name in names]


def _draw(found: Sequence[Found], out: Path) -> None:
    from pusa_lab.viz import save_figure  # matplotlib, only where it is asked for
    from small_models.experiments.figures import figure

    for one in found:
        save_figure(figure(one), out / f"{one['table']}.png")
        with writing(out / f"{one['table']}.md") as part:
            part.write_text(show_table(one) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
