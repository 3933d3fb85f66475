"""pytest tests/test_histories.py: every history is what its equation says, on models whose answer is known."""

from functools import partial

import pytest
import torch

import pusa_lab as pl
from pusa_lab.blocks import Blocks
from pusa_lab.timesteps import interpolate
from pusa_lab.training.forcing import HistoryInputs
from pusa_lab.training.histories import HISTORIES, own_errors

CLIPS, FRAMES = 600, 6
close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)


def draws(size=CLIPS, seed=0):
    g = torch.Generator().manual_seed(seed)
    return lambda make, shape: make((size, *shape), generator=g)


def inputs_of(model=None, tau=None, size=CLIPS, **more):
    torch.manual_seed(0)
    x0, eps = torch.randn(2, size, 2, FRAMES, 2, 2).unbind(0)
    tau = torch.rand(size, FRAMES) if tau is None else tau
    return HistoryInputs(model, x0, interpolate(x0, eps, tau), tau, draws(size), {}, **more)


def test_the_true_past_is_the_clip():
    given = inputs_of()
    assert HISTORIES["true_past"]()(given) is given.x0


def test_noise_has_its_levels_and_leaves_a_share_clean():
    given = inputs_of()
    past = HISTORIES.find("noised(level=0.3, clean=0.25)")()(given)
    change = past - given.x0
    clean = (change == 0).flatten(1).all(1)
    assert abs(clean.float().mean() - 0.25) < 0.05
    # var = E m^2 (var eps + var x0) = level^2 / 3 * 2
    assert abs(change[~clean].var() / (0.3**2 / 3 * 2) - 1) < 0.1
    frames = change[~clean].square().mean((1, 3, 4))
    assert torch.corrcoef(frames.T)[0, 1].abs() < 0.15, "every frame has its own level"


