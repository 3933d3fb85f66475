"""pytest tests/test_training_actions.py: clips with actions, the timesteps of one frame after another, and a run."""

import json
from dataclasses import asdict

import pytest
import torch
from pages import ROOT, prose

import small_models
from pusa_lab.losses import fafm_frame_loss
from pusa_lab.schedules.timestep_samplers import TIMESTEP_SAMPLERS
from small_models.evaluation.actions import measure_actions
from small_models.models.actions import ActionToy
from small_models.training.action_job import WINDOWS, action_dataset, begun_frame_loss
from small_models.training.recipes import RECIPES
from small_models.training.train import train
from small_models.world import draw_scenes
from small_models.world.actions import ACTION_WORLD, draw_actions, render_actions

pytestmark = pytest.mark.usefixtures("one_thread")


def test_clips_are_cut_from_rollouts_with_their_actions():
    data = action_dataset(5, 3, 4, 2, "cpu")
    whole = render_actions(draw_scenes(2, 3, ACTION_WORLD), draw_actions(2, WINDOWS * 4, 3))
    assert data.videos.shape == (6, 3, 4, 16, 16)
    joined = torch.cat([data.videos[i::WINDOWS] for i in range(WINDOWS)], dim=2)
    torch.testing.assert_close(joined.float() / 127.5 - 1, whole, atol=0.005, rtol=0)
    assert torch.equal(data.extras["actions"].reshape(2, -1), draw_actions(2, WINDOWS * 4, 3))
    assert len(set(data.captions[:WINDOWS])) == 1


def test_next_frame_has_one_noisy_frame_between_clean_ones_and_noise():
    n, f = 20_000, 5
    tau = TIMESTEP_SAMPLERS["next_frame"](steady=0.6)(n, f, torch.Generator().manual_seed(0))
    noisy = (tau > 0) & (tau < 1)
    k = noisy.long().argmax(1, keepdim=True)
    assert (noisy.sum(1) == 1).all()
    assert torch.equal(tau == 0, torch.arange(f) < k) and torch.equal(tau == 1, torch.arange(f) > k)
    share = torch.bincount(k.flatten(), minlength=f) / n
    torch.testing.assert_close(share, torch.tensor([0.08, 0.08, 0.08, 0.08, 0.68]), atol=0.015, rtol=0)
    level = tau[noisy].sort().values
    assert (level - (torch.arange(n) + 0.5) / n).abs().max() < 1.95 / n**0.5
    with pytest.raises(ValueError, match=r"steady=1\.5: give a share"):
        TIMESTEP_SAMPLERS["next_frame"](steady=1.5)


def test_frames_that_have_not_begun_show_no_action_and_have_no_loss():
    seen = []

    def denoiser(x, tau, actions):
        seen.append(actions)
        return torch.zeros_like(x)

    x0, eps = torch.randn(2, 2, 3, 3, 4, 4)
    tau = torch.tensor([[0.0, 0.5, 1.0], [0.7, 1.0, 1.0]])
    loss = begun_frame_loss(denoiser, x0, tau, eps, actions=torch.tensor([[1.0, 2, 3], [4, 5, 1]]))
    assert seen[0].tolist() == [[1, 2, 0], [4, 0, 0]]
    want = fafm_frame_loss(lambda x, tau: torch.zeros_like(x), x0, tau, eps)
    torch.testing.assert_close(loss, want * torch.tensor([[1, 1, 0], [1, 0, 0]]))


def test_a_run_writes_a_toy_that_takes_actions_and_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr("small_models.evaluation.actions.LENGTH", 6)
    path = train("nano", "actions", tmp_path, fast=True, max_steps=2, history="noised(level=0.2)")
    card, toy = json.loads(path.with_suffix(".json").read_text()), small_models.load(path, "cpu")
    assert type(toy) is ActionToy and path.name == "nano-actions.safetensors"
    assert toy.action_embedder.weight.abs().max() > 0
    assert card["base"] == "nano-vta" and card["data"] == "nano, 18 clips" and card["metrics"]["clips"] == 2
    base = small_models.load("nano-vta", "cpu")
    assert all(torch.equal(toy.text.state_dict()[name], weight) for name, weight in base.text.state_dict().items())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"data": "mini"}, "no actions for mini: they are drawn in nano's own world, so leave data out"),
        ({"base": "mini-base"}, "mini-base.safetensors is not a model of nano: give one that --stage vta wrote"),
        ({"lora_rank": 4}, "lora_rank=4 for actions: low-rank updates need a base"),
        ({"causal": 1}, "causal=1 for actions: causal models take none yet"),
        ({"history": "noised", "timestep_sampler": "shared"}, "history='noised' has no effect"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        train("nano", "actions", tmp_path, fast=True, **options)
    assert not list(tmp_path.iterdir())


SHIPPED = "nano-actions"


def test_the_recipe_is_that_of_the_card():
    recipe, card = RECIPES["nano", "actions"], small_models.card(SHIPPED)
    assert asdict(recipe.config) == card["config"]
    assert card["data"] == f"nano, {recipe.clips} clips" and card["metrics"]["clips"] == recipe.measured


@pytest.mark.artefact
def test_the_shipped_model_obeys_and_does_not_by_chance():
    found = measure_actions(small_models.load(SHIPPED, "cpu"), 5, frames=11)
    right, none, opposite = (found[f"{name} actions"]["at once"] for name in ("right", "no", "opposite"))
    assert right["asked"] >= 8
    assert right["low"] > 0.8 and none["high"] < 0.8 and opposite["obeyed"] < 0.3


@pytest.mark.artefact
def test_what_is_said_of_actions_is_what_was_measured():
    page, found = prose("docs/actions.md"), json.loads((ROOT / "benchmarks" / "results" / "actions.json").read_text())

    def share(score):
        return "{:.0f} % ({:.0f} to {:.0f})".format(*(100 * score[name] for name in ("obeyed", "low", "high")))

    one, two, four, long = found["rows"]
    for label, name in (
        ("given the actions", "right actions"),
        ("the same model, given none", "no actions"),
        ("the same model, given the opposite", "opposite actions"),
        ("the renderer", "renderer"),
    ):
        assert f"| {label} | {share(two[name]['at once'])} | {share(two[name]['afterwards'])} |" in page
    score = long["right actions"]
    said = f"{share(score['at once'])} at once and {share(score['afterwards'])} afterwards"
    assert f"streams of {long['frames']} frames it obeys {said}" in page
    rates = [f"{row['frames a second']:.0f}" for row in (one, two, four)]
    assert "makes {} frames a second in one step each, {} in two, and {} in four".format(*rates) in page
    assert min(row["frames a second"] for row in (one, two)) >= 8, "as the videos are played"
    card = small_models.card(SHIPPED)
    assert found["sha256"] == card["sha256"]
    by_history = {row["history"]: row["afterwards"]["obeyed"] for row in found["tried"]}
    assert max(by_history, key=by_history.get) == card["config"]["history"]
