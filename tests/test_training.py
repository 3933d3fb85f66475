"""pytest tests/test_training.py: configuration, the Lightning module, and the two stages in miniature."""

import json

import numpy as np
import pytest
import torch

import small_models
from pusa_lab.data import read_picture
from pusa_lab.losses import fafm_frame_loss
from pusa_lab.media import write_clip
from pusa_lab.training import InMemoryDataset, LatentVideoDataModule, TrainConfig, VTAModule, add_lora, fit, lora_state
from pusa_lab.training.module import NOISE_BINS, by_timestep_and_frame
from small_models.evaluation.goals import compare_with_goals
from small_models.models.lora import merge_update
from small_models.training.data import clips_of, pixel_dataset
from small_models.training.train import RECIPES, VALIDATION_SEED, train

# Lightning's own, about its torch and about a loader that needs no workers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
    pytest.mark.usefixtures("measured_in_two_steps", "small_toys"),
]
SMALL = {**small_models.PRESETS["nano"]}
SMALL["dit"] = {**SMALL["dit"], "num_layers": 1, "num_attention_heads": 1, "ffn_dim": 32}


def dataset(batch, clips, seed=0):
    geometry = small_models.ToyModel(SMALL).geometry
    return pixel_dataset(clips_of("nano", clips, seed, geometry, "cpu"), batch, seed, "cpu")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_steps": 0}, "max_steps=0"),
        ({"global_batch_size": 0}, "global_batch_size=0"),
        ({"ema": 1.0}, "ema=1.0"),
        ({"caption_dropout": -0.1}, "caption_dropout=-0.1"),
        ({"timestep_sampler": "sorted"}, "unknown timestep sampler 'sorted': choose one of shared, independent, mixed"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"shift": 0.0}, "shift=0.0"),
        ({"timestep_sampler": "mixed", "p_async": 2.0}, "p_async=2.0"),
        ({"timestep_sampler": "clean_prefix(k=0)"}, "k=0: give the number of history frames"),
        (
            {"timestep_sampler": "clean_prefix(2)"},
            "the timestep sampler clean_prefix takes its settings by name: write k=2",
        ),
        ({"compile": "foo"}, "compile is 'foo' .a str.: give one of '', 'default'"),
        ({"warmup": -1}, "warmup=-1"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"lora_rank": -1}, "lora_rank=-1"),
        ({"lr_scheduler": "linear"}, "lr_scheduler is 'linear' .a str.: give one of 'cosine', 'constant'"),
        ({"precision": "int8"}, "precision is 'int8' .a str.: give one of 'auto', '32-true', 'bf16-mixed'"),
        ({"validate_every": -5}, "validate_every=-5"),
        ({"weight": "free_frames", "per_sample_weighting": True}, "with per_sample_weighting=True, which counts"),
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
    tau = TrainConfig(timestep_sampler="shared").make_timestep_sampler()(50, 6)
    assert torch.equal(tau, tau[:, :1].expand(50, 6))
    tau = TrainConfig(timestep_sampler="mixed", p_async=0.5, shift=5.0).make_timestep_sampler()(4000, 6)
    assert 0.4 < (tau != tau[:, :1]).any(1).float().mean() < 0.6
    assert tau.median() > 0.75
    tau = TrainConfig(timestep_sampler="clean_prefix(k=2, rest=shared)").make_timestep_sampler()(50, 6)
    assert (tau[:, :2] == 0).all() and (tau[:, 2:] == tau[:, 2:3]).all() and tau[:, 2].unique().numel() > 40
    for toy in ("nano", "mini"):
        tau = RECIPES[toy, "vta"].config.make_timestep_sampler()(400, 8)
        with_known = (tau == 0).any(1)
        assert 0.3 < with_known.float().mean() < 0.6, "half of the clips have known frames, or none and one timestep"
        assert len(tau[~with_known].unique(dim=1)[0]) == 8, "the others have one for every frame"


