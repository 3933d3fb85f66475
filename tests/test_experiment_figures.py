"""pytest tests/test_experiment_figures.py: every table has its picture, and the picture shows the table's numbers."""

import json

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from pusa_lab import viz
from pusa_lab.cli import main
from small_models.experiments import TABLES
from small_models.experiments.figures import DRAWN, figure
from small_models.experiments.prediction import prediction

matplotlib.use("Agg")

SCORES = [
    "psnr",
    "known_psnr",
    "skill",
    "total",
    "quality",
    "i2v",
    "position_error",
    "text_alignment",
    "direction",
    "motion",
]
SCORES += ["physics_error", "boundary_position", "i2v_subject", "dynamic_degree", "imaging_quality", "shape"]
SCORES += ["latent_distance", "velocity_distance", "alignment_lost"]
SCORES += ["relative_velocity_error", "pace", "size"]
KEYS = {
    "suite": [{"clips": c} for c in ("truth", "noise")],
    "cost": [{"way": "timestep vectors, no training", "share": 0.0}]
    + [{"way": w, "share": s} for w in ("VTA, all weights", "Wan's way, all weights") for s in (0.0025, 0.1, 1.0)],
    "preserved": [{"model": "base", "share": None}, *({"model": "VTA, all weights", "share": s} for s in (0.1, 1.0))],
    "forgetting": [
        {"timestep_sampler": d, "rank": r, "share": s}
        for d in ("independent", "shared, the control")
        for r in ("all weights", 64)
        for s in (0.025, 0.1)
    ],
    "timestep_samplers": [
        {"timestep_sampler": d, "shift": s} | more
        for d in ("independent", "PTSS 0.8")
        for s in (1.0, 5.0)
        for more in ({"strength": 1.0}, {"strength": 1.4}, {"task": "text_to_video"})
    ],
    "lora": [
        {"rank": r, "share": s, "strength": t} for r in (8, "all weights") for s in (0.1, 0.25) for t in (1.0, 1.4)
    ],
    "steps": [{"solver": s, "steps": n, "calls": n * c} for s, c in (("euler", 1), ("heun", 2)) for n in (2, 10)],
    "noise": [
        {"task": "start_end", "noise": level, "mode": mode}
        for level, mode in ((0.0, "denoise"), (0.2, "denoise"), (0.2, "hold"), ([0.2, 0.5], "denoise"))
    ],
    "tasks": [{"task": t, "model": m} for t in ("extension", "loop") for m in ("VTA, shipped", "VTA, same budget")]
    + [{"task": "start_end", "model": "VTA, shipped, last frame a still picture"}],
    "schedules": [{"schedule": s, "rows a window": 10} for s in ("synchronous", "pyramid")],
    "recipes": [
        {"way": "base", "task": "text_to_video", "share": 0.0},
        *(
            {"way": w, "task": t, "share": s}
            for w in ("independent timesteps", "recipe: quarter", "Wan's way")
            for t in ("image_to_video", "text_to_video")
            for s in (0.025, 0.05)
        ),
        {"way": "specialist of the task", "task": "image_to_video", "share": 0.05},
    ],
    "learned": [
        {"task": t, "schedule": s, "calls": c}
        for t in ("image_to_video", "start_end")
        for s in ("synchronous", "pyramid", "learned")
        for c in (4, 8)
    ],
    "generalisation": [
        {"way": w, "split": s} for w in ("truth", "independent") for s in ("in distribution", "slower", "faster")
    ],
}


def scores():
    mean = torch.rand(len(SCORES)) * 0.5 + 0.3
    found = {n: [m, m - 0.1, m + 0.2] for n, m in zip(SCORES, mean.tolist(), strict=True)}
    return found | {n: torch.rand(9).tolist() for n in ("psnr_frame", "colour_error_frame")}


