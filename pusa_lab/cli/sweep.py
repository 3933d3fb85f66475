"""`pusa-lab sweep`."""

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pusa_lab.cli.terminal import line, say
from pusa_lab.cli.values import run_command

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any


def sweep_command(*words: str) -> None:
    """Run every setting that a YAML file lists with the same prompts and seeds, and compare them.

    Args:
        *words: the file, and options that replace its entries.

    Raises:
        ValueError: an entry is not valid, said before anything is run; or every row failed.
    """
    from pusa_lab.cli.parser import parse_line

    config = words[0] if words and not words[0].startswith("-") else None
    options = parse_line("pusa-lab sweep", sweep_settings, ["--config", *words] if config else list(words))
    if options is None:
        return
    run_command("pusa-lab sweep", sweep_settings, options, nested=False)


def sweep_settings(
    *,
    model: str | None = None,
    settings: dict[str, Any] | list[dict[str, Any]] | None = None,
    prompts: str | list[str] = "",
    seeds: int | list[int] = 0,
    metrics: str | list[str] | dict[str, str] | None = None,
    truth: str | None = None,
    cache: Path | None = None,
    keep_clips: bool = False,
    retry: bool = False,
    workers: int = 1,
    no_progress: bool = False,
    baseline: dict[str, Any] | None = None,
    score: str | list[str] | None = None,
    x: str | None = None,
    figure: Path | None = None,
    table: Path | None = None,
) -> None:
    """Run all settings with the same prompts and seeds, and compare them: pusa-lab sweep FILE.yaml.

    The options are entries of the file; those that are typed as well override it. Import paths such as
    mymodule:function name modules beside the file, or installed ones. A sweep that was stopped is resumed.

    Args:
        model: name of a model, or import path of a function that is called instead.
        settings: names, each with a value or a list of values, of which all combinations are run; or a list of such
            groups.
        prompts: captions, or the import path of a list of them.
        seeds: seeds that every prompt is made with.
        metrics: psnr, ssim, skill, or import paths of functions; or column names, each with one of these.
        truth: import path of what the metrics compare with: a function of prompt and seed, or a dict of prompts.
        cache: folder of the rows; deleting it starts anew.
        keep_clips: keep the clip of every row in the cache, so that metrics added later are computed from it.
        retry: make failed rows again.
        workers: processes, each with a GPU of its own if there are GPUs.
        no_progress: do not show a progress bar.
        baseline: values that single out the setting with which the others are compared.
        score: column or columns of scores to print and draw (default: all).
        x: setting along the horizontal axis of the figure (default: the first with several values).
        figure: PNG file to write, of scores over x, or of their differences to the baseline.
        table: CSV file to write, with one line per row.

    Raises:
        ValueError: an option is not valid, said before anything is run; or every row failed.
    """
    from pusa_lab.files import check_writable, writing
    from pusa_lab.import_paths import imported, is_import_path
    from pusa_lab.sweeps import sweep as run

    if settings is None or cache is None:
        raise ValueError(f"there is no {'settings' if settings is None else 'cache'}: give a YAML file that has it.")
    if isinstance(prompts, list) and not all(prompt.strip() for prompt in prompts):
        raise ValueError("prompts has an empty caption: give a caption, or leave prompts out for videos of none.")
    for path, suffix, name in ((figure, ".png", "figure"), (table, ".csv", "table")):
        if path is not None and check_writable(path, name).suffix != suffix:
            raise ValueError(f"{name} is {path}: give a name that ends in {suffix}.")
    if baseline is not None:
        _check_baseline(settings, baseline)
    _check_x(settings, x, figure)
    imports = partial(import_again, shlex.split(line.get())[1:])
    options: dict[str, Any] = {
        "prompts": imported(str(prompts)) if is_import_path(prompts) else prompts,
        "truth": truth,
        "seeds": seeds,
        "metrics": metrics or (),
        "scores": score or (),
        "cache": cache,
        "setup": imports,
        "workers": workers,
    }
    options |= {"keep_clips": keep_clips, "retry": retry, "progress": False if no_progress else None}
    found = run(model, settings, **options)
    _check_done(found)
    if table is not None:
        with writing(table) as part:
            found.to_csv(part, index=False)
        say(f"all {len(found)} rows: {table}")
    _print(found, baseline, score)
    if figure is not None:
        _draw(found, x, score, baseline, figure)