def test_the_step_is_the_loss_at_the_sampled_timesteps():
    model = small_models.ToyModel(SMALL)
    module = VTAModule(model, TrainConfig(timestep_sampler="independent", caption_dropout=0.0, seed=3))
    batch = next(iter(dataset(6, 10)))
    x0, prompts = batch.x0, batch.captions
    tau, loss = module.frame_loss(batch, 7, 0.0)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed((3 * 1_000_003 + 7) * 4 + 2))
    want = fafm_frame_loss(model, x0, tau, eps, **model.encode_text(prompts))
    torch.testing.assert_close(loss, want)
    again, _ = module.frame_loss(batch, 7, 0.0)
    other, _ = module.frame_loss(batch, 8, 0.0)
    assert torch.equal(tau, again)
    assert not torch.equal(tau, other)


def test_caption_dropout_empties_captions(monkeypatch):
    model = small_models.ToyModel(SMALL)
    module = VTAModule(model, TrainConfig())
    seen = []
    encode = model.encode_text
    monkeypatch.setattr(model, "encode_text", lambda p: seen.extend(p) or encode(p))
    module.frame_loss(next(iter(dataset(64, 64))), 0, 0.5)
    assert 16 < seen.count("") < 48


def test_the_loss_is_told_by_timestep_and_by_frame():
    tau = torch.tensor([[0.0, 0.1, 0.5], [0.99, 1.0, 0.5]])
    loss = torch.tensor([[1.0, 3.0, 5.0], [7.0, 9.0, 11.0]])
    told = by_timestep_and_frame(tau, loss)
    assert told["loss_tau_0.0"] == 2
    assert told["loss_tau_0.4"] == 8
    assert told["loss_tau_0.8"] == 8
    assert told["loss_tau_0.2"].isnan()
    assert [told[f"loss_frame_{i}"].item() for i in range(3)] == [4, 6, 8]
    assert len(told) == NOISE_BINS + 3


def test_fit_lowers_the_loss_and_writes_curves(tmp_path):
    model = small_models.ToyModel(SMALL)
    data, held = dataset(8, 64), dataset(8, 16, seed=1)
    batch = next(iter(data))
    x0, prompts = batch.x0, batch.captions
    tau, eps = torch.rand(8, 8), torch.randn_like(x0)

    def loss():
        with torch.no_grad():
            return fafm_frame_loss(model.to("cpu"), x0, tau, eps, **model.encode_text(prompts)).mean()

    before = loss()
    config = TrainConfig(
        max_steps=72,
        global_batch_size=8,
        warmup=5,
        lr=1e-2,
        ema=0.0,
        timestep_sampler="independent",
        validate_every=24,
    )
    called = []
    report = lambda model, step: called.append(step) or {"first_frame_error": float(step)}  # noqa: E731
    fit(model, LatentVideoDataModule(data, held), config, logs=tmp_path, report=report, accelerator="cpu")
    assert loss() < 0.8 * before
    curves = (tmp_path / "run-0" / "metrics.csv").read_text().splitlines()[0]
    assert {"loss", "val_loss", "loss_tau_0.8", "val_loss_frame_7", "first_frame_error"} <= set(curves.split(","))
    assert called == [24, 48, 72]
    assert any(p.name.startswith("events.out.tfevents") for p in (tmp_path / "run-0").iterdir())


def test_averaged_weights_follow_short_runs_too():
    def trained(steps, ema):
        torch.manual_seed(0)
        model = small_models.ToyModel(SMALL)
        config = TrainConfig(max_steps=steps, global_batch_size=4, warmup=1, lr_scheduler="constant", ema=ema)
        fit(model, LatentVideoDataModule(dataset(4, 32)), config, accelerator="cpu")
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    torch.manual_seed(0)
    start = torch.cat([p.detach().flatten() for p in small_models.ToyModel(SMALL).parameters()])
    assert torch.equal(trained(7, 0.999), trained(7, 0.0))
    ten, twenty, plain = trained(10, 0.0), trained(20, 0.999), trained(20, 0.0)
    assert (ten - start).norm() < (twenty - start).norm() < (plain - start).norm()


