"""pytest tests/test_cli_mistakes.py: what people mistype is refused, in words that show it, before a model is read."""

import logging
import re
import secrets
from dataclasses import fields

import pytest
import torch
import yaml

import pusa_lab as pl
from pusa_lab.cli import commands, main
from pusa_lab.cli.demo import TOUR
from pusa_lab.cli.train_recipe import processes
from pusa_lab.cli.values import in_flags
from pusa_lab.guidance.registry import GUIDERS
from pusa_lab.losses import WEIGHTS
from pusa_lab.metrics import METRICS
from pusa_lab.models import find_family
from pusa_lab.schedules import SCHEDULES
from pusa_lab.schedules.timestep_samplers import TIMESTEP_SAMPLERS
from pusa_lab.solvers import SOLVERS
from pusa_lab.tasks import MODES, TASKS
from pusa_lab.training import HISTORIES
from pusa_lab.training.quiet import quiet_lightning
from small_models.experiments import Sizes

PROMPT = "a red circle moves right"
FITTING = "give one option a line as NAME: VALUE, as --print_config prints them."


def said(capsys, *words):
    """The sentence of a command that refuses."""
    assert main([*map(str, words)]) == 2
    found = capsys.readouterr().err.strip().splitlines()
    assert len(found) == 1 and found[0].endswith(".")
    return found[0]


@pytest.fixture
def no_model(monkeypatch):
    """Reading a model fails the test."""
    monkeypatch.setattr("pusa_lab.models.load", lambda *_, **__: pytest.fail("a model was read"))


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["plan"], {}),
        (["plan", "--steps", "5"], {"steps": 5}),
        (["plan", "--workload", "lora", "--max-steps", "900"], {"workload": "lora"}),
        (["train"], {}),
        (["train", "--recipe", "paper", "--lr", "1e-3"], {"recipe": "paper", "lr": 1e-3}),
        (["train", "--recipe", "paper", "--plan-only"], {"recipe": "paper", "plan_only": True}),
        (["generate", PROMPT], {"prompt": [PROMPT]}),
        (["generate", PROMPT, "--save", "latents"], {"prompt": [PROMPT], "save": "latents"}),
        (["stream", PROMPT], {"prompt": [PROMPT]}),
    ],
    ids=str,
)
def test_skip_default_leaves_out_what_the_command_settles_anyway(words, left, tmp_path, capsys):
    assert main([*words, "--print_config=skip_default"]) == 0
    (file := tmp_path / "short.yaml").write_text(capsys.readouterr().out)
    assert yaml.safe_load(file.read_text()) == left
    assert main([words[0], "--config", str(file), "--print_config"]) == 0
    again = capsys.readouterr()
    assert main([*words, "--print_config"]) == 0
    assert again.out == capsys.readouterr().out and again.err == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--keyframes+", "a", "--keyframes", "[b]"], "--keyframes after --keyframes+ would replace its values: give"),
        (["--schedule-options", "{lag: 4}", "--schedule-options.lag", "5"], "--schedule-options was given as a whole"),
        (
            ["--schedule-options.lag", "5", "--schedule-options", "{lag: 4}"],
            "and as --schedule-options.lag: give it in",
        ),
        (["--steps.x", "3"], "--steps takes no keys, as in --steps.x: give it a value of its own."),
        (["--loop.x", "3"], "--loop takes no keys, as in --loop.x: give it a value of its own."),
        (["--config", "a.yaml", "--config=a.yaml"], "--config 'a.yaml' was given twice: give it once."),
        (["--print_config", "--print_config"], "--print_config was given twice: give it once."),
        (["--print_config=all"], "--print_config 'all': give --print_config alone, or --print_config=skip_default to"),
        (["--lora", " "], "--lora is empty: give it a value, or leave it out."),
    ],
)
def test_what_would_be_lost_or_means_nothing_is_refused(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("steps: 3\n")
    assert says in said(capsys, "generate", PROMPT, *words)


def test_of_several_files_a_later_one_counts_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("steps: 3\nguidance: 4\nschedule: pyramid\nschedule_options: {lag: 4}\n")
    (tmp_path / "b.yaml").write_text("steps: 7\nguidance: 4\nschedule_options: {lag: 2}\n")
    files = ["--config", "a.yaml", "--config", "b.yaml"]
    assert main(["generate", PROMPT, *files, "--print_config"]) == 0
    found = capsys.readouterr()
    options = yaml.safe_load(found.out)
    assert (options["steps"], options["guidance"], options["schedule"]) == (7, 4.0, "pyramid")
    replaced = "steps: 3 of 'a.yaml', schedule_options: {lag: 4} of 'a.yaml'"
    assert found.err == f"--config 'b.yaml' comes later, and replaces {replaced}.\n"
    assert main(["generate", "--help"]) == 0
    assert "of several files a later one those before it" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1: 2", f"has 1: 2: that is not the name of an option; {FITTING}"),
        ("true: 2", f"has true: 2: that is not the name of an option; {FITTING}"),
        ("config: b.yaml", "has config: b.yaml: a file of options cannot name another one, type its --config too."),
        ("print_config: true", "has print_config: true: leave it out, and type it where it is wanted."),
        ("- steps", f"holds a list, not options: {FITTING}"),
        ("steps 3", f"holds 'steps 3', not options: {FITTING}"),
        (
            "a: [1\nb: 2",
            f"cannot be read as YAML (line 2: expected ',' or ']', but got ':'): correct it, and {FITTING}",
        ),
        ("a: 1\n---\na: 2", f"cannot be read as YAML (line 2: but found another document): correct it, and {FITTING}"),
        ("gpu.x: 3", "has gpu.x: 3: write it as gpu: {x: 3}."),
        ("num-frames: 5\nnum_frames: 9", "has num_frames twice: give it once."),
        ("size: ''", "has size: '': it is empty, give it a value or leave it out."),
    ],
)
def test_a_file_that_does_not_hold_options_is_one_sentence_of_ours(text, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file.yaml").write_text(text)
    assert said(capsys, "plan", "--config", "a file.yaml") == f"pusa-lab plan: --config 'a file.yaml' {says}"


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("command", ["generate", "stream"])
@pytest.mark.parametrize("blank", ["", " "])
def test_an_empty_prompt_is_refused_typed_or_in_a_file(command, blank, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"prompt": [PROMPT, blank]}))
    for words in ([blank], [PROMPT, blank], ["--config", tmp_path / "run.yaml"]):
        assert said(capsys, command, *words) == (
            f"pusa-lab {command}: a prompt is empty, as a shell variable is that was not set: give a caption, or "
            "--guidance 0 beside any caption for a video without one."
        )


