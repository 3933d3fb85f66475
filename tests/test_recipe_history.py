"""pytest tests/test_recipe_history.py: history guidance at equal calls, measured and shown."""

import json
import math

import pytest
import torch

from pusa_lab.cli import main
from pusa_lab.guidance import calls, guide, guider_named
from small_models.experiments import RESULTS
from small_models.experiments.recipe_history import (
    EQUAL,
    FILE,
    HISTORY_TASKS,
    WAYS,
    gains,
    measure_history,
    read_history,
    show_history,
)
from small_models.experiments.recipe_settings import SAMPLING, TEXT, with_history


def velocities(text, known):
    """What a guider written as text makes of a denoiser, and how often it calls it."""
    x, eps = torch.randn(2, 1, 2, 5, 2, 2, generator=torch.Generator().manual_seed(0)).unbind(0)

    def denoiser(x, tau, **cond):
        return x.cumsum(2) * (1 + tau[:, None, :, None, None]) + (cond.get("text") or 0)

    guided = guide(guider_named(text), denoiser, null={"text": 0.5}, known=known, eps=eps)
    tau = torch.full((1, 5), 0.7)
    tau[:, known] = 0
    return guided(x, tau, text=2.0), calls(guided)


@pytest.mark.parametrize("known", [[0], [0, 1, 2, 3]])
def test_guidance_by_the_whole_history_is_picture_guidance(known):
    ours, many = velocities(with_history(TEXT, known, 1.5), known)
    theirs, as_many = velocities(f"picture_guidance(scale=1.5) | {TEXT}", known)
    torch.testing.assert_close(ours, theirs)
    assert many == as_many == 4


def test_by_halves_each_half_of_the_history_pulls_with_half_of_the_weight():
    assert with_history(TEXT, [0, 1, 2], 1.5, True) == (
        f"history_guidance(terms=[([0, 1], 0, 0.75), ([2], 0, 0.75)]) | {TEXT}"
    )
    assert velocities(with_history(TEXT, [0, 1, 2, 3], 1.5, True), [0, 1, 2, 3])[1] == 6
    assert with_history(TEXT, [0], 1.5, True) == with_history(TEXT, [0], 1.5)
    assert with_history(TEXT, [], 1.5) == TEXT, "text-to-video has no history"


def test_the_ways_are_measured_kept_and_shown_with_their_calls(tmp_path, capsys, monkeypatch, small_nano):
    """With the toy that is quickest: it is asked as often as any."""
    monkeypatch.setattr("small_models.models.zoo.load", lambda *_, **__: small_nano)
    assert main(["bench", "recipe", "--history", "--small", "--out", str(tmp_path)]) == 0
    shown, found = capsys.readouterr().out, read_history(tmp_path / FILE)
    assert shown.strip() == show_history(found)
    made = {(row["task"], row["way"]): row["calls"] for row in found["rows"]}
    assert {task for task, _ in made} == set(HISTORY_TASKS)
    assert {way: made["extension", way] for way in WAYS} == {
        "text CFG 3": 20,
        "text CFG 3, 5 steps": 10,
        "history guidance 1.25, 5 steps": 20,
        "history guidance 1.5, 5 steps": 20,
        "history guidance 2, 5 steps": 20,
        "history guidance 1.5 by halves, 3 steps": 18,
        "no guidance, 20 steps": 20,
        "history guidance 1.5, no text CFG": 20,
    }
    assert found["command"].startswith("pusa-lab bench recipe --history") and found["model"] == "nano-vta"
    monkeypatch.setattr("small_models.experiments.recipe_history._measured", lambda *given: 1 / 0)
    assert measure_history(tmp_path, small=True, progress=False)["rows"] == found["rows"], "rows that are kept"
    assert main(["bench", "recipe", "--show", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == show_history(read_history(tmp_path / FILE))


def test_options_that_have_no_effect_are_refused(tmp_path, capsys):
    for words, says in (
        (["--show", "--history"], "--show prints all that was measured: leave out --small, --history and --workers."),
        (["--history", "--workers", "2", "--out", str(tmp_path)], "--history samples in one process: leave out"),
    ):
        assert main(["bench", "recipe", *words]) == 2
        assert says in capsys.readouterr().err


def test_gains_are_scene_by_scene_over_text_guidance_at_as_many_calls():
    rows = [
        {"task": "extension", "way": way, "calls": 20, "skill": [level, level + 0.5], "psnr": [20.0, 21.0]}
        for way, level in ((EQUAL, 0.1), ("other", 0.4))
    ]
    found = gains({"rows": rows})
    assert list(found) == [("extension", "other")]
    assert found["extension", "other"] == pytest.approx((0.3, 0.3, 0.3))
    assert gains({"rows": rows}, "psnr")["extension", "other"] == (0, 0, 0)
    with pytest.raises(ValueError, match="score='total': give one of skill, psnr"):
        gains({"rows": rows}, "total")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.pop(0), f"holds no single row of {EQUAL} at image_to_video: restore"),
        (lambda rows: rows[1]["psnr"].pop(), "'psnr' is not a number for each scene, restore the file"),
        (lambda rows: rows[1]["skill"].__setitem__(0, math.nan), "'skill' is not a number for each scene"),
        (lambda rows: rows[1].__setitem__("calls", "20"), "is not one of a comparison of history guidance .*calls"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, change, says):
    found = json.loads((RESULTS / FILE).read_text())
    change(found["rows"])
    (tmp_path / FILE).write_text(json.dumps(found))
    with pytest.raises(ValueError, match=says):
        read_history(tmp_path / FILE)


def test_the_search_samples_in_these_ways_too():
    assert {name for name in WAYS if name in SAMPLING} == {
        "text CFG 3",
        "text CFG 3, 5 steps",
        "no guidance, 20 steps",
        "history guidance 1.25, 5 steps",
        "history guidance 2, 5 steps",
        "history guidance 1.5 by halves, 3 steps",
    }
