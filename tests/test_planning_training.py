"""pytest tests/test_planning_training.py: plans of training, by both commands, and where memory runs out."""

import json
import math
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from pages import prose
from torch.utils.flop_counter import FlopCounterMode
from wan_tiny import TEXT, transformer

from pusa_lab.cli import main
from pusa_lab.cli.train import SAVED
from pusa_lab.planning import plan
from pusa_lab.planning.measured import MEASURED
from pusa_lab.planning.recipe import find_model, out_of_memory, run_arguments
from pusa_lab.planning.settings import SIZES, TRAINING
from pusa_lab.planning.tables import GPUS, find_gpu
from pusa_lab.training.recipes import WAN_RECIPES
from pusa_lab.wan.configs import WAN_CONFIGS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import wan_train_join  # noqa: E402

sys.path.remove(str(BENCHMARKS))

TRIAL = {"480p": (14.7, 80.9), "720p": (55.9, 115.4)}
"""Seconds and GiB of one clip on one H200, eager, random weights: the order of magnitude that issue 9 tells of."""
SAVING = {"compiled": True, "ac_save_attention": 40, "offload_activations": True}
SMALL = {"workload": "lora", "optimizer": "adamw8bit", **SAVING}
"""What lets an H100 train at 720 x 1280."""


def printed(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err.split(": ", 1)[-1]


def flags(way):
    return [word for key, value in way.items() for word in (f"--{key.replace('_', '-')}", value) if word is not True]


@pytest.mark.parametrize("way", [{}, SAVING], ids=["bare", "saving"])
@pytest.mark.parametrize("gpu", GPUS)
@pytest.mark.parametrize("size", SIZES)
def test_both_commands_print_the_same(size, gpu, way, capsys):
    where = ["--size", size, "--gpu", gpu, *flags(way)]
    one = printed(capsys, "plan", "--workload", "lora", *where)
    assert one == printed(capsys, "train", "--recipe", "paper", "--plan-only", *where)
    assert one[0] == 0 and "for 7,200 samples" in one[1]


@pytest.mark.parametrize(
    ("planned", "trained"),
    [
        (["--lora-rank", 64, "--max-steps", 20], ["--lora-rank", 64, "--max-steps", 20]),
        (["--gpus", 4], ["--gpus", 4]),
        (
            ["--optimizer", "adamw8bit", "--global-batch-size", 4],
            ["--optimizer", "adamw8bit", "--global-batch-size", 4],
        ),
        (["--compiled", "--ac-skip-blocks", 10], ["--compiled", "--ac-skip-blocks", 10, "--recipe", "released"]),
        (["--gpus", 8, "--price", 4], ["--gpus", 8, "--price", 4]),
        (["--micro-batch-size", 4, "--gpus", 2], ["--gpus", 2, "--micro-batch-size", 0]),
        (["--float8", "--compiled"], ["--float8", "--compiled"]),
        (["--model", "wan2.2-a14b", "--size", "480x832"], ["--model", "wan2.2-a14b", "--size", "480x832"]),
        (["--model", "wan2.2-a14b", "--experts", 1], ["--model", "wan2.2-a14b", "--expert", "high"]),
        (["--workload", "full", "--gpus", 4], ["--lora-rank", 0, "--gpus", 4]),
        (["--price", -1], ["--price", -1]),
        (["--size", "8k"], ["--size", "8k"]),
        (["--gpu", "abacus"], ["--gpu", "abacus"]),
        (["--ac-save-attention", 41], ["--ac-save-attention", 41]),
    ],
    ids=str,
)
def test_both_commands_agree_on_every_option(planned, trained, capsys):
    workload = [] if "--workload" in planned else ["--workload", "lora"]
    recipe = [] if "--recipe" in trained else ["--recipe", "paper"]
    one = printed(capsys, "plan", *workload, *planned)
    assert one == printed(capsys, "train", *recipe, "--plan-only", *trained)
    assert any(one[1:]), "something is said"


def test_no_gpus_are_refused_in_each_commands_options(capsys):
    for gpus in (0, -1):
        for command in (["plan"], ["train", "--recipe", "paper", "--plan-only"]):
            code, _, error = printed(capsys, *command, "--gpus", gpus)
            assert (code, error) == (2, f"--gpus {gpus}: give a whole number of at least 1.\n")


def test_the_defaults_are_the_papers_recipe():
    paper = WAN_RECIPES["paper"]
    assert run_arguments(paper) | dict.fromkeys(SAVED) == {
        **{"workload": "lora", "lora_rank": 512, "gpus": 1},
        **{name: TRAINING[name] for name in ("max_steps", "global_batch_size", "micro_batch_size", "optimizer")},
        **dict.fromkeys(SAVED),
    }
    assert plan(**run_arguments(paper)) == plan(workload="lora")
    assert plan(workload="lora").samples == paper.max_steps * paper.global_batch_size == 7200


def test_an_h100_holds_the_papers_size_and_an_h200_takes_83_hours():
    bare = plan(workload="lora", size="720p", gpu="h100")
    assert not bare.fits and round(bare.peak, 1) == 117.4
    small = plan(gpu="h100", **SMALL)
    assert small.fits and small.sources["sample"] == small.sources["total"] == "measured"
    assert "a peak of 74.46 GiB measured on 1 x h100 at 720 x 1280, 1 clip a step" in str(small)
    assert bare.advice[0].changes == {key: value for key, value in SMALL.items() if key != "workload"}
    one = plan(gpu="h100", global_batch_size=1, **SMALL)
    assert (round(one.peak, 1), one.sources["peak"]) == (74.5, "measured")
    assert one.peak < small.peak < one.peak + one.memory["LoRA"] / 40 + 1e-6, "a block's gradients more"
    large = plan(workload="lora", gpu="h200", compiled=True, ac_save_attention=40, optimizer="adamw8bit")
    assert round(large.seconds["total"] / 3600) == 83 and large.sources["total"] == "measured"


def test_a_trial_is_near_the_plan():
    """Its rows are not published; the arithmetic leans on forwards alone."""
    for size, (seconds, peak) in TRIAL.items():
        planned = plan(size=size, workload="lora", global_batch_size=1)
        assert planned.sources["sample"] == planned.sources["peak"] == "arithmetic"
        assert planned.seconds["sample"] == pytest.approx(seconds, rel=0.15)
        assert planned.peak == pytest.approx(peak, rel=0.15)


def test_parts_of_a_model_are_near_the_plan():
    """Four of 40 blocks, measured eager and compiled, seconds times ten."""
    for row in json.loads((BENCHMARKS / "results" / "wan_train.json").read_text())["parts"]:
        if row["attention"] == "cudnn" and not row["compile"]:
            continue  # not what `pusa-lab train` does
        saved = {"ac_save_attention": 40} if "attention" in row["checkpointing"] else {}
        how = {"compiled": row["compile"], "float8": row["precision"] == "float8", **saved}
        planned = plan(workload="lora", size=tuple(row["size"]), gpu=find_gpu(row["device"]), **how)
        assert planned.seconds["sample"] == pytest.approx(row["seconds_per_sample"], rel=0.07), row["variant"]


def test_several_gpus_are_not_measured():
    assert plan(gpu="h100", **SMALL).sources["total"] == "measured"
    found = plan(gpu="h100", gpus=8, **SMALL)
    assert found.sources["sample"] == "measured"
    assert found.sources["total"] == found.sources["step"] == found.sources["peak"] == "arithmetic"
    assert found.seconds["step"] == found.seconds["sample"]


def test_a_backward_is_two_forwards():
    """Counted by PyTorch on a tiny Wan whose every weight is trained, attention written out."""
    model = transformer(num_layers=2).train()
    x, text = torch.randn(1, 4, 3, 4, 8), torch.randn(1, 5, TEXT)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        with FlopCounterMode(display=False) as forward, torch.no_grad():
            model(x, torch.tensor([500.0]), text)
        with FlopCounterMode(display=False) as both:
            model(x.requires_grad_(), torch.tensor([500.0]), text)[0].sum().backward()
    assert both.get_total_flops() / forward.get_total_flops() == pytest.approx(3, rel=0.02)


def test_the_shipped_rows_are_whole_trainings_and_the_page_says_what_they_say():
    path = Path(__file__).parents[1] / "benchmarks" / "results" / "wan_train.json"
    told = prose("docs/training_wan.md")
    found = json.loads(path.read_text())
    assert {row["layers"] for row in found["rows"]} == {40}
    assert all(row["layers"] < 40 for row in found["parts"])
    page, rows = (path.parents[1] / "README.md").read_text(), found["rows"]
    for row in rows:
        size, numbers = (
            f"{row['size'][0]} x {row['size'][1]}",
            f"{row['seconds_per_sample']:.1f} | {row['peak_gib']:.1f}",
        )
        gpu = find_gpu(row["device"]).upper()
        assert f"| {size} | {gpu} | {row['checkpointing']} | {row['precision']} | {numbers} |" in page
    best = {}
    for row in rows:
        key = find_gpu(row["device"]), row["precision"], row["size"][0]
        best[key] = min(row["seconds_per_sample"], best.get(key, math.inf))
    for precision, words in (
        ("bfloat16", "{:.1f} s at 480 x 832 and {:.1f} s at"),
        ("float8", "{:.1f} and {:.1f} s with"),
    ):
        assert words.format(best["h200", precision, 480], best["h200", precision, 720]) in told
    (small,) = (row for row in rows if "H100" in row["device"] and row["size"][0] == 720)
    saved = "`--compiled --ac-save-attention 40 --offload-activations`"
    numbers = f"{small['seconds_per_sample']:.1f} s and {small['peak_gib']:.1f} GiB"
    assert f"{numbers} at 720 x 1280 with {saved} and 8-bit AdamW, one clip a step" in told
    assert f"{plan(gpu='h100', **SMALL).peak - small['peak_gib']:.1f} GiB more in the paper's batch of 8" in told
    assert small["peak_gib"] < 78
    (error,) = (row["against bfloat16"] for row in found["parts"] if "against bfloat16" in row)
    assert f"{100 * error['gradients']:.1f} % off" in told
    for rows in zip(*(row["losses"] for row in found["scaling"]), strict=True):
        assert max(rows) - min(rows) < 1e-5, "one GPU and several learn the same"
    assert ", ".join(f"{row['samples_per_second']:.3f}" for row in found["scaling"][:2]) in told
    (whole,) = found["full"]
    assert whole["parameters"] == 14_288_491_584
    assert f"{whole['seconds_per_step']:.1f} s a step of four clips at 480 x 832, {whole['peak_gib']:.1f} GiB" in told
    (four,) = found["overfit"]
    for key in ("loss", "image_to_video_mse"):
        assert four["after"][key] < 0.05 * four["before"][key]


def test_the_command_on_two_gpus_as_told():
    root = Path(__file__).parents[1]
    found = json.loads((root / "benchmarks" / "results" / "wan_train_command.json").read_text())
    assert not [name for name, run in found.items() if isinstance(run, dict) and "error" in run]
    assert max(found["losses_apart"].values()) == found["losses_apart"]["all_weights_one, all_weights_all"]
    told = prose("docs/training_wan.md")
    apart = (found["losses_apart"][f"{name}one, {name}all"] for name in ("", "all_weights_"))
    assert "equal to {:.0e} with a LoRA and {:.1e} with all weights".format(*apart).replace("e-0", "e-") in told
    assert f"{100 * found['killed_against_uninterrupted']['relative']:.2f} % from the uninterrupted one" in told


def test_the_price_is_yours(capsys):
    _, said, _ = printed(capsys, "train", "--recipe", "paper", "--plan-only", "--price", 4)
    assert f"${4 * plan(workload='lora').seconds['total'] / 3600:,.2f} at $4 per GPU and hour" in said
    code, _, error = printed(capsys, "train", "--recipe", "paper", "--plan-only", "--price", -1)
    assert code == 2 and "--price -1.0: give US dollars" in error


def test_the_planner_has_the_rows_that_were_measured():
    found = json.loads((BENCHMARKS / "results" / "wan_train.json").read_text())
    rows = [wan_train_join.measured(row) for row in found["rows"]]
    assert [asdict(row) for row in MEASURED if row.given.get("workload") == "lora"] == [asdict(row) for row in rows]
    (whole,) = found["full"]
    (full,) = (row for row in MEASURED if row.given.get("workload") == "full")
    assert full.seconds == {"sample": whole["seconds_per_step"]} and full.peaks == {"training": whole["peak_gib"]}
    assert (full.given["gpus"], full.given["size"]) == (whole["gpus"], tuple(whole["size"]))
    assert whole["samples_per_second"] * whole["seconds_per_step"] == pytest.approx(full.given["global_batch_size"])
    runs = json.loads((BENCHMARKS / "results" / "wan_end_to_end.json").read_text())
    for name, rank in (("plain", None), ("with the LoRA attached", 512)):
        (row,) = (r for r in MEASURED if "text" in r.seconds and r.given.get("lora_rank") == rank)
        captions, denoising, decoding = (runs[name][part] for part in ("captions", "10 steps, 20 forwards", "decoding"))
        peaks = {"encoding text": captions, "denoising": denoising, "decoding": decoding}
        assert row.peaks == {stage: part["peak_gib"] for stage, part in peaks.items()}
        assert (row.seconds["text"], row.seconds["decoding"]) == (captions["seconds"], decoding["seconds"])
        assert row.seconds.get("forward", denoising["seconds"] / 20) == denoising["seconds"] / 20


def test_a_row_of_an_unknown_card_is_refused():
    row = json.loads((BENCHMARKS / "results" / "wan_train.json").read_text())["rows"][0]
    with pytest.raises(ValueError, match="no peak is known for 'abacus': add the card to GPUS"):
        wan_train_join.measured({**row, "device": "abacus"})


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100-80"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("Tesla T4", "t4"),
        ("AMD MI300X", None),
    ],
)
def test_cards_by_their_names(device, name):
    assert find_gpu(device) == name


