"""pytest tests/test_cli_places.py: what commands print and write, on full disks, in two processes, and when killed."""

import importlib
import io
import itertools
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import SERVER, python

from pusa_lab import media
from pusa_lab.cli import clone as clone_folders
from pusa_lab.cli import main
from pusa_lab.data import read_clip

PROMPT = "a red circle moves right"
NANO = ["--model", "nano-vta", "--steps", "1", "--guidance", "1"]
ROOT = Path(__file__).parents[1]


def lab(*words, before=""):
    """A command in a process of its own."""
    return python(f"import sys; {before}\nfrom pusa_lab.cli import main; sys.exit(main(sys.argv[1:]))", *words)


SMALL_FILES = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
"""
"""As on a full disk, but reported as EFBIG: a write beyond 2,000 bytes fails."""


def test_an_output_of_ascii_gets_escapes_and_the_file_is_there(tmp_path, monkeypatch):
    """As under LC_ALL=C with Python's UTF-8 mode off."""
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
        monkeypatch.setattr(sys, name, stream)

    def said(name):
        return getattr(sys, name).buffer.getvalue().decode("ascii")

    out = tmp_path / "größe.mp4"
    assert main(["generate", PROMPT, *NANO, "--out", str(out)]) == 0
    assert out.is_file()
    assert r"gr\xf6\xdfe.mp4" in said("stdout")
    assert main(["generate", PROMPT, *NANO, "--image", "größe.png", "--out", str(out)]) == 2
    assert r"pusa-lab generate: no picture at 'gr\xf6\xdfe.png'" in said("stderr")
    assert main(["plan", "--model", "größe"]) == 2
    assert r"unknown model 'gr\xf6\xdfe'" in said("stderr")


def test_an_output_that_is_closed_hides_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["plan"]) == 0
    sys.stdout.close()
    assert capsys.readouterr().err == ""


def test_an_output_that_is_full_is_said(monkeypatch, capsys):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["plan"]) == 2
    said = capsys.readouterr().err
    assert said == "pusa-lab plan: No space left on device; give another path, or free space on the disk.\n"


def test_a_reader_that_has_read_enough_ends_it_quietly(monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["plan", "--json"]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, ""),
        (MemoryError(), 2, "pusa-lab plan: memory is full: ask for a smaller size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "pusa-lab plan: memory is full"),
        (RecursionError("maximum recursion depth"), 2, "pusa-lab plan: the input is nested too deeply"),
        (
            OSError(28, "No space left on device", "/a/b"),
            2,
            "pusa-lab plan: /a/b: No space left on device; give another",
        ),
        (ValueError("two\nlines.\n"), 2, "pusa-lab plan: two lines.\n"),
    ],
)
def test_what_comes_from_the_input_is_one_line(monkeypatch, capsys, error, code, says):
    def broken():
        raise error

    monkeypatch.setattr("pusa_lab.cli.plan.plan_command", broken)
    assert main(["plan"]) == code
    assert capsys.readouterr().err.startswith(says)


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("pusa_lab.cli.plan.plan_command", lambda: {}["mine"])
    with pytest.raises(KeyError, match="mine"):
        main(["plan"])


def test_the_sentence_names_the_command_with_its_second_word(monkeypatch, capsys):
    def broken():
        raise ValueError("no cache here.")

    monkeypatch.setattr("pusa_lab.cli.data.show", broken)
    assert main(["data", "show"]) == 2
    assert capsys.readouterr().err == "pusa-lab data show: no cache here.\n"


@pytest.mark.parametrize("name", ["a:b.mp4", "new/ö ä/v.mp4", "-v.mp4", "%d.mp4"])
def test_any_name_is_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", PROMPT, *NANO, f"--out={name}"]) == 0
    assert read_clip(Path(name)).shape == (8, 128, 128, 3)
    out = Path(name)
    assert {p.name for p in (tmp_path / out).parent.iterdir()} == {out.name, f"{out.stem}.request.json"}


KINDS = ("under a file", "of the wrong kind", "too long", "read-only")


@pytest.mark.parametrize(("command", "kind"), [*itertools.product(["generate", "demo"], KINDS), ("bench", KINDS[0])])
def test_places_are_tried_before_the_work(tmp_path, monkeypatch, capfd, command, kind):
    monkeypatch.setattr("pusa_lab.models.load", lambda *_, **__: pytest.fail("a model was read"))
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("the tour was begun"))
    name = {"generate": "a.mp4", "demo": "a", "bench": "a.json"}[command]
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    bad = {
        "under a file": tmp_path / "file" / name,
        "of the wrong kind": tmp_path / ("file" if command == "demo" else "folder.mp4"),
        "too long": tmp_path / ("x" * 300 + Path(name).suffix),
        "read-only": Path("/proc/self") / name,
    }[kind]
    words = {"generate": ["generate", PROMPT], "demo": ["demo"], "bench": ["bench", "core"]}[command]
    assert main([*words, f"--out={bad}"]) == 2
    said = capfd.readouterr().err
    assert "cannot be written" in said or "is a f" in said or "cannot be used" in said
    assert "Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.mp4"]


