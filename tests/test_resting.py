"""pytest tests/test_resting.py: frames at rest, against whole forward passes with their old keys and values."""

import functools
import json
from functools import partial

import numpy as np
import pytest
import torch
from keeping import run_reference

import pusa_lab as pl
from pusa_lab import guidance, resting, schedules, tasks
from pusa_lab.cli import main

PROMPTS = ["a red circle moves right", "a blue square moves up"]
CLIP = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)
EXTENSION = tasks.extension(CLIP[:3], known=3)


@pytest.fixture(scope="module")
def toy(small_nano):
    """Any toy does here."""
    return small_nano


def latents(model, refresh, *args, **options):
    return pl.generate(model, *args, refresh=refresh, output="latents", **options)


TOGETHER = torch.linspace(1, 0, 7)[:, None].expand(7, 4)
OWN = torch.stack([TOGETHER, schedules.pyramid(3, 4)])
CASES = {
    "picture, one frame after the other": (1, [], tasks.image_to_video(CLIP[0]), {"schedule": "autoregressive"}),
    "with guidance": (2, [], tasks.image_to_video(CLIP[0]), {"schedule": "autoregressive", "guidance": 3.0}),
    "extension, heun": (2, [], EXTENSION, {"solver": "heun", "guidance": 2.0}),
    "transition, midpoint": (2, [], tasks.transition(CLIP[:2], CLIP[6:]), {"solver": "midpoint", "guidance": 2.0}),
    "words alone, blockwise": (2, [], None, {"schedule": "blockwise(block=3)", "guidance": 2.0}),
    "start and end, with noise": (1, [], tasks.start_end(CLIP[0], CLIP[7], (0.0, 0.3)), {}),
    "held with fresh noise": (1, [0, 1, 5], tasks.completion(CLIP, [range(2), range(5, 6)], 0.1, "hold"), {}),
    "a label alone": (1, [], tasks.image_to_video(CLIP[0], 0.3, "label"), {}),
    "ab2": (2, [], EXTENSION, {"solver": "ab2", "schedule": "rolling", "guidance": 2.0}),
    "unipc": (2, [], EXTENSION, {"solver": "unipc", "guidance": 2.0}),
    "churn": (2, [], EXTENSION, {"solver": "churn", "guidance": 2.0}),
    "apg": (2, [], EXTENSION, {"guidance": "apg(scale=3, threshold=5, momentum=-0.5)", "schedule": "autoregressive"}),
    "cfg-zero": (2, [], EXTENSION, {"guidance": "cfg_zero_star(scale=3)", "schedule": "autoregressive"}),
    "layers skipped": (3, [], EXTENSION, {"guidance": "skip_layer_guidance(layers=[1], weight=2.0, scale=2)"}),
    "history": (2, [], EXTENSION, {"guidance": "history_guidance(terms=[([0, 1, 2], 0, 1.5)])"}),
    "a chain": (6, [], EXTENSION, {"guidance": "picture_guidance(scale=1.5, level=0.4) | text_cfg(scale=2)"}),
    "an odd number of frames": (2, [], tasks.image_to_video(CLIP[0]), {"latent_frames": 5, "guidance": 2.0}),
    "schedules of their own": (2, [], None, {"schedule": OWN, "latent_frames": 4, "guidance": 2.0}),
}


def options_of(name):
    """What a case is made with, in few rows."""
    options = {"steps": 5, "seed": 3, "guidance": 1.0} | CASES[name][3]
    if options.get("schedule") == "autoregressive":  # each frame goes down all of them
        options["steps"] = 4
    if not isinstance(options.get("schedule", ""), str):
        options.pop("steps")
    return options


@pytest.fixture(scope="module")
def usual(toy):
    """The usual path of each case, which every refresh is compared with."""
    return functools.cache(lambda name: latents(toy, None, PROMPTS, CASES[name][2], **options_of(name)))


THREE = ("with guidance", "ab2", "schedules of their own")
"""Cases with a refresh between every second row and none; the others have it in `make nightly`."""
REFRESHED = [(name, n) for name in CASES for n in (2, 50)] + [(name, 3) for name in THREE]
REFRESHED += [pytest.param(name, 3, marks=pytest.mark.nightly) for name in CASES if name not in THREE]


