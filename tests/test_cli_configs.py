"""pytest tests/test_cli_configs.py: a configuration that was printed says what will be used, and gives the same run."""

import inspect
from dataclasses import asdict, replace
from typing import get_args

import pytest
import torch
import yaml
from safetensors.torch import load_file

from pusa_lab.cli import main
from pusa_lab.cli.generate import STEPS, generate_videos
from pusa_lab.cli.plan import plan_command
from pusa_lab.cli.train import train_command
from pusa_lab.generate import GUIDANCE
from pusa_lab.inputs import matrix_of
from pusa_lab.planning import plan
from pusa_lab.planning.settings import ALWAYS
from pusa_lab.planning.tables import DTYPES, GPUS, OFFLOADS, OPTIMIZERS, WORKLOADS
from pusa_lab.sampling_inputs import levels_of
from pusa_lab.schedules import SCHEDULES
from pusa_lab.training.recipes import WAN_RECIPES
from pusa_lab.wan.loading import OFFLOADS as WAN_OFFLOADS

PROMPT = "a red circle moves right"


@pytest.fixture
def run(capsys):
    """Runs a command that is taken; gives what it prints."""

    def run(*words):
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def printed(run, tmp_path):
    """What --print_config prints, as a file and as a dict; printed from that file, it is the same."""

    def printed(command, *words):
        text = run(command, *words, "--print_config")
        (file := tmp_path / f"{command}.yaml").write_text(text)
        assert run(command, "--config", file, "--print_config") == text
        return file, yaml.safe_load(text)

    return printed


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--model", "wan2.2-5b", "--gpu", "t4", "--num-videos", 2],
        ["--lora-rank", 64, "--offload", "model", "--cached-prompts"],
        ["--workload", "lora"],
        ["--workload", "lora", "--gpu", "h100", "--compiled", "--ac-save-attention", 40, "--float8", "--gpus", 4],
        ["--workload", "full", "--gpus", 8, "--max-steps", 7],
    ],
    ids=str,
)
def test_a_plan_from_what_it_printed_is_the_same(words, run, printed):
    file, found = printed("plan", *words)
    assert run("plan", "--config", file) == run("plan", *words)
    asked = {name: value for name, value in found.items() if value is not None and value is not False}
    settings = asdict(plan(**asked).settings)
    left = {name for name, value in settings.items() if value is not None and found[name] is None}
    assert left <= {"num_frames", "price", "dtype", "experts"}, (
        "null is the model's own, the GPU's own, or has no effect"
    )
    assert {name for name, value in settings.items() if value is None} <= {k for k, v in found.items() if not v}


def test_a_plan_starts_from_the_planners_defaults():
    parameters = inspect.signature(plan_command).parameters
    assert {name: parameters[name].default for name in ALWAYS} == ALWAYS


@pytest.mark.parametrize(
    "words", [[], ["--recipe", "released", "--gpus", 2, "--lora-rank", 0], ["--max-steps", 5, "--gpu", "h100"]], ids=str
)
def test_the_plan_of_a_recipe_is_the_same(words, run, printed):
    recipe = [] if "--recipe" in words else ["--recipe", "paper"]
    file, found = printed("train", *recipe, "--plan-only", *words)
    assert run("train", "--config", file) == run("train", *recipe, "--plan-only", *words)
    assert (found["model"], found["size"], found["global_batch_size"]) == ("wan2.1-14b", "720p", 8)
    assert found["lr"] is found["out"] is found["price"] is None, "have no effect on a plan, or are the GPU's own"