def test_batches_depend_on_seed_and_step_alone():
    data = dataset(4, 32)
    first = [batch.captions for batch, _ in zip(data, range(5), strict=False)]
    data.start = lambda: 3
    later = next(iter(data)).captions
    assert later == first[3]
    assert first[0] != first[1]


def test_a_dataset_of_unequal_lengths_is_refused():
    with pytest.raises(ValueError, match="3 videos and 2 captions"):
        InMemoryDataset(torch.zeros(3, 1, 1, 1, 1), ["a", "b"], 1, 0)


def test_low_rank_updates_train_alone_and_merge_to_the_same_model():
    torch.manual_seed(0)
    model, plain = small_models.ToyModel(SMALL), small_models.ToyModel(SMALL)
    torch.nn.init.normal_(model.dit.proj_out.weight)
    plain.load_state_dict(model.state_dict())
    batch = next(iter(dataset(4, 8)))
    x0, prompts = batch.x0, batch.captions
    tau = torch.rand(4, 8)
    before = model(x0, tau, **model.encode_text(prompts))
    model.text.requires_grad_(False)
    add_lora(model.dit, 4)
    torch.testing.assert_close(model(x0, tau, **model.encode_text(prompts)), before)
    data = LatentVideoDataModule(dataset(4, 8))
    fit(model, data, TrainConfig(max_steps=5, global_batch_size=4, warmup=1, lr=1e-2, ema=0.0), accelerator="cpu")
    update = lora_state(model)
    assert all(name.endswith(("lora_A.weight", "lora_B.weight")) for name in update)
    after = model(x0, tau, **model.encode_text(prompts))
    assert not torch.allclose(after, before, atol=1e-3)
    merge_update(plain, update)
    torch.testing.assert_close(plain(x0, tau, **plain.encode_text(prompts)), after, atol=1e-4, rtol=1e-4)


def test_an_update_that_fits_nowhere_is_refused():
    model = small_models.ToyModel(SMALL)
    with pytest.raises(ValueError, match="fits no layer"):
        merge_update(
            model, {"dit.nowhere.lora_A.weight": torch.ones(1, 2), "dit.nowhere.lora_B.weight": torch.ones(2, 1)}
        )


def test_both_stages_run_and_leave_cards(tmp_path):
    base = train("nano", "base", tmp_path, fast=True, max_steps=4, command="pusa-lab train test")
    vta = train("nano", "vta", tmp_path, fast=True, max_steps=4, command="pusa-lab train test")
    card = json.loads(vta.with_suffix(".json").read_text())
    assert {"nano-vta", "base_with_untrained_timestep_vectors", "copy_of_frame_0", "truth"} <= set(card["metrics"])
    assert card["config"]["timestep_sampler"] == RECIPES["nano", "vta"].config.timestep_sampler
    assert card["base"] == "nano-base"
    assert not {"base", "codec"} & set(json.loads(base.with_suffix(".json").read_text()))
    assert card["metrics"]["goals"] == compare_with_goals(card["metrics"], "nano-vta")
    a, b = (small_models.load(p, device="cpu").state_dict() for p in (base, vta))
    assert any(not torch.equal(a[k], b[k]) for k in a)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".json", ".safetensors", ".safetensors"]


def test_a_run_with_logs_leaves_curves_sheets_and_a_checkpoint_to_go_on_from(tmp_path):
    logs = tmp_path / "logs"
    options = {"fast": True, "validate_every": 2, "save_every": 3, "ema": 0.0}
    first = train("nano", "base", tmp_path / "a", max_steps=4, logs=logs, **options)
    curves = (logs / "run-0" / "metrics.csv").read_text().splitlines()
    assert {"val_loss", "first_frame_error", "next_frame_error"} <= set(curves[0].split(","))
    assert [p.name for p in sorted(logs.glob("*.png"))] == ["sheet-000002.png", "sheet-000004.png"]
    assert read_picture(logs / "sheet-000002.png").shape == (8 * 18, 8 * 18, 3)
    again = train("nano", "base", tmp_path / "b", max_steps=4, logs=logs, resume=logs / "last.ckpt", **options)
    assert first.read_bytes() == again.read_bytes()
    assert (logs / "run-1").is_dir()
    nowhere = {"logs": logs, "resume": tmp_path / "nowhere.ckpt", **options}
    with pytest.raises(ValueError, match=r"no checkpoint .*nowhere.ckpt to resume from"):
        train("nano", "base", tmp_path / "c", max_steps=4, **nowhere)
    with pytest.raises(ValueError, match="save_every=3, but no folder was given"):
        train("nano", "base", tmp_path / "c", max_steps=4, **options)