@pytest.mark.parametrize(("name", "refresh"), REFRESHED)
def test_it_is_the_whole_forward_pass_with_old_keys_and_values(toy, usual, name, refresh):
    branches, renewed, task, _ = CASES[name]
    options, exact = options_of(name), usual(name)
    want = run_reference(toy, refresh, branches, renewed, PROMPTS, task, **options)
    found = latents(toy, refresh, PROMPTS, task, **options)
    torch.testing.assert_close(found.latents, want, atol=2e-4, rtol=1e-4)
    assert found.calls == exact.calls and exact.share == 1
    if found.share < 1:
        assert not torch.allclose(found.latents, exact.latents, atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_every_row_is_the_usual_path_bit_for_bit(toy, usual, name):
    every, exact = latents(toy, 1, PROMPTS, CASES[name][2], **options_of(name)), usual(name)
    assert torch.equal(every.latents, exact.latents) and torch.equal(every.schedule, exact.schedule)
    assert (every.share, every.calls) == (1, exact.calls)


def frames_computed(model):
    """Frames that go into the transformer, call by call."""
    seen = []
    model.dit.patch_embedding.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2]))
    return seen


@pytest.fixture
def counted(toy):
    """The toy, and the frames of each of its calls."""
    seen = frames_computed(toy)
    yield toy, seen
    toy.dit.patch_embedding._forward_pre_hooks.clear()


def test_frames_are_computed_when_they_move_when_others_do_and_every_so_many_rows(counted):
    toy, seen = counted
    result = latents(
        toy, 3, PROMPTS[0], tasks.image_to_video(CLIP[0]), schedule="autoregressive", steps=4, guidance=1.0
    )
    assert seen == [8, 1, 1, 8] * 7
    assert result.share == pytest.approx(sum(seen) / (8 * len(seen)))
    assert result.calls == len(seen)
    moving = resting.moving_frames(result.schedule)
    assert result.share == pytest.approx(resting.computed_share(moving, 3))


def test_both_branches_of_text_guidance_keep_their_own(counted):
    toy, seen = counted
    latents(toy, 2, PROMPTS[0], EXTENSION, steps=4, guidance=2.0)
    assert seen == [8, 8, 5, 5] * 2


def test_a_branch_that_joins_later_is_computed_whole_first(counted):
    """Guidance within an interval asks for the negative prompt in some rows only."""
    toy, seen = counted
    guided = partial(guidance.text_cfg, scale=2.0, interval=(0.01, 0.65))
    latents(toy, 50, PROMPTS[0], EXTENSION, steps=5, guidance=guided)
    assert seen == [8, 5, *(5, 8), *(5, 5), *(5, 5)]


def test_a_run_keeps_nothing_of_the_one_before(toy):
    run = pl.prepare(toy, PROMPTS[0], EXTENSION, steps=4, refresh=50, guidance=2.0)
    first, second = ([state.x for state in run.states()][-1] for _ in range(2))
    assert torch.equal(first, second)
    assert run.model.keeper.frames == 2 * (8 + 3 * 5)
    run.finish(next(run.states()))
    assert run.model.keeper.branches == []


def test_windows_keep_nothing_of_the_ones_before(counted):
    toy, seen = counted
    found = pl.extend_to(toy, PROMPTS[0], CLIP[:2], seconds=2.0, overlap=2, steps=3, guidance=1.0, refresh=50)
    assert len(found.windows) == 3 and seen == [8, 6, 6] * 3
    task = tasks.extension(found.windows[0].video[0, -2:], known=2)
    alone = latents(toy, 50, PROMPTS[0], task, steps=3, guidance=1.0, seed=1)
    assert torch.equal(found.windows[1].latents, alone.latents)


def test_frames_at_rest_that_someone_changes_are_computed_again(counted):
    toy, seen = counted

    def change(row, rows, state):
        if row == 2:
            state.x[:, :, 0] += 0.1

    changed = latents(toy, 50, PROMPTS[0], EXTENSION, steps=5, guidance=1.0, callback=change)
    assert seen == [8, 5, 8, 5, 5]
    assert changed.share == pytest.approx(sum(seen) / 40)


