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


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("pusa-lab")])
def test_pusa_lab_commands_run(line, tmp_path, monkeypatch):
    words = [str(ROOT / w) if w.startswith("notebooks/") else w for w in shlex.split(line)[1:]]
    if "compile=reduce-overhead" in words:  # the GPU's recipe: the same stage, in miniature and uncompiled
        words = [*words[: words.index("--set")], "--fast", "--set", "steps=2"]
        words = [
            w if not w.startswith("outputs/train/") else str(small_models.zoo.CHECKPOINTS / Path(w).name) for w in words
        ]
    elif "train" in words:
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


def test_numbers_are_those_of_the_cards():
    card, base = small_models.card("nano-vta"), small_models.card("nano-base")
    short = json.loads((ROOT / "small_models" / "results" / "nano-vta-3000-steps.json").read_text())
    scores = card["metrics"]
    rows = {
        "adapted (`nano-vta`)": "nano-vta",
        "its base, given clocks it never met": "base_with_untrained_vector_clocks",
        "frame 0 repeated": "copy_of_frame_0",
    }
    for row, key in rows.items():
        i2v = scores[key]["image_to_video"]
        psnr = f"{i2v['psnr_db']:.1f} ± {i2v['psnr_db_stderr']:.1f} dB"
        assert f"| {row} | {psnr} | {i2v['position_error_px']:.2f} px |" in PROSE
    times = f"the base in {base['seconds']:.0f} s and the adapted one in {card['seconds']:.0f} s"
    assert f"on an {card['device']}, {times}" in PROSE
    assert f"Image to video on {scores['clips']} scenes" in PROSE
    assert f"trained {card['config']['steps']:,} steps after the base's {base['config']['steps']:,}" in PROSE
    reached = short["metrics"]["nano-vta"]["image_to_video"]["psnr_db"]
    assert f"a run of {short['config']['steps']:,} steps reached {reached:.1f} dB" in PROSE

    def percent(key, objects):
        return f"{100 * scores[key]['text_to_video'][f'direction_right_{objects}']:.0f}"

    one, two = percent("nano-vta", "one_object"), percent("nano-vta", "two_objects")
    assert f"the right way in {one} % of captions, but each of two objects in only {two} %" in PROSE
    assert f"reaches {percent('truth', 'one_object')} and {percent('truth', 'two_objects')} %" in PROSE


def test_times_are_those_measured():
    result = json.loads((ROOT / "benchmarks" / "results" / "fresh_clone.json").read_text())
    times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result["seconds"].items())
    where = f"{result['device']}, Python {result['python']}, torch {result['versions']['torch']}, {result['date']}"
    assert f"From a fresh clone: {times} (`{result['command']}` on {where})" in PROSE
