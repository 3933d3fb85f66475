"""pytest tests/test_sweep_docs.py: every snippet of docs/sweep.md runs, and the figures show what the table says."""

import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import pusa_lab as pl

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "sweep.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
pytestmark = pytest.mark.artefact


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """What the snippets leave behind, run one after another as a file."""
    place = tmp_path_factory.mktemp("docs")
    path = place / "page.py"
    path.write_text("\n".join(SNIPPETS).replace('"outputs/', f'"{place}/'))
    found = {"__name__": "page"}
    exec(compile(path.read_text(), str(path), "exec"), found)
    plt.close("all")
    return found


def test_every_snippet_runs(space):
    assert len(SNIPPETS) == 9
    assert len(space["df"]) == 3 * 10 and (space["df"]["status"] == "done").all()
    assert len(space["df_solvers"]) == 4 * 2
    assert space["failed"]["error"].str.contains("steps=0: give 1 to 10,000").all() and len(space["failed"]) == 2
    assert (space["differences"]["comparisons"] == 2).all()
    assert space["differences"]["high"].iloc[1] < 0, "much noise on the known frame costs"
    assert len(space["against_ten"]) == 29 * 2 and (space["against_ten"]["pairs"] == 64).all()


def test_the_command_of_the_page_is_that_of_the_example():
    assert "pusa-lab sweep examples/noise.yaml" in PAGE and (ROOT / "examples" / "noise.yaml").is_file()


def lines(figure):
    return [line.get_ydata().tolist() for line in figure.axes[0].get_lines()]


def test_curves_show_means_and_differences_with_their_bands(space):
    df = space["df"]
    means = df.groupby("noise")["psnr"].mean().tolist()
    figure = pl.viz.plot_sweep(df, "noise")
    assert lines(figure) == [pytest.approx(means)]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0.0", "0.3", "0.6"]
    figure = pl.viz.plot_sweep(df, "noise", "psnr", baseline={"noise": 0.0})
    assert lines(figure) == [pytest.approx([mean - means[0] for mean in means], abs=1e-6)]
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(max(0, space["differences"]["high"].max()))
    assert band.min() == pytest.approx(space["differences"]["low"].min())
    plt.close("all")


def test_other_settings_are_lines_and_words_stand_side_by_side(space):
    df = space["df_solvers"]
    figure = pl.viz.plot_sweep(df, "solver", "brightness")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["euler", "heun", "ab2"]
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["steps=2", "steps=3, guidance=apg(scale=3)", "steps=3, guidance=1.0"]
    _, ax = plt.subplots()
    assert pl.viz.plot_sweep(df, "steps", "brightness", ax=ax) is ax.figure and ax.get_legend() is not None
    plt.close("all")


def table(points):
    lines = [{"a": i, "prompt": "p", "seed": 0, "x": x, "y": y, "seconds": 0.0} for i, (x, y) in enumerate(points)]
    return pd.DataFrame(lines).assign(status="done", error="", clip="")


def test_the_pareto_front_holds_what_nothing_beats():
    points = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 4.0), (2.0, 3.0), (1.0, 0.5)]
    assert pl.viz.pareto_front(points) == [0, 1, 3, 4]
    assert pl.viz.pareto_front(points, ("high", "high")) == [3]
    assert pl.viz.pareto_front(points, ("low", "low")) == [5]
    figure = pl.viz.plot_pareto(table(points), "x", "y")
    assert figure.axes[0].get_lines()[0].get_xdata().tolist() == [1, 2, 2, 4]
    filled = [len(dots.get_facecolor()) for dots in figure.axes[0].collections]
    assert filled == [1, 1, 0, 1, 1, 0]
    assert len(figure.legends[0].get_texts()) == 6
    _, ax = plt.subplots()
    many = [(float(i), float(i % 5)) for i in range(30)]
    pl.viz.plot_pareto(table(many), "x", "y", ax=ax)
    assert len(ax.get_legend().get_texts()) == 5
    plt.close("all")


def test_the_clips_behind_a_point_are_shown(space):
    figure = pl.viz.plot_clips(space["df"], {"noise": 0.3}, most=4, frames=5)
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "2", "4", "5", "7"]
    captions = [text.get_text() for text in ax.get_yticklabels()]
    assert len(captions) == 4 and captions == sorted(captions)
    row = space["df"].query("noise == 0.3").sort_values("prompt").iloc[0]
    shown = ax.get_images()[0].get_array()[:16, :16]
    assert (np.asarray(shown) == pl.sweeps.read_kept_clip(row["clip"])[0]).all()
    plt.close("all")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda df: pl.viz.plot_sweep(df, "nois"), "x='nois' is not a setting of the table: choose one of task, noise"),
        (lambda df: pl.viz.plot_sweep(df, "noise", "psn"), "there is no score 'psn': did you mean psnr?"),
        (lambda df: pl.viz.plot_pareto(df, "psnr", "calls"), "there is no score 'calls'"),
        (lambda df: pl.viz.plot_clips(df, {"nois": 1}), "setting names 'nois': choose from task, noise, steps"),
        (lambda df: pl.viz.plot_clips(df, {"noise": 7}), "no row of these settings has a clip"),
        (lambda df: pl.viz.plot_clips(df.assign(clip="x.npz")), "x.npz holds no clip of a sweep"),
    ],
)
def test_what_cannot_be_drawn_is_told(call, sentence, space):
    with pytest.raises(ValueError, match=sentence):
        call(space["df"])
    plt.close("all")