def test_schedules_that_go_back_up(counted):
    """Known frames rest throughout; the others rise without a call."""
    toy, seen = counted
    options = {"schedule": "restart", "steps": 4, "guidance": 1.0, "seed": 3}
    found = latents(toy, 4, PROMPTS[0], EXTENSION, **options)
    assert seen[:5] == [8, 5, 5, 5, 8] and len(seen) == found.calls
    want = run_reference(toy, 4, 1, [], PROMPTS[0], EXTENSION, **options)
    torch.testing.assert_close(found.latents, want, atol=2e-4, rtol=1e-4)


def test_a_picture_as_an_input_leaves_nothing_at_rest_but_frames_that_wait():
    import small_models

    model = small_models.load("mini-i2v", device="cpu")
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    options = {"steps": 2, "latent_frames": 3, "guidance": 1.0, "schedule": "autoregressive"}
    found = latents(model, 2, PROMPTS[0], tasks.image_to_video(picture), **options)
    want = run_reference(model, 2, 1, [], PROMPTS[0], tasks.image_to_video(picture), **options)
    assert found.share == pytest.approx((3 * 3 + 3 * 1) / 18)
    torch.testing.assert_close(found.latents, want, atol=2e-4, rtol=1e-4)


def test_steps_as_they_are_planned():
    moving = torch.tensor([[0, 1, 1], [0, 1, 1], [0, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 1]], dtype=torch.bool)
    steps = resting.plan_steps(moving, 2)
    assert [one.moving for one in steps] == [(1, 2), (1, 2), (), (1, 2), (2,), (0, 1, 2)]
    assert [one.whole for one in steps] == [True, False, False, True, True, True]
    assert [one.keep for one in steps] == [True, False, False, False, False, False]
    assert [one.whole for one in resting.plan_steps(moving, 3)] == [True, False, False, False, True, True]
    assert resting.computed_share(moving, 2) == pytest.approx(14 / 15)
    assert resting.computed_share(moving, 1) == resting.computed_share(moving[2:3], 5) + 1 == 1


def test_frames_move_if_they_do_in_any_sample_or_are_set_anew():
    one = torch.tensor([[1.0, 1, 0.3], [0.5, 1, 0.3], [0.5, 1, 0.3], [0, 0, 0]])
    other = torch.tensor([[1.0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0.5, 0]])
    assert resting.moving_frames(one).int().tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert resting.moving_frames(torch.stack([other, one])).int().tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1]]
    with pytest.raises(ValueError, match="renewed holds frame 3 of 3 frames: give numbers from 0"):
        resting.moving_frames(one, [3])
    assert resting.moving_frames(one, [2]).int().tolist() == [[1, 0, 1], [0, 0, 0], [1, 1, 1]]
    assert resting.moving_frames(torch.tensor([[0.5, 1.0], [1.0, 0.0]])).tolist() == [[False, True]]


