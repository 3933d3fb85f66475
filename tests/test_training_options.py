"""pytest tests/test_training_options.py: every option and field of `pusa-lab train` has an effect, or one sentence."""

import dataclasses
import math
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pusa_lab.cli import main
from pusa_lab.cli.config_files import UsageError
from pusa_lab.cli.parser import parse_line
from pusa_lab.cli.train import OUT, train_command
from pusa_lab.training import TrainConfig
from small_models.training.train import RECIPES, train

FIELDS = {field.name: typing.get_type_hints(TrainConfig)[field.name] for field in dataclasses.fields(TrainConfig)}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *((f"--per-sample-weighting={text}", True) for text in ("True", "true", "yes", "on", "YES")),
        *((f"--check-finite={text}", False) for text in ("False", "false", "no", "off", "No")),
        *((f"--max-steps={text}", 5000) for text in ("5000", "+5000", " 5000 ", "5_000")),
        *((f"--lr={text}", 0.001) for text in ("0.001", "1e-3", ".001")),
        ("--seed=9007199254740991", 2**53 - 1),
        ("--seed=-1", -1),
        ("--max-grad-norm=.inf", math.inf),
        ("--timestep-sampler=mixed", "mixed"),
        ("--clips=7", 7),
    ],
)
def test_values_are_read_by_their_type(word, value):
    found = parse_line("train", train_command, [word])[word.split("=")[0][2:].replace("-", "_")]
    assert found == value and type(found) is type(value)


def test_a_field_given_twice_is_refused():
    with pytest.raises(UsageError, match=r"^--max-steps was given twice: give it once\.$"):
        parse_line("train", train_command, ["--max-steps=5", "--lr=1", "--max-steps=6"])


def test_every_field_of_a_recipe_is_an_option_without_a_default():
    found = parse_line("train", train_command, [])
    assert {name for name in FIELDS if name not in found} == {"compile"}, "--compiled sets it"
    assert {found[name] for name in FIELDS if name in found} == {None}


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("x", "unexpected 'x': leave it out, put words that belong together in quotes, or give several values of"),
        ("--colour=3", "there is no option --colour: `pusa-lab train --help` lists those there are."),
        ("--max-step=3", "there is no option --max-step: did you mean --max-steps?"),
        *((f"--{word}", f"there is no option --{word}: did you mean --compiled?") for word in ("compile", "compi")),
        *(
            (f"--max-steps={text}", f"--max-steps {text!r}: give a whole number.")
            for text in ("5.5", "5e3", "many", "nan", "inf", "1e300", "5,0", "true")
        ),
        *((f"--lr={text}", f"--lr {text!r}: give a number.") for text in ("fast", "1,5", "1e-3x")),
        *((f"--lr={text}", f"--lr {text!r}: give a finite number.") for text in ("nan", "inf", "-inf")),
        ("--max-grad-norm=inf", "--max-grad-norm 'inf': give a number, or .inf for infinity."),
        *(
            (f"--per-sample-weighting={text}", f"{text!r}: give true or false.")
            for text in ("maybe", "2", "none", "ye")
        ),
        *(
            (f"{option}=", f"{option} is empty: give it a value, or leave it out.")
            for option in ("--max-steps", "--lr", "--per-sample-weighting")
        ),
        ("--seed=" + "9" * 6000, "give a whole number."),
    ],
)
def test_values_of_another_type_are_refused(refused, word, says):
    found = refused(word)
    assert says in found and found.startswith("pusa-lab train: ") and len(found) < 600 and found.count("\n") == 1


HUGE = [
    None,
    "x",
    "",
    [],
    {},
    object(),
    math.nan,
    -1,
    10**12,
    2**63,
    10**40,
    -(10**40),
    math.inf,
    1e308,
    True,
    0.5,
    b"x",
]


@settings(deadline=None, database=None, derandomize=True, max_examples=150)
@given(st.sampled_from(sorted(FIELDS)), st.sampled_from(HUGE))
def test_a_configuration_is_right_or_refused(name, value):
    try:
        config = TrainConfig(**{name: value})
    except ValueError as error:
        assert str(error).startswith("training.TrainConfig: ") and name in str(error)
    else:
        kept = getattr(config, name)
        assert kept == value and (type(kept) is FIELDS[name] or (FIELDS[name] is float and type(kept) is int))
        assert config.make_timestep_sampler()(2, 3).shape == (2, 3)


