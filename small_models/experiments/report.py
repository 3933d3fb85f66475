"""A table to read: rows as markdown, the paper's numbers, and whether they agree."""

from typing import Any

from small_models.entries import needs_entries
from small_models.experiments import TABLES
from small_models.experiments.paper import PUBLISHED
from small_models.experiments.verdicts import HUNDREDS, VERDICTS


@needs_entries
def show(found: dict[str, Any]) -> str:
    """A finished table in markdown, with what the paper has and one sentence on the difference.

    Args:
        found: what the results file holds.

    Raises:
        ValueError: it is of no table that this version knows.
    """
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
    lines += [f"{name}: {_told(name, value)}" for name, value in more.items()]
    lines += ["", f"Note: {found['note']}"] if "note" in found else []
    try:
        agrees, sentence = VERDICTS[table.name](found)
    except (LookupError, ValueError) as error:
        agrees, sentence = None, f"cannot be said, rows are missing ({error})."
    word = {True: "The direction agrees. ", False: "The direction does not agree. ", None: ""}[agrees]
    return "\n".join([*lines, "", *(f"Paper: {line}" for line in PUBLISHED[table.name]), f"Here: {word}{sentence}"])


def _line(row: dict[str, Any], keys: list[str], names: list[str]) -> str:
    told = [_key(row["key"].get(k)) for k in keys]
    return "| " + " | ".join([*told, *(_cell(name, row["scores"].get(name)) for name in names)]) + " |"


def _key(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cell(name: str, value: list[float] | None) -> str:
    if value is None:
        return ""
    scale = 100 if name in HUNDREDS else 1
    mean, low, high = (scale * v for v in value)
    return f"{mean:.4g} ± {(high - low) / 2:.2g}"


def _told(name: str, value: Any) -> str:
    if name == "ratios":
        parts = (
            f"at {r['share']:.4g} {r['bound']} {r['ratio'][0]:.2g} ({r['ratio'][1]:.2g}-{r['ratio'][2]:.2g})"
            for r in value
        )
        return "budget of Wan's way over that of VTA, for the same PSNR: " + "; ".join(parts)
    return str(value)
