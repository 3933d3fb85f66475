"""pytest tests/test_tiny_wan.py: a Wan of 0.2 MB, for trying commands, is read like the real one."""

import numpy as np
import pytest
import torch

import pusa_lab as pl
from pusa_lab.wan import write_tiny_wan
from pusa_lab.wan.folders import check_wan_folder


def test_it_is_a_wan_that_makes_videos(tmp_path):
    before = torch.random.get_rng_state()
    folder = write_tiny_wan(tmp_path / "wan")
    assert torch.equal(torch.random.get_rng_state(), before), "a person's random numbers stay as they were"
    assert sum(file.stat().st_size for file in folder.rglob("*.*")) < 2e6
    assert check_wan_folder(folder).experts == ["transformer"]
    model = pl.load(folder, size=(32, 48), num_frames=9, device="cpu")
    assert pl.generate(model, "a dog runs", steps=2).video.shape == (1, 9, 32, 48, 3)


def test_latents_of_clips_have_about_unit_variance(tmp_path):
    model = pl.load(write_tiny_wan(tmp_path), size=(32, 48), num_frames=9, device="cpu")
    g = np.random.default_rng(0)
    slow = np.kron(g.uniform(-1, 1, (2, 3, 3, 4, 6)), np.ones((1, 1, 3, 8, 8)))
    z = model.encode_video(torch.tensor(slow).float())
    assert 0.3 < z.var() < 3


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path, as_user):
    weights = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"28 GB")
    with pytest.raises(ValueError, match=r"^wan.write_tiny_wan: the folder .* is not empty: give a new one"):
        write_tiny_wan(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [weights]
    with pytest.raises(ValueError, match="is a file: give a folder"):
        write_tiny_wan(weights)
    assert weights.read_bytes() == b"28 GB"


def test_a_seed_gives_the_same_weights(tmp_path):
    weights = "transformer/diffusion_pytorch_model.safetensors"
    a, b, c = (
        (write_tiny_wan(tmp_path / name, seed=s) / weights).read_bytes() for name, s in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a == b != c
