"""pytest tests/test_training.py: configuration, the Lightning module, and the two stages in miniature."""

import json

import pytest
import torch

import small_models
from pusa_lab.losses import fafm_frame_loss
from pusa_lab.training import TrainConfig, VTAModule, fit
from small_models.train import STAGES, WorldClips, train

# Lightning's own, about its torch and about a loader that needs no workers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
]
SMALL = {**small_models.PRESETS["nano"]}
SMALL["dit"] = {**SMALL["dit"], "num_layers": 1, "num_attention_heads": 1, "ffn_dim": 32}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": 0}, "steps=0"),
        ({"batch": 0}, "batch=0"),
        ({"ema": 1.0}, "ema=1.0"),
        ({"caption_dropout": -0.1}, "caption_dropout=-0.1"),
        ({"draw": "sorted"}, "unknown draw 'sorted': choose one of shared, independent, mixed"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"shift": 0.0}, "shift=0.0"),
        ({"draw": "mixed", "p_async": 2.0}, "p_async=2.0"),
        ({"compile": "foo"}, "compile='foo': choose one of"),
        ({"warmup": -1}, "warmup=-1"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
    ],
)
def test_a_bad_configuration_is_refused_at_once(change, says):
    with pytest.raises(ValueError, match=says):
        TrainConfig(**change)


def test_every_field_has_a_sentence():
    import ast
    import inspect

    body = ast.parse(inspect.getsource(TrainConfig)).body[0].body
    fields = [i for i, node in enumerate(body) if isinstance(node, ast.AnnAssign)]
    assert len(fields) > 10
    for i in fields:
        assert isinstance(body[i + 1], ast.Expr), body[i].target.id


def test_the_configured_draw_is_the_one_trained_with():
    tau = TrainConfig(draw="shared").make_draw()(50, 6)
    assert torch.equal(tau, tau[:, :1].expand(50, 6))
    tau = TrainConfig(draw="mixed", p_async=0.5, shift=5.0).make_draw()(4000, 6)
    assert 0.4 < (tau != tau[:, :1]).any(1).float().mean() < 0.6
    assert tau.median() > 0.75
    assert STAGES["vta"].draw == "independent"


def test_the_step_is_the_loss_at_the_drawn_clocks(monkeypatch):
    model = small_models.ToyModel(SMALL)
    module = VTAModule(model, TrainConfig(draw="independent", caption_dropout=0.0))
    monkeypatch.setattr(module, "log", lambda *_: None)
    x0, prompts = next(iter(WorldClips(6, 8, 16, seed=0, scenes=10)))
    torch.manual_seed(5)
    loss = module.training_step((x0, prompts), 0)
    torch.manual_seed(5)
    torch.rand(6)
    tau, eps = module.draw(6, 8), torch.randn_like(x0)
    want = fafm_frame_loss(model, x0, tau, eps, **model.encode_text(prompts)).mean()
    torch.testing.assert_close(loss, want)


def test_caption_dropout_empties_captions(monkeypatch):
    model = small_models.ToyModel(SMALL)
    module = VTAModule(model, TrainConfig(caption_dropout=0.5))
    monkeypatch.setattr(module, "log", lambda *_: None)
    seen = []
    encode = model.encode_text
    monkeypatch.setattr(model, "encode_text", lambda p: seen.extend(p) or encode(p))
    module.training_step(next(iter(WorldClips(64, 8, 16, seed=0, scenes=64))), 0)
    assert 16 < seen.count("") < 48


def test_fit_lowers_the_loss_and_writes_it(tmp_path):
    model = small_models.ToyModel(SMALL)
    data = WorldClips(16, 8, 16, seed=0, scenes=64)
    x0, prompts = next(iter(data))
    tau, eps = torch.rand(16, 8), torch.randn_like(x0)

    def loss():
        with torch.no_grad():
            return fafm_frame_loss(model.to("cpu"), x0, tau, eps, **model.encode_text(prompts)).mean()

    before = loss()
    config = TrainConfig(steps=60, batch=16, warmup=5, lr=3e-3, ema=0.0, draw="independent")
    fit(model, torch.utils.data.DataLoader(data, batch_size=None), config, logs=tmp_path, accelerator="cpu")
    assert loss() < 0.8 * before
    assert "loss" in (tmp_path / "metrics.csv").read_text().splitlines()[0]


def test_both_stages_run_and_leave_cards(tmp_path):
    base = train("nano", "base", tmp_path, fast=True, steps=4, command="pusa-lab train test")
    vta = train("nano", "vta", tmp_path, fast=True, steps=4, command="pusa-lab train test")
    card = json.loads(vta.with_suffix(".json").read_text())
    assert {"nano-vta", "base_with_untrained_vector_clocks", "copy_of_frame_0", "truth"} <= set(card["metrics"])
    assert card["config"]["draw"] == "independent"
    a, b = (small_models.load(p, device="cpu").state_dict() for p in (base, vta))
    assert any(not torch.equal(a[k], b[k]) for k in a)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".json", ".safetensors", ".safetensors"]


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first, again = (train("nano", "base", tmp_path / n, fast=True, steps=3, ema=0.0) for n in "ab")
    assert first.read_bytes() == again.read_bytes()


def test_a_diverged_run_keeps_the_old_checkpoint(tmp_path):
    path = train("nano", "base", tmp_path, fast=True, steps=2)
    old = path.read_bytes()
    with pytest.raises(ValueError, match="training diverged"):
        train("nano", "base", tmp_path, fast=True, steps=3, lr=1e30, warmup=0, ema=0.0)
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 2


def test_the_precision_of_products_is_left_as_it_was():
    before = torch.get_float32_matmul_precision()
    fit(small_models.ToyModel(SMALL), WorldClips(2, 8, 16, 0, 4), TrainConfig(steps=1, batch=2), accelerator="cpu")
    assert torch.get_float32_matmul_precision() == before


def test_unknown_names_and_a_missing_base_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no stage giga-base: models are nano, stages base, vta"):
        train("giga", "base", tmp_path)
    with pytest.raises(ValueError, match=r"no model .*nano-base"):
        train("nano", "vta", tmp_path)
    assert not any(tmp_path.iterdir())
