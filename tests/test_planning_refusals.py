"""pytest tests/test_planning_refusals.py: bad input of the planner is one sentence."""

import inspect
import math
from dataclasses import asdict

import pytest

from pusa_lab.cli import main
from pusa_lab.cli.values import in_flags
from pusa_lab.planning import plan
from pusa_lab.planning.settings import SAMPLING, TRAINING
from pusa_lab.planning.tables import WORKLOADS


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"model": "wan3"},
            "unknown model 'wan3': choose from wan2.1-14b, wan2.1-1.3b, wan2.2-a14b, wan2.2-5b, or give a Wan's folder "
            "or repository.",
        ),
        ({"model": "mini-vta"}, "mini-vta is a toy, and only a Wan is planned: training it took 309 s on NVIDIA H200"),
        ({"model": "mini-vta.safetensors"}, "no model 'mini-vta.safetensors', which is not an existing file: choose"),
        ({"model": "none.py:make"}, "none.py"),
        ({"gpu": "h20"}, "unknown gpu 'h20': choose from h200"),
        ({"workload": "train"}, "unknown workload 'train': choose from sample, lora, full."),
        ({"dtype": "int4"}, "unknown dtype 'int4': choose from bfloat16, float16."),
        ({"size": "1080p"}, "size='1080p' is unknown: give 480p, 720p or HEIGHTxWIDTH in pixels."),
        ({"offload": "checkpoints"}, "unknown offload 'checkpoints': choose from none, model, group."),
        (
            {"offload": "group", "workload": "lora"},
            "offload=group has no effect with workload='lora': it is for sampling; leave",
        ),
        ({"optimizer": "sgd", "workload": "lora"}, "unknown optimizer 'sgd': choose from adamw, adamw8bit."),
        ({"num_frames": 80}, "num_frames=80: give 1 + 4 * k pixel frames, such as 81."),
        ({"num_frames": 0}, "num_frames=0: give a whole number of at least 1."),
        ({"size": (490, 832)}, "size 490 x 832: wan2.1-14b expects height and width in multiples of 16, such as"),
        ({"size": (720, 1280), "model": "wan2.2-5b"}, "multiples of 32, such as 704 x 1280."),
        ({"size": "490x832"}, "size 490 x 832: wan2.1-14b expects height and width in multiples of 16, such as"),
        ({"size": (0, 832)}, "such as 16 x 832."),
        ({"steps": 0}, "steps=0: give a whole number of at least 1."),
        ({"max_steps": 0, "workload": "lora"}, "max_steps=0: give a whole number of at least 1."),
        ({"gpus": -1}, "gpus=-1: give a whole number"),
        ({"guidance": 0.5}, r"guidance=0.5: give 1 (none) or more."),
        ({"guidance": float("nan")}, "guidance=nan"),
        ({"guidance": float("inf")}, "guidance=inf"),
        ({"gpus": 0}, "gpus=0: give a whole number of at least 1."),
        ({"num_videos": -1}, "num_videos=-1: give a whole number"),
        ({"micro_batch_size": -1, "workload": "full"}, "micro_batch_size=-1: give a whole number"),
        (
            {"lora_rank": 0, "workload": "lora"},
            "lora_rank=0: give a whole number of at least 1, or leave it out for 512; workload='full' trains all",
        ),
        ({"lora_rank": 0}, "lora_rank=0: give a whole number of at least 1, or leave it out for none."),
        (
            {"lora_rank": 512, "workload": "full"},
            "lora_rank=512 has no effect with workload='full': workload='full' trains all",
        ),
        ({"guidance": 3.0, "workload": "lora"}, "guidance=3.0 has no effect with workload='lora': training asks"),
        ({"guidance": 1.0, "workload": "full"}, "guidance=1.0 has no effect with workload='full'"),
        (
            {"dtype": "float16", "workload": "full"},
            "dtype=float16 has no effect with workload='full': training keeps the weights",
        ),
        ({"max_steps": 9}, "max_steps=9 has no effect with workload='sample': it is for training; leave it out."),
        ({"experts": 1}, "experts=1 has no effect with workload='sample': it is for training; leave it out."),
        ({"experts": 2, "workload": "lora"}, "experts=2: give at most 1."),
        ({"experts": 0, "workload": "lora"}, "experts=0: give a whole number of at least 1."),
        ({"global_batch_size": 8}, "global_batch_size=8 has no effect with workload='sample'"),
        (
            {"gpus": 3, "workload": "lora"},
            "global_batch_size=8 on 3 GPUs, micro_batch_size=1: give a global_batch_size that 3",
        ),
        (
            {"ac_save_attention": 41, "workload": "lora"},
            "ac_save_attention=41, ac_skip_blocks=0: wan2.1-14b has 40 blocks",
        ),
        (
            {"ac_skip_blocks": -1, "workload": "lora"},
            "ac_save_attention=0, ac_skip_blocks=-1: wan2.1-14b has 40 blocks",
        ),
        (
            {"optimizer": "adamw8bit", "workload": "full"},
            "splits them over the GPUs, without optimizer='adamw8bit'",
        ),
        ({"price": -1.0}, "price=-1.0: give US dollars per GPU and hour, 0 to 1,000,000."),
        ({"gpu": "t4", "dtype": "bfloat16"}, "the t4 does not compute in bfloat16: give dtype='float16'."),
        ({"gpu": "t4", "precision": "float8"}, "the t4 does not multiply in 8 bits: give precision='float8-storage'"),
        ({"dtype": "float16", "precision": "float8"}, "precision='float8' with dtype='float16': its sums are in bf"),
        ({"precision": "int8"}, "unknown precision 'int8': choose from float8, float8-storage."),
        ({"precision": "float8", "workload": "lora"}, "precision=float8 has no effect with workload='lora': it is for"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence(asked, says, capsys):
    with pytest.raises(ValueError) as error:
        plan(**asked)
    assert says in str(error.value)
    words = {k: "x".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in asked.items()}
    assert main(["plan", *(f"--{name.replace('_', '-')}={word}" for name, word in words.items())]) == 2
    assert str(error.value).startswith("planning.plan: ")
    said = str(error.value).removeprefix("planning.plan: ")
    if not math.isfinite(asked.get("guidance", 1)):  # no number on a command line
        said = f"--guidance '{words['guidance']}': give a finite number."
    named = ("gpu", "workload", "dtype", "precision", "offload", "optimizer")
    if choice := next((k for k in named if said.startswith(f"unknown {k} ")), ""):
        choices = said.partition("choose from ")[2]  # which the command line knows, and lists in its help
        said = f"--{choice} '{words[choice]}': give one of {choices}"
    assert capsys.readouterr().err == f"pusa-lab plan: {in_flags(said, inspect.signature(plan).parameters)}\n"


@pytest.mark.parametrize("workload", ["lora", "full"])
def test_training_always_has_its_captions_encoded(workload, capsys):
    assert main(["plan", "--workload", workload, "--cached-prompts"]) == 2
    said = f"--cached-prompts has no effect with --workload {workload}: training always expects encoded captions; leave"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "asked",
    [
        *({"model": None}, {"gpu": 3}, {"size": [480]}, {"size": (480.5, 832)}, {"num_frames": 81.0}, {"gpus": "2"}),
        *(
            {"compiled": 1},
            {"workload": None},
            {"lora_rank": True},
            {"steps": 10**30},
            {"offload": 1},
            {"price": "1"},
            {"float8": "yes"},
        ),
    ],
    ids=str,
)
def test_wrong_types_are_one_sentence(asked):
    with pytest.raises(ValueError, match=rf"^planning.plan: {next(iter(asked))}(\[0\])? is [^\n]+: give [^\n]+\.$"):
        plan(**asked)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_settings_hold_only_what_the_workload_uses(workload):
    settings = plan(workload=workload).settings
    used, unused = (SAMPLING, TRAINING) if workload == "sample" else (TRAINING, SAMPLING)
    assert settings.lora_rank == {"sample": None, "lora": 512, "full": None}[workload]
    assert {name: getattr(settings, name) for name in used} == used
    assert {getattr(settings, name) for name in unused} == {None}
    assert plan(**asdict(settings)).settings == settings


