"""pytest tests/test_cli_generate.py: every task, schedule and way of saving of `pusa-lab generate`, and metadata."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

import pusa_lab as pl
from pusa_lab import schedules
from pusa_lab.cli import COMMANDS, main
from pusa_lab.conditions import place
from pusa_lab.data import read_clip
from pusa_lab.generate import GUIDANCE
from pusa_lab.media import read_metadata, write_clip
from pusa_lab.planning import plan
from small_models.models.zoo import CHECKPOINTS

PROMPT = "a red circle moves right"
NANO = ["--model", "nano-vta", "--steps", "1", "--guidance", "1"]
ROOT = Path(__file__).parents[1]


@pytest.fixture
def given(tmp_path):
    """Files that options may name."""
    place = tmp_path / "in"
    place.mkdir()
    for name in "ab":
        Image.fromarray(np.full((16, 16, 3), 90 + ord(name), np.uint8)).save(place / f"{name}.png")
    write_clip(place / "clip.mp4", np.full((8, 16, 16, 3), 90, np.uint8), 8)
    write_clip(place / "two.mp4", np.full((2, 16, 16, 3), 200, np.uint8), 8)
    (place / "matrix.csv").write_text("1,1\n0,0\n")
    (place / "empty.yaml").write_text("# nothing\n")
    (place / "text.yaml").write_text(f"prompt: {PROMPT}\n")
    more = {name.split(".")[0]: place / name for name in ("matrix.csv", "empty.yaml", "text.yaml")}
    return more | {"a": place / "a.png", "b": place / "b.png", "clip": place / "clip.mp4", "two": place / "two.mp4"}


@pytest.fixture
def asked(monkeypatch, nano_vta):
    """What `generate` is called with; nothing is sampled."""
    calls = []

    def generate(model, prompt, task, **options):
        calls.append({"model": model, "prompt": prompt, "task": task, **options})
        run = pl.prepare(model, prompt, task, **options)
        return run.finish(next(run.states()))

    monkeypatch.setattr("pusa_lab.generate", generate)
    return calls


@pytest.mark.parametrize(
    ("name", "words", "known"),
    [
        ("text_to_video", [], []),
        ("image_to_video", ["--image", "{a}", "--noise", "0.3"], [0]),
        ("start_end", ["--image", "{a}", "--end-image", "{b}", "--noise", "[0.2, 0.5]"], [0, 7]),
        ("loop", ["--image", "{a}", "--loop", "--mode", "hold"], [0, 7]),
        ("transition", ["--video", "{two}", "--end-video", "{two}"], [0, 1, 6, 7]),
        ("keyframes", ["--keyframes", "[{a}, {b}]", "--at", "[2, -1]"], [2, 7]),
        ("keyframes", ["--keyframes+", "{a}", "--pixel-at", "[3]"], [3]),
        ("completion", ["--video", "{clip}", "--known-parts", "[0..1, 6..7]"], [0, 1, 6, 7]),
        ("extension", ["--video", "{clip}", "--known", "3"], [0, 1, 2]),
        ("extension", ["--video", "{clip}"], [0, 1]),
    ],
)
@pytest.mark.usefixtures("read_once")
def test_every_task(tmp_path, given, asked, nano_vta, name, words, known):
    words = [word.format(**given) for word in words]
    assert main(["generate", PROMPT, *NANO, *words, "--out", str(tmp_path / "v.mp4")]) == 0
    task = asked[0]["task"]
    assert task.name == name
    assert place(task, nano_vta.geometry, 8).at == known
    assert read_metadata(tmp_path / "v.mp4")["task"] == name


def test_a_config_file_is_what_was_printed(tmp_path, asked, capsys):
    words = ["generate", PROMPT, "a blue square", *NANO, "--schedule", "pyramid", "--schedule-options.lag", "3"]
    assert main([*words, "--print_config"]) == 0
    config = tmp_path / "run.yaml"
    config.write_text(capsys.readouterr().out)
    assert asked == []
    assert main(["generate", "--config", str(config), "--solver", "heun", "--out", str(tmp_path / "v.mp4")]) == 0
    assert [call["prompt"] for call in asked] == [PROMPT, "a blue square"]
    assert asked[0]["solver"] == "heun" and asked[0]["steps"] == 1
    assert torch.equal(asked[0]["schedule"](4, 8), schedules.pyramid(4, 8, lag=3))


def test_every_prompt_with_every_seed(tmp_path, asked, capsys):
    out = tmp_path / "v.mp4"
    assert (
        main(["generate", PROMPT, "a blue square", *NANO, "--seed", "4", "--num-videos", "2", "--out", str(out)]) == 0
    )
    said = capsys.readouterr().out.splitlines()
    found = [read_metadata(tmp_path / f"v-{i}.mp4") for i in range(4)]
    assert [(one["prompt"], one["seed"]) for one in found] == [
        (p, s) for p in (PROMPT, "a blue square") for s in (4, 5)
    ]
    assert [line.split(": ")[-1] for line in said] == [str(tmp_path / f"v-{i}.mp4") for i in range(4)]
    assert main(["generate", PROMPT, *NANO, "--seed", "[7, 3]", "--out", str(out)]) == 0
    assert [call["seed"] for call in asked[4:]] == [7, 3]


def test_the_same_words_make_the_same_video_and_what_is_written_makes_it_again(tmp_path, nano_vta):
    words = [
        "--schedule",
        "pyramid",
        "--seed",
        "5",
        "--guidance",
        "2",
        "--steps",
        "3",
        "--negative-prompt",
        "a blue square",
    ]
    words = ["generate", PROMPT, "--model", "nano-vta", *words, "--save", "both", "--out", str(tmp_path / "v.mp4")]
    assert main(words) == 0
    about, tensors = read_metadata(tmp_path / "v.mp4"), load_file(tmp_path / "v.safetensors")
    assert {"python", "torch", "numpy"} <= set(about["versions"])
    assert about["command"].startswith("pusa-lab generate 'a red circle moves right' --model nano-vta")
    assert about["options"]["guidance"] == 2 and about["options"]["schedule"] == "pyramid"
    options = {"guidance": 2.0, "negative_prompt": "a blue square", "seed": about["seed"]}
    again = pl.generate(nano_vta, about["prompt"], schedule=torch.tensor(about["schedule"]), **options)
    assert torch.equal(tensors["schedule"], torch.tensor(about["schedule"]))
    torch.testing.assert_close(again.latents, tensors["latents"])
    with safe_open(tmp_path / "v.safetensors", "pt") as file:
        assert json.loads(file.metadata()["pusa_lab"]) == about
    assert read_clip(tmp_path / "v.mp4").shape == (8, 128, 128, 3)


def test_latents_alone(tmp_path):
    assert main(["generate", PROMPT, *NANO, "--save", "latents", "--out", str(tmp_path / "v.safetensors")]) == 0
    assert load_file(tmp_path / "v.safetensors")["latents"].shape == (1, 3, 8, 16, 16)
    assert [path.name for path in tmp_path.iterdir()] == ["v.safetensors"]


def test_one_default_of_guidance_everywhere(tmp_path, asked):
    assert main(["generate", PROMPT, *NANO[:4], "--out", str(tmp_path / "v.mp4")]) == 0
    assert asked[0]["guidance"] == GUIDANCE == inspect.signature(pl.prepare).parameters["guidance"].default
    assert read_metadata(tmp_path / "v.mp4")["options"]["guidance"] == GUIDANCE
    assert plan().settings.guidance == GUIDANCE


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".json"])
def test_a_matrix_from_a_file(tmp_path, asked, suffix):
    matrix, path = schedules.pyramid(3, 6), tmp_path / f"matrix{suffix}"
    if suffix == ".npy":
        np.save(path, matrix.numpy())
    elif suffix == ".csv":
        path.write_text("\n".join(",".join(map(repr, row)) for row in matrix.tolist()))
    else:
        path.write_text(json.dumps(matrix.tolist()))
    words = ["--model", "nano-vta", "--guidance", "[1, 1, 1, 1, 1, 2]", "--schedule", str(path), "--num-frames", "6"]
    assert main(["generate", PROMPT, *words, "--out", str(tmp_path / "v.mp4")]) == 0
    assert torch.equal(asked[0]["schedule"], matrix) and asked[0]["latent_frames"] == 6
    assert asked[0]["guidance"].tolist() == [1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("no.npy", None, "no schedule at"),
        ("a.npy", b"", "is not a schedule that can be read"),
        ("a.npy", b"rows", "is not a schedule that can be read: give a matrix of numbers that numpy.save wrote."),
        (
            "a.csv",
            b"1,0\n\n1\n",
            "a.csv, line 3: 1 number, but 2 numbers in the first row: give rows of numbers, all of the same length",
        ),
        ("a.csv", b"1,x", "a.csv, line 1: 'x' is not a number: give rows of numbers"),
        (
            "a.csv",
            b"1;1\n0;0\n",
            "line 1: '1;1' is not a number: give rows of numbers, all of the same length",
        ),
        ("a.json", b"{}", "is not a schedule that can be read"),
        ("a.json", b"[1, 0]", "holds numbers of shape (2,): give a matrix (rows, latent frames)"),
        ("a.json", b"[[1, 1], [0, 2]]", "schedule"),
    ],
)
def test_a_file_without_a_matrix_is_refused_before_a_model_is_read(tmp_path, monkeypatch, capsys, name, content, says):
    monkeypatch.setattr("pusa_lab.models.load", lambda *_, **__: pytest.fail("a model was read"))
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["generate", PROMPT, "--schedule", str(tmp_path / name), "--out", str(tmp_path / "v.mp4")]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_a_pickle_is_never_run(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.array([print], dtype=object), allow_pickle=True)
    assert main(["generate", PROMPT, "--schedule", str(tmp_path / "a.npy"), "--out", str(tmp_path / "v.mp4")]) == 2
    assert "is not a schedule that can be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no prompt was given: give a caption in quotes, or several"),
        ([PROMPT, "--loop"], "--loop was given without --image: give both"),
        ([PROMPT, "--image", "{a}", "--loop", "--end-image", "{b}"], "both --end-image and --loop were given"),
        ([PROMPT, "--keyframes", "[{a}]"], "--keyframes was given without --at or --pixel-at"),
        ([PROMPT, "--keyframes", "[{a}]", "--at", "[0, 1]"], "1 picture for 2 places"),
        ([PROMPT, "--video", "{clip}", "--known-parts", "[0-3]"], "--known-parts '0-3': give the first and the last"),
        (
            [PROMPT, "--video", "{clip}", "--known", "2", "--end-video", "{two}"],
            "both --end-video and --known were given",
        ),
        ([PROMPT, "--mode", "hold"], "--mode was given without --image or --video or --keyframes"),
        ([PROMPT, "--image", "{a}", "--mode", "melt"], "unknown mode 'melt'"),
        ([PROMPT, "--num-videos", "0"], "--num-videos 0: give 1 to 10,000"),
        ([PROMPT, "--num-videos", "2", "--seed", "[1, 2]"], "--num-videos 2 and a list of seeds were given"),
        ([PROMPT, "--guidance", "1", "--negative-prompt", "x"], "--negative-prompt has no effect with --guidance 1"),
        (
            [PROMPT, "--schedule", "pyramid", "--schedule-options.lag", "foo"],
            "generate: --schedule-options.lag 'foo': give a number.",
        ),
        (
            [PROMPT, "--schedule", "pyramid", "--schedule-options.lag", "true"],
            "generate: --schedule-options.lag true: give a number.",
        ),
        (
            [PROMPT, "--schedule", "pyramid", "--schedule-options.pause", "1"],
            "there is no option 'pause' for the schedule pyramid: choose from lag, sigmas.",
        ),
        (
            [PROMPT, "--task", "loop", "--task-options.picture", "3"],
            "generate: picture has shape (): give one picture (h, w, 3)",
        ),
        (
            [PROMPT, "--task", "keyframes", "--task-options.pictures", "[{a}, {b}]"],
            ": 2 pictures without places: give --task-options.at [...] in latent frames, or --task-options.pixel_at [",
        ),
        (
            [PROMPT, "--task", "keyframes", "--task-options.pictures", "[{a}]", "--task-options.at", "[0.5]"],
            "generate: --task-options.at[0] 0.5: give a whole number.",
        ),
        (
            [PROMPT, "--task", "extension", "--task-options.clip", "{clip}", "--task-options.known", "yes"],
            "generate: --task-options.known true: give a whole number.",
        ),
        (
            [PROMPT, "--video", "{clip}", "--known", "0"],
            "--known 0: give at least 1 pixel frame of the clip, or leave it",
        ),
        (
            [PROMPT, "--seed", "[1, 9223372036854775808]"],
            "--seed 9223372036854775808: give whole numbers from -2**63 to",
        ),
        (
            [PROMPT, "--num-videos", "2", "--seed", "9223372036854775807"],
            "--seed 9223372036854775808: give whole numbers from -2**63 to 2**63 - 1.",
        ),
        (["a gnu hops, a gnu hops"], "unknown words in 'a gnu hops, a gnu hops': gnu, hops. The toy knows"),
        (
            [PROMPT, "--lora", str(CHECKPOINTS / "mini-vta.safetensors"), "--model", "nano-base"],
            "is a low-rank update of mini-base, not of nano-base: give mini-base as the model, or an update",
        ),
        ([PROMPT, "--schedule-options.lag", "3"], "there is no option 'lag' for the schedule synchronous"),
        ([PROMPT, "--schedule-options.steps", "3"], "--schedule-options.steps: give --steps instead"),
        ([PROMPT, "--strength", "1.4", "--model", "nano-base"], "has all weights and no low-rank update"),
        ([PROMPT, "--strength", "0", "--model", "nano-base"], "has all weights and no low-rank update"),
        (
            [PROMPT, "--offload", "model"],
            "--offload is not for mini-vta, which takes --lora, --strength, --device: leave it out",
        ),
        (
            [PROMPT, "--size", "480x832"],
            "--size is not for mini-vta, which takes --lora, --strength, --device: leave it out",
        ),
        ([PROMPT, "--num-frames", "8"], "--num-frames 8: give 1 + 4 * k pixel frames, such as 5."),
        ([PROMPT, "--num-inference-steps", "8"], "there is no option --num-inference-steps: did you mean --steps?"),
        ([PROMPT, "--num_inference_steps=8"], "there is no option --num_inference_steps: did you mean --steps?"),
        ([PROMPT, "--guidance_scale", "8"], "there is no option --guidance_scale: did you mean --guidance?"),
        ([PROMPT, "--num_frames", "9"], "there is no option --num_frames: did you mean --num-frames?"),
        ([PROMPT, "--generator", "8"], "there is no option --generator: did you mean --seed?"),
        ([PROMPT, "--devices", "cpu"], "there is no option --devices: did you mean --device?"),
        ([PROMPT, "--float8"], "there is no option --float8: did you mean --precision?"),
        ([PROMPT, "--save", "nothing"], "--save 'nothing': give one of video, latents, both"),
        ([PROMPT, "--save", "latents", "--out", "a.mp4"], "--out a.mp4: give a name that ends in .safetensors"),
        ([PROMPT, "--config", "{a}"], "a.png' cannot be read as YAML: correct it, and give one option a line"),
        ([PROMPT, "--config", "nowhere"], "--config 'nowhere' is not an existing file: give the path of a YAML file"),
        ([PROMPT, "--config="], "--config '' is not an existing file"),
        (
            [PROMPT, "--config", "{empty}"],
            "empty.yaml' is empty: give one option a line as NAME: VALUE, as --print_config prints them, or leave it",
        ),
        (["--config", "{text}"], f"text.yaml' has prompt: {PROMPT}: write a list, [{PROMPT}]."),
        ([PROMPT, "--config", "/"], "--config '/' is a folder"),
        ([PROMPT, "--loop=yes", "--image", "{a}"], "--loop takes no value: leave out 'yes'"),
        ([PROMPT, "--image"], "--image was given without a value: give one"),
        ([PROMPT, "--seed", "[1, 2, 1]"], "--seed 1 was given twice, which would make the same video twice"),
        ([PROMPT, PROMPT], "the prompt 'a red circle moves right' was given twice"),
        ([PROMPT, "--steps", "5", "--steps=6"], "--steps was given twice: give it once"),
        ([PROMPT, "--schedule-options.lag", "1", "--schedule-options.lag", "2"], "lag was given twice: give it once"),
        ([PROMPT, "--schedule", "{matrix}"], "matrix.csv has 2 columns for a video of 9 latent frames: give a column"),
        (
            [PROMPT, "--schedule", "{matrix}", "--steps", "3"],
            "--steps 3 has no effect with --schedule {matrix} of 2 rows",
        ),
        ([PROMPT, "--schedule", "/"], "--schedule '/' is a folder: choose one of synchronous"),
        ([PROMPT, "--num-frames", "4000001"], "--num-frames 4000001: give at most 39,997 pixel frames"),
        ([PROMPT, "--video", "{clip}", "--known-parts", "[4..0]"], "first..last with first no larger than last"),
        ([PROMPT, "--video", "{clip}", "--known-parts", "[0..900]"], "'0..900' of a clip of "),
        ([PROMPT, "--video", "{a}"], "a.png is a picture: give a clip, or give the picture as --image"),
        ([PROMPT, "--keyframes", "{a}", "--at", "0"], "--keyframes '{a}': give a list, such as [{a}]."),
        ([PROMPT, "--keyframes", "[]", "--at", "[]"], "--keyframes is an empty list: give at least one value"),
        (
            [PROMPT, "--lora", "nope"],
            "no LoRA of mini-vta 'nope', which is not an existing file: give a .safetensors file.",
        ),
        ([PROMPT, "--lora", "{a}"], "a.png', which is not a .safetensors file: give a"),
        ([PROMPT, "--strength", "[1, 2]"], "2 strengths for mini-vta: a toy takes one LoRA and one strength"),
        ([PROMPT, "--model", ""], "--model is empty: give it a value, or leave it out"),
        ([PROMPT, "--out", ""], "--out is empty: give it a value, or leave it out"),
        ([PROMPT, "--device", "foo"], '--device is \'foo\': give a device such as "cpu" or "cuda".'),
        ([PROMPT, "--guidance", "[3]"], "guidance of 1 number for 9 latent frames: give one finite number"),
        (
            [PROMPT, "--guidance", "apg(scal=5)"],
            "apg has no setting 'scal': did you mean 'scale'? Its settings are scale, eta",
        ),
        ([PROMPT, "--known", "x"], "--known 'x': give a whole number"),
    ],
)
@pytest.mark.usefixtures("read_once")
def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, given, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", *(word.format(**given) for word in words)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("pusa-lab generate: ") and says.format(**given) in said and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


HELP = """
import contextlib, io, json, os, sys
from pusa_lab.cli import main
shown = {}
for command in sys.argv[1:]:
    said, saying = os.pipe()
    if os.fork() == 0:
        with contextlib.redirect_stdout(io.StringIO()) as page:
            code = main([*command.split(), "--help"])
        with open(saying, "w") as file:
            json.dump([code, "torch" in sys.modules, page.getvalue()], file)
        os._exit(0)
    os.close(saying)
    with open(said) as file:
        shown[command] = json.load(file)
