"""What the table of recipes says: one sentence, and its picture."""

from collections.abc import Sequence

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval
from pusa_lab.viz import results as plots
from pusa_lab.viz.results import Figure
from small_models.experiments import rows as take
from small_models.experiments.pairs import clearly, lead
from small_models.experiments.recipe_table import INDEPENDENT, RECIPE, SPECIALIST, TEXT_TO_VIDEO, THEIRS
from small_models.experiments.records import Found, MissingError, Record, table_of


@checked
def recipes_verdict(found: Found) -> tuple[bool | None, str]:
    """By how much the recipe is above independent timesteps, and below Wan's way and the specialists.

    Args:
        found: the table `recipes`.

    Raises:
        ValueError: rows to compare are missing.
    """
    rows = table_of(found)["rows"]
    recipe = next((way for way in take.values(rows, "way") if way.startswith(RECIPE)), RECIPE)
    base, said = _row(rows, way="base", task=TEXT_TO_VIDEO), []
    for share in take.values(take.pick(rows, way=recipe), "share"):
        tasks = [task for task in take.values(rows, "task") if task != TEXT_TO_VIDEO]
        at = {way: {t: _row(rows, way=way, task=t, share=share) for t in tasks} for way in (recipe, INDEPENDENT)}
        gains = [lead(at[recipe][t], at[INDEPENDENT][t]) for t in tasks]
        above, below = (sum(clearly(gain) == sign for gain in gains) for sign in (1, -1))
        ours, theirs = (_row(rows, way=way, task="image_to_video", share=share) for way in (recipe, THEIRS))
        words = lead(_row(rows, way=recipe, task=TEXT_TO_VIDEO, share=share), base, "text_alignment")
        said.append(
            f"after {take.share(share)} of the base's training clearly above independent timesteps in {above} and "
            f"clearly below in {below} of {len(gains)} (image-to-video {_signed(gains[0])} dB), its image-to-video "
            f"{_signed(lead(ours, theirs))} dB over Wan's way, its text alignment {_signed(words, 100)} points over "
            "the base's"
        )
    alone = [
        (row["key"]["task"], lead(_row(rows, way=recipe, task=row["key"]["task"], share=row["key"]["share"]), row))
        for row in take.pick(rows, way=SPECIALIST)
    ]
    listed = ", ".join(f"{task.replace('_', ' ')} {_signed(gain)}" for task, gain in alone)
    sentence = f"Nothing was published. The recipe is {'; '.join(said)}"
    return None, f"{sentence}; its PSNR over each task's specialist in dB: {listed}."


def _row(rows: Sequence[Record], **key: object) -> Record:
    row = take.one(rows, **key)
    if row is None:
        raise MissingError(f"recipes has no row {key!s:.200}: run `pusa-lab bench paper --table recipes` anew.")
    return row


def _signed(gain: Interval, scale: float = 1) -> str:
    mean, low, high = (scale * value for value in gain)
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


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
    picture, ax = plots.panels([["psnr", "text_alignment", "tasks"]], height=5.0)
    for name, task in (("psnr", "image_to_video"), ("text_alignment", TEXT_TO_VIDEO)):
        chosen = [row for row in take.pick(trained, task=task) if row["key"]["way"] != SPECIALIST]
        lines = {way: take.line(take.pick(chosen, way=way), "share", name) for way in take.values(chosen, "way")}
        plots.plot_lines(ax[name], lines)
        ax[name].set_xscale("log")
        ticks = {share: take.share(share) for share in take.values(chosen, "share")}
        plots.dress(ax[name], task.replace("_", " "), "training, share of the base's own", take.NAMES[name], ticks)
    base = take.score_numbers(take.one(rows, way="base"), "text_alignment")
    ax["text_alignment"].axhline(base[0], color="0.6", linewidth=1, zorder=0)
    shares = take.values(take.pick(rows, way=SPECIALIST), "share")
    here = [row for row in trained if row["key"]["share"] in shares and row["key"]["task"] != TEXT_TO_VIDEO]
    bars = {
        way: {r["key"]["task"].replace("_", " "): take.score_numbers(r, "psnr") for r in take.pick(here, way=way)}
        for way in take.values(here, "way")
    }
    plots.plot_bars(ax["tasks"], bars, from_zero=False)
    plots.dress(ax["tasks"], "every task", take.NAMES["psnr"])
    plots.legend(picture, 4)
    return picture
