"""pytest tests/test_experiments.py: results are resumed or refused, adaptations are put together rightly."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

from pusa_lab import training
from pusa_lab.conditions import place
from pusa_lab.evaluation import known_frames
from pusa_lab.losses import fafm_frame_loss
from pusa_lab.pixels import to_uint8
from pusa_lab.schedules.sigmas import shift_levels
from small_models.experiments import (
    SMALL,
    TABLES,
    Adaptation,
    Lab,
    Table,
    ToyTrainer,
    measure_part,
    read_results,
    run_table,
)
from small_models.experiments import adapt as adapting
from small_models.experiments import lab as measuring
from small_models.experiments.recipe_table import specialists
from small_models.experiments.sampling_tables import places
from small_models.experiments.training_tables import exactness, ratios
from small_models.world import positions, render

TINY = replace(
    SMALL,
    **{"prompts": 2, "swept": 2, "clips": 16, "batch": 2, "budgets": (1e-6, 2e-6), "marks": (1e-6, 2e-6)},
    **{"brief": 1e-6, "shorter": 1e-6, "ranks": (2, 4), "strengths": (1.0,), "steps": (1,), "noises": (0.2,)},
    **{"lengths": (1,), "shifts": (1.0,), "guidance": 1.0},
)
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*does not have many workers.*"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return Lab(TINY, tmp_path_factory.mktemp("work"), "cpu")


@pytest.fixture(scope="module")
def trainer(lab):
    return ToyTrainer(lab)


class Bench:
    """A table of two rows, and what was measured of it."""

    def __init__(self, out, monkeypatch):
        self.out, self.lab, self.measured, self.fails = out, Lab(TINY, out, "cpu"), [], {}
        self.checkpoints = {"a": "1"}
        monkeypatch.setattr(Lab, "checkpoints", lambda lab: self.checkpoints)
        monkeypatch.setattr(Lab, "scale", {"motion": (0.0, math.inf)})
        monkeypatch.setitem(TABLES, "rows", Table("t", self.rows, (), lambda lab, rows: {"more": len(rows)}))

    def rows(self, lab, trainer):
        for steps in (1, 2):
            yield {"steps": steps, "at": (0, 1)}, partial(self.measure, steps)

    def measure(self, steps):
        if steps in self.fails:
            raise self.fails[steps]
        self.measured.append(steps)
        return {"scores": {"psnr": [steps + 0.5, torch.nan, 2.0]}}

    def run(self, lab=None):
        lab = lab or self.lab
        return run_table("rows", lab, ToyTrainer(lab), self.out, "c")

    def ahead(self, part):
        measure_part("rows", self.lab, ToyTrainer(self.lab), self.out, part, 2)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


def test_rows_are_measured_once_and_survive_a_kill(bench):
    bench.fails = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert not (bench.out / "rows.json").exists()
    bench.fails = {}
    found = bench.run()
    assert bench.measured == [1, 2]
    assert [row["key"] for row in found["rows"]] == [{"steps": steps, "at": [0, 1]} for steps in (1, 2)]
    assert found["rows"][0]["scores"] == {"psnr": [1.5, None, 2.0]}
    assert found["more"] == 2 and found["scale"] == {"motion": [0.0, None]}
    assert {"device", "versions", "date", "code", "sizes", "command"} <= set(found)
    assert [path.name for path in bench.out.iterdir()] == ["rows.json"], "the rows are in the file by now"


def test_a_row_that_fails_is_named_and_the_others_are_kept(bench):
    bench.fails = {1: RuntimeError("out of memory")}
    with pytest.raises(
        ValueError, match=r"1 row of 2 failed, the first is .'steps': 1.* with RuntimeError: out of mem"
    ):
        bench.run()
    assert bench.measured == [2] and not (bench.out / "rows.json").exists()
    bench.fails = {}
    assert len(bench.run()["rows"]) == 2
    assert bench.measured == [2, 1]


def test_a_finished_table_of_another_run_is_not_written_over(bench):
    bench.run()
    before = (bench.out / "rows.json").read_text()
    assert bench.run() == read_results(bench.out / "rows.json")
    assert bench.measured == [1, 2], "the same run finds everything measured"
    bench.checkpoints = {"a": "2"}
    with pytest.raises(ValueError, match=r"rows.json were made with other checkpoints .a.: give another --out, or del"):
        bench.run()
    assert (bench.out / "rows.json").read_text() == before


def test_a_part_measures_its_rows_and_no_row_of_a_finished_table(bench):
    bench.ahead(1)
    assert bench.measured == [2]
    found = bench.run()
    assert bench.measured == [2, 1] and [row["key"]["steps"] for row in found["rows"]] == [1, 2]
    bench.ahead(0)
    assert bench.measured == [2, 1] and [path.name for path in bench.out.iterdir()] == ["rows.json"]
    bench.checkpoints = {"a": "2"}
    with pytest.raises(ValueError, match=r"rows.json were made with other checkpoints"):
        bench.ahead(0)


def test_a_part_ends_when_the_table_is_finished_meanwhile(bench, monkeypatch):
    whole = TABLES["rows"]

    def rows(lab, trainer):
        monkeypatch.setitem(TABLES, "rows", whole)
        bench.run()
        yield from bench.rows(lab, trainer)

    monkeypatch.setitem(TABLES, "rows", Table("t", rows, ()))
    bench.ahead(1)
    assert bench.measured == [1, 2], "each row once"
    assert [path.name for path in bench.out.iterdir()] == ["rows.json"]


@pytest.mark.parametrize("what", ["checkpoints", "sizes", "code", "device"])
def test_rows_of_another_run_are_never_mixed_in(bench, monkeypatch, what):
    bench.fails = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    lab = Lab(replace(TINY, seeds=3), bench.out, "cpu") if what == "sizes" else bench.lab
    if what == "checkpoints":
        bench.checkpoints = {"a": "2"}
    if what == "code":
        monkeypatch.setattr(measuring, "package_code", lambda name: "other")
    if what == "device":
        monkeypatch.setattr(measuring, "device_name", lambda device: "a GPU")
    with pytest.raises(ValueError, match=rf"rows.rows were made with (an)?other {what} .*: give another --out"):
        bench.run(lab)
    assert len(list((bench.out / "rows.rows" / "rows").glob("*.json"))) == 1


def test_tables_and_weights_are_known_by_the_code_of_both_packages():
    code = measuring.made_with("cpu")["code"]
    assert list(code) == ["pusa_lab", "small_models"] and all(len(digest) == 16 for digest in code.values())


def test_what_is_no_results_file_is_refused(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(ValueError, match="holds no results"):
        read_results(path)
    for text in ("{", "[]", '{"rows": []}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="is not a file of results") as refused:
            read_results(path)
        assert str(refused.value).count("x.json") == 1, "one sentence"
    path.write_text(json.dumps({"format": 99, "rows": [], "table": "x", "title": "t"}))
    with pytest.raises(ValueError, match="has format 99, this version reads 1"):
        read_results(path)


def test_known_frames_are_cut_out_in_runs(lab, nano_base):
    truth = to_uint8(render(lab.scenes(3)))
    known = known_frames(truth, [0, 1, 4, 7], nano_base.geometry, noise=[0.1, 0.2, 0.3, 0.4])
    assert [k.at for k in known] == [0, 4, 7]
    assert [k.noise for k in known] == [[0.1, 0.2], [0.3], [0.4]]
    found = place(replace_task(known), nano_base.geometry, 8, 3)
    assert found.at == [0, 1, 4, 7]
    assert (to_uint8(found.clips[1])[:, 0] == truth[:, 4]).all()


def replace_task(known):
    from pusa_lab.tasks import Task

    return Task("known", known)


@pytest.mark.parametrize("frames", [8, 9, 21])
def test_tasks_leave_something_to_make(frames):
    for known in places(frames).values():
        assert known == sorted(set(known))
        assert 0 < len(known) < frames
        assert max(known) < frames


def test_scenes_for_long_videos_stay_in_the_picture():
    lab = Lab(replace(TINY, preset="mini"), Path("unused"), "cpu")
    scenes = lab.scenes(20, staying=True)
    assert len(scenes) == 20
    where = positions(scenes, 200)[scenes.present[:, None].expand(-1, 200, -1)]
    assert where.min() > 0.05
    assert where.max() < 0.95


@pytest.mark.parametrize(
    "adaptation", [Adaptation(), Adaptation(rank=4), Adaptation("i2v", timestep_sampler="shared")], ids=str
)
def test_adaptations_are_stops_on_one_run(lab, trainer, adaptation, monkeypatch):
    first, second = trainer.updates(adaptation, TINY.budgets)
    base = {k: v.clone() for k, v in lab.model("base").state_dict().items()}
    monkeypatch.setattr(training, "run", None)  # from here on nothing is trained
    assert trainer.updates(adaptation, TINY.budgets[:1])[0].keys() == first.keys()

    def weights(update, strength=1.0):  # the model is one object, so its weights are copied
        return {k: v.clone() for k, v in trainer.model(adaptation, update, strength).state_dict().items()}

    far, near, zero, double = weights(second), weights(first), weights(second, 0.0), weights(second, 2.0)
    shared = [k for k in base if k in far and base[k].shape == far[k].shape and "add_" not in k and "image" not in k]
    moved = [k for k in shared if not torch.equal(far[k], base[k])]
    assert moved
    assert any(not torch.equal(far[k], near[k]) for k in moved)
    for name in moved:
        if "patch_embedding" not in name:
            torch.testing.assert_close(zero[name], base[name])
            torch.testing.assert_close(double[name] - base[name], 2 * (far[name] - base[name]), atol=1e-6, rtol=1e-3)


def test_what_was_kept_is_what_was_trained(lab, trainer, monkeypatch):
    """The weights that a run hands out at its last mark are those it ends with, averaged."""
    seen = {}

    def run(module, data, marks, keep):
        real(module, data, marks=marks, keep=keep)
        seen.update({k: v.detach().clone() for k, v in module.model.state_dict().items()})

    real = training.run
    monkeypatch.setattr(training, "run", run)
    adaptation = Adaptation(shift=3.0)
    (update,) = trainer.updates(adaptation, [2e-6])
    made = trainer.model(adaptation, update).state_dict()
    for name, value in seen.items():
        torch.testing.assert_close(made[name], value, atol=2e-6, rtol=1e-3)  # kept in half precision


def test_weights_are_found_again_only_by_the_same_run(lab, monkeypatch):
    first = ToyTrainer(lab).folder(Adaptation())
    assert ToyTrainer(lab).folder(Adaptation()) == first
    other = Lab(replace(TINY, seed=7), lab.work, "cpu")
    assert ToyTrainer(other).folder(Adaptation()) != first
    assert ToyTrainer(lab).folder(Adaptation(weight="free_frames")) != first
    monkeypatch.setattr(measuring, "package_code", lambda name: "other")
    assert ToyTrainer(lab).folder(Adaptation()) != first


def test_marks_do_not_change_the_run(lab, trainer):
    """The same weights at step 5 whether others were asked for on the way or not."""
    from pusa_lab.training import LatentVideoDataModule, TrainConfig, VTAModule

    def train(marks):
        kept = {}
        torch.manual_seed(0)
        model = trainer._trainable(Adaptation())
        module = VTAModule(
            model, TrainConfig(max_steps=5, global_batch_size=2, warmup=0, timestep_sampler="independent", ema=0.9)
        )
        keep = {"keep": lambda step, averaged: kept.update({step: averaged.dit.proj_out.weight.detach().clone()})}
        training.run(module, LatentVideoDataModule(trainer._data(Adaptation())), marks=marks, **keep)
        return kept, model.dit.proj_out.weight.detach()

    alone, end = train([5])
    often, same = train([1, 3, 5])
    assert torch.equal(alone[5], end)
    assert torch.equal(end, same)
    assert torch.equal(often[5], alone[5])
    assert not torch.equal(often[1], often[3])
    with pytest.raises(ValueError, match="mark 6 in a run of 5 steps"):
        train([6])


def test_a_specialist_leaves_its_known_frames_out_of_the_loss(lab):
    for adaptation in specialists(lab.geometry.frames, 0).values():
        config = adaptation.config(1, 2, "cpu")
        tau = config.make_timestep_sampler()(3, lab.geometry.frames, torch.Generator().manual_seed(0))
        weight = config.make_weight()(tau)
        assert adaptation.clean
        assert (weight[:, list(adaptation.clean)] == 0).all()
        assert weight.mean().item() == pytest.approx(1)


def test_a_loss_of_its_own_is_an_argument_of_the_module(nano_base):
    def doubled(*given, **cond):
        return 2 * fafm_frame_loss(*given, **cond)

    module = training.VTAModule(nano_base, training.TrainConfig(), loss=doubled)
    x0, eps, tau = *torch.randn(2, 1, 3, 8, 16, 16), torch.tensor([[0.0, *[0.5] * 7]])
    cond = nano_base.encode_text(["a red circle"])
    want = 2 * fafm_frame_loss(nano_base, x0, tau, eps, **cond)
    torch.testing.assert_close(module.loss(nano_base, x0, tau, eps, **cond), want)
    assert "loss" in module.about, "so that no run is resumed with another"
    assert not training.VTAModule(nano_base, training.TrainConfig()).about


def test_specialists_see_their_frames_clean():
    tau = adapting.keep_frames_clean((0, 3))(64, 5, torch.Generator().manual_seed(0))
    assert (tau[:, [0, 3]] == 0).all()
    assert (tau[:, 1:2] == tau[:, [1, 2, 4]]).all()
    assert tau[:, 1].std() > 0.2
    sample = Adaptation(clean=(0, 3), shift=5.0).config(1, 2, "cpu").make_timestep_sampler()
    assert torch.equal(sample(64, 5, torch.Generator().manual_seed(0)), shift_levels(tau, 5.0))


def test_before_training_equal_timestep_are_diffusers_one_timestep(lab):
    found = exactness(lab)
    assert found["largest difference"]["timestep per frame"] < 1e-5 * found["of outputs up to"] + 1e-4
    assert found["largest difference"]["Wan's way"] == 0


def curve(way, shares, scores):
    noise = torch.linspace(-1, 1, 8)
    rows = zip(shares, scores, strict=True)
    return [{"key": {"way": way, "share": s}, "by_prompt": {"psnr": (x + noise).tolist()}} for s, x in rows]


def test_the_cost_ratio_is_read_off_the_other_curve():
    shares = [0.01, 0.1, 1.0]
    rows = curve("VTA, all weights", shares, [20.0, 25.0, 40.0])
    rows += curve("Wan's way, all weights", shares, [10.0, 20.0, 30.0])
    cheap, half, beyond = ratios(rows)
    assert cheap["ratio"] == pytest.approx([10, 10, 10], rel=1e-4)  # 20 dB at 0.01, theirs at 0.1
    assert half["ratio"][0] == pytest.approx(10**0.5 * 0.1 / 0.1, rel=1e-4)  # 25 dB half-way in log(budget)
    assert (beyond["ratio"][0], beyond["bound"]) == (pytest.approx(1), "at least")
    worse = ratios(curve("VTA, all weights", shares, [5.0, 12.0, 15.0]) + rows[3:])
    assert worse[0]["bound"] == "at most"
    assert ratios(rows[:3]) == []


def test_a_whole_table_in_miniature(tmp_path, small_nano):
    lab = Lab(TINY, tmp_path / "work", "cpu")
    lab.models["vta"], trainer = small_nano, ToyTrainer(lab)
    found = run_table("noise", lab, trainer, tmp_path, "pusa-lab bench paper --table noise")
    assert found == read_results(tmp_path / "noise.json")
    for row in found["rows"]:
        mean, low, high = row["scores"]["psnr"]
        assert low <= mean <= high
        assert mean == pytest.approx(sum(row["by_prompt"]["psnr"]) / TINY.swept, abs=1e-3)
        assert len(row["scores"]["psnr_frame"]) == 8
        assert row["clips"] == TINY.swept * TINY.seeds
    modes = {row["key"]["mode"] for row in found["rows"]}
    assert modes == {"denoise", "hold", "replacement", "label"}
    with pytest.raises(ValueError, match="no table 'steeps'"):
        run_table("steeps", lab, trainer, tmp_path, "")


def test_sizes_out_of_range_are_refused():
    for wrong in ({"prompts": 0}, {"swept": 1}, {"budgets": (0.0,)}, {"batch": 0}):
        with pytest.raises((ValueError, TypeCheckError), match=next(iter(wrong))):
            replace(SMALL, **wrong)