@pytest.fixture
def refused(capsys, monkeypatch):
    """Runs a command that must not train; gives its sentence."""
    monkeypatch.setattr("small_models.training.train.train", lambda *_, **__: pytest.fail("a training began"))

    def say(*words):
        assert main(["train", *map(str, words)]) == 2
        return capsys.readouterr().err

    return say


PAPER = ["--recipe", "paper"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--plan-only"], "--plan-only is for a Wan: give --recipe too, or leave out --plan-only."),
        (["--gpus", "0"], "--gpus 0 is for a Wan"),
        (["--gpus", "1"], "--gpus 1 is for a Wan"),
        ([*PAPER, "--devices", "2"], "there is no option --devices: did you mean --gpus?"),
        ([*PAPER, "--nodes", "1"], "there is no option --nodes: did you mean --gpus?"),
        (["--ac-save-attention", "-1"], "--ac-save-attention -1 is for a Wan"),
        (["--ac-skip-blocks", "0"], "--ac-skip-blocks 0 is for a Wan"),
        (["--expert", "high"], "--expert high is for a Wan"),
        (["--float8"], "--float8 is for a Wan"),
        (["--offload-activations"], "--offload-activations is for a Wan"),
        (["--price", "3"], "--price 3.0 is for --plan-only"),
        ([*PAPER, "--price", "3"], "--price 3.0 is for --plan-only"),
        ([*PAPER, "--size", "480p"], "--size 480p is for --plan-only: give both, or leave out --size."),
        ([*PAPER, "--gpu", "h100"], "--gpu h100 is for --plan-only"),
        ([*PAPER, "--stage", "vta"], "--stage vta is for toys only: leave out --stage, or leave out --recipe."),
        ([*PAPER, "--fast"], "--fast is for toys only: leave out --fast, or leave out --recipe."),
        ([*PAPER, "--base", "x"], "--base x is for toys only: leave out --base, or leave out --recipe."),
        ([*PAPER, "--clips", "3"], "--clips 3 is for toys only: leave out --clips, or leave out --recipe."),
        (
            [*PAPER, "--plan-only", "--seed", "3"],
            "--seed 3 has no effect with --plan-only: set only --max-steps, --global-batch-size, --mic",
        ),
        ([*PAPER, "--plan-only", "--lr", "3"], "--lr 3.0 has no effect with --plan-only"),
        *(
            (
                [*PAPER, "--plan-only", f"--{name}", "1"],
                f"--{name} 1 has no effect with --plan-only: leave out --{name} or --plan-only.",
            )
            for name in ("out", "logs", "resume")
        ),
        ([*PAPER, "--plan-only", "--data", "1"], "1 holds no manifest.json: make a cache"),
        (
            [*PAPER, "--plan-only", "--data", "1", "--size", "720p"],
            "--size 720p and --data, whose clips have a size: l",
        ),
        ([*PAPER, "--plan-only", "--expert", "low"], "--expert low: wan2.1-14b has one transformer, leave"),
        ([*PAPER, "--plan-only", "--model", "WAN"], "unknown model 'WAN': choose from wan2.1-14b"),
        ([*PAPER, "--expert", "low", "--t-max", ".5"], "--t-max 0.5 is set by --expert low: leave out one of them"),
        (PAPER, "--data is missing: give --data CACHE, a latent cache, and --model FOLDER, a Wan's folder."),
        (["--model", "all", "--base", "x"], "--base is for a single stage: give --model and --stage"),
        (["--model", "all", "--resume", "x"], "--resume is for a single stage"),
        (["--stage", "all", "--resume", "x"], "--resume is for a single stage"),
        (["--stage", "base", "--base", "x"], "--base x has no effect on base: leave it out, only codec, vta"),
        (["--model", "mini", "--stage", "features", "--base", "x"], "--base x has no effect on features"),
        (
            ["--validate-every", "5"],
            "--validate-every 5 has no effect without --logs: give --logs too, or leave out --v",
        ),
        (
            ["--log-every", "5"],
            "--log-every 5 has no effect without --logs: give --logs too, or leave out --log-every.",
        ),
        (
            ["--save-every", "5", "--fast"],
            "--save-every 5 has no effect without --logs: give --logs too, or leave out --save-every.",
        ),
        (["--per-sample-weighting", "maybe"], "--per-sample-weighting 'maybe': give true or false"),
    ],
)
def test_what_would_have_no_effect_is_refused(refused, words, says):
    found = refused(*words)
    assert says in found and found.startswith("pusa-lab") and found.count("\n") == 1


