"""pytest tests/test_rerun_steered.py: what was changed on the way is in the request, and made again or asked for."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import pusa_lab as pl

PROMPT = "a red circle moves right"


@pytest.fixture(scope="module")
def model():
    return pl.load("nano-vta", device="cpu")


def halved(row, rows, state):
    """A callback that steers."""
    if row == 1:
        state.x = state.x * 0.5


def halved_in_place(row, rows, state):
    """The same, in the tensor that is there."""
    if row == 1:
        state.x *= 0.5


def halved_by_numpy(row, rows, state):
    """The same, past PyTorch."""
    if row == 1:
        state.x.numpy()[:] *= 0.5


def halved_in_data(row, rows, state):
    """The same, past autograd."""
    if row == 1:
        state.x.data *= 0.5


def watched(row, rows, state):
    """A callback that changes nothing."""
    assert state.x.isfinite().all()


def same(a, b):
    assert torch.equal(a.latents, b.latents) and np.array_equal(a.video, b.video)


@pytest.mark.parametrize("callback", [halved, halved_in_place, halved_by_numpy, halved_in_data])
def test_a_callback_is_named_and_steers_again(model, tmp_path, callback):
    result = pl.generate(model, PROMPT, steps=3, callback=callback)
    assert not torch.equal(result.latents, pl.generate(model, PROMPT, steps=3).latents)
    assert result.request.callback["path"] == f"{__name__}:{callback.__name__}"
    assert len(result.request.callback["digest"]) == 16 and result.request.steered == ["the latents at row 1"]
    result.save(tmp_path)
    again = pl.rerun(tmp_path)
    same(again, result)
    assert again.request == result.request == pl.load_result(tmp_path).request
    says = rf"the latents at row 1 had been changed on the way by the callback .*{callback.__name__}"
    with pytest.warns(UserWarning, match=says):
        pl.rerun(tmp_path, callback=None)


def test_a_callback_that_cannot_be_imported_is_asked_for(model, tmp_path):
    result = pl.generate(model, PROMPT, steps=3, callback=lambda *at: halved(*at))
    assert "<lambda> (test_rerun_steered.py, line" in result.request.callback["shown"]
    result.save(tmp_path)
    says = r"^rerun: the latents of .* were changed on the way, and the callback was .*<lambda>.*: give callback="
    with pytest.raises(ValueError, match=says):
        pl.rerun(tmp_path)
    same(pl.rerun(tmp_path, callback=halved), result)


def test_a_callback_whose_source_has_changed_is_told_if_the_frames_differ(model, tmp_path):
    pl.generate(model, PROMPT, steps=3, callback=halved).save(tmp_path)
    file = tmp_path / "video.request.json"
    found = json.loads(file.read_text())
    found["digest"] = found["request"]["callback"]["digest"] = "0" * 16
    file.write_text(json.dumps(found))
    with pytest.warns(UserWarning, match=r"the source of test_rerun_steered:halved \(callback\)"):
        pl.rerun(tmp_path)


def test_a_callback_that_only_watches_is_named_and_not_asked_for(model, tmp_path):
    result = pl.generate(model, PROMPT, steps=3, callback=lambda *at: watched(*at))
    assert result.request.callback and result.request.steered == []
    result.save(tmp_path)
    again = pl.rerun(tmp_path)
    same(again, result)
    assert again.request == result.request


def test_a_run_that_was_cancelled_is_cancelled_at_the_same_row(model, tmp_path):
    result = pl.generate(model, PROMPT, steps=4, callback=lambda row, rows, state: row < 2)
    assert result.request.steered == []
    result.save(tmp_path)
    same(pl.rerun(tmp_path), result)


def by_hand(model, change):
    run = pl.prepare(model, PROMPT, steps=3)
    for state in run.states():
        change(state)
    return run.finish(state)


def assign(state):
    halved(state.row, 3, state)


def at_the_end(state):
    if state.row == 3:
        state.x = state.x * 0.5


@pytest.mark.parametrize(("change", "row"), [(assign, 1), (at_the_end, 3)])
def test_states_changed_by_hand_are_told(model, tmp_path, change, row):
    result = by_hand(model, change)
    assert result.request.steered == [f"the latents at row {row}"] and result.request.callback is None
    result.save(tmp_path)
    says = rf"was changed by hand on the way \(the latents at row {row}\), which no file can repeat: give callback="
    with pytest.raises(ValueError, match=says):
        pl.rerun(tmp_path)
    same(pl.rerun(tmp_path, callback=lambda row, rows, state: change(state)), result)
    with pytest.warns(UserWarning, match="had been changed on the way"):
        pl.rerun(tmp_path, callback=None)


def test_a_state_changed_after_the_loop_is_told(model):
    run = pl.prepare(model, PROMPT, steps=2)
    *_, last = run.states()
    assert run.finish(last).request.steered == []
    last.x = last.x * 0.5
    assert run.finish(last).request.steered == ["the latents at row 2"]
    *_, last = run.states()
    assert run.finish(last).request.steered == [], "each run anew"


def test_fields_of_a_run_that_were_replaced_are_told(model, tmp_path):
    run = pl.prepare(model, PROMPT, steps=2)
    run = replace(run, x=run.x * 0.5, solver="heun")
    *_, last = run.states()
    result = run.finish(last)
    assert result.request.steered == ["the run's x", "the run's solver"]
    result.save(tmp_path)
    with pytest.raises(ValueError, match=r"by hand on the way \(the run's x and 1 more\)"):
        pl.rerun(tmp_path)


def brighter(module, args, output):
    return output + 0.1


def test_hooks_of_a_model_are_named_and_told_if_they_are_not_there(model, tmp_path):
    hook = model.dit.register_forward_hook(brighter)
    try:
        result = pl.generate(model, PROMPT, steps=2)
        assert result.request.model["hooks"] == [f"dit: {__name__}:brighter"]
        result.save(tmp_path)
        same(pl.rerun(tmp_path, model), result)
    finally:
        hook.remove()
    with pytest.warns(UserWarning, match=r"the model's hooks, none instead of dit: .*:brighter"):
        pl.rerun(tmp_path)


def test_hooks_of_all_modules_are_named_too(model, tmp_path):
    def larger(module, args, output):
        return output * 1.01 if isinstance(module, torch.nn.Linear) else None

    hook = torch.nn.modules.module.register_module_forward_hook(larger)
    try:
        result = pl.generate(model, PROMPT, steps=1)
    finally:
        hook.remove()
    (named,) = result.request.model["hooks"]
    assert named.startswith("every module: ") and "larger" in named
    result.save(tmp_path)
    with pytest.warns(UserWarning, match=r"the model's hooks, none instead of every module: .*larger"):
        pl.rerun(tmp_path)


def test_another_precision_of_products_is_told(model, tmp_path):
    result = pl.generate(model, PROMPT, steps=1)
    assert result.request.arithmetic == {
        "float32 products": "highest",
        "autocast": "off",
        "deterministic algorithms": "off",
        "default dtype": "float32",
    }
    result.save(tmp_path)
    with torch.autocast("cpu"), pytest.warns(UserWarning, match="autocast, on instead of off"):
        pl.rerun(tmp_path, model)


def test_files_from_before_say_nothing_of_it(model, tmp_path):
    result = pl.generate(model, PROMPT, steps=1)
    result.save(tmp_path)
    file = tmp_path / "video.request.json"
    found = json.loads(file.read_text())
    for name in ("arithmetic", "callback", "steered"):
        del found["request"][name]
    del found["request"]["model"]["hooks"]
    file.write_text(json.dumps(found))
    same(pl.rerun(tmp_path), result)
    found["request"]["steered"] = [3]
    file.write_text(json.dumps(found))
    with pytest.raises(ValueError, match="'steered' holds 3"):
        pl.load_result(tmp_path)


def test_no_row_is_copied_where_nobody_can_change_it(model, monkeypatch):
    want = pl.generate(model, PROMPT, steps=3, callback=watched)
    monkeypatch.setattr("pusa_lab.runs._held", lambda state: pytest.fail("copied") if state.row < 3 else [])
    same(pl.generate(model, PROMPT, steps=3), want)