print(json.dumps(shown))
"""


@pytest.fixture(scope="module")
def helped():
    """Of every command, in a process of its own: the exit status of --help, whether it brought torch, and the page."""
    words = [sys.executable, "-c", HELP, *COMMANDS]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_needs_no_torch(helped, command):
    """But for train, whose help lists the fields of its configuration."""
    code, torch_came, page = helped[command]
    assert (code, torch_came) == (0, command == "train")
    assert "usage: pusa-lab" in page
    assert "customizes" not in page and "print all options with their values as YAML" in " ".join(page.split())


def test_videos_of_others_have_no_metadata(tmp_path, given):
    (tmp_path / "a.mp4").write_bytes(b"")
    for path in (given["clip"], given["a"], tmp_path / "a.mp4"):
        with pytest.raises(ValueError, match=r"media.read_metadata: .* has no metadata of pusa_lab: give a video that"):
            read_metadata(path)
    with pytest.raises(ValueError, match="metadata cannot be written as JSON"):
        write_clip(tmp_path / "b.mp4", np.zeros((1, 16, 16, 3), np.uint8), 8, metadata={"a": object()})


def test_metadata_changes_no_frame(tmp_path):
    video = np.random.default_rng(0).integers(0, 255, (9, 16, 16, 3), np.uint8)
    write_clip(tmp_path / "a.mp4", video, 8)
    write_clip(tmp_path / "ä:b.mp4", video, 8, metadata={"prompt": "ü\n" * 1000})
    assert np.array_equal(read_clip(tmp_path / "a.mp4"), read_clip(tmp_path / "ä:b.mp4"))
    assert read_metadata(tmp_path / "ä:b.mp4") == {"prompt": "ü\n" * 1000}


def test_an_empty_list_of_seeds_makes_nothing(tmp_path, capsys):
    assert main(["generate", PROMPT, "--seed", "[]", "--out", str(tmp_path / "v.mp4")]) == 2
    said = capsys.readouterr().err
    assert said == "pusa-lab generate: --seed is an empty list: give at least one value, or leave it out.\n"
