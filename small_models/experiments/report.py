"""A table to read: rows as markdown, the paper's numbers, and whether they agree."""

from contextlib import suppress
from typing import Any

from pusa_lab.arguments import checked
from small_models.experiments import TABLES
from small_models.experiments.draws import equal_draws_table
from small_models.experiments.paper import PUBLISHED
from small_models.experiments.records import HUNDREDS, Found, MissingError, Record, table_of
from small_models.experiments.verdicts import verdict


@checked
def show_table(found: Found) -> str:
    """A finished table in markdown, with what the paper has and one sentence on the difference.

    Args:
        found: what the results file holds.

    Raises:
        ValueError: this version does not know the table, or an entry is missing or has the wrong type.
    """
    found = table_of(found)
    if found["table"] not in TABLES:
        raise ValueError(f"no table {found['table']!r}: this version has {', '.join(TABLES)}.")
    table = TABLES[found["table"]]
    rows = [row for row in found["rows"] if "scores" in row]
    lines = [f"# {found['title']}", ""]
    if rows:
        keys = list(dict.fromkeys(k for row in rows for k in row["key"]))
        names = [name for name in table.columns if any(name in row["scores"] for row in rows)]
        lines += ["| " + " | ".join([*keys, *names]) + " |", "|" + "---|" * (len(keys) + len(names))]
        lines += [_line(row, keys, names) for row in rows]
    more = {k: found[k] for k in ("ratios", "before training") if found.get(k)}
    lines += [f"{name}: {_written(name, value)}" for name, value in more.items()]
    lines += ["", f"Note: {found['note']}"] if "note" in found else []
    with suppress(MissingError):  # of a table that is not whole
        lines += ["", *equal_draws_table(found)] if found["table"] == "recipes" else []
    try:
        agrees, sentence = verdict(found)
    except MissingError as error:
        agrees, sentence = None, f"cannot be said, rows are missing ({error})."
    word = {True: "The direction agrees. ", False: "The direction does not agree. ", None: ""}[agrees]
    return "\n".join([*lines, "", *(f"Paper: {line}" for line in PUBLISHED[table.name]), f"Here: {word}{sentence}"])


def _line(row: Record, keys: list[str], names: list[str]) -> str:
    key_cells = [_key(row["key"].get(k)) for k in keys]
    return "| " + " | ".join([*key_cells, *(_cell(name, row["scores"].get(name)) for name in names)]) + " |"


def _key(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cell(name: str, value: Any) -> str:
    if not isinstance(value, list) or len(value) != 3 or None in value:
        return ""
    scale = 100 if name in HUNDREDS else 1
    mean, low, high = (scale * v for v in value)
    return f"{mean:.4g} ± {(high - low) / 2:.2g}"


def _written(name: str, value: Any) -> str:
    if name == "ratios":
        parts = (
            f"at {r['share']:.4g} {r['bound']} {r['ratio'][0]:.2g} ({r['ratio'][1]:.2g}-{r['ratio'][2]:.2g})"
            for r in value
            if None not in r["ratio"]
        )
        return "budget of Wan's way over that of VTA, for the same PSNR: " + "; ".join(parts)
    entries = {
        key: ", ".join(f"{n} {x:.2g}" for n, x in part.items()) if isinstance(part, dict) else f"{part:.2g}"
        for key, part in value.items()
    }
    return ", ".join(f"{key}: {part}" for key, part in entries.items())