class Shrinks:
    """v = eps - x0 of a clip that is `target`: denoising from any level ends there, whatever was noised."""

    device, geometry = torch.device("cpu"), None

    def __init__(self, target):
        self.target, self.seen = target, []

    def check_resting(self, frames, size): ...

    def __call__(self, x, tau, kept=None):
        self.seen.append((x.clone(), tau.clone()))
        return (x - self.target[:, :, : x.shape[2]]) / tau[:, None, :, None, None].clamp(min=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_known_frames_are_denoised_to_what_the_model_holds_them_for(steps):
    tau = torch.rand(5, FRAMES) * 0.8 + 0.1
    tau[:, :2] = 0
    model = Shrinks(torch.full((5, 2, FRAMES, 2, 2), 3.0))
    given = inputs_of(model, tau, size=5)
    past = HISTORIES["resampled"](steps=steps, low=0.5, high=0.5)(given)
    close(past[:, :, :2], model.target[:, :, :2])
    close(past[:, :, 2:], given.x0[:, :, 2:])
    assert len(model.seen) == steps
    for k, (x, seen) in enumerate(model.seen):
        close(x[:, :, 2:], given.x[:, :, 2:])
        close(seen[:, 2:], tau[:, 2:])
        close(seen[:, :2], torch.full((5, 2), 0.5 * (1 - k / steps)))


def test_a_past_from_level_0_is_the_true_one(small_nano):
    for blocks, tau in ((Blocks(2), None), (None, torch.tensor([[0, 0, 0.5, 0.5, 0.5, 0.5]] * 2))):
        given = inputs_of(size=2, tau=tau, blocks=blocks)
        x0 = torch.randn(2, 3, FRAMES, 16, 16)
        cond = small_nano.encode_text(["a red circle moves right"] * 2)
        given = HistoryInputs(small_nano, x0, x0, given.tau, draws(2), cond, blocks)
        close(HISTORIES["resampled"](low=0, high=0)(given), x0)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("level", [0.4, 1.0])
def test_block_after_block_is_a_run_of_generate(small_nano, level, window):
    """The same noise, the same number of Euler steps from the same level, one block after the other."""
    cond = small_nano.encode_text(["a red circle moves right", "a blue square moves up"])
    x0 = torch.randn(2, 3, FRAMES, 16, 16)
    given = HistoryInputs(small_nano, x0, x0, torch.rand(2, FRAMES), draws(2), cond, Blocks(2), window)
    past = HISTORIES["resampled"](steps=3, low=level, high=level)(given)
    draw = draws(2)
    draw(torch.rand, (1,))
    x = interpolate(x0, draw(torch.randn, x0.shape[1:]), torch.full((2, FRAMES), level))
    down = level * torch.tensor([3, 2, 1]) / 3
    rows = [[0.0] * (2 * n) + [step] * 2 + [level] * (4 - 2 * n) for n in range(3) for step in down.tolist()]
    schedule = torch.tensor([*rows, [0.0] * FRAMES])
    want = pl.samplers.sample(pl.causal(small_nano, 2, window), x, schedule, whole=True, **cond)
    close(past[:, :, :4], want[:, :, :4], atol=1e-4)
    assert torch.equal(past[:, :, 4:], x0[:, :, 4:]) and (past - x0)[:, :, :4].abs().max() > 1e-2


def test_errors_come_back_at_the_timestep_at_which_they_were_made():
    """Every error is a constant, its timestep."""
    history, like = own_errors(bins=10, slots=20), torch.zeros(20, 2, FRAMES, 2, 2)
    assert (history.at(torch.rand(20), torch.rand(20), like) == 0).all()
    for seed in range(40):
        tau = torch.rand(20, FRAMES, generator=torch.Generator().manual_seed(seed))
        history.add(tau[:, None, :, None, None].expand_as(like), tau)
    assert (history.memory > 0).float().mean() > 0.95
    asked, which = torch.rand(20), torch.rand(20)
    found = history.at(asked, which, like)
    assert ((found * 10).floor() == (asked * 10).floor()[:, None, None, None, None])[found > 0].all()
    assert found.std() > 0.1


def test_known_frames_make_no_errors_and_old_ones_go():
    history, like = own_errors(bins=2, slots=4), torch.ones(3, 2, FRAMES, 2, 2)
    tau = torch.full((3, FRAMES), 0.7)
    tau[:, 0] = 0
    history.add(like, tau)
    assert (history.memory[0] == 0).all() and (history.memory[1, :3, :, 1:] == 1).all()
    assert (history.memory[1, :, :, 0] == 0).all() and (history.memory[1, 3] == 0).all()
    history.add(2 * like, tau)  # into the fourth slot, the first and the second
    assert [history.memory[1, i, 0, 3, 0, 0].item() for i in range(4)] == [2, 2, 1, 2]
    again = own_errors(bins=2, slots=4)
    again.load_state_dict(history.state_dict())
    assert again.added == 6 and torch.equal(again.memory, history.memory)


def test_errors_are_those_of_the_model_and_are_added_to_a_share_of_the_clips():
    """A model that takes every clip for 3: its error is 3 - x0, whatever the timestep."""
    model = Shrinks(torch.full((CLIPS, 2, FRAMES, 2, 2), 3.0))
    history = HISTORIES.find("own_errors(bins=1, slots=600, share=0.5, learned=1.0)")()

    def made(learning=True):
        given = inputs_of(model, learning=learning)
        model.target = torch.full_like(given.x0, 3.0)
        return given, history(given)

    given, first = made()
    assert torch.equal(first, given.x0)
    close(history.memory[0], 3 - given.x0, atol=1e-3)
    given, second = made(learning=False)
    assert history.added == CLIPS
    error = second - given.x0
    some = (error != 0).flatten(1).any(1)
    assert abs(some.float().mean() - 0.5) < 0.06
    known = (3 - given.x0).flatten(1)
    apart = torch.cdist(error[some].flatten(1), known, compute_mode="donot_use_mm_for_euclid_dist")
    assert apart.min(1).values.max() < 1e-2, "each is one that was kept"


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("noised", {"level": 1.5}, r"level=1.5: give a number in \[0, 1\]"),
        ("noised", {"clean": -0.1}, "clean=-0.1"),
        ("resampled", {"steps": 0}, "steps=0"),
        ("resampled", {"low": 0.7, "high": 0.6}, "low=0.7, high=0.6"),
        ("own_errors", {"bins": 0}, "bins=0"),
        ("own_errors", {"slots": 10**9}, "slots=1000000000"),
        ("own_errors", {"share": 2.0}, "share=2.0"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, says):
    with pytest.raises(ValueError, match=says):
        HISTORIES[name](**settings)
