"""What the table of recipes says: one sentence, and its picture."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.viz import results as plots
from pusa_lab.viz.results import Figure
from small_models.experiments import rows as take
from small_models.experiments.pairs import clearly, lead, signed
from small_models.experiments.recipe_table import INDEPENDENT, RECIPE, SPECIALIST, TEXT_TO_VIDEO, THEIRS
from small_models.experiments.records import Found, MissingError, ResultRow, table_of


@checked
def recipes_verdict(found: Found) -> tuple[bool | None, str]:
    """By how much the recipe is above or below independent timesteps, Wan's way and the specialists.

    Args:
        found: the table `recipes`.

    Raises:
        ValueError: rows to compare are missing.
    """
    table = table_of(found)
    rows, row = table["rows"], partial(take.find_row, table)
    recipe = next((way for way in take.values(rows, "way") if way.startswith(RECIPE)), "")
    if not recipe:
        raise MissingError("recipes has no row of a recipe: run `pusa-lab bench paper --table recipes` anew.")
    base, said = row(way="base", task=TEXT_TO_VIDEO), []
    tasks = [task for task in take.values(rows, "task") if task != TEXT_TO_VIDEO]
    for share in _whole(rows, recipe, tasks):
        at = partial(row, share=share)
        gains = {t: lead(at(way=recipe, task=t), at(way=INDEPENDENT, task=t)) for t in tasks}
        signs = [clearly(gain) for gain in gains.values()]
        ours, theirs = (at(way=way, task="image_to_video") for way in (recipe, THEIRS))
        text = lead(at(way=recipe, task=TEXT_TO_VIDEO), base, "text_alignment")
        said.append(
            f"after {take.share(share)} of the base's training clearly above independent timesteps in {signs.count(1)} "
            f"and clearly below in {signs.count(-1)} of {len(signs)} (image-to-video {signed(gains['image_to_video'])} "
            f"dB), its image-to-video {signed(lead(ours, theirs))} dB over Wan's way, its text alignment "
            f"{signed(text, 100)} points over the base's"
        )
    ahead = dict[float, list[str]]()
    for one in take.pick(rows, way=SPECIALIST):
        gain = signed(lead(row(way=recipe, task=one["key"]["task"], share=one["key"]["share"]), one))
        ahead.setdefault(one["key"]["share"], []).append(f"{one['key']['task'].replace('_', ' ')} {gain}")
    listed = "; ".join(f"after {take.share(share)} {', '.join(gains)}" for share, gains in ahead.items())
    sentence = f"Nothing was published. The recipe is, over prompts and seeds of training, {'; '.join(said)}"
    return None, f"{sentence}; its PSNR over each task's specialist in dB: {listed or 'not measured'}."


def _whole(rows: Sequence[ResultRow], recipe: str, tasks: Sequence[str]) -> list[float]:
    """The lengths of training at which everything was measured that is compared; all of the recipe's if none is."""
    lengths = take.values(take.pick(rows, way=recipe), "share")
    needed = [(way, task) for way in (recipe, INDEPENDENT) for task in tasks] + [(THEIRS, "image_to_video")]
    needed += [(recipe, TEXT_TO_VIDEO)]
    whole = [s for s in lengths if all(take.one(rows, way=way, task=task, share=s) for way, task in needed)]
    return whole or lengths


@checked
def recipes_figure(found: Found) -> Figure:
    """PSNR and text alignment against training, and every task at the specialists' training.

    Args:
        found: the table `recipes`.

    Raises:
        ValueError: a row lacks its way, task or share.
    """
    rows = table_of(found)["rows"]
    trained = [row for row in rows if row["key"]["share"]]
    lengths = sorted({row["key"]["share"] for row in trained})
    if len(lengths) != 1:
        picture, ax = plots.panels([["psnr", "text_alignment", "tasks"]], height=5.0)
        _draw_along_training(ax, rows, trained)
    else:
        picture, ax = plots.panels([["tasks", "spoken"]], height=5.0)
        plots.plot_bars(ax["spoken"], _bars(take.pick(trained, task=TEXT_TO_VIDEO), "text_alignment"), from_zero=False)
        plots.dress(ax["spoken"], "a prompt alone (line: the base)", take.NAMES["text_alignment"])
        ax["spoken"].axvline(_base_alignment(rows), color="0.6", linewidth=1, zorder=0)
    compared = (take.values(take.pick(rows, way=SPECIALIST), "share") or lengths[-1:])[:1]
    here = [row for row in trained if row["key"]["share"] in compared and row["key"]["task"] != TEXT_TO_VIDEO]
    plots.plot_bars(ax["tasks"], _bars(here, "psnr"), from_zero=False)
    when = "".join(f", after {take.share(each)} of the base's training" for each in compared)
    plots.dress(ax["tasks"], f"every task{when}", take.NAMES["psnr"])
    plots.legend(picture, 4)
    return picture


def _draw_along_training(ax: Mapping[str, Any], rows: Sequence[ResultRow], trained: Sequence[ResultRow]) -> None:
    for name, task in (("psnr", "image_to_video"), ("text_alignment", TEXT_TO_VIDEO)):
        chosen = [row for row in take.pick(trained, task=task) if row["key"]["way"] != SPECIALIST]
        lines = {way: take.line_of(take.pick(chosen, way=way), "share", name) for way in take.values(chosen, "way")}
        plots.plot_lines(ax[name], lines)
        ax[name].set_xscale("log")
        ticks = {share: take.share(share) for share in take.values(chosen, "share")}
        plots.dress(ax[name], task.replace("_", " "), "training, share of the base's own", take.NAMES[name], ticks)
    ax["text_alignment"].axhline(_base_alignment(rows), color="0.6", linewidth=1, zorder=0)


def _base_alignment(rows: Sequence[ResultRow]) -> float:
    return take.score_numbers(take.one(rows, way="base"), "text_alignment")[0]


def _bars(rows: Sequence[ResultRow], score: str) -> dict[str, dict[str, Any]]:
    """Way -> task -> mean and interval."""
    return {
        way: {row["key"]["task"].replace("_", " "): take.score_numbers(row, score) for row in take.pick(rows, way=way)}
        for way in take.values(rows, "way")
    }
