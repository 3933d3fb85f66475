"""The paper's claims on the toys: one table each, beside the paper's own numbers.

pusa-lab bench paper --list
pusa-lab bench paper --table steps --small
pusa-lab bench paper --table [cost,lora]
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pusa_lab.cli.terminal import line, say
from pusa_lab.files import check_folder, writing
from pusa_lab.training.quiet import quiet_lightning
from small_models.experiments import RESULTS, SMALL, TABLES, Lab, Sizes, ToyTrainer, read_results, run_table
from small_models.experiments.records import Found
from small_models.experiments.report import show_table

OUT = Path("outputs/paper")
"""Where results are written, and weights are trained, unless --out and --work say otherwise."""


def paper(
    *,
    list: bool = False,
    table: str | list[str] | None = None,
    small: bool = False,
    show: bool = False,
    figures: bool = False,
    out: Path | None = None,
    work: Path | None = None,
    wait: bool = False,
    set: dict[str, Any] | None = None,
) -> None:
    """The paper's claims on the toys: one table each, beside the paper's own numbers.

    Writes <out>/<table>.json; a run that was killed is resumed from the rows in <out>/<table>.rows. Without options the
    tables are listed.

    Args:
        list: list the tables, and say which have results.
        table: name of one, a list of several, or all.
        small: measure on nano, in under two minutes a table on two cores.
        show: only print what was measured, all of it without --table.
        figures: also write <out>/<table>.md and draw <out>/<table>.png.
        out: folder for results (default: outputs/paper; the shipped ones for --show and --list).
        work: folder for trained weights (default: outputs/paper).
        wait: train nothing, wait for benchmarks/paper_ahead.py of a clone on the same --work.
        set: sizes to change, such as --set.swept 8: preset, prompts, swept, seeds, clips, batch, budgets, shorter,
            marks, brief, ranks, strengths, shifts, steps, calls, generations, noises, lengths, train, training_seeds,
            recipe, guidance, seed.

    Raises:
        ValueError: there is no such table or size, or an option has no effect.
    """
    shipped = (show or list or not table) and not small
    results = out or (RESULTS if shipped else OUT)
    names = _names(table, show and not list, results)
    measures = bool(names) and not show and not list
    _check_effect(
        {"list": list, "table": names, "figures": figures}, {"wait": wait, "set": set, "work": work}, measures
    )
    if figures or not shipped:
        check_folder(results, "--out")
    if list or not names:
        for name, one in TABLES.items():
            there = "measured" if (results / f"{name}.json").is_file() else "not measured yet"
            say(f"{name:10} {one.title} ({there} in {results})")
        return
    with quiet_lightning():
        if measures:
            lab = Lab(sizes_of(small, set or {}), check_folder(work or OUT, "--work"))
            trainer = ToyTrainer(lab, wait=wait)
            found: Sequence[Found] = [run_table(name, lab, trainer, results, line.get()) for name in names]
        else:
            found = _shown(names, results)
    if figures:
        _draw(found, results)
    say("\n\n".join(map(show_table, found)))


def sizes_of(small: bool, changes: Mapping[str, Any]) -> Sizes:
    """The sizes asked for.

    Args:
        small: those of --small.
        changes: field -> its value.

    Raises:
        ValueError: there is no such size, or it is of another type.
    """
    known = [field.name for field in fields(Sizes)]
    if unknown := [name for name in changes if name not in known]:
        raise ValueError(f"there is no size {unknown[0]!r:.60}: choose from {', '.join(known)}.")
    return replace(SMALL if small else Sizes(), **changes)


def _names(table: str | list[str] | None, all_there: bool, out: Path) -> list[str]:
    """The tables that are meant."""
    names = [table] if isinstance(table, str) else table or []
    if names == ["all"]:
        return [*TABLES]
    if unknown := [name for name in names if name not in TABLES]:
        raise ValueError(f"no table {unknown[0]!r}: choose from {', '.join(TABLES)}.")
    if names or not all_there:
        return names
    if found := [name for name in TABLES if (out / f"{name}.json").is_file()]:
        return found
    raise ValueError(f"{out} holds no results: measure a table first, or give another folder with --out.")


def _check_effect(asked: Mapping[str, Any], measuring: Mapping[str, Any], measures: bool) -> None:
    """Refuse what has no effect."""
    unused = {"--table and --list": asked["list"] and asked["table"]}
    unused |= {"--figures without --table": asked["figures"] and not asked["table"]}
    unused |= {f"--{name}, where nothing is measured": value and not measures for name, value in measuring.items()}
    if wrong := [name for name, is_so in unused.items() if is_so]:
        raise ValueError(f"{wrong[0]}: this has no effect, leave it out.")


def _shown(names: Sequence[str], out: Path) -> Sequence[Found]:
    """What was measured."""
    found = [read_results(out / f"{name}.json") for name in names]
    for name, one in zip(names, found, strict=True):
        if one["table"] != name:
            raise ValueError(f"{out / name}.json holds the table {one['table']}: rename it.")
    return found


def _draw(found: Sequence[Found], out: Path) -> None:
    from pusa_lab.viz import save_figure  # matplotlib, only where it is asked for
    from small_models.experiments.figures import figure

    for one in found:
        save_figure(figure(one), out / f"{one['table']}.png")
        with writing(out / f"{one['table']}.md") as part:
            part.write_text(show_table(one) + "\n", encoding="utf-8")