@pytest.mark.parametrize(
    "words",
    [[], ["--logs", "l"], ["--expert", "low"], ["--lr", "1e-3", "--log-every", 7, "--logs", "l", "--compiled"]],
    ids=str,
)
@pytest.mark.parametrize("recipe", WAN_RECIPES)
def test_a_recipe_from_what_it_printed_is_the_same(recipe, words, run, printed, monkeypatch):
    seen = []
    monkeypatch.setattr("pusa_lab.cli.train_recipe.train_recipe", lambda *given: seen.append(given))
    words = ["--recipe", recipe, "--model", "w", "--data", "d", *words]
    file, found = printed("train", *words)
    assert run("train", *words) == run("train", "--config", file) == ""
    (given, changes), (again, all_of_them) = seen
    assert replace(WAN_RECIPES[recipe], **changes) == replace(WAN_RECIPES[recipe], **all_of_them)
    assert again == given, "a default that was printed was not chosen"
    left = {name for name in asdict(WAN_RECIPES[recipe]) if found.get(name, "as --compiled says") is None}
    idle = {"log_every", "validate_every", "save_every"} if "--logs" not in words else set()
    assert left == idle | ({"t_min", "t_max"} if "--expert" in words else set()), "null has no effect"


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (["plan"], ["--workload", "lora"]),
        (["plan", "--workload", "lora"], ["--workload", "sample"]),
        (["train"], ["--recipe", "paper", "--plan-only"]),
        (["train", "--recipe", "paper"], ["--recipe", "released", "--plan-only"]),
        (["train", "--recipe", "released", "--plan-only"], ["--recipe", "paper"]),
    ],
    ids=str,
)
def test_defaults_that_were_printed_do_not_count_as_typed(shown, words, run, printed):
    """They may stand beside options with which they have no effect, and give way to the defaults that then apply."""
    file, _ = printed(*shown)
    words = [shown[0], *words, *(["--plan-only"] if shown[0] == "train" and "--plan-only" not in words else [])]
    assert run(*words, "--config", file) == run(*words)


