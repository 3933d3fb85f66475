"""pytest tests/test_readme.py: the README's commands run, its code runs, its numbers are those of the cards."""

import json
import re
import shlex
import subprocess
from functools import partial
from pathlib import Path

import matplotlib
import pytest

import small_models
from pusa_lab.cli import main
from small_models.evaluation.goals import OBJECTS, SHARES
from small_models.training import train as training

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
pytestmark = [
    pytest.mark.artefact,
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*does not have many workers.*"),
]


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
        words += ["--max-steps", "2", *(["--clips", "2"] if "--fast" in words else [])]
        monkeypatch.setattr(training, "measure", partial(training.measure, steps=2))
    if "--small" in words:
        words += ["--set.swept", "2", "--set.steps", "[1, 2, 3]"]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.S))
def test_python_runs(code, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})


def test_every_file_in_the_map_exists():
    block = re.search(r"## Map\n\n```\n(.*?)```", TEXT, re.S)[1]
    package, named = None, set()
    for line in block.splitlines():
        if found := re.match(r"(\w+)/", line):
            package = found[1]
        elif found := re.match(r"  (\w+(?:\.py|/))", line):
            named.add(f"{package}/{found[1].rstrip('/')}")
            assert (ROOT / package / found[1]).exists(), line
    for name in re.findall(r"(\w+\.py)\b", block):
        assert list(ROOT.glob(f"*/{name}")) + list(ROOT.glob(f"*/*/{name}")), name
    rooms = {f"pusa_lab/{p.name}" for p in (ROOT / "pusa_lab").iterdir()}
    rooms -= {f"pusa_lab/{name}" for name in ("__init__.py", "__main__.py", "__pycache__")}
    assert rooms == {name for name in named if name.startswith("pusa_lab/")}


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


def result(name):
    """The card of a run that is not shipped."""
    return json.loads((ROOT / "small_models" / "results" / f"{name}.json").read_text())


def steps(card):
    return f"{card['config']['max_steps']:,} steps"


VTA, BASE, I2V, CODEC = (small_models.card(f"mini-{stage}") for stage in ("vta", "base", "i2v", "codec"))
FULL, CONTROL = (result(f"mini-vta-{name}") for name in ("full", "control"))
SHIFTS = {shift: result(f"mini-base-shift{shift}") for shift in (3, 1)}
SCORES = VTA["metrics"]
ADAPTED = {
    "adapted (`mini-vta`, LoRA)": SCORES["mini-vta"],
    "adapted, all weights": FULL["metrics"]["mini-vta"],
    "control: further training with one timestep for all frames": CONTROL["metrics"]["mini-vta"],
}


def test_image_to_video_is_as_on_the_cards():
    rows = ADAPTED | {
        "Wan's own way (`mini-i2v`)": I2V["metrics"]["mini-i2v"],
        "frame 0 repeated": SCORES["copy_of_frame_0"],
        "the base, given timestep vectors it never saw": SCORES["base_with_untrained_timestep_vectors"],
        "the base, frame 0 replaced at every step": SCORES["base_with_replacement"],
        "the truth through the codec": SCORES["truth_through_the_codec"],
    }
    for row, found in rows.items():
        assert f"| {row} | {i2v_row(found)}" in PROSE
    assert len({card["metrics"]["clips"] for card in (VTA, BASE, I2V, FULL, CONTROL, *SHIFTS.values())}) == 1
    assert f"Image to video on {SCORES['clips']} scenes" in PROSE
    assert len({steps(card) for card in (VTA, I2V, FULL, CONTROL)}) == 1
    assert (
        f"The base was trained for {steps(BASE)}, every adaptation of it for {steps(VTA).removesuffix(' steps')}:"
        in PROSE
    )


def test_text_to_video_is_as_on_the_cards():
    one, three = SHIFTS[1], SHIFTS[3]
    rows = ADAPTED | {
        f"base (`mini-base`): timesteps sampled with shift {BASE['config']['shift']:g}": SCORES["base"],
        f"base with shift 3, {steps(three)} (measured {three['date']})": three["metrics"]["mini-base"],
        f"base with shift 1, {steps(one)}": one["metrics"]["mini-base"],
        "Wan's own way, without its picture": I2V["metrics"]["mini-i2v"],
        "true clips": SCORES["truth"],
    }
    for row, found in rows.items():
        assert f"| {row} | {t2v_row(found)}" in PROSE
    goals = [" and ".join([f"{100 * share:.0f}"] * len(OBJECTS)) for share in SHARES.values()]
    assert f"| goal | {goals[0]} % | {goals[1]} % |" in PROSE