def test_an_empty_prompt_of_the_demo_or_of_a_sweep_is_refused(tmp_path, capsys):
    (tmp_path / "demo.yaml").write_text("prompt: ''\n")
    assert said(capsys, "demo", "--prompt", "").endswith("--prompt is empty: give it a value, or leave it out.")
    assert "has prompt: '': it is empty" in said(capsys, "demo", "--config", tmp_path / "demo.yaml")
    (tmp_path / "s.yaml").write_text(f"model: nano-vta\nsettings: {{steps: [1]}}\ncache: c\nprompts: ['', {PROMPT}]\n")
    assert "prompts has an empty caption: give a caption, or leave" in said(capsys, "sweep", tmp_path / "s.yaml")


def test_without_guidance_towards_a_caption_a_video_is_that_of_no_caption(nano_vta):
    """So the sentence on empty prompts names a way to such a video."""
    one, other = (pl.generate(nano_vta, p, guidance=g, steps=2).latents for p, g in ((PROMPT, 0.0), ("", 1.0)))
    assert torch.allclose(one, other, atol=1e-5)


WRONG = [
    ["--shift", "-3"],
    ["--shift", "0"],
    ["--steps", "0"],
    ["--guidance", "1e9"],
    ["--solver", "foo"],
    ["--schedule", "pyramid", "--schedule-options.lag", "-4"],
    ["--negative-prompt", "x", "--guidance", "1"],
]
OF_GENERATE = [
    ["--num-frames", "8"],
    ["--guidance", "[1, 2]"],
    ["--guidance", "skip_layer_guidance(layers=[7], weight=1)"],
    ["--image", "{still}", "--noise", "3"],
    ["--image", "{still}", "--mode", "melt"],
    ["--keyframes", "[{still}]", "--at", "[99]"],
]
OF_STREAM = [["--latent-frames", "0"], ["--overlap", "100"], ["--guidance", "nan"], ["--schedule", "synchronous"]]


