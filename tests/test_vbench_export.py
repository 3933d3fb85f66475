"""pytest tests/test_vbench_export.py: videos under the names that VBench looks for, made once, mixed with no others."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pusa_lab import wan
from pusa_lab.cli import main
from pusa_lab.data import read_clip

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "vbench_export.py"
sys.path.insert(0, str(SCRIPT.parent))
import vbench_export  # noqa: E402

sys.path.remove(str(SCRIPT.parent))

RED, BLUE, TURN = "a red circle moves right", "a blue square moves up", "a red circle moves left"
ENTRIES = [
    {"prompt_en": RED, "dimension": ["i2v_subject", "motion_smoothness"], "image_type": "other", "image_name": "r.jpg"},
    {"prompt_en": BLUE, "dimension": ["i2v_subject"], "image_type": "other", "image_name": "b.jpg"},
    {"prompt_en": TURN, "dimension": ["camera_motion"], "image_type": "other", "image_name": "r.jpg"},
]

pytestmark = [pytest.mark.artefact, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def place(tmp_path):
    """A list of VBench-I2V's form and its pictures."""
    (tmp_path / "crop").mkdir()
    for name, colour in (("r.jpg", (200, 30, 30)), ("b.jpg", (30, 30, 200))):
        Image.new("RGB", (40, 24), colour).save(tmp_path / "crop" / name, quality=95)
    (tmp_path / "info.json").write_text(json.dumps(ENTRIES))
    return tmp_path


def words(place, *more, info=True):
    fixed = {"--info": place / "info.json", "--pictures": place / "crop"} if info else {}
    fixed |= {"--model": "nano-vta", "--out": place / "out", "--steps": 2, "--seeds": 2}
    return [str(word) for option, value in fixed.items() if option not in more for word in (option, value)] + [*more]


def export(words):
    return main(["bench", "vbench_export", *words])


def there(place):
    """Every file -> when it was last written."""
    return {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*") if path.is_file()}


def refused(place, capsys, *args, **options):
    before = there(place)
    assert export(words(place, *args, **options)) == 2
    assert there(place) == before
    told = capsys.readouterr().err
    assert told.startswith("pusa-lab bench vbench_export: ") and told.count("\n") == 1
    return told


def test_what_vbench_looks_for_is_there_and_made_once(place, capsys):
    assert export(words(place)) == 0
    names = [path.name for path in (place / "out" / "videos").iterdir()]
    assert sorted(names) == sorted(f"{prompt}-{i}.mp4" for prompt in (RED, BLUE, TURN) for i in range(2))
    clips = {name: read_clip(place / "out" / "videos" / name).astype(int) for name in names}
    assert {clip.shape for clip in clips.values()} == {(8, 128, 128, 3)}
    assert np.abs(clips[f"{RED}-0.mp4"] - clips[f"{RED}-1.mp4"])[1:].mean() > 1
    for prompt, colour in ((RED, (200, 30, 30)), (TURN, (200, 30, 30)), (BLUE, (30, 30, 200))):
        assert np.abs(clips[f"{prompt}-1.mp4"][0] - colour).mean() < 12
    before = there(place)
    assert export(words(place)) == 0
    assert there(place) == before
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 videos made, 6 were there")

    assert "steps 2, not 3" in refused(place, capsys, "--steps", "3")
    assert "guidance 3.0, not 1.0" in refused(place, capsys, "--guidance", "1")
    assert "'nano-vta', not 'nano-base'" in refused(place, capsys, "--model", "nano-base")
    Image.new("RGB", (40, 24), (0, 90, 0)).save(place / "crop" / "b.jpg")
    assert f"another picture for '{BLUE}'" in refused(place, capsys)
    (place / "out" / "export.json").unlink()
    assert "no" in refused(place, capsys, "--limit", "1") and not (place / "out" / "export.json").is_file()


def test_another_commit_is_another_export(place, capsys, monkeypatch):
    assert export(words(place, "--limit", "1")) == 0
    capsys.readouterr()
    monkeypatch.setattr(vbench_export, "code_version", lambda: "0123")
    assert "not '0123'" in refused(place, capsys)


def test_killed_half_way_it_goes_on(place):
    many = words(place, "--seeds", "4", "--limit", "2")
    videos = place / "out" / "videos"
    waits = (
        "import runpy, sys; from pusa_lab import media; write, seen = media.write_clip, []\n"
        "def waiting(*a, **k):\n"
        "    seen.append(0)\n"
        "    if len(seen) == 3: print('two are written', flush=True); sys.stdin.read()\n"
        "    return write(*a, **k)\n"
        "media.write_clip = waiting; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", waits, SCRIPT, *many], **pipes) as process:
        assert "two are written\n" in iter(process.stdout.readline, "")
        process.kill()
    before = {path: path.stat().st_mtime_ns for path in videos.glob("a *.mp4")}
    assert len(before) == 2
    assert export(many) == 0
    after = {path: path.stat().st_mtime_ns for path in videos.iterdir()}
    assert len(after) == 8 and before.items() <= after.items()
    assert all(len(read_clip(path)) == 8 for path in before)


