"""pytest tests/test_cli.py: the command line, and one sentence with exit code 2 for whatever is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import python

import small_models
from pusa_lab import media
from pusa_lab.cli import main
from pusa_lab.data import read_clip
from pusa_lab.versions import missing_package

PROMPT = "a red circle moves right"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in" / "picture.png"
    path.parent.mkdir()
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(path)
    return str(path)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clips" / "clip.mp4"
    media.write_clip(path, np.full((5, 32, 32, 3), 90, np.uint8), fps=8)
    return str(path)


@pytest.mark.usefixtures("read_once")
def test_generate_every_task(tmp_path, picture, clip, capsys):
    given = {
        "text_to_video": [],
        "image_to_video": ["--image", picture],
        "start_end": ["--image", picture, "--end-image", picture],
        "extension": ["--video", clip, "--known", "5"],
    }
    for name, words in given.items():
        out = tmp_path / "out" / f"{name}.mp4"
        assert main(["generate", PROMPT, *words, "--steps", "1", "--out", str(out)]) == 0
        assert read_clip(out).shape == (33, 128, 128, 3)
        assert capsys.readouterr().out.startswith(name)


def test_the_other_way_takes_its_picture(tmp_path, picture):
    out = tmp_path / "a.mp4"
    assert main(["generate", PROMPT, "--model", "mini-i2v", "--image", picture, "--steps", "1", "--out", str(out)]) == 0
    assert read_clip(out).shape == (33, 128, 128, 3)


@pytest.mark.usefixtures("read_once")
def test_generate_in_another_schedule_and_solver(tmp_path):
    out = tmp_path / "a.mp4"
    words = ["--model", "nano-vta", "--schedule", "pyramid", "--solver", "heun", "--guidance", "1", "--seed", "3"]
    assert main(["generate", PROMPT, *words, "--steps", "2", "--out", str(out)]) == 0
    assert out.is_file()


@pytest.mark.parametrize(
    ("guidance", "calls"),
    [("2", 4), ("apg(scale=3)", 4), ("skip_layer_guidance(layers=[1], weight=1) | text_cfg(scale=2)", 8)],
)
def test_generate_with_a_guider_says_what_it_cost(tmp_path, capsys, guidance, calls):
    words = ["--model", "nano-vta", "--steps", "2", "--guidance", guidance, "--out", str(tmp_path / "a.mp4")]
    assert main(["generate", PROMPT, *words]) == 0
    assert f"2 steps, {calls} calls, " in capsys.readouterr().out


def test_a_demo_that_fails_leaves_nothing(tmp_path, capsys, forked_kernels):
    out = tmp_path / "demo"
    assert main(["demo", "--fast", "--prompt", "a red elephant", "--out", str(out)]) == 2
    assert "the demo stopped: unknown words in 'a red elephant': elephant" in capsys.readouterr().err
    assert not out.exists()


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "papermill", None)
    assert main(["demo"]) == 2
    says = "is not installed: run `pip install {}`, or `pip install -e '.[all]'` in a clone of pusa_lab.\n"
    assert capsys.readouterr().err == f"pusa-lab demo: papermill {says.format('papermill')}"
    assert f"{missing_package('PIL.Image')}\n" == f"pillow {says.format('pillow')}"
    monkeypatch.setattr("pusa_lab.cli.doctor.PACKAGES", ("torch", "no_such"))
    assert main(["doctor"]) == 0
    assert f"no-such {says.format('no-such')}" in capsys.readouterr().out


def test_a_sentence_on_missing_packages_is_kept(monkeypatch, capsys):
    """As Lightning writes, which names no module."""

    def doctor():
        raise ModuleNotFoundError("Neither `tensorboard` nor `tensorboardX` is available.")

    monkeypatch.setattr("pusa_lab.cli.doctor.doctor", doctor)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == "pusa-lab doctor: Neither `tensorboard` nor `tensorboardX` is available.\n"


def test_train_fast(measured_in_two_steps, tmp_path, monkeypatch):
    out = tmp_path / "t"
    monkeypatch.setattr("small_models.training.train.run", lambda *_, **__: None)
    assert main(["train", "--stage", "vta", "--fast", "--max-steps", "3", "--lr", "1e-4", "--out", str(out)]) == 0
    card = json.loads((out / "nano-vta.json").read_text())
    assert card["config"]["max_steps"] == 3
    assert card["config"]["lr"] == 1e-4
    assert card["command"] == f"pusa-lab train --stage vta --fast --max-steps 3 --lr 1e-4 --out {out}"


def test_a_training_prints_nothing_of_lightning(tmp_path):
    """In a process of its own, where Lightning writes to the real streams; measured as with measured_in_two_steps."""
    words = ["train", "--stage", "vta", "--fast", "--max-steps", "2", "--out", str(tmp_path)]
    code = """