def made(name):
    """A results file with random numbers."""
    if name == "inside":
        kinds = {k: {"relative": 0.1, "share": 0.5, "parameters": 3} for k in ("self_attention", "text")}
        look = {"on_frame_0": torch.rand(4, 3).tolist(), "maps": {"step 0": torch.rand(5, 5).tolist()}, "clips": 3}
        rows = [{"key": {"change": "VTA"}, "kinds": kinds}, {"key": {"attention": "base"}, **look}]
    else:
        rows = [{"key": key, "scores": scores(), "clips": 6} for key in KEYS[name]]
    found = {"format": 1, "table": name, "title": f"What of {name}?", "sizes": {"preset": "nano"}, "rows": rows}
    if name == "forgetting":
        found["prediction"] = prediction(rows)
        for row in rows:
            row["scores"] |= {"levels": [1.0, 0.5], "velocity_by_level": [0.1, 0.2]}
    if name == "cost":
        bounds = zip((0.0025, 0.1, 1.0), ("at most", "", "at least"), strict=True)
        found["ratios"] = [{"share": s, "ratio": [3.0, 2.0, 5.0], "bound": b, "score": 1.0} for s, b in bounds]
    return json.loads(json.dumps(found))


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_every_table_has_a_picture():
    assert list(DRAWN) == list(TABLES)


@pytest.mark.parametrize("name", DRAWN)
def test_every_table_is_drawn_with_named_axes(name, tmp_path):
    picture = figure(made(name))
    assert picture.get_suptitle().startswith(f"What of {name}?\nnano, ")
    bare = [ax for ax in picture.axes if not (ax.get_title() or ax.get_ylabel() or ax.get_xlabel())]
    assert not bare or name in ("lora", "noise")  # those inside, whose axes the outer ones name
    words = [t for t in picture.findobj(matplotlib.text.Text) if t.get_text()]
    assert min(t.get_fontsize() for t in words) >= 8
    viz.save_figure(picture, tmp_path / f"{name}.png")
    assert [p.name for p in tmp_path.iterdir()] == [f"{name}.png"]
    with Image.open(tmp_path / f"{name}.png") as image:
        assert image.width == 1280
    assert (tmp_path / f"{name}.png").stat().st_size < 150_000