def test_a_toy_is_compiled_by_the_same_option_as_a_wan(monkeypatch):
    seen = []
    monkeypatch.setattr("small_models.training.train.train", lambda *_, **more: seen.append(more) or more["out"] / "x")
    assert main(["train", "--compiled"]) == main(["train"]) == 0
    assert [more.get("compile") for more in seen] == ["reduce-overhead", None]
    assert "compile" in FIELDS


@pytest.mark.parametrize(
    "words", [["--max-steps"], ["--gpus", "two"], ["--ac-skip-blocks", "1.5"], ["--expert", "middle"]]
)
def test_what_is_no_option_is_refused(refused, words):
    found = refused(*words)
    assert found.startswith(f"pusa-lab train: {words[0]} ") and ": give " in found and found.count("\n") == 1


@pytest.mark.parametrize(
    ("stage", "changes", "says"),
    [
        (
            "base",
            {"num_val_clips": 1},
            "num_val_clips=1 has no effect on base, it is for a folder of clips or a latent cache",
        ),
        ("base", {"micro_batch_size": 1}, "micro_batch_size=1 has no effect on base"),
        ("base", {"p_async": 0.5}, "p_async=0.5 has no effect on base, it is for timestep_sampler=mixed"),
        (
            "codec",
            {"timestep_sampler": "independent"},
            "timestep_sampler=independent has no effect on codec, it is for the stages base",
        ),
        ("features", {"caption_dropout": 0.5}, "caption_dropout=0.5 has no effect on features"),
        ("codec", {"check_finite": True}, "check_finite=True has no effect on codec"),
        ("base", {"lora_rank": 4}, "lora_rank=4 for base: low-rank updates need a base"),
        ("base", {"clips": 0}, "clips=0: give a whole number from 1"),
        ("base", {"clips": 10**12}, "clips=1000000000000: give a whole number from 1 to 10000000"),
        ("base", {"clips": "3"}, "clips='3': give a whole number"),
        ("base", {"max_steps": "3"}, "max_steps is '3' .a str.: give a whole number"),
        ("base", {"size": 3}, "no field 'size' to set"),
        ("base", {"save_every": 3}, "save_every=3, but no folder was given"),
    ],
)
def test_fields_that_a_stage_does_not_ask_are_refused(tmp_path, monkeypatch, stage, changes, says):
    monkeypatch.setattr("small_models.training.train.run", lambda *_, **__: pytest.fail("a training began"))
    with pytest.raises(ValueError, match=f"small_models.train: {says}"):
        train("mini", stage, tmp_path, fast=True, **changes)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "value"), [("preset", 3), ("stage", None), ("out", 3), ("fast", "no"), ("logs", 3)])
def test_arguments_of_other_types_are_refused(name, value):
    with pytest.raises(ValueError, match=f"small_models.train: {name} is"):
        train(**{name: value})


def test_what_is_left_out_stands_at_its_default(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(
        "small_models.training.train.train", lambda *args, **more: seen.append((args, more)) or more["out"] / "x.y"
    )
    assert main(["train"]) == 0
    assert seen[0][0] == ("nano", "vta")
    assert seen[0][1] == {
        **dict.fromkeys(("base", "logs", "resume")),
        "out": OUT,
        "data": "",
        "command": "pusa-lab train",
    }
    assert main(["train", "--model", "all", "--stage", "all", "--logs", "l", "--check-finite", "no"]) == 0
    assert [call[0][:2] for call in seen[1:]] == list(RECIPES)
    assert all(call[1]["check_finite"] is False for call in seen[1:])
    assert str(seen[1][1]["logs"]).endswith("-".join(seen[1][0][:2]))
