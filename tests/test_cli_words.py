"""pytest tests/test_cli_words.py: sentences of the command line name what a person types, and no words of Python."""

import inspect
import re

import pytest
from safetensors.torch import save_file
from wan_tiny import transformer

from pusa_lab.cli import COMMANDS, _function, main
from pusa_lab.cli.values import in_flags

PROMPT = "a red circle moves right"
PYTHON = re.compile(r"(?<![\w./'\"(-])[a-z_]+=|\b(?:None|True|False)\b|\((?:an? )?(?:str|int|float|bool)\)")
"""An argument of a function, or a value or type as Python writes it."""
LINES = {
    "generate": [PROMPT, "--model", "nano-vta"],
    "stream": [PROMPT, "--model", "nano-vta"],
    "data encode": ["clips", "--model", "nano-vta"],
    "train": ["--recipe", "paper", "--plan-only"],
    "plan": [],
    "demo": [],
    "sweep": ["--model=pusa_lab.sweeps.expanded:t_quantile", "--settings={level: 0.5, degrees: 3}", "--cache=c"],
}
"""Command -> what is typed beside a wrong option."""


class TakenError(BaseException):
    """A command went on to its work: the value is one that it takes."""


def taken(*_, **__):
    raise TakenError


def said(capsys, *words):
    """The sentence of a command that refuses."""
    assert main([*map(str, words)]) == 2
    return capsys.readouterr().err.strip()


def options_of(command, capsys):
    """All options of a command that take a value."""
    assert main([*command.split(), "--help"]) == 0
    listed = re.findall(r"^  (--[\w-]+)(?: \S|=)", capsys.readouterr().out, re.M)
    return [name for name in dict.fromkeys(listed) if name not in ("--config", "--out", "--cache", "--prompt")]


@pytest.mark.usefixtures("read_once")
@pytest.mark.parametrize("value", ["-1", "a b"])
@pytest.mark.parametrize("command", LINES)
def test_a_wrong_value_of_any_option_is_told_without_words_of_python(command, value, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for made in ("pusa_lab.generate", "pusa_lab.stream", "papermill.execute_notebook"):
        monkeypatch.setattr(made, taken, raising=False)
    options = options_of(command, capsys)
    assert len(options) > 2
    refused = {}
    for option in options:
        before = [word for word in LINES[command] if option not in LINES[command] or word in ("--plan-only", PROMPT)]
        try:
            if main([*command.split(), *before, f"{option}={value}"]) == 2:
                refused[option] = capsys.readouterr().err
        except TakenError:
            pass
    assert len(refused) > len(options) / 3
    odd = {option: text for option, text in refused.items() if PYTHON.search(re.sub(r"in Python.*|'[^']*'", "", text))}
    assert odd == {}


def test_every_command_with_options_of_its_own_is_tried():
    several = {
        command
        for command, place in COMMANDS.items()
        if len(inspect.signature(_function(place)).parameters) > 2 or command == "sweep"
    }
    assert several == LINES.keys()


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("timestep_sampler='[1, 2]': no.", "--timestep-sampler '[1, 2]': no."),
        ("out=/a/b c exists", "--out /a/b c exists"),
        ("give out=[...] and more.", "give --out [...] and more."),
        ("out=a/b.mp4 exists already.", "--out a/b.mp4 exists already."),
        ("give it as out=, which is new.", "give it as --out, which is new."),
        ("give out= and timestep_sampler=.", "give --out and --timestep-sampler."),
        ("compiled=True is odd.", "--compiled is odd."),
        ("such as 'f(out=5)' or f(out=5).", "such as 'f(out=5)' or f(out=5)."),
        ("f of many (out=5).", "f of many (--out 5)."),
    ],
)
def test_arguments_are_told_as_flags(sentence, says):
    assert in_flags(sentence, ["out", "timestep_sampler", "compiled"]) == says


def test_other_weights_and_loras_of_a_wan_are_told_in_flags(whole, tmp_path, capsys):
    other = tmp_path / "other.safetensors"
    save_file(transformer().state_dict(), other)
    line = ["generate", PROMPT, "--model", whole, "--out", tmp_path / "a.mp4"]
    found = said(capsys, *line, "--transformer-low", other)
    assert found.endswith("has one transformer: leave out --transformer-low and --lora-low, which are for a second.")
    assert said(capsys, *line, "--strength", 2).endswith(
        "--strength 2.0 without a LoRA has no effect: give --lora too."
    )
    save_file({"blocks.0.attn1.to_q.weight": transformer().blocks[0].attn1.to_q.weight.detach()}, other)
    assert "(a LoRA goes to --lora)" in said(capsys, *line, "--transformer", other)


def test_a_plan_of_no_rank_says_what_trains_all_weights(capsys):
    found = said(capsys, "plan", "--workload", "lora", "--lora-rank", 0)
    assert found.endswith(
        "give a whole number of at least 1, or leave it out for 512; --workload full trains all weights."
    )
    assert "workload" not in said(capsys, "train", "--recipe", "paper", "--plan-only", "--lora-rank", 0, "--compiled")


@pytest.mark.parametrize(
    ("model", "offers"),
    [
        ("mini-base", "choose one of mini-i2v, mini-vta, or give a .safetensors file."),
        ("nano-vta", "give a .safetensors"),
    ],
)
def test_only_loras_of_the_model_are_offered(model, offers, tmp_path, capsys):
    found = said(capsys, "generate", PROMPT, "--model", model, "--lora", "foo", "--out", tmp_path / "a.mp4")
    assert f"no LoRA of {model} 'foo', which is not an existing file: {offers}" in found and "codec" not in found
