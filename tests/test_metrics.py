"""pytest tests/test_metrics.py: measures with known answers."""

import pytest
import torch

from pusa_lab.metrics import motion, psnr


def test_psnr_of_a_known_offset():
    truth = torch.zeros(2, 3, 5, 4, 6)
    clip = truth.clone()
    clip[1, :, 2] = 0.2  # 10 log10(4 / .04) = 20
    db = psnr(clip, truth)
    assert db.shape == (2, 5)
    assert db[1, 2].item() == pytest.approx(20, abs=1e-4)
    assert db[0].isinf().all()


def test_psnr_agrees_with_bytes():
    # The usual definition, peak 255 on uint8.
    a, b = torch.randint(0, 256, (2, 2, 3, 5, 4, 6)).float()
    want = 10 * (255**2 / (a - b).square().mean(dim=(1, 3, 4))).log10()
    torch.testing.assert_close(psnr(a / 127.5 - 1, b / 127.5 - 1), want)


def test_motion_of_a_known_change():
    clip = torch.zeros(2, 3, 4, 5, 5)
    clip[0, :, 2:] = 2 / 255
    assert motion(clip)[0].tolist() == pytest.approx([0, 1, 0], abs=1e-5)
    assert (motion(clip)[1] == 0).all()
