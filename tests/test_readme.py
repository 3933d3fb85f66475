"""pytest tests/test_readme.py: the README's commands run, its code runs, its numbers are those of the cards."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import matplotlib
import pytest

import small_models
from pusa_lab.cli import main

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
LINES = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
    if line.split("#")[0].strip()
]
PROSE = " ".join(TEXT.split())
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*does not have many workers.*")


def test_every_command_is_known():
    assert len(LINES) >= 10
    assert {shlex.split(line)[0] for line in LINES} == {"make", "pusa-lab"}


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make")])
def test_make_commands_exist(line):
    done = subprocess.run([*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("pusa-lab") and " all" not in line])
def test_pusa_lab_commands_run(line, tmp_path, monkeypatch):
    words = [str(ROOT / w) if w.startswith("notebooks/") else w for w in shlex.split(line)[1:]]
    if "train" in words:
        words += ["--set", "steps=2"]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.S))
def test_python_runs(code, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})


def test_every_file_in_the_map_exists():
    block = re.search(r"## Map\n\n```\n(.*?)```", TEXT, re.S)[1]
    for name in re.findall(r"^  (\w+(?:\.py|/))", block, re.M):
        assert (ROOT / "pusa_lab" / name).exists(), name
    for name in re.findall(r"(\w+\.py) \(", block):
        assert list(ROOT.glob(f"*/{name}")), name
    rooms = {p.name for p in (ROOT / "pusa_lab").iterdir()} - {"__init__.py", "__main__.py", "__pycache__"}
    assert rooms == {name.rstrip("/") for name in re.findall(r"^  (\w+(?:\.py|/))", block, re.M)}


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", TEXT):
        assert (ROOT / target).exists(), target


def i2v_row(scores):
    i2v = scores["image_to_video"]
    return f"{i2v['psnr_db']:.1f} ± {i2v['psnr_db_stderr']:.1f} dB | {i2v['position_error_px']:.1f} px |"


def t2v_row(scores):
    spoken = [scores["text_to_video"][f"{n}_objects"] for n in (1, 2)]
    shares = [[f"{100 * s[key]:.0f}" for s in spoken] for key in ("colour_and_shape_right", "direction_right")]
    return f"{' and '.join(shares[0])} % | {' and '.join(shares[1])} % |"


def test_numbers_are_those_of_the_cards():
    card, base, codec = (small_models.card(f"mini-{stage}") for stage in ("vta", "base", "codec"))
    scores, other = card["metrics"], small_models.card("mini-i2v")["metrics"]["mini-i2v"]
    steps = [f"{c['config']['steps']:,} steps" for c in (small_models.card("mini-i2v"), card)]
    wan = f"Wan's own way (`mini-i2v`), same base, {steps[0]} against {steps[1].removesuffix(' steps')}"
    rows = {
        "adapted (`mini-vta`)": scores["mini-vta"],
        wan: other,
        "frame 0 repeated": scores["copy_of_frame_0"],
        "the base, given clocks it never met": scores["base_with_untrained_vector_clocks"],
        "the base, frame 0 replaced at every step": scores["base_with_replacement"],
        "the truth through the codec": scores["truth_through_the_codec"],
    }
    for row, found in rows.items():
        assert f"| {row} | {i2v_row(found)}" in PROSE
    rows = {
        "adapted (`mini-vta`)": scores["mini-vta"],
        "base (`mini-base`)": scores["base"],
        "Wan's own way, without its picture": other,
        "true clips": scores["truth"],
    }
    for row, found in rows.items():
        assert f"| {row} | {t2v_row(found)}" in PROSE
    assert f"Image to video on {scores['clips']} scenes" in PROSE
    assert f"its base saw {base['config']['steps']:,} steps" in PROSE
    kept = codec["metrics"]
    assert f"{kept['psnr_db']:.1f} dB of unseen clips and {kept['psnr_db_single_picture']:.1f} dB of single" in PROSE
    seconds = [f"{c['seconds']:.0f} s" for c in (codec, base, card)]
    assert (
        f"the codec took {seconds[0]}, the base {seconds[1]}, the adaptation {seconds[2]} on an {card['device']}"
        in PROSE
    )


def test_the_other_base_is_told_as_it_was_measured():
    card = json.loads((ROOT / "small_models" / "results" / "mini-base-shift1.json").read_text())
    spoken = card["metrics"]["mini-base"]["text_to_video"]
    one, two = (f"{100 * spoken[f'{n}_objects']['direction_right']:.0f}" for n in (1, 2))
    assert f"knew the direction of only {one} and {two} % ({card['config']['steps']:,} steps)" in PROSE


def test_speed_is_as_measured():
    result = json.loads((ROOT / "benchmarks" / "results" / "toy_cpu.json").read_text())
    seconds = result["image to video"]["seconds"]["ten guided steps and decoding"]["median"]
    assert f"ten guided steps take {seconds:.1f} s" in PROSE
    faster = result["one forward"]["8 channels"]["batch 1"]["times faster"]
    eager, compiled = (faster[f"{plan} ours than {plan} per token"]["median"] for plan in ("eager", "compiled"))
    assert f"is {eager:.2f} times as fast as diffusers' class with a clock per token, eager" in PROSE
    assert f"and {compiled:.2f} times compiled" in PROSE
    assert f"`{result['command']}` on {result['device']}, {result['date']})" in PROSE


def test_times_are_those_measured():
    result = json.loads((ROOT / "benchmarks" / "results" / "fresh_clone.json").read_text())
    times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result["seconds"].items())
    where = f"{result['device']}, Python {result['python']}, torch {result['versions']['torch']}, {result['date']}"
    assert f"From a fresh clone: {times} (`{result['command']}` on {where})" in PROSE
