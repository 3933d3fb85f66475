"""pytest tests/test_metrics.py: measures with known answers."""

import numpy as np
import pytest
import torch
from scipy import linalg
from scipy.ndimage import uniform_filter1d
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.image.fid import _compute_fid

from pusa_lab import metrics
from pusa_lab.metrics import (
    boundary_jump,
    check_clips,
    dynamic_degree,
    flicker,
    frechet_distance,
    imaging_quality,
    motion,
    motion_smoothness,
    psnr,
    ssim,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def noise(*shape):
    """A random clip."""
    return torch.rand(*shape) * 2 - 1


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


def plain_ssim(x, y):
    """Of two pictures, one window after the other."""
    th, tw = (min(11, side - 1 + side % 2) for side in x.shape)
    lines = [np.exp(-((np.arange(n) - n // 2) ** 2) / (2 * 1.5**2)) for n in (th, tw)]
    window = np.outer(*lines) / np.outer(*lines).sum()
    found = []
    for i in range(x.shape[0] - th + 1):
        for j in range(x.shape[1] - tw + 1):
            a, b = x[i : i + th, j : j + tw], y[i : i + th, j : j + tw]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            both = (window * (a - ma) * (b - mb)).sum()
            top = (2 * ma * mb + 0.02**2) * (2 * both + 0.06**2)
            found.append(top / ((ma**2 + mb**2 + 0.02**2) * (va + vb + 0.06**2)))
    return np.mean(found)


@pytest.mark.parametrize("size", [(13, 17), (8, 12), (1, 5)])
def test_ssim_is_the_formula(size):
    truth = noise(2, 3, 2, *size)
    clip = (truth + 0.3 * noise(2, 3, 2, *size)).clamp(-1, 1)
    want = [
        [np.mean([plain_ssim(clip[b, c, t].numpy(), truth[b, c, t].numpy()) for c in range(3)]) for t in range(2)]
        for b in range(2)
    ]
    torch.testing.assert_close(ssim(clip, truth), torch.tensor(want).float(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ssim(truth, truth), torch.ones(2, 2))


def test_torchmetrics_gives_the_same():
    truth = noise(3, 3, 2, 24, 32)
    clip = (truth + 0.3 * noise(3, 3, 2, 24, 32)).clamp(-1, 1)
    frames = [x.movedim(1, 2).flatten(0, 1) for x in (clip, truth)]
    want = peak_signal_noise_ratio(*frames, data_range=(-1.0, 1.0), reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(psnr(clip, truth).flatten(), want)
    _, places = structural_similarity_index_measure(*frames, data_range=(-1.0, 1.0), return_full_image=True)
    want = places[..., 5:-5, 5:-5].mean((1, 2, 3))  # without the borders, where torchmetrics reflects the picture
    torch.testing.assert_close(ssim(clip, truth).flatten(), want, atol=1e-4, rtol=1e-4)
    features = torch.randn(40, 6, dtype=torch.float64), torch.randn(31, 6, dtype=torch.float64) + 1
    moments = [moment for x in features for moment in (x.mean(0), x.T.cov())]
    assert frechet_distance(*features) == pytest.approx(_compute_fid(*moments).item(), rel=1e-6)


def test_parts_change_nothing():
    clip, truth = noise(5, 3, 33, 40, 40), noise(5, 3, 33, 40, 40)
    for measure in (psnr, ssim):
        one_by_one = torch.cat([measure(clip[i : i + 1], truth[i : i + 1]) for i in range(5)])
        torch.testing.assert_close(measure(clip, truth), one_by_one)


def test_what_moves_evenly_is_smooth():
    ramp = torch.linspace(-1, 1, 9)[:, None, None].expand(2, 3, 9, 5, 7).clone()
    assert motion_smoothness(ramp).tolist() == pytest.approx([1, 1], abs=1e-6)
    ramp[1, :, 4] += 0.2  # three bends, of .2 / 4, .4 / 4 and .2 / 4 in [0, 1], in 7 places
    assert motion_smoothness(ramp)[1].item() == pytest.approx(1 - 0.2 / 7, abs=1e-6)
    assert flicker(ramp, torch.zeros(2, 1, 9, 5, 7))[1].item() == pytest.approx(127.5 * 0.8 / 7, rel=1e-5)


def test_flicker_looks_away_from_subjects():
    clip, mask = torch.zeros(2, 3, 6, 5, 7), torch.zeros(2, 2, 6, 5, 7)
    clip[:, :, 3, :2] = 1
    mask[0, 0, 3, 0] = mask[0, 1, 3, 1] = 1
    assert flicker(clip, mask)[0] == 0
    assert flicker(clip, mask)[1] > 10
    assert flicker(clip, torch.ones_like(mask)).isnan().all()


def test_dynamic_degree_looks_at_the_top_changes():
    clip = torch.zeros(2, 3, 2, 10, 10)
    clip[0, :, 1, 0, :5] = 5.2 / 127.5  # all of the top 5 %
    clip[1, :, 1, 0, :4] = 5.2 / 127.5
    assert dynamic_degree(clip).tolist() == [1, 0]
    assert dynamic_degree(clip, 5.3).tolist() == [0, 0]
    assert dynamic_degree(clip, 4).tolist() == [1, 1]


def test_a_jump_is_told_from_usual_change():
    clip = torch.zeros(2, 3, 9, 4, 5) + torch.arange(9)[:, None, None] / 127.5  # 1 grey level a step
    clip[1, 0, 4:] += 9 / 127.5  # 9 in one of three channels
    assert boundary_jump(clip, [4]).tolist() == pytest.approx([0, 3], abs=1e-4)
    assert boundary_jump(clip, [4, 7]).tolist() == pytest.approx([0, 1.5], abs=1e-4)
    for at in ([], [0], [9], list(range(1, 9))):
        with pytest.raises(ValueError, match="boundaries at"):
            boundary_jump(clip, at)


def plain_sharpness(frame):
    luma = frame[0] * 0.299 + frame[1] * 0.587 + frame[2] * 0.114
    out = []
    for axis in (0, 1):
        inside = uniform_filter1d(np.ones_like(luma), 9, axis=axis, mode="constant")
        blurred = uniform_filter1d(luma, 9, axis=axis, mode="constant") / inside
        before, after = (np.abs(np.diff(x, axis=axis)) for x in (luma, blurred))
        out.append((before.sum() - np.maximum(0, before - after).sum()) / before.sum())
    return 1 - max(out)


def test_imaging_quality_is_the_formula():
    clip = noise(2, 3, 3, 13, 18).cumsum(-1).cumsum(-2).clamp(-9, 9) / 9
    want = [np.mean([plain_sharpness(clip[b, :, t].double().numpy()) for t in range(3)]) for b in range(2)]
    assert imaging_quality(clip).tolist() == pytest.approx(want, abs=1e-4)
    assert imaging_quality(torch.zeros(2, 3, 2, 5, 4)).tolist() == [0, 0]


def test_frechet_distance_is_the_formula():
    a, b = torch.randn(40, 6) @ torch.randn(6, 6), torch.randn(31, 6) @ torch.randn(6, 6) + 1
    s, t = np.cov(a.double().numpy().T), np.cov(b.double().numpy().T)
    want = (a.double().mean(0) - b.double().mean(0)).square().sum().item()
    want += np.trace(s + t - 2 * linalg.sqrtm(s @ t).real)
    assert frechet_distance(a, b) == pytest.approx(want, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(want, rel=1e-6)


@pytest.mark.usefixtures("as_user")
def test_frechet_distance_of_the_same_and_of_few():
    a = torch.randn(5, 12)  # fewer rows than features: a singular covariance
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(a, a + 2) == pytest.approx(48, abs=1e-4)
    one = torch.tensor([[0.0], [2.0]])  # variances 2 and 8: (sqrt 8 - sqrt 2)^2 + 3^2
    assert frechet_distance(one, 2 * one + 2) == pytest.approx(2 + 9, abs=1e-6)
    for wrong in (a[:1], a[:, :3], a * torch.nan):
        with pytest.raises(ValueError, match="features of shapes"):
            frechet_distance(a, wrong)


GOOD = torch.zeros(2, 3, 3, 4, 4)
BAD = {
    "give pixels": GOOD[0],
    "b, 3, frames": GOOD[:, :2],
    "to_pixels": GOOD.to(torch.uint8),
    r"finite numbers in \[-1, 1\]": GOOD + 1.01,
    "from nan": GOOD * torch.nan,
    "from 0 to inf": GOOD.clone().index_fill_(2, torch.tensor([1]), torch.inf),
}


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(("said", "clip"), BAD.items(), ids=str)
def test_what_is_no_clip_is_refused_everywhere(said, clip):
    mask, one = torch.zeros(2, 1, 3, 4, 4), torch.zeros(2, 1, 1, 4, 4)
    measures = {
        "check_clips": lambda x: check_clips(GOOD, x),
        "psnr": lambda x: psnr(GOOD, x) if x.shape == GOOD.shape else psnr(x, GOOD),
        "ssim": lambda x: ssim(x, GOOD),
        "motion": motion,
        "motion_smoothness": motion_smoothness,
        "dynamic_degree": dynamic_degree,
        "flicker": lambda x: flicker(x, mask),
        "boundary_jump": lambda x: boundary_jump(x, [1]),
        "imaging_quality": imaging_quality,
        "foreground": metrics.foreground,
        "subject_consistency": lambda x: metrics.subject_consistency(x, mask),
        "background_consistency": lambda x: metrics.background_consistency(x, mask),
        "i2v_subject": lambda x: metrics.i2v_subject(x, mask, GOOD[:, :, :1], one),
        "i2v_background": lambda x: metrics.i2v_background(x, mask, GOOD[:, :, :1], one),
    }
    for measure in measures.values():
        with pytest.raises(ValueError, match=said):
            measure(clip)


@pytest.mark.usefixtures("as_user")
def test_other_shapes_and_too_few_frames_are_refused():
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match="same shape"):
            measure(GOOD, GOOD[:, :, :2])
    for measure, frames in ((motion, 2), (dynamic_degree, 2), (motion_smoothness, 3)):
        with pytest.raises(ValueError, match=f"at least {frames}"):
            measure(GOOD[:, :, : frames - 1])
    with pytest.raises(ValueError, match="at least 2 pixels per side"):
        imaging_quality(GOOD[..., :1])


def test_rounding_may_leave_the_range_a_little():
    check_clips(GOOD + 1.0005, GOOD - 1.0005)
    check_clips(GOOD.double(), GOOD.bfloat16())