@pytest.mark.parametrize("gpu", ["a100-80", "t4"])
def test_products_of_8_bits_need_a_gpu_that_has_them(gpu, capsys):
    with pytest.raises(ValueError, match=f"the {gpu} does not multiply in 8 bits: leave out float8"):
        plan(workload="lora", gpu=gpu, float8=True)
    with pytest.raises(ValueError, match=f"the {gpu} does not multiply in 8 bits: give precision='float8-storage'"):
        plan(gpu=gpu, precision="float8")
    stored = plan(gpu=gpu, precision="float8-storage").memory["transformer"]
    assert stored == plan(gpu=gpu).memory["transformer"] / 2
    for flag in ("float8", "compiled"):
        assert main(["plan", "--workload", "full", f"--{flag}"]) == 2
        assert (
            f"training all weights splits them over the GPUs, without --{flag}: leave it out."
            in capsys.readouterr().err
        )


def test_a_size_may_be_written_as_text():
    assert plan(size="480x832") == plan(size=(480, 832)) == plan(size="480p")


@pytest.mark.parametrize("words", [["--mode", "lora"], ["--mode=lora"], ["--config", "{}"]])
def test_what_an_option_was_called_before_names_ours(words, tmp_path, capsys):
    (config := tmp_path / "run.yaml").write_text("mode: lora\n")
    assert main(["plan", *(word.format(config) for word in words)]) == 2
    where = f"--config '{config}': " if "--config" in words else ""
    assert capsys.readouterr().err == f"pusa-lab plan: {where}there is no option --mode: did you mean --workload?\n"
