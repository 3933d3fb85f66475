"""pytest tests/test_drift.py: the drift laboratory measures what it says, on videos whose drift is known."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch

import pusa_lab as pl
from pusa_lab import metrics
from pusa_lab.guidance import text_cfg
from pusa_lab.noise import noise_of
from pusa_lab.streaming import Move, sample_moves
from pusa_lab.types import Geometry
from small_models.experiments.drift import (
    SMALL_DRIFT,
    DriftSizes,
    by_length,
    changes,
    drift_rows,
    endless,
    extended,
    jumps,
    over_scenes,
    sampled,
    seams,
)
from small_models.experiments.drift_rows import ANCHORED, CHANGED, LongVideo, drift_ways
from small_models.world import HANDWRITING, MINI, NANO, captions, draw_scenes, positions, render

pytestmark = pytest.mark.usefixtures("one_thread")
EVAL_SEED = 10_000_019


@pytest.fixture
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


@pytest.mark.parametrize("world", [NANO, MINI, HANDWRITING])
def test_objects_never_leave_nor_rest(world):
    scenes = draw_scenes(200, 5, endless(world))
    path = positions(scenes, 600)
    reach = (path - 0.5).abs().amax(-1) + scenes.radius()[:, None]
    inside = scenes.present[:, None].expand_as(reach)
    assert reach[inside].max() < 0.52  # what is thrown may reach a little beyond the top
    moved = path.diff(dim=1).norm(dim=-1)[:, -100:].mean(1)
    assert moved[scenes.present].min() > 0.4 / 64


@pytest.fixture(scope="module")
def long():
    """16 lengths of mini."""
    return LongVideo(144, 3, 9, 4)


def test_every_way_finishes_every_frame_at_the_same_number_of_calls(long):
    found = drift_ways(long)
    assert len({(way.name, way.change) for way in found}) == len(found) == 13 + len(ANCHORED) + 2 * len(CHANGED)
    for way in found:
        level = dict.fromkeys(range(3, 144), 1.0)
        for move in way.moves:
            assert len(move.seen) <= 9 and len(set(move.seen)) == len(move.seen)
            assert all(0 <= to < level[i] for i, to in move.to.items())
            level |= move.to
        assert set(level.values()) == {0.0}
        calls = len(way.moves) / 141
        assert calls == pytest.approx(1 if "five levels" in way.name else 4, rel=0.06)
    steps = {way.name: Counter(i for move in way.moves for i in move.to) for way in found if way.change == "none"}
    assert {name: count[100] for name, count in steps.items()} == {
        **{"full sequence with overlap": 24, "pyramid within a window": 14, "frame after frame": 4},
        **{"rolling": 24, "rolling, noised anew": 24},
        **{"rolling, five levels": 5, "rolling, five levels, noised anew": 5},
        **{"queue of 4 windows": 32, "queue of 2 windows with lookahead": 16},
        **{"block after block": 12, "blocks that begin early": 24, "step before block": 12},
        "more steps for early blocks": 12,
    }
    assert [steps["more steps for early blocks"][i] for i in (3, 6, 9, 12)] == [24, 18, 12, 12]


def test_seams_are_where_neighbours_never_move_together(long):
    found = {way.name: seams(way.moves, 3) for way in drift_ways(long) if way.change == "none"}
    assert found["full sequence with overlap"] == found["pyramid within a window"] == list(range(9, 144, 6))
    assert found["block after block"] == found["step before block"] == list(range(6, 144, 3))
    assert found["frame after frame"] == list(range(4, 144))
    assert found["rolling"] == found["queue of 4 windows"] == found["blocks that begin early"] == []
    assert seams([Move((0, 1), {0: 0.0}), Move((0, 1), {1: 0.0})], 0) == [1]


def test_scores_by_length_are_those_of_a_known_fault():
    """The last third is 10 grey levels too bright and stands still."""
    geometry, video = Geometry((1, 1, 1), 3, 8, (16, 16)), LongVideo(24, 2, 8, 4)
    scenes = draw_scenes(3, 7, endless(NANO))
    truth = render(scenes, 24, 16) * 0.8
    clip = truth.clone()
    clip[:, :, 16:] = truth[:, :, 15:16] + 10 / 127.5
    found = by_length(clip, truth, scenes, geometry, video)
    assert {name: tuple(value.shape) for name, value in found.items()} == dict.fromkeys(
        ("psnr", "position_error", "colour_error", "motion"), (3, 3)
    )
    assert found["psnr"][:, :2].min() == 60 > 40 > found["psnr"][:, 2].max()
    assert found["colour_error"][:, :2].max() == 0
    assert (found["colour_error"][:, 2] - 10).abs().max() < 2
    assert (found["motion"][:, :2] - 1).abs().max() < 1e-5
    change = metrics.motion(truth)[:, 15:23].mean(1)  # of the last third; the step into it is the only one of the clip
    assert torch.allclose(found["motion"][:, 2], metrics.motion(clip)[:, 15:23].mean(1) / change, atol=1e-5)
    assert (found["position_error"][:, 2] > found["position_error"][:, 1]).all()


def test_jumps_are_those_of_the_metric_seam_by_seam():
    clip = torch.zeros(2, 3, 12, 4, 4)
    clip[:, :, 4:] += 20 / 127.5
    clip[1, :, 8:] -= 5 / 127.5
    found = jumps(clip, [4, 8])
    assert torch.allclose(found, torch.tensor([[20.0, 0.0], [20.0, 5.0]]), atol=1e-4)
    noisy = clip + 0.1 * torch.rand(clip.shape, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(jumps(noisy, [4, 8]).mean(1), metrics.boundary_jump(noisy, [4, 8]), atol=1e-4)
    assert jumps(clip, list(range(1, 12))).isnan().all()


def test_a_slope_is_that_of_least_squares_with_an_interval_over_scenes():
    values = torch.randn(8, 5, generator=torch.Generator().manual_seed(1)).double()
    groups = torch.arange(4).repeat_interleave(2)
    found = over_scenes(values, groups)
    slopes = np.polyfit(np.arange(5), values.T.numpy(), 1)[0]
    assert found["slope"][0] == pytest.approx(slopes.mean(), abs=1e-6)
    assert found["slope"] == pytest.approx(list(metrics.bootstrap(torch.tensor(slopes), groups)), abs=1e-6)
    assert found["by scene"]["slope"] == pytest.approx(slopes.reshape(4, 2).mean(1), abs=1e-5)
    assert found["by scene"]["last"] == pytest.approx(values[:, -1].reshape(4, 2).mean(1).numpy(), abs=1e-5)
    assert found["by length"] == pytest.approx(values.mean(0).tolist(), abs=1e-6)


def test_a_change_is_compared_on_the_same_scenes():
    def row(change, add):
        scenes = {part: [1.0 + add, 5.0 + add, 9.0 + add] for part in ("slope", "last")}
        return {"key": {"way": "a", "change": change}, "scores": {"psnr": {"by scene": scenes}}}

    found = changes([row("none", 0), row("anchor", 0.5)])
    assert found == [{"way": "a", "change": "anchor", "score": "psnr", "slope": [0.5] * 3, "last": [0.5] * 3}]


def test_guidance_in_one_call_is_that_of_two(nano_vta):
    scenes = draw_scenes(2, EVAL_SEED, endless(NANO))
    truth = render(scenes, 12, 16)
    way = drift_ways(LongVideo(12, 2, 8, 2))[0]
    made = sampled(nano_vta, way, 2, 2.5, scenes, truth, [11, 4])
    texts = captions(scenes, EVAL_SEED)
    guided = text_cfg(nano_vta, nano_vta.encode_text([""] * 2), 2.5)
    x = torch.cat([truth[:, :, :2], noise_of((2, 3, 10, 16, 16), [11, 4])], 2)
    with torch.no_grad():
        want = sample_moves(partial(guided, **nano_vta.encode_text(texts)), x, way.moves, 2)
    assert torch.allclose(made, want, atol=1e-4)
    assert torch.equal(made[:, :, :2], truth[:, :, :2])


def test_windows_encoded_anew_go_on_from_the_same_frames_at_the_same_calls(nano_vta, monkeypatch):
    """In pixel space, encoding anew changes nothing, so that the first window is that of the full sequence."""
    video = LongVideo(14, 2, 8, 2)
    scenes = draw_scenes(2, EVAL_SEED, endless(NANO))
    truth = render(scenes, 14, 16)
    run = pl.prepare(nano_vta, captions(scenes, EVAL_SEED), guidance=2.5, seed=7)
    x = torch.cat([truth[:, :, :2], run.x[:, :, 2:], noise_of((2, 3, 6, 16, 16), 5)], 2)
    asked = []
    monkeypatch.setattr(type(nano_vta), "forward", counting(type(nano_vta).forward, asked))
    made = extended(nano_vta, video, 2.5, scenes, truth, [7, 8])
    assert made.shape == truth.shape
    assert len(asked) == 2 * 2 * video.made
    way = drift_ways(video)[0]
    guided = text_cfg(nano_vta, nano_vta.encode_text([""] * 2), 2.5)
    with torch.no_grad():
        want = sample_moves(partial(guided, **nano_vta.encode_text(captions(scenes, EVAL_SEED))), x, way.moves, 2)
    assert (made[:, :, :8] - want[:, :, :8].clamp(-1, 1)).abs().max() < 0.02  # bytes
    assert (made[:, :, 8:] - want[:, :, 8:].clamp(-1, 1)).abs().max() > 0.1  # another noise


def counting(function, asked):
    """Of each call, the captions of a clip: a pass of both counts as two calls."""

    def counted(self, x, tau, text, **more):
        asked.extend(range(len(text) // len(x)))
        return function(self, x, tau, text, **more)

    return counted


def test_the_truth_does_not_drift(nano_vta):
    sizes = DriftSizes(**{**vars(SMALL_DRIFT), "lengths": 2, "scenes": 2})
    (_, truth), (_, still), *_ = drift_rows(nano_vta, sizes)
    true, fixed = truth()["scores"], still()["scores"]
    assert min(true["psnr"]["by length"]) > 50
    assert true["colour_error"]["last"][0] < 0.5
    assert true["motion"]["last"][0] == pytest.approx(1, abs=0.02)
    assert fixed["motion"]["by length"] == [0, 0]
    assert fixed["position_error"]["last"][0] > true["position_error"]["last"][0] + 1


@pytest.mark.parametrize("odd", [{"lengths": 1}, {"scenes": 1}, {"seeds": 0}, {"calls": 3}])
def test_sizes_without_a_slope_or_an_interval_are_refused(odd):
    with pytest.raises(ValueError, match=r"give at least 2 lengths and 2 scenes for a slope and its interval"):
        DriftSizes(**odd)
