"""pytest tests/test_viz.py: plots show the numbers they were given."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from falling import FALLING

from pusa_lab import Result, schedules, viz
from pusa_lab.schedules import SCHEDULES

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", FALLING)
@pytest.mark.parametrize(("steps", "frames"), [(1, 1), (3, 4), (20, 21)])
def test_every_schedule_can_be_drawn(name, steps, frames):
    S = SCHEDULES[name](steps, frames)
    ax = viz.plot_schedule(S, title=name)
    ax.figure.canvas.draw()
    assert np.array_equal(ax.images[0].get_array(), S.numpy())
    assert ax.images[0].get_clim() == (0, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("frame", "row")
    assert bool(ax.texts) == (S.numel() <= 60)


def test_numbers_are_the_cells():
    S = schedules.pyramid(2, 3)
    assert [t.get_text() for t in viz.plot_schedule(S).texts][:3] == ["1", "1", "1"]


def test_a_faulty_schedule_can_be_seen():
    viz.plot_schedule(torch.tensor([[float("nan"), 2.0], [0.0, 0.0]])).figure.canvas.draw()


def test_a_filmstrip_holds_every_frame_where_it_belongs():
    video = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    ax = viz.filmstrip({"a": video, "b": video[::-1]}, known=[0, 4])
    ax.figure.canvas.draw()
    sheet = ax.images[0].get_array()
    assert sheet.shape == (33, 84, 3)
    assert np.array_equal(sheet[:16, 17:33], video[1])
    assert np.array_equal(sheet[17:, :16], video[4])
    assert len(ax.patches) == 2
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]


def test_long_videos_show_evenly_spaced_frames():
    video = np.zeros((81, 8, 8, 3), np.uint8)
    ax = viz.filmstrip(video, known=[0, 3, 80], most=9)
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(i) for i in range(0, 81, 10)]
    assert len(ax.patches) == 2


def test_a_result_is_timestep_beside_video():
    S = schedules.hold(5, 8)
    result = Result(np.zeros((2, 8, 16, 16, 3), np.uint8), torch.zeros(2, 3, 8, 16, 16), S, 0.1, "image_to_video", 5)
    figure = viz.plot_result(result, known=[0])
    figure.canvas.draw()
    assert figure.get_suptitle() == "image_to_video"
    assert np.array_equal(figure.axes[0].images[0].get_array(), S.numpy())


def test_draws_show_the_density_of_every_frame_and_the_joint_of_two():
    figure = viz.plot_timestep_sampler(
        schedules.timestep_samplers.clean_prefix(2), frames=5, pair=(1, -2), title="prefix"
    )
    figure.canvas.draw()
    left, right = figure.axes[:2]
    density = np.asarray(left.images[0].get_array())
    assert density.shape == (40, 5)
    np.testing.assert_allclose(density.mean(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(density[0, :2], 40)  # all in the lowest of 40 bins
    assert abs(density[:, 2:] - 1).max() < 5 * (40 / 20_000) ** 0.5
    dots = right.collections[0].get_offsets()
    assert len(dots) == 2000
    assert (dots[:, 0] == 0).all()
    assert dots[:, 1].std() > 0.2
    assert (right.get_xlabel(), right.get_ylabel()) == ("tau of frame 1", "tau of frame 3")
    assert figure.get_suptitle() == "prefix"


@pytest.mark.parametrize("name", sorted(schedules.timestep_samplers.TIMESTEP_SAMPLERS))
def test_every_draw_can_be_drawn(name):
    viz.plot_timestep_sampler(
        schedules.timestep_samplers.TIMESTEP_SAMPLERS[name](), frames=3, samples=100
    ).canvas.draw()


def test_a_frame_outside_the_video_cannot_be_drawn():
    with pytest.raises(ValueError, match="frame 3 is outside the video of 3"):
        viz.plot_timestep_sampler(schedules.timestep_samplers.shared, frames=3, pair=(0, 3))