def import_again(words: list[str]) -> None:
    """Run the files of --import in a worker process, as the command line did.

    Args:
        words: of the line, after `pusa-lab`.
    """
    from pusa_lab.cli import with_imports

    with_imports(words)


def _check_baseline(settings: Any, baseline: dict[str, Any]) -> None:
    from pusa_lab.sentences import counted
    from pusa_lab.sweeps.settings import settings_of

    found = settings_of(settings)
    fits = sum(all(setting.get(name) == value for name, value in baseline.items()) for setting in found)
    if fits != 1 or len(found) == 1:
        raise ValueError(
            f"baseline={baseline!r:.100} fits {fits} of {counted(len(found), 'setting')}: give values that one of "
            f"several settings alone has."
        )


def _check_x(settings: Any, x: str | None, figure: Path | None) -> None:
    from pusa_lab.sweeps.settings import choices, settings_of

    found = settings_of(settings)
    names = list(dict.fromkeys(name for setting in found for name in setting))
    if x is not None and x not in names:
        raise ValueError(f"there is no setting {x!r:.40} for x: {choices(x, names)}.")
    if figure is not None and x is None and len(found) == 1:
        raise ValueError("figure was given, but no setting has several values: leave it out.")


def _check_done(found: DataFrame) -> None:
    """Say how many rows failed, and why the first of them did."""
    failed = found[found["status"] == "failed"]
    if not len(failed):
        return
    first = failed.iloc[0]
    summary = f"{len(failed)} of {len(found)} rows failed, the first of them because of {first['error']}"
    if len(failed) == len(found):
        raise ValueError(f"{summary.rstrip('.')}: correct it, and add --retry to make failed rows again.")
    say(f"{summary.rstrip('.')}; --retry makes failed rows again.", "")


def _print(found: DataFrame, baseline: dict[str, Any] | None, score: str | list[str] | None) -> None:
    from pusa_lab.sentences import counted
    from pusa_lab.sweeps import averages, compare

    say("means over prompts and seeds, with 95 % intervals", _written(averages(found, score)), "")
    if baseline is not None:
        differences = compare(found, baseline, score)
        named = ", ".join(f"{name}={value}" for name, value in baseline.items())
        count, prompts = int(differences["comparisons"].iloc[0]), int(differences["prompts"].max())
        together = f" for all {count} comparisons together, by Bonferroni" if count > 1 else ""
        say(
            f"differences to {named}, paired by prompt and seed, over {counted(prompts, 'prompt')}",
            f"(95 % intervals{together})",
            _written(differences.drop(columns=["prompts", "comparisons"])),
            "",
        )


def _written(table: DataFrame) -> str:
    """A table as text, without settings that have one value alone."""
    settings = list(table.columns)[: list(table.columns).index("metric")]
    same = [name for name in settings if table[name].nunique(dropna=False) == 1]
    failed = ["failed"] if "failed" in table and not table["failed"].any() else []
    return table.drop(columns=[*same, *failed]).to_string(index=False, float_format="{:.4g}".format, na_rep="")


def _draw(
    found: DataFrame,
    x: str | None,
    score: str | list[str] | None,
    baseline: dict[str, Any] | None,
    figure: Path,
) -> None:
    from pusa_lab.sweeps.compare import columns_of
    from pusa_lab.viz import plot_sweep, save_figure

    varying = (name for name in columns_of(found)[0] if found[name].nunique(dropna=False) > 1)
    save_figure(plot_sweep(found, x or next(varying), score, baseline=baseline), figure)
    say(str(figure))