def test_what_the_tables_show_is_so():
    spoken = [found["text_to_video"] for found in (SCORES["mini-vta"], CONTROL["metrics"]["mini-vta"])]
    for label in SHARES:
        for n in (2, 3):
            vta, control = (s[f"{n}_objects"] for s in spoken)
            assert vta[label] > control[label], "timestep vectors improve on the control with several objects"
        one = [s["1_objects"] for s in spoken]
        assert abs(one[0][label] - one[1][label]) < 2.5 * max(s[f"{label}_stderr"] for s in one), "and not with one"
    three = [f"{100 * s['3_objects']['direction_right']:.0f} %" for s in spoken]
    assert "beyond the control for prompts of two objects and of three" in PROSE
    assert f"(with three the direction is right for {three[0]} against {three[1]})" in PROSE
    full, lora = (found["metrics"]["mini-vta"]["image_to_video"]["psnr_db"] for found in (FULL, VTA))
    assert f"LoRA of rank {VTA['config']['lora_rank']} is {full - lora:.1f} dB behind all weights" in PROSE
    missed = {goal: found["value"] for goal, found in SCORES["goals"].items() if found["missed_by"] > 0}
    assert missed == {} and "`mini-vta` meets all its goals" in PROSE
    whole = SCORES["goals"]["2_objects colour_and_shape_right_whole_caption"]["value"]
    assert f"it has all colours and shapes right in {100 * whole:.1f} %, where the goal is 90" in PROSE


def test_codec_and_training_times_are_as_on_the_cards():
    kept = CODEC["metrics"]
    assert f"{kept['psnr_db']:.1f} dB of unseen clips and {kept['psnr_db_single_picture']:.1f} dB of single" in PROSE
    took = [f"{card['seconds']:.0f} s" for card in (CODEC, BASE, VTA)]
    assert f"the codec took {took[0]}, the base {took[1]}, the adaptation {took[2]} on an {VTA['device']}" in PROSE
    assert len({card["device"] for card in (CODEC, BASE, VTA)}) == 1


def test_speed_is_as_measured():
    result = json.loads((ROOT / "benchmarks" / "results" / "toy_cpu.json").read_text())
    seconds = result["image to video"]["seconds"]["ten guided steps and decoding"]["median"]
    assert f"ten guided steps take {seconds:.1f} s" in PROSE
    faster = result["one forward"]["8 channels"]["batch 1"]["times faster"]
    eager, compiled = (faster[f"{plan} ours than {plan} per token"]["median"] for plan in ("eager", "compiled"))
    assert f"is {eager:.2f} times as fast as diffusers' class with one timestep per token, eager" in PROSE
    assert f"and {compiled:.2f} times compiled" in PROSE
    assert f"`{result['command']}` on {result['device']}, {result['date']})" in PROSE


def test_times_are_those_measured():
    result = json.loads((ROOT / "benchmarks" / "results" / "fresh_clone.json").read_text())
    times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result["seconds"].items())
    where = f"{result['device']}, Python {result['python']}, torch {result['versions']['torch']}, {result['date']}"
    tests = f"at commit {result['commit']} with {int(result['tests'].split()[0]):,} tests"
    assert f"From a fresh clone: {times} (`{result['command']}` on {where}), {tests}." in PROSE


def result(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def test_wans_table_is_the_benchmarks():
    found = result("wan_forward")
    rows = {
        "one timestep (scalar)": ("eager", "scalar"),
        "**one timestep per frame**": ("eager", "per frame"),
        "one timestep per token (diffusers)": ("eager", "per token"),
        "**one timestep per frame**, compiled by blocks": ("compiled", "per frame"),
    }
    for label, (how, time) in rows.items():
        cells = [found[f"{size} {how}"][time] for size in ("480p", "720p")]
        figures = " | ".join(f"{cell['seconds']:.2f} s, {cell['peak_gib']:.1f} GiB" for cell in cells)
        assert f"| {label} | {figures} |" in PROSE
    assert f"on one {found['device']}, torch {found['versions']['torch'].split('+')[0]}" in PROSE
    assert f"diffusers {found['versions']['diffusers']}, seed {found['seed']}, {found['date']}" in PROSE


def test_wans_whole_clip_is_the_benchmarks():
    found = result("wan_end_to_end")
    parts = [found[key] for key in ("plain", "with the LoRA attached", "with the LoRA merged")]
    plain, attached, merged = (f"{part['10 steps, 20 forwards']['seconds']:.0f} s" for part in parts)
    peak = max(phase["peak_gib"] for phase in parts[0].values() if isinstance(phase, dict))
    assert f"ten guided steps, took {plain} and {peak:.1f} GiB" in PROSE
    assert f"rank 512 attached {attached}, merged {merged}" in PROSE