def test_colours_of_few_dots_survive_the_palette(tmp_path):
    rows = [row for row in made("steps")["rows"] if row["key"]["steps"] == 2]
    viz.save_figure(figure(made("steps") | {"rows": rows}), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        seen = np.array([colour for _, colour in image.convert("RGB").getcolors(256)])
    for colour in (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00):
        assert np.abs(seen - colour).max(1).min() < 12


def lines(ax):
    return {line.get_label(): line.get_xydata() for line in ax.get_lines()}


def panel(picture, *, x="", y=""):
    return next(ax for ax in picture.axes if ax.get_xlabel().startswith(x) and ax.get_ylabel().startswith(y))


def test_lines_go_through_the_means_and_scores_in_hundreds_are_scaled():
    found = made("cost")
    picture = figure(found)
    for name, scale, label in (("psnr", 1, "PSNR"), ("skill", 1, "skill"), ("position_error", 1, "objects")):
        drawn = lines(panel(picture, y=label))
        for way in ("VTA, all weights", "Wan's way, all weights"):
            rows = [r for r in found["rows"] if r["key"]["way"] == way]
            wanted = [(r["key"]["share"], scale * r["scores"][name][0]) for r in rows]
            assert np.allclose(drawn[way], wanted)
        free = found["rows"][0]
        assert np.allclose(drawn[free["key"]["way"]][:, 1], scale * free["scores"][name][0])
    assert panel(picture, y="PSNR").get_xscale() == "log"
    assert [t.get_text() for t in panel(picture, y="PSNR").get_xticklabels()] == ["1/400", "1/10", "1"]


def test_the_ratio_says_which_are_bounds():
    ratios = lines(panel(figure(made("cost")), y="Wan's training"))
    assert [1, 1] in [list(xy[:, 1]) for xy in ratios.values()]
    found = figure(made("cost")).legends[0].get_texts()
    assert {"at most so much", "at least so much"} < {t.get_text() for t in found}


def test_shades_and_whiskers_are_the_intervals():
    _, ax = plt.subplots()
    viz.plot_lines(ax, {"a": [(2, (5.0, 4.0, 7.0)), (1, (3.0, 2.5, 3.5))], "b": [(1, (1.0, 0.5, 2.0))]})
    assert lines(ax)["a"].tolist() == [[1, 3], [2, 5]]
    shade, whisker = ax.collections
    assert {tuple(v) for v in shade.get_paths()[0].vertices} >= {(1, 2.5), (1, 3.5), (2, 4), (2, 7)}
    assert whisker.get_segments()[0].tolist() == [[1, 0.5], [1, 2.0]]


@pytest.mark.parametrize("from_zero", [True, False])
def test_bars_and_dots_stand_at_the_means(from_zero):
    _, ax = plt.subplots()
    bars = {"a": {"x": (3.0, 2.0, 4.5), "y": (1.0, 0.5, 2.0)}, "b": {"y": (2.0, 1.5, 2.5), "z": [float("nan")] * 3}}
    viz.plot_bars(ax, bars, from_zero=from_zero)
    whiskers = [s.tolist() for c in ax.collections for s in c.get_segments()]
    assert [[w[0][0], w[1][0]] for w in whiskers[:3]] == [[2, 4.5], [0.5, 2], [1.5, 2.5]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["x", "y", "z"]
    assert len({w[0][1] for w in whiskers[:3]}) == 3
    assert [p.get_width() for p in ax.patches][:3] == ([3, 1, 2] if from_zero else [])
    assert ax.yaxis.get_inverted()


def test_a_grid_writes_its_numbers_and_leaves_gaps():
    _, ax = plt.subplots()
    shown = viz.plot_grid(ax, [[1.0, 2.0], [float("nan"), 4.0]], ["r", "s"], ["c", "d"], [[0.1, 0.2], [0.3, 0.4]])
    assert [t.get_text() for t in ax.texts] == ["1.0\n± 0.1", "2.0\n± 0.2", "4.0\n± 0.4"]
    assert shown.get_clim() == (1, 4)


def test_timestep_samplers_show_each_one_and_shift_once():
    found = made("timestep_samplers")
    ax = next(ax for ax in figure(found).axes if ax.get_title() == "PSNR, dB\nstrength 1.4")
    wanted = [r["scores"]["psnr"][0] for r in found["rows"] if r["key"].get("strength") == 1.4]
    assert np.allclose(np.asarray(ax.images[0].get_array()).ravel(), wanted)


def test_lists_of_levels_and_modes_stand_apart():
    found = made("noise")
    ax = figure(found).axes[0]
    wanted = [(r["key"]["noise"], r["scores"]["psnr"][0]) for r in found["rows"][:2]]
    assert np.allclose(lines(ax)["one level for all known frames"], wanted)
    ticks = [t.get_text() for t in figure(found).axes[-1].get_xticklabels()]
    assert ticks[-2:] == ["0.2, hold", "0.2, 0.5"]


@pytest.mark.parametrize("name", DRAWN)
def test_missing_rows_and_scores_are_left_out(name):
    found = made(name)
    found["rows"] = found["rows"][:1] if name != "cost" else found["rows"][:2]
    found.pop("ratios", None)
    for row in found["rows"]:
        if "scores" in row:
            row["scores"] = {"psnr": [1.0, 0.5, 2.0], "psnr_frame": [1.0, None, 2.0], "motion": [None, None, None]}
    assert figure(found).axes


def test_nothing_to_draw_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"'steps' has no rows yet: measure it first, `pusa-lab bench paper"):
        figure(made("steps") | {"rows": []})
    with pytest.raises(ValueError, match=r"no picture for table 'nope': there is one for suite, cost"):
        figure(made("steps") | {"table": "nope"})


def test_the_command_writes_the_picture_beside_the_table(tmp_path, capsys):
    (tmp_path / "schedules.json").write_text(json.dumps(made("schedules")))
    words = ["bench", "paper", "--table", "schedules", "--show", "--figures", "--out", str(tmp_path)]
    assert main(words) == 0, capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["schedules.json", "schedules.md", "schedules.png"]


def test_what_is_lost_is_drawn_against_the_distance_that_predicts_it_best():
    found = made("forgetting")
    for i, row in enumerate(found["rows"]):
        row["scores"] |= {
            name: [v, v - 0.01, v + 0.01] for name, v in (("alignment_lost", i / 50), ("latent_distance", i))
        }
    found["prediction"] = prediction(found["rows"])
    ax = panel(figure(found), x="distance of the latents", y="text alignment lost")
    drawn = np.concatenate([line.get_xydata() for line in ax.get_lines() if len(line.get_xydata()) == 4])
    assert {(float(x), round(float(y), 3)) for x, y in drawn} >= {(i, 2.0 * i) for i in range(8)}