def test_a_folder_of_videos_trains_by_the_same_command(tmp_path):
    video = np.random.default_rng(0).integers(0, 255, (24, 16, 16, 3), dtype=np.uint8)
    write_clip(tmp_path / "walk.mp4", video, fps=8)
    (tmp_path / "walk.txt").write_text("Somebody walks")
    path = train("nano", "base", tmp_path / "out", fast=True, max_steps=2, data=str(tmp_path))
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["data"] == f"{tmp_path}, 3 clips"
    assert about["metrics"]["how"].startswith("not measured")
    small_models.load(path).encode_text(["somebody walks, a red circle moves"])
    with pytest.raises(ValueError, match="unknown words in 'Somebody walks': somebody, walks"):
        train("nano", "vta", tmp_path / "out2", fast=True, max_steps=2, data=str(tmp_path))


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first, again = (train("nano", "base", tmp_path / n, fast=True, max_steps=3, ema=0.0) for n in "ab")
    assert first.read_bytes() == again.read_bytes()


def test_only_validation_draws_held_out_clips_and_changes_nothing(tmp_path, monkeypatch):
    seeds = []
    monkeypatch.setattr("small_models.training.train.clips_of", lambda *args: seeds.append(args[2]) or clips_of(*args))
    plain = train("nano", "base", tmp_path / "a", fast=True, max_steps=3)
    assert seeds == [0]
    watched = train("nano", "base", tmp_path / "b", fast=True, max_steps=3, validate_every=2)
    assert seeds == [0, 0, VALIDATION_SEED]
    assert plain.read_bytes() == watched.read_bytes()


def test_a_diverged_run_keeps_the_old_checkpoint(tmp_path):
    path = train("nano", "base", tmp_path, fast=True, max_steps=2)
    old = path.read_bytes()
    with pytest.raises(ValueError, match="training diverged"):
        train("nano", "base", tmp_path, fast=True, max_steps=3, lr=1e30, warmup=0, ema=0.0)
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 2


def test_the_precision_of_products_is_left_as_it_was():
    before = torch.get_float32_matmul_precision()
    fit(
        small_models.ToyModel(SMALL),
        dataset(2, 4),
        TrainConfig(max_steps=1, global_batch_size=2, warmup=0),
        accelerator="cpu",
    )
    assert torch.get_float32_matmul_precision() == before


def test_unknown_names_and_a_missing_base_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no stage giga-base: there are nano-base, nano-vta, nano-actions, mini-codec"):
        train("giga", "base", tmp_path)
    with pytest.raises(ValueError, match="no base 'nothing', which is not an existing file: choose one of"):
        train("nano", "vta", tmp_path, base="nothing")
    with pytest.raises(ValueError, match="no data 'clips': give a folder of clips, or one of nano, mini, digits"):
        train("nano", "base", tmp_path, data="clips")
    assert not any(tmp_path.iterdir())


def test_a_toy_is_trained_with_a_mask_and_its_own_past_and_keeps_its_own_weights(tmp_path):
    asked = {"causal": 2, "history": "resampled(steps=1)", "timestep_sampler": "per_block(block=2)"}
    path = train("nano", "vta", tmp_path, fast=True, max_steps=2, **asked)
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["config"].items() >= asked.items() and card["metrics"]["how"].startswith("not measured")
    base, found = small_models.load("nano-base").state_dict(), small_models.load(path).state_dict()
    assert found.keys() == base.keys() and any(not torch.equal(found[name], base[name]) for name in base)