class Plain:
    """A model without keys and values."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        if name == "check_resting":
            raise AttributeError(name)
        return getattr(self.model, name)

    def encode_text(self, prompts):
        raise AssertionError("captions were encoded")

    def __call__(self, x, tau, **cond):
        return x


@pytest.mark.parametrize("refresh", [0, -1, 10_001, True, 1.5, "often"])
def test_numbers_of_rows_that_cannot_be_are_refused(toy, refresh, as_user):
    with pytest.raises(ValueError, match=r"^prepare: refresh.*: give"):
        pl.prepare(toy, PROMPTS[0], refresh=refresh)


@pytest.mark.parametrize("refresh", [1, 2, "auto"])
def test_a_model_that_keeps_nothing_is_refused_before_captions_are_encoded(toy, refresh, as_user):
    with pytest.raises(ValueError, match="this model computes all frames at every call, and keeps no keys and values"):
        pl.prepare(Plain(toy), PROMPTS[0], refresh=refresh)


def test_a_compiled_toy_is_refused(toy, monkeypatch):
    monkeypatch.setitem(toy._modules, "dit", torch.compile(toy.dit, backend="eager"))
    with pytest.raises(ValueError, match="OptimizedModule, which keeps nothing of frames at rest: leave them out"):
        pl.prepare(toy, PROMPTS[0], refresh=2)


def test_it_is_saved_and_made_again(toy, tmp_path):
    options = {"schedule": "autoregressive", "steps": 3, "guidance": 2.0}
    result = pl.generate(toy, PROMPTS[0], tasks.image_to_video(CLIP[0]), refresh=2, **options)
    assert result.request.refresh == 2 and 0 < result.share < 1
    result.save(tmp_path / "kept")
    read = pl.load_result(tmp_path / "kept")
    assert (read.request.refresh, read.share) == (2, result.share)
    again = pl.rerun(tmp_path / "kept", model=toy)
    assert torch.equal(again.latents, result.latents) and again.share == result.share
    exact = pl.rerun(tmp_path / "kept", model=toy, refresh=None)
    assert exact.request.refresh is None and exact.share == 1 and not torch.equal(exact.latents, result.latents)
    assert f"{result.share:.0%} of the frames computed" in result._repr_html_()


def test_results_of_before_compute_every_frame(toy, tmp_path):
    pl.generate(toy, PROMPTS[0], steps=2).save(tmp_path / "kept")
    place = tmp_path / "kept" / "video.request.json"
    found = json.loads(place.read_text())
    del found["request"]["refresh"], found["share"]
    place.write_text(json.dumps(found))
    read = pl.load_result(place)
    assert read.request.refresh is None and read.share == 1
    damaged = {"share": {"share": "all"}, "refresh": {"request": found["request"] | {"refresh": "2"}}}
    for name, change in damaged.items():
        place.write_text(json.dumps(found | change))
        with pytest.raises(ValueError, match=f"'{name}'"):
            pl.load_result(place)


def known(levels, at):
    levels[:, at] = 0
    return resting.moving_frames(levels)


@pytest.mark.parametrize(
    ("moving", "refresh"),
    [
        (known(schedules.synchronous(10, 9), []), None),
        (known(schedules.synchronous(10, 9), [0]), None),  # a lone picture: little is gained
        (known(schedules.synchronous(10, 9), [0, 8]), None),
        (known(schedules.synchronous(10, 9), [0, 1, 2, 3]), 4),
        (known(schedules.synchronous(20, 9), [0, 1, 2, 3]), 8),
        (known(schedules.synchronous(3, 9), [0, 1, 2, 3]), None),  # every row is needed
        (known(schedules.synchronous(10, 21), [*range(11)]), 4),
        (known(schedules.autoregressive(10, 9), [0]), 4),
        (known(schedules.autoregressive(50, 9), [0]), 20),
        (known(schedules.blockwise(10, 21, lag=10), []), 4),
        (known(schedules.pyramid(10, 9), []), None),  # other frames move in every row
    ],
)
def test_auto_follows_the_rows_in_which_the_same_frames_move(moving, refresh):
    assert resting.auto_refresh(moving) == refresh


def test_auto_is_what_it_chose(toy):
    options = {"schedule": "autoregressive", "steps": 5, "guidance": 1.0}
    found = latents(toy, "auto", PROMPTS[0], tasks.image_to_video(CLIP[0]), **options)
    assert found.request.refresh == 2
    assert torch.equal(found.latents, latents(toy, 2, PROMPTS[0], tasks.image_to_video(CLIP[0]), **options).latents)
    assert latents(toy, "auto", PROMPTS[0], steps=4, guidance=1.0).request.refresh is None


def test_the_command_takes_it(tmp_path, capsys):
    words = [
        "generate",
        PROMPTS[0],
        "--model",
        "nano-vta",
        "--steps",
        "2",
        "--guidance",
        "1",
        "--schedule",
        "autoregressive",
    ]
    out = tmp_path / "v.mp4"
    assert main([*words, "--refresh", "2", "--out", str(out)]) == 0
    assert "16 calls (56% of the frames computed)" in capsys.readouterr().out
    assert pl.load_result(out).request.refresh == 2
    assert main([*words, "--refresh", "auto", "--out", str(out)]) == 0
    assert pl.load_result(out).request.refresh is None
    for given, says in (("0", "--refresh 0: give 1"), ("often", "refresh")):
        assert main([*words, "--refresh", given, "--out", str(out)]) != 0
        assert says in capsys.readouterr().err