def test_its_own_world_in_the_layout_of_vbench(place):
    assert export(words(place, "--own-world", "--limit", "2", info=False)) == 0
    out = place / "out"
    entries = json.loads((out / "vbench2_beta_i2v" / "vbench2_i2v_full_info.json").read_text())
    assert len({entry["prompt_en"] for entry in entries}) == 2
    for entry in entries:
        assert set(entry) == set(ENTRIES[0]) and "i2v_subject" in entry["dimension"]
        picture = np.asarray(Image.open(out / "vbench2_beta_i2v/data/crop/1-1" / entry["image_name"])).astype(int)
        for i in range(2):
            first = read_clip(out / "videos" / f"{entry['prompt_en']}-{i}.mp4")[0]
            small = first.reshape(16, 8, 16, 8, 3).mean((1, 3))
            assert np.abs(small - picture).mean() < 4 < np.abs(small - 255 + picture).mean()
    before = there(place)
    assert export(words(place, "--own-world", "--limit", "2", info=False)) == 0
    assert there(place) == before


def test_a_list_without_pictures_is_text_to_video(place):
    (place / "info.json").write_text(json.dumps([{"prompt_en": RED, "dimension": ["color"], "auxiliary_info": {}}] * 2))
    given = words(place, "--info", str(place / "info.json"), info=False)
    assert export(given) == 0
    assert sorted(path.name for path in there(place)) == [f"{RED}-0.mp4", f"{RED}-1.mp4", "export.json"]


def test_only_some_dimensions_and_the_other_way(place):
    assert export(words(place, "--dimension", "camera_motion", "--seeds", "1", "--model", "mini-i2v")) == 0
    (path,) = (place / "out" / "videos").iterdir()
    assert path.name == f"{TURN}-0.mp4" and read_clip(path).shape == (33, 128, 128, 3)


@pytest.mark.parametrize(
    ("entries", "more", "told"),
    [
        ([{**ENTRIES[0], "prompt_en": "a zebra moves right"}], [], "unknown words in 'a zebra moves right': zebra"),
        ({"prompts": []}, [], "not of VBench's form"),
        ([{"prompt": RED}], [], "not of VBench's form"),
        ([ENTRIES[0], {**ENTRIES[1], "prompt_en": RED}], [], "two pictures"),
        ([ENTRIES[0], {"prompt_en": BLUE, "dimension": []}], [], "names no picture for 1 of 2 prompts"),
        ([{**ENTRIES[0], "prompt_en": "a red/blue circle"}], [], "no file can be named"),
        ([{**ENTRIES[0], "image_name": "x.jpg"}, ENTRIES[1]], [], "1 of 2 pictures are not in"),
        (ENTRIES, ["--dimension", "taste"], "it has camera_motion, i2v_subject, motion_smoothness"),
        (ENTRIES, ["--seeds", "6"], "give 1 to 5"),
        (ENTRIES, ["--steps", "0"], "want 1 or more"),
        (ENTRIES, ["--own-world"], "one of the two"),
        (ENTRIES, ["--model", "mini-codec"], "makes no videos"),
        (ENTRIES, ["--model", "micro"], "no model 'micro'"),
        (ENTRIES, ["--lora", "a.pt"], "leave --lora out"),
        (ENTRIES, ["--info", "nowhere.json"], "no list of prompts at nowhere.json"),
    ],
)
def test_refused_before_anything_is_written(place, capsys, entries, more, told):
    (place / "info.json").write_text(json.dumps(entries))
    assert told in refused(place, capsys, *more)
    assert not (place / "out").exists()


def test_no_ffmpeg_and_a_broken_picture(place, capsys, monkeypatch):
    (place / "crop" / "b.jpg").write_bytes(b"no picture")
    assert "not a readable picture" in refused(place, capsys)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(place / "nowhere"))
    assert "no ffmpeg here" in refused(place, capsys)


def test_a_wan_goes_the_same_way(place, monkeypatch):
    from wan_tiny import pipeline  # brings diffusers

    def small(source, **options):
        assert (source, options) == ("some/wan", {"lora": ["a.pt", "b.pt"], "strength": [1.4, 1.4]})
        model = wan.WanModel.from_pipeline(pipeline())
        model.geometry = replace(model.geometry, size=(32, 48), frames=2)
        return model

    monkeypatch.setattr(wan.WanModel, "from_pretrained", small)
    more = ["--model", "some/wan", "--lora", "[a.pt, b.pt]", "--strength", "1.4", "--steps", "1", "--guidance", "1"]
    assert export(words(place, *more, "--seeds", "1")) == 0
    found = sorted((place / "out" / "videos").iterdir())
    assert [path.name for path in found] == sorted(f"{p}-0.mp4" for p in (RED, BLUE, TURN))
    assert all(read_clip(path).shape == (5, 128, 192, 3) for path in found)
    about = json.loads((place / "out" / "export.json").read_text())
    assert about["settings"]["size"] == [32, 48] and about["settings"]["strength"] == 1.4