class TestOutOfMemory:
    def test_the_plan_that_fits_is_told(self, capsys):
        s = plan(**run_arguments(WAN_RECIPES["paper"]), gpu="h100").settings
        said = out_of_memory(s, known=True)
        assert said.startswith(
            "out of memory: 117.4 GiB are planned (arithmetic), and one h100 has 78: try --compiled "
        )
        typed, command = said.split("try ")[1].split(", 74.7 GiB by `")
        assert typed == "--compiled --optimizer adamw8bit --ac-save-attention 40 --offload-activations"
        small = plan(gpu="h100", **SMALL)
        assert main(shlex.split(command.removesuffix("`."))[1:]) == 0
        assert capsys.readouterr().out == f"{small}\n"
        words = ["train", "--recipe", "paper", "--plan-only", "--gpu", "h100"]
        assert printed(capsys, *words, *shlex.split(typed))[1] == f"{small}\n"

    def test_a_run_that_was_planned_to_fit_gets_less_memory(self):
        said = out_of_memory(plan(workload="lora", gpu="h200").settings, known=True)
        assert "117.4 GiB are planned (arithmetic), and one h200 has 139: try " in said
        assert float(said.split(" GiB by `")[0].split()[-1]) < 117.4

    def test_where_nothing_fits(self):
        s = plan(workload="full", gpu="h200", size=(7200, 12800), num_frames=8001).settings
        assert "try --offload-activations, more --gpus, smaller clips; `pusa-lab plan --workload full" in out_of_memory(
            s, known=True
        )

    def test_all_weights_of_several_gpus(self):
        config = replace(WAN_RECIPES["paper"], lora_rank=0)
        said = out_of_memory(plan(**run_arguments(config, 2), gpu="h100").settings, known=True)
        assert (
            "--gpus 8" in said
            and "`pusa-lab plan --workload full --model wan2.1-14b --size 720x1280 --gpu h100" in said
        )

    def test_models_by_their_transformers(self):
        assert {name: find_model(c.transformer) for name, c in WAN_CONFIGS.items()} == {
            **{name: name for name in WAN_CONFIGS},
            "wan2.2-a14b": "wan2.1-14b",  # of two such experts, one is trained
        }
        assert find_model(transformer().config) is None


def test_plans_are_the_same_from_their_settings():
    for workload in ("lora", "full"):
        found = plan(workload=workload, gpus=4)
        assert plan(**asdict(found.settings)) == found