def test_what_a_file_chooses_counts_as_typed(tmp_path, capsys):
    (file := tmp_path / "run.yaml").write_text("steps: 7\n")
    assert main(["plan", "--workload", "lora", "--config", str(file)]) == 2
    assert "--steps 7 has no effect with --workload lora" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_typed_option_overrides_a_file_wherever_it_stands(place, run, tmp_path):
    (file := tmp_path / "run.yaml").write_text("steps: 7\nguidance: 1\n")
    typed, config = ["--steps", 5], ["--config", file]
    found = run("plan", *(typed + config if place == "before" else config + typed))
    assert found == run("plan", "--steps", 5, "--guidance", 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "steps: [1",
            "cannot be read as YAML (line 1: expected ',' or ']', but got '<stream end>'): correct it, and give"
            " one option a line as NAME: VALUE, as --print_config prints them.",
        ),
        (
            "steps 5",
            "holds 'steps 5', not options: give one option a line as NAME: VALUE, as --print_config prints them.",
        ),
        ("colour: 3", ": there is no option --colour: `pusa-lab plan --help` lists those there are."),
        ("steps: many", ": --steps 'many': give a whole number."),
    ],
)
def test_a_fault_in_a_file_names_the_file(text, says, tmp_path, capsys):
    (file := tmp_path / "run.yaml").write_text(text)
    assert main(["plan", "--config", str(file)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("pusa-lab plan: --config ") and str(file) in said and said.endswith(says)


def test_a_fault_of_the_line_does_not_name_the_file(tmp_path, capsys):
    (file := tmp_path / "run.yaml").write_text("steps: 5")
    assert main(["plan", "--guidance", "x", "--config", str(file)]) == 2
    assert capsys.readouterr().err == "pusa-lab plan: --guidance 'x': give a number.\n"


def test_a_toy_is_trained_as_it_was_printed(printed):
    _, found = printed("train")
    assert (found["model"], found["stage"], found["out"]) == ("nano", "vta", "outputs/train")
    assert printed("train", "--model", "mini", "--stage", "base")[1]["stage"] == "base"
    assert found["lr"] is found["gpus"] is None, "the toy's own, and for a Wan alone"
    assert printed("train", "--model", "giga")[1]["stage"] is None, "there is no such toy"


def test_a_video_is_made_as_it_was_printed(run, printed, tmp_path):
    _, found = printed("generate", PROMPT, "--lora", "a.safetensors", "--save", "latents")
    assert (found["steps"], found["guidance"], found["strength"]) == (10, 2.0, 1.0)
    assert (found["out"], found["strength_low"]) == ("outputs/video.safetensors", None)
    assert printed("generate", PROMPT, "--schedule", "a.npy")[1]["steps"] is None, "a matrix has its own"
    words = ["generate", PROMPT, "--model", "nano-vta", "--out", tmp_path / "a.safetensors", "--save", "latents"]
    run(*words)
    made = load_file(tmp_path / "a.safetensors")
    run("generate", "--config", printed(*words)[0])
    again = load_file(tmp_path / "a.safetensors")
    assert made.keys() == again.keys() and all(torch.equal(made[name], again[name]) for name in made)


def test_the_steps_and_guidance_that_are_printed_are_those_of_generate():
    for name in SCHEDULES:
        one, other = (levels_of(matrix_of(name, steps, 9, None, 1.0, True, 1)[0]) for steps in (None, STEPS))
        assert torch.equal(one, other), name
    assert inspect.signature(generate_videos).parameters["guidance"].default == GUIDANCE


@pytest.mark.parametrize(
    ("command", "option", "known"),
    [
        (plan_command, "gpu", GPUS),
        (train_command, "gpu", GPUS),
        (plan_command, "workload", WORKLOADS),
        (plan_command, "dtype", DTYPES),
        (plan_command, "offload", OFFLOADS),
        (plan_command, "optimizer", OPTIMIZERS),
        (generate_videos, "offload", WAN_OFFLOADS),
        (train_command, "recipe", WAN_RECIPES),
    ],
)
def test_options_list_all_that_they_take(command, option, known):
    parts = get_args(inspect.signature(command).parameters[option].annotation)
    names = [name for part in parts for name in (get_args(part) or [part]) if isinstance(name, str)]
    assert names == list(known)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--optimizer", "sgd"], "--optimizer 'sgd': give one of adamw, adamw8bit."),
        (["--lr-scheduler", "linear"], "--lr-scheduler 'linear': give one of cosine, constant."),
        (["--precision", "16"], "--precision '16': give one of auto, 32-true, bf16-mixed."),
        (["--gpu", "h20"], "--gpu 'h20': give one of h200, h100"),
    ],
)
def test_choices_are_refused_by_the_parser_and_listed_in_the_help(words, says, capsys):
    assert main(["train", *words]) == 2
    assert capsys.readouterr().err.startswith(f"pusa-lab train: {says}")
    assert main(["train", "--help"]) == 0
    assert says.partition("give ")[2].rstrip(".") in " ".join(capsys.readouterr().out.split())


def test_values_that_give_way_to_what_was_typed_are_named(tmp_path, capsys):
    (file := tmp_path / "own.yaml").write_text(
        "recipe: paper\nmodel: wan\ndata: cache\nweight: uniform\nshift: 1.0\nseed: 7\n"
    )
    assert main(["train", "--recipe", "released", "--config", str(file), "--print_config"]) == 0
    out, err = capsys.readouterr()
    settled = yaml.safe_load(out)
    assert (settled["weight"], settled["shift"], settled["seed"]) == ("bell", 5.0, 7)
    assert f"--config '{file}': what was typed beside it settles " in err and "weight: uniform" in err
    assert main(["train", "--recipe", "released", "--config", str(file), "--weight", "uniform", "--print_config"]) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)["weight"] == "uniform"
    assert "shift: 1.0" in err and "weight" not in err
    assert main(["train", "--config", str(file), "--print_config"]) == 0
    assert capsys.readouterr().err == ""


def test_an_option_that_a_file_has_twice_is_refused(tmp_path, capsys):
    (file := tmp_path / "own.yaml").write_text("steps: 2\nsteps: 3\n")
    assert main(["plan", "--config", str(file)]) == 2
    assert f"--config '{file}' has steps twice: give it once." in capsys.readouterr().err