import functools, sys
from pusa_lab.cli import main
from small_models.training import train
train.measure = functools.partial(train.measure, steps=2)
train.measure_clips = functools.partial(train.measure_clips, steps=2)
sys.exit(main(sys.argv[1:]))
"""
    done = python(code, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/nano-vta.safetensors, and its card {tmp_path}/nano-vta.json\n"
    assert done.stderr == ""


def test_one_command_rebuilds_every_shipped_checkpoint(monkeypatch, tmp_path):
    asked = []

    def train(model, stage, out, base, **options):
        asked.append(f"{model}-{stage}")
        return out / f"{model}-{stage}.safetensors"

    monkeypatch.setattr("small_models.training.train.train", train)
    assert main(["train", "--model", "all", "--stage", "all", "--out", str(tmp_path)]) == 0
    assert sorted(asked) == small_models.list_models()
    assert asked.index("mini-codec") < asked.index("mini-base") < asked.index("mini-vta")
    asked.clear()
    assert main(["train", "--model", "mini", "--stage", "i2v", "--out", str(tmp_path)]) == 0
    assert asked == ["mini-i2v"]


def test_doctor_names_versions_and_models(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "torch 2." in said
    assert "nano-vta" in said


@pytest.mark.parametrize("command", [[], ["demo"], ["generate"], ["train"], ["doctor"]])
def test_every_command_has_help(command, capsys):
    assert main([*command, "--help"]) == 0
    assert "usage: pusa-lab" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["generate", PROMPT, "--image", "nowhere.png"], "no picture at 'nowhere.png'"),
        (["generate", PROMPT, "--image", "{clip}"], "clip.mp4 is not a readable picture"),
        (["generate", PROMPT, "--video", "nowhere.mp4"], "no clip at 'nowhere.mp4'"),
        (
            ["generate", PROMPT, "--video", "{clip}", "--known", "13"],
            "--known 13 of a clip that has 10 frames at the model's 16",
        ),
        (["generate", PROMPT, "--video", "{clip}", "--image", "{picture}"], "both --image and --video"),
        (["generate", PROMPT, "--end-image", "{picture}"], "--end-image was given without --image"),
        (["generate", PROMPT, "--known", "5"], "--known was given without --video: give both"),
        (
            ["generate", PROMPT, "--image", "{picture}", "--known", "5"],
            "--known was given without --video: give both",
        ),
        (["generate", PROMPT, "--noise", "0.2"], "--noise was given without --image or --video or --keyframes"),
        (["generate", PROMPT, "--noise", "0"], "--noise was given without --image or --video or --keyframes"),
        (
            ["generate", PROMPT, "--video", "{clip}", "--end-image", "{picture}"],
            "--end-image was given without --image",
        ),
        (["generate", PROMPT, "--image", ""], "--image is empty"),
        (["generate", PROMPT, "--video", ""], "--video is empty"),
        (
            ["generate", PROMPT, "--model", "mini-i2v", "--image", "{picture}", "--noise", "0.1"],
            "give --image, without --end-image, --loop, --noise or --mode",
        ),
        (["generate", PROMPT, "--model", "mini-i2v", "--video", "{clip}"], "mini-i2v takes one picture as input"),
        (["generate", PROMPT, "--steps", "10000000"], "--steps 10000000: give 1 to 10,000"),
        (
            ["generate", PROMPT, "--seed", "99999999999999999999"],
            "--seed 99999999999999999999: give whole numbers from -2**63 to 2**63 - 1.",
        ),
        (["generate", PROMPT, "--guidance", "nan"], "--guidance nan: give finite numbers; 1 is none"),
        (["generate", PROMPT, "--guidance", "much"], "unknown guider 'much': choose one of text_cfg, apg"),
        (["generate", PROMPT, "--image", "{picture}", "--noise", "nan"], "--noise 'nan': give a finite number"),
        (["generate", PROMPT, "--out", "{clip}/a.mp4"], "cannot be written: {clip} is a file"),
        (["generate", PROMPT, "--out", "{long}.mp4"], "give a shorter name"),
        (["demo", "--out", "{clip}"], "--out {clip} is a file: give a folder"),
        (["demo", "--out", "{clip}/a"], "cannot be written: {clip} is a file"),
        (["generate", "a red horse"], "unknown words"),
        (["generate", PROMPT, "--model", "giga"], "no model 'giga'"),
        (["generate", PROMPT, "--model", "mini-codec"], "mini-codec is a codec and makes no videos"),
        (["generate", PROMPT, "--model", "mini-features"], "mini-features only reads videos and makes none"),
        (["generate", PROMPT, "--model", "mini-i2v"], "mini-i2v takes one picture as input"),
        (
            ["train", "--model", "all", "--stage", "all", "--resume", "x.ckpt"],
            "--resume is for a single stage: give --model and --stage",
        ),
        (["train", "--stage", "base", "--lora-rank", "4"], "--lora-rank 4 for base"),
        (["train", "--clips", "0"], "--clips 0: give a whole number from 1"),
        (["generate", PROMPT, "--model", "{broken}"], "truncated"),
        (["generate", PROMPT, "--schedule", "spiral"], "unknown schedule 'spiral'"),
        (["generate", PROMPT, "--steps", "0"], "--steps 0: give 1 to 10,000"),
        (["generate", PROMPT, "--out", "{clip}.gif"], "give a name that ends in .mp4"),
        (["train", "--precision", "foo"], "--precision 'foo': give one of"),
        (["generate", PROMPT, "--image", "{picture}", "--noise", "2"], "noise level 2.0"),
        (["train", "--colour", "3"], "there is no option --colour: `pusa-lab train --help` lists"),
        (["train", "--max-steps", "many"], "--max-steps 'many': give a whole number"),
        (["train", "--model", "giga"], "no model 'giga' to train: choose one of nano, mini, all; a Wan needs --recipe"),
        (["train", "--stage", "foo"], "no stage 'foo' of nano: choose one of base, vta, actions, or all."),
        (["train", "--base", "nope"], "no base 'nope', which is not an existing file: choose"),
        (["train", "--base", "{picture}"], "picture.png', which is not a .safetensors file: choose"),
        (["train", "--recipe", "paper"], "--data is missing: give --data CACHE, a latent cache, and --model FOLDER"),
        (["train", "--logs", ""], "--logs is empty: give it a value, or leave it out"),
        (["demo", "--video", "{picture}"], "picture.png is a picture: give a clip, or give the picture as --image"),
        (["demo", "--image", "nowhere.png"], "no picture at 'nowhere.png'"),
        (["demo", "--video", "nowhere.mp4"], "no clip at 'nowhere.mp4'"),
        (["demo", "--video", "{picture}x"], "no clip at"),
    ],
)
@pytest.mark.usefixtures("read_once")
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path, picture, clip, words, says, capsys):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x10\x00")
    out = tmp_path / "out"
    given = {"clip": clip, "picture": picture, "broken": broken, "long": tmp_path / ("a" * 300)}
    words, says = [w.format(**given) for w in words], says.format(**given)
    target = out / "a.mp4" if words[0] == "generate" else out
    place = [] if "--out" in words else ["--out", str(target)]
    assert main([words[0], *place, *words[1:]]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"pusa-lab {words[0]}: ")
    assert says in said
    assert "\n" not in said
    assert not out.exists()


def test_a_training_is_what_its_config_says(tmp_path, monkeypatch, capsys):
    words = ["train", "--model", "mini", "--stage", "vta", "--lr", "1e-4", "--per-sample-weighting", "no", "--out", "a"]
    assert main([*words, "--print_config"]) == 0
    (tmp_path / "run.yaml").write_text(capsys.readouterr().out)
    seen = []
    monkeypatch.setattr(
        "small_models.training.train.train", lambda *args, **more: seen.append((args, more)) or more["out"]
    )
    assert main(words) == 0
    assert main(["train", "--config", str(tmp_path / "run.yaml")]) == 0
    for _, more in seen:
        more.pop("command")
    assert seen[0] == seen[1] and seen[1][1]["lr"] == 1e-4 and seen[1][1]["per_sample_weighting"] is False


def test_other_packages_add_commands_and_benchmarks_but_replace_none(tmp_path):
    """In a process of its own, where the package lies on the path."""
    (tmp_path / "extra.py").write_text(
        "def greet(name: str, *, times: int = 1) -> None:\n"
        '    """Greet somebody.\n\n    Args:\n        name: of whom.\n        times: how often.\n    """\n'
        "    print(f'hello {name} ' * times)\n"
    )
    (tmp_path / "measure.py").write_text(
        "def mine(*, a: str) -> None:\n"
        '    """Seconds of mine.\n\n    Args:\n        a: anything.\n    """\n'
        "    print('measured', a)\n"
    )
    about = tmp_path / "extra-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    points = "[pusa_lab.commands]\ngreet = extra:greet\nplan = extra:greet\n[pusa_lab.benchmarks]\nmine = measure\n"
    (about / "entry_points.txt").write_text(points)
    places = [str(tmp_path), str(ROOT)]
    code = f"import sys; sys.path[:0] = {places}; from pusa_lab.cli import main; sys.exit(main(sys.argv[1:]))"

    def run(*words):
        return python(code, *words)

    assert run("greet", "you", "--times", "2").stdout == "hello you hello you \n"
    assert run("greet", "you", "--times", "x").stderr == "pusa-lab greet: --times 'x': give a whole number.\n"
    assert "Greet somebody." in run("--help").stdout
    assert "wan2.1-14b, 81 frames" in run("plan").stdout
    assert run("bench", "mine", "--a", "b").stdout == "measured b\n"
    assert run("bench", "mine", "--b").stderr.startswith("pusa-lab bench mine: there is no option --b")
    assert "  bench mine               Seconds of mine.\n" in run("bench", "--help").stdout


def test_a_command_that_is_not_there(capsys):
    assert main([]) == 2
    assert "usage: pusa-lab [--import FILE.py] COMMAND" in capsys.readouterr().out
    assert main(["dance"]) == 2
    assert (
        "pusa-lab dance: there is no command 'dance': choose one of demo, generate, stream, data encode"
        in capsys.readouterr().err
    )
    assert main(["data"]) == 2
    assert "pusa-lab data: a subcommand is missing: choose one of data encode, data show" in capsys.readouterr().err
    assert main(["data", "--help"]) == 0
    said = capsys.readouterr().out
    assert "usage: pusa-lab data COMMAND" in said and "`pusa-lab data encode --help` lists its options" in said
    assert "  data encode   Encode a folder" in said and "  data show     Show what a latent cache holds." in said
    assert main(["data", "foo"]) == 2
    assert "there is no command 'data foo': choose one of data encode, data show" in capsys.readouterr().err
    assert main(["bench", "dance"]) == 2
    assert "pusa-lab bench: there is no command 'bench dance': choose one of bench" in capsys.readouterr().err
    assert main(["bench"]) == 2
    assert "pusa-lab bench: a subcommand is missing: choose one of bench" in capsys.readouterr().err


def test_what_benchmarks_measure_is_listed_and_what_only_helps_them_is_not(capsys):
    assert main(["bench", "--help"]) == 0
    listed = dict(re.findall(r"^  bench (\w+) +(\S.*\.)$", capsys.readouterr().out, re.M))
    assert {"paper", "core", "world", "wan_forward", "wan_train"} <= listed.keys()
    hidden = {"colab_check", "paper_ahead", "rows_ahead", "wan_random", "wan_train_join", "wan_train_step"}
    assert not listed.keys() & hidden
    assert listed["world"].startswith("Seconds of drawing 1,000 clips")


@pytest.mark.parametrize("words", [[], ["bench"]], ids=str)
def test_commands_are_listed_without_importing_them(words):
    heavy = ["torch", "numpy", "small_models", "pusa_lab.training"]
    code = "import sys; from pusa_lab.cli import main; main(sys.argv[1:]); "
    code += f"print('imported:', [name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "imported: []" and done.stderr == ""
    assert ("  bench paper " if words else "  generate ") in done.stdout


def test_a_benchmark_is_configured_as_every_other_command(tmp_path, capsys):
    assert main(["bench", "wan_forward", "--tiny", "--print_config"]) == 0
    (tmp_path / "run.yaml").write_text(capsys.readouterr().out)
    assert main(["bench", "wan_forward", "--config", str(tmp_path / "run.yaml"), "--print_config"]) == 0
    assert capsys.readouterr().out == "out: null\npart: all\ntiny: true\nuntil: 540.0\nonly: ''\n"


def test_a_script_says_how_it_was_called():
    done = python(SCRIPT, ROOT / "benchmarks" / "wan_forward.py", "--tin")
    assert done.returncode == 2
    assert done.stderr.startswith("python benchmarks/wan_forward.py: there is no option --tin: did you mean --tiny?")


SCRIPT = """
import runpy, sys
from pathlib import Path
del sys.argv[0]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["core", "--out", "{folder}"], "core: --out {folder} is a folder: give the name of a file."),
        (["core", "--foo"], "core: there is no option --foo: `pusa-lab bench core --help` lists those there are."),
        (["core", "--fas"], "core: there is no option --fas: did you mean --fast?"),
        (["world", "--foo", "x"], "world: there is no option --foo: `pusa-lab bench world --help` lists those there"),
        (["toy_cpu", "--rounds", "0"], "toy_cpu: --rounds '0': give a whole number of at least 1."),
        (["wan_train", "--ways", "[0, 9]"], "wan_train: --ways 9: give numbers from 0 to 8."),
        (["cards"], "cards: no toy was named: give one or more, such as mini-vta."),
    ],
)
def test_what_a_benchmark_does_not_take_is_one_sentence(tmp_path, capfd, words, says):
    assert main(["bench", *(word.format(folder=tmp_path) for word in words)]) == 2
    said = capfd.readouterr().err
    assert said.startswith("pusa-lab bench " + says.format(folder=tmp_path)) and said.count("\n") == 1