@pytest.mark.parametrize(
    ("command", "words"),
    [("generate", words) for words in (*WRONG, *OF_GENERATE)] + [("stream", words) for words in (*WRONG, *OF_STREAM)],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_the_weights_of_a_wan_are_read(
    command, words, whole, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("pusa_lab.wan.model.WanModel.from_pretrained", lambda *_, **__: pytest.fail("it was read"))
    line = [command, PROMPT, "--model", whole, "--size", "32x48", "--out", tmp_path / "a.mp4"]
    line += ["--num-frames", "9"] if command == "generate" and "--num-frames" not in words else []
    sentence = said(capsys, *line, *(word.format(still=TOUR / "assets" / "still.png") for word in words))
    assert sentence.startswith(f"pusa-lab {command}: ") and "there is no option" not in sentence


def test_a_request_that_fits_an_outline_fits_its_wan(whole, tmp_path):
    outline = find_family(str(whole)).outline(str(whole), size=(32, 48))
    model = pl.load(whole, size=(32, 48), device="cpu")
    assert (outline.geometry, outline.num_layers) == (model.geometry, model.num_layers)
    clip = torch.zeros(2, 3, 9, 32, 48)
    latents = outline.encode_video(clip)
    assert latents.shape == model.encode_video(clip).shape
    assert outline.decode(latents).shape == model.decode(latents).shape == clip.shape
    assert outline(latents, torch.ones(2, 3), **outline.encode_text(["a", "b"])).shape == latents.shape


def test_a_path_with_blanks_inside_and_at_its_ends_is_in_quotes_as_a_whole(whole, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my files").mkdir()
    (tmp_path / "my files" / "a lora.safetensors").touch()
    line = ["generate", PROMPT, "--model", whole, "--out", tmp_path / "a.mp4"]
    assert "there is no LoRA file 'my files/b c.safetensors'" in said(
        capsys, *line, "--lora", "my files/b c.safetensors"
    )
    assert "rename 'my files/a lora.safetensors' to" in said(capsys, *line, "--transformer", "my files")
    assert "'my files' has no model_index.json" in said(capsys, "plan", "--model", "my files")
    assert "--import 'my files/x.py' is not an existing .py file" in said(capsys, "--import", "my files/x.py", "plan")


def test_other_weights_that_are_not_there_are_said_with_what_was_looked_for(whole, tmp_path, capsys):
    line = ["generate", PROMPT, "--model", whole, "--out", tmp_path / "a.mp4", "--transformer"]
    (empty := tmp_path / "empty").mkdir()
    (empty / "notes.txt").touch()
    assert (
        f"the folder {str(empty)!r} has no safetensors files: neither a diffusion_pytorch_model.safetensors nor"
        in (sentence := said(capsys, *line, empty))
        and "one that `pusa-lab train --lora-rank 0` wrote" in sentence
    )
    assert "there is no file or folder 'nowhere': give" in said(capsys, *line, "nowhere")
    assert "there is no LoRA file 'nowhere': give the path" in said(capsys, *line[:-1], "--lora", "nowhere")


def test_a_lora_is_not_written_into_a_folder_with_the_name_of_a_file(whole, tmp_path, capsys):
    line = ["train", "--recipe", "paper", "--data", tmp_path, "--model", whole, "--out"]
    for name in ("lora.pt", "lora.safetensor"):
        sentence = said(capsys, *line, tmp_path / name)
        assert sentence.endswith(f"{name}: give a name that ends in .safetensors, or that of a folder for it.")


def test_values_that_look_like_options_and_values_of_python_are_said_as_they_are_typed(capsys):
    sentence = said(capsys, "generate", PROMPT, "--strength", "-1e9")
    assert sentence.endswith("--strength was given without a value: give one; --strength=-x if it begins with a dash.")
    sentence = said(capsys, "generate", "--prompt", PROMPT)
    assert sentence.endswith("no option --prompt: type its value by itself, `pusa-lab generate PROMPT ...`.")
    sentence = "the cache c was made with size=[32, 48], but [48, 48] is expected: use the same settings."
    assert in_flags(sentence, ["size"]).startswith("the cache c was made with --size 32x48, but 48x48 is")
    assert "partial" not in said(capsys, "generate", PROMPT, "--guidance", "apg", "--model", "nano-vta")


def test_prompts_of_one_word_each_are_told_to_be_several(monkeypatch, capsys):
    monkeypatch.setattr("pusa_lab.models.load", lambda *_, **__: exec("raise ValueError('enough.')"))
    assert main(["generate", "a", "cat"]) == 2
    told, enough = capsys.readouterr().err.splitlines()
    assert told == "2 prompts of one word each: a, cat; put the words of one in quotes."
    assert enough == "pusa-lab generate: enough." == said(capsys, "generate", PROMPT, "cat")


def test_a_training_of_all_weights_prints_nothing_of_lightning():
    logger = logging.getLogger("lightning.fabric.utilities.distributed")
    assert logger.isEnabledFor(logging.INFO)
    with quiet_lightning():
        assert not logger.isEnabledFor(logging.INFO)
    assert logger.isEnabledFor(logging.INFO)


def test_reading_a_wan_prints_no_bars_into_a_pipe(whole, tmp_path, capfd):
    new = f"a word {secrets.token_hex(8)}"  # whose embedding no run before has kept
    line = ["generate", new, "--model", whole, "--size", "32x48", "--num-frames", "5", "--steps", "1"]
    assert main([*map(str, line), "--out", str(tmp_path / "a.mp4")]) == 0
    assert capfd.readouterr().err == ""


@pytest.fixture
def two_processes(monkeypatch):
    """As in the first of two processes that torchrun has started."""
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("two_processes")
def test_a_recipe_that_is_printed_under_torchrun_is_that_of_its_processes(tmp_path, monkeypatch, capsys):
    words = ["train", "--recipe", "paper", "--model", "w", "--data", "d"]
    assert main([*words, "--print_config"]) == 0
    (file := tmp_path / "run.yaml").write_text(capsys.readouterr().out)
    assert yaml.safe_load(file.read_text())["gpus"] == 2
    seen = []
    monkeypatch.setattr("pusa_lab.cli.train_recipe.train_recipe", lambda given, _: seen.append(given))
    assert main(words) == main(["train", "--config", str(file)]) == 0
    assert seen[0] == seen[1] and processes("--gpus", seen[1].get("gpus", 1), "train") == (2, 1)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert main(["train", "--config", str(file)]) == 0
    assert seen[2]["gpus"] == 2, "without torchrun, it starts as many processes itself"


@pytest.mark.usefixtures("two_processes")
def test_of_several_processes_one_prints_the_options(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert main(["plan", "--print_config"]) == 0
    assert capsys.readouterr().out == ""


LINES = {
    "generate": [PROMPT, "--model", "nano-vta"],
    "stream": [PROMPT, "--model", "nano-vta"],
    "data encode": ["clips", "--out", "o", "--model", "nano-vta"],
    "data show": [],
    "train": ["--recipe", "paper"],
    "plan": [],
    "demo": [],
    "sweep": ["--model=pusa_lab.sweeps.expanded:t_quantile", "--settings={level: 0.5, degrees: 3}", "--cache=c"],
}
"""Command -> what is typed beside a wrong option."""


@pytest.mark.parametrize("command", LINES)
def test_blanks_in_what_was_typed_are_seen(command, tmp_path, monkeypatch, capsys):
    """Of every option that takes a value, and of every argument: a sentence that shows it shows its blanks."""

    def stop(*_, **__):
        raise ValueError("enough.")

    monkeypatch.chdir(tmp_path)
    for made in ("pusa_lab.generate", "pusa_lab.stream", "papermill.execute_notebook"):
        monkeypatch.setattr(made, stop, raising=False)
    assert main([*command.split(), "--help"]) == 0
    options = re.findall(r"^  (--[\w-]+)(?: \S|=)", capsys.readouterr().out, re.M)
    lines = [
        [*LINES[command], f"{option}= qq  z"]
        for option in dict.fromkeys(options)
        if option not in (*LINES[command], "--print_config")
    ]
    lines += [[" qq  z", *LINES[command][1:]]] if command in ("data encode", "data show", "sweep") else []
    shown = 0
    for words in lines:
        assert main([*command.split(), *words]) in (0, 2)
        sentence = capsys.readouterr().err
        shown_whole = "' qq  z'" in sentence or re.search(r"'qq  z': give a (whole )?number\.$", sentence.strip())
        assert "qq" not in sentence or shown_whole, sentence
        shown += "qq" in sentence
    assert shown > len(options) / 3


FITS = {
    "generate": {
        "task": TASKS,
        "schedule": SCHEDULES,
        "solver": SOLVERS,
        "guidance": GUIDERS,
        "mode": MODES,
    },
    "stream": {"solver": SOLVERS, "guidance": GUIDERS},
    "sweep": {"metrics": METRICS},
    "train": {"timestep-sampler": TIMESTEP_SAMPLERS, "weight": WEIGHTS, "history": HISTORIES},
    "bench paper": {"set": [field.name for field in fields(Sizes)]},
}
"""Command -> option -> the names that it takes."""


@pytest.mark.parametrize(("command", "option"), [(c, option) for c, options in FITS.items() for option in options])
def test_the_help_of_an_option_lists_every_name_that_it_takes(command, option, capsys):
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    found = re.search(rf"(?ms)^  --{option}[ ,].*?(?=^  --|^\S|\Z)", text)[0]
    assert set(FITS[command][option]) <= set(re.findall(r"\w+", found))


@pytest.mark.parametrize("command", sorted(commands()))
def test_helps_speak_no_python(command, capsys):
    """No constants, dotted names of modules, or values as Python writes them."""
    if command == "bench playground":
        pytest.importorskip("onnx", reason="what only the site needs is installed by `make site`")
    assert main([*command.split(), "--help"]) == 0
    text = re.sub(r"(--[\w+-]+) [A-Z_]+", r"\1", capsys.readouterr().out.partition("\n\n")[2])
    assert not re.findall(r"\b[A-Z]+_[A-Z_]+\b|\b(?:pusa_lab|small_models)\.[\w.]+|\b(?:None|True|False)\b", text)
