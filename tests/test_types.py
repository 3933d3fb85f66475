"""pytest tests/test_types.py: pixel frames and latent frames."""

import pytest

import small_models
from pusa_lab.types import Geometry, VideoModel

WAN = Geometry(stride=(4, 8, 8), channels=16, frames=21, size=(480, 832))


def test_wan_frame_counts():
    assert WAN.pixel_frames(21) == 81
    assert WAN.latent_frames(81) == 21
    assert WAN.latent_shape(2, 21) == (2, 16, 21, 60, 104)


@pytest.mark.parametrize("frames", range(1, 30))
def test_counts_are_inverse(frames):
    assert WAN.latent_frames(WAN.pixel_frames(frames)) == frames


def test_every_pixel_frame_has_the_latent_that_holds_it():
    # The first latent is one pixel frame, each later one four: 0 | 1 2 3 4 | 5 6 7 8 | ...
    assert [WAN.latent_at(p) for p in range(10)] == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3]


@pytest.mark.parametrize("bad", [0, -3, 2, 80, 84])
def test_wrong_pixel_counts_are_refused(bad):
    with pytest.raises(ValueError, match=r"1 \+ 4 \* k"):
        WAN.latent_frames(bad)


def test_the_toy_is_a_video_model():
    assert isinstance(small_models.ToyModel(small_models.PRESETS["nano"]), VideoModel)
