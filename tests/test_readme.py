"""pytest tests/test_readme.py: the README is short, leads everywhere, and its numbers are those of the results."""

import json
import re
import shlex
import shutil
import subprocess

import pytest
from pages import ALL, ROOT, blocks, links, name, prose, text

import small_models
from pusa_lab.cli import main
from pusa_lab.data import read_clip

TEXT, PROSE = text("README.md"), prose("README.md")
pytestmark = pytest.mark.artefact


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 150


def test_no_cell_of_a_table_has_more_than_two_numbers():
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    assert len(rows) >= 6
    gallery = re.findall(r"<td[^>]*>(.*?)</td>", TEXT, re.S)
    assert len(gallery) == 6
    for cell in [*gallery, *(cell for row in rows for cell in row.strip("|").split("|"))]:
        words = re.sub(r"\([^)]*\)", "", cell)  # where links lead
        assert len(re.findall(r"\d+(?:[.,]\d+)*", words)) <= 2, cell


def test_the_two_commands_stand_by_themselves():
    """CI and the tracker read them there."""
    block = re.search(r"## Two commands\n\n```bash\n(.*?)```", TEXT, re.S)[1]
    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]


def test_six_things_have_a_picture_each():
    gallery = TEXT[TEXT.index("## Six things") : TEXT.index("## Results")]
    assert len(re.findall(r"!\[[^\]]+\]\(docs/assets/\w+\.png\)\n\n\*\*", gallery)) == 6


def test_everything_is_found_in_two_clicks():
    """From the README to every page, chapter and table of results."""
    reached = {ROOT / "README.md"}
    for _ in range(2):
        pages = [path for path in reached if path.suffix == ".md"]
        reached |= {
            (page.parent / target.split("#")[0]).resolve()
            for page in pages
            for _, target in links(name(page))
            if not target.startswith("#")
        }
    wanted = [*ALL, *ROOT.glob("notebooks/[0-9]*.ipynb"), *ROOT.glob("small_models/results/paper/*.md")]
    assert len(wanted) > 40
    assert [name(path) for path in wanted if path.resolve() not in reached] == []


def test_times_are_those_measured():
    found = json.loads((ROOT / "benchmarks" / "results" / "fresh_clone.json").read_text())
    seconds = {key: f"{value:.0f} s" for key, value in found["seconds"].items()}
    assert set(seconds) == {
        "install", "make demo", "make test", "pusa-lab generate", "pusa-lab train --model mini --fast"
    }  # fmt: skip
    tests = f"{int(found['tests'].split()[0]):,} tests"
    assert (
        f"on two CPU cores, installing takes {seconds['install']}, once, then `make demo` {seconds['make demo']} and "
        f"`make test` {seconds['make test']} for its {tests}."
    ) in PROSE
    assert f"any picture, prompt and schedule ({seconds['pusa-lab generate']}), train (" in PROSE
    assert f"train ({seconds['pusa-lab train --model mini --fast']} for this quick one)" in PROSE
    where = f"{found['device']}, Python {found['python']}, torch {found['versions']['torch']}, {found['date']}"
    assert f"(Times: `{found['command']}` on {where}.)" in PROSE
    assert "2 cores" in found["device"]
    lines = [line for line in TEXT.splitlines() if line.startswith("pusa-lab")]
    assert lines[0].startswith('pusa-lab generate "a red square moves left" --image notebooks/assets/still.png')
    assert lines[1].startswith("pusa-lab train --model mini --stage vta --fast")


def test_results_are_as_on_the_cards():
    vta, i2v = (small_models.card(f"mini-{stage}")["metrics"] for stage in ("vta", "i2v"))
    control, independent = (
        json.loads((ROOT / "small_models" / "results" / f"mini-vta-{name}.json").read_text())["metrics"]["mini-vta"]
        for name in ("control", "independent")
    )
    rows = {
        "base, trained with one timestep for all frames": (vta["base_with_untrained_timestep_vectors"], vta["base"]),
        "control: further training with one timestep": (control, control),
        "one timestep per frame, as in the paper (LoRA)": (independent, independent),
        "**one timestep per frame, our recipe** (LoRA)": (vta["mini-vta"], vta["mini-vta"]),
        "Wan's own way, its picture as an extra input (LoRA)": (i2v["mini-i2v"], i2v["mini-i2v"]),
    }
    for row, (shown, spoken) in rows.items():
        clip, two = shown["image_to_video"], spoken["text_to_video"]["2_objects"]["colour_and_shape_right"]
        psnr = f"{clip['psnr_db']:.1f} ± {clip['psnr_db_stderr']:.1f} dB"
        assert f"| {row} | {psnr} | {clip['position_error_px']:.1f} px | {100 * two:.0f} % |" in PROSE


@pytest.mark.filterwarnings("ignore:the codec of:UserWarning", "ignore:.*does not have many workers.*")
def test_a_wan_is_trained_and_makes_a_video_as_it_stands_there(tmp_path, monkeypatch):
    """Line after line, in a folder with the clone's assets; commands of ours in this process."""
    shutil.copytree(ROOT / "notebooks" / "assets", tmp_path / "notebooks" / "assets")
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("README.md", "sh")
    commands = [line.split()[:3] for line in block.replace("\\\n", " ").splitlines()]
    assert [words[1] for words in commands if words[0] == "pusa-lab"] == ["data", "train", "generate"]
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        if words[0] == "pusa-lab":
            assert main(words[1:]) == 0
        elif words[0] == "python":
            exec(words[2], {})
        else:
            subprocess.run(line, shell=True, check=True)
    assert "--lora outputs/vta/paper.safetensors" in block
    assert read_clip("outputs/wan.mp4").shape == (9, 128, 128, 3), "small videos are written twice as large"
    request = json.loads((tmp_path / "outputs" / "wan.request.json").read_text())
    assert "paper.safetensors" in json.dumps(request)