def test_a_demo_is_not_begun_where_a_folder_has_the_name_of_a_result(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("the tour was begun"))
    (tmp_path / "index.html").mkdir()
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "has a folder index.html, where a result must be written" in capsys.readouterr().err


def test_a_full_disk_is_one_sentence_and_the_old_video_stays(tmp_path):
    out = tmp_path / "v.mp4"
    assert main(["generate", PROMPT, *NANO, "--out", str(out)]) == 0
    before = out.read_bytes()
    done = lab("generate", PROMPT, *NANO, "--seed", "1", "--out", out, before=SMALL_FILES)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("pusa-lab generate: ")
    assert len(done.stderr.splitlines()) == 1
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.mp4", "v.request.json"]


def ends(words):
    sys.exit(main(words))


def test_two_processes_leave_one_whole_video(tmp_path):
    out = tmp_path / "v.mp4"
    words = ["generate", PROMPT, *NANO, "--out", str(out)]
    both = [SERVER.Process(target=ends, args=([*words, "--seed", str(seed)],)) for seed in (0, 1)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    assert read_clip(out).shape == (8, 128, 128, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.mp4", "v.request.json"]


def test_a_kill_while_writing_leaves_the_old_video(tmp_path):
    """The process kills itself where the finished video would take its place."""
    out = tmp_path / "v.mp4"
    assert main(["generate", PROMPT, *NANO, "--out", str(out)]) == 0
    before = out.read_bytes()
    kill = "import os, pathlib; pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)"
    assert lab("generate", PROMPT, *NANO, "--seed", "1", "--out", out, before=kill).returncode == -9
    assert out.read_bytes() == before
    assert main(["generate", PROMPT, *NANO, "--seed", "1", "--out", str(out)]) == 0
    assert out.read_bytes() != before


@pytest.fixture
def clone(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "chapter.template").write_text("# # {number} · {title}\n")
    (tmp_path / "src" / "00_a.py").write_text('# %% tags=["setup"]\nimport os\n\n# %%\n')
    monkeypatch.setattr(clone_folders, "NOTEBOOKS", tmp_path)
    return tmp_path / "src"


def test_a_new_notebook_is_whole_or_not_there(clone, monkeypatch, capsys):
    def no_space(path, *_, **__):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    assert main(["new-notebook", "a" * 300]) == 2
    assert "give a shorter name" in capsys.readouterr().err
    assert main(["new-notebook", "One\nimport os; os.abort()"]) == 0
    assert (clone / "01_one_import_os_os_abort.py").read_text().startswith("# # 1 · One import os; os.abort()\n")
    monkeypatch.setattr("pathlib.Path.write_text", no_space)
    assert main(["new-notebook", "Two"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert sorted(p.name for p in clone.iterdir()) == ["00_a.py", "01_one_import_os_os_abort.py"]


def moving(frames, fps, size=64, speed=16.0):
    """A bright square that moves to the right at a speed in pixels per second."""
    video = np.full((frames, size, size, 3), 30, np.uint8)
    for k in range(frames):
        left = 4 + round(k * speed / fps)
        video[k, 24:40, left : left + 12] = 220
    return video


def speed_of(video, fps):
    """Pixels per second of what is bright, by least squares of its centre."""
    weight = (video[..., 0] > 120).sum(axis=1)
    centre = (weight * np.arange(video.shape[2])).sum(axis=1) / weight.sum(axis=1)
    return np.polyfit(np.arange(len(video)) / fps, centre, 1)[0]


@pytest.mark.parametrize("fps", [8, 12, 16, 24, 25, 30, 50, 60])
@pytest.mark.usefixtures("read_once")
def test_motion_stays_as_fast_as_in_the_clip(tmp_path, monkeypatch, fps):
    path, seen = tmp_path / "clip.mp4", []
    media.write_clip(path, moving(2 * fps, fps), fps)

    def stop(model, prompt, task, **_):
        seen.append(task)
        raise KeyError("only what it would continue from is looked at")

    monkeypatch.setattr("pusa_lab.generate", stop)
    with pytest.raises(KeyError):
        main(["generate", PROMPT, "--video", str(path), "--known", "13", "--out", str(tmp_path / "v.mp4")])
    clip = np.asarray(seen[0].known[0].clip)[0]
    assert clip.shape == (13, 64, 64, 3)
    assert speed_of(clip, 16) == pytest.approx(16, rel=0.1)


def test_results_of_benchmarks_are_checked_where_a_person_names_them(tmp_path):
    path = tmp_path / "cost.json"
    for text in ("", "[]", "[" * 99_999, '{"format": 1}', '{"format": 1, "rows": 3, "table": "", "title": ""}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"cost.json is not a file of results [^\n]+\.$"):
            read_results(path)
    path.write_text(json.dumps({"format": 1, "rows": [3], "table": "cost", "title": ""}))
    with pytest.raises(ValueError, match="a row is not one of results"):
        read_results(path)


def test_show_without_a_table_shows_all_that_were_measured(tmp_path, monkeypatch, capsys):
    from small_models.experiments import RESULTS

    for name in ("lora", "cost"):
        shutil.copy(RESULTS / f"{name}.json", tmp_path)
    titles = [json.loads((RESULTS / f"{name}.json").read_text())["title"] for name in ("lora", "cost")]
    assert main(["bench", "paper", "--show", "--out", str(tmp_path)]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("# ")]
    assert sorted(shown) == sorted(f"# {title}" for title in titles)


def read_results(path):
    from small_models.experiments import read_results

    return read_results(path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--list", "--table", "cost"], "--table and --list: this has no effect"),
        (["--figures"], "--figures without --table"),
        (["--show", "--out", "{out}"], "a.json holds no results: measure a table"),
        (["--show", "--table", "cost", "--set.swept", "8"], "--set, where nothing is measured"),
        (["--table", "dance"], "no table 'dance': choose from suite, cost"),
        (["--table", "cost", "--small", "--set.dance", "8"], "there is no size 'dance': choose from preset, prompts"),
        (["--table", "cost", "--small", "--set.swept", "x"], "--set.swept is 'x': give a whole number."),
    ],
)
def test_the_papers_tables_refuse_what_has_no_effect_or_no_place(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "paper", *(word.format(out=tmp_path / "a.json") for word in words)]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["no.json", "--out", "."], "--out . is a folder: give the name of a file"),
        (["no.json", "--out", "{out}"], "no.json is not an existing file: give the path of a file of measured rows"),
        (["--out", "{out}"], "no file was named: give the files or folders that wan_train.sh wrote."),
    ],
)
def test_rows_are_joined_from_files_into_a_file(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    joined = importlib.import_module("wan_train_join").join
    assert main([word.format(out=tmp_path / "a.json") for word in words], script=joined) == 2
    assert f"python benchmarks/wan_train_join.py: {says}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workload", "nothing"], "--workload 'nothing': give one of sample, lora, full."),
        (["--max-steps", "5"], "--max-steps 5 has no effect with --workload sample: it is for training; leave it out."),
        (["--num-frames", "100000001"], "--num-frames 100000001: give at most 39,997."),
        (["--steps", "10001"], "--steps 10001: give at most 10,000."),
        (["--size", "160000x16"], "--size 160000x16: give at most 32,768 pixels of height and of width."),
        (["--price", "nan"], "--price 'nan': give a finite number."),
        (["--price", "1e300"], "--price 1e+300: give US dollars per GPU and hour, 0 to 1,000,000."),
        (
            ["--workload", "full", "--float8"],
            "training all weights splits them over the GPUs, without --float8: leave it out.",
        ),
        (["--gpu", "t4", "--dtype", "bfloat16"], "the t4 does not compute in bfloat16: give --dtype float16."),
        (
            ["--workload", "lora", "--global-batch-size", "7", "--gpus", "2"],
            "--global-batch-size 7 on 2 GPUs, --micro-batch-size 1: give a --global-batch-size that 2 divides.",
        ),
    ],
)
def test_sentences_of_the_planner_speak_of_flags_on_the_command_line(capsys, words, says):
    assert main(["plan", *words]) == 2
    assert capsys.readouterr().err == f"pusa-lab plan: {says}\n"


def test_names_of_files_stay_as_they_are_in_a_sentence_of_flags():
    from pusa_lab.cli.values import in_flags

    for text in (
        "steps=3.mp4 cannot be written.",
        "no clip at 'steps=3'.",
        "no clip at 'num_frames.mp4'.",
        "a/steps=3: no.",
    ):
        assert in_flags(text, ["steps", "num_frames"]) == text
    assert in_flags("steps=0: give 1 or None.", ["steps"]) == "--steps 0: give 1."
    assert (
        in_flags("wait_for is 3: give 2.", ["steps", "own_options.wait_for"]) == "--own-options.wait_for is 3: give 2."
    )
