"""pytest tests/test_training_data_folder.py: the cache is what its folder of clips is, whatever happens to either."""

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from encoding import Plain, clips, files, items, waiting
from processes import SERVER, python
from wan_tiny import refused

from pusa_lab.data import LatentCache, encode_folder, encode_steps
from pusa_lab.training.recipes import WAN_RECIPES, CacheBatches

CONFIG = replace(WAN_RECIPES["paper"], global_batch_size=2, num_val_clips=0)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return clips(tmp_path_factory.mktemp("pool"), 6)


@pytest.fixture
def folder(pool, tmp_path):
    return Path(shutil.copytree(pool, tmp_path / "clips"))


def encode(folder, out, **options):
    model = Plain()
    report = encode_folder(folder, model, out, "plain", per_shard=2, **options)
    return report, model.encoded


def open_for_training(out):
    return CacheBatches(LatentCache(out), CONFIG)


def rename(folder, old, new):
    for end in (".mp4", ".txt"):
        (folder / f"{old}{end}").rename(folder / f"{new}{end}")


def delete(folder, name):
    for end in (".mp4", ".txt"):
        (folder / f"{name}{end}").unlink()


def copy(folder, old, new):
    for end in (".mp4", ".txt"):
        shutil.copy(folder / f"{old}{end}", folder / f"{new}{end}")


CHANGES = {
    "deleted": (lambda f: delete(f, 1), "1 gone .1.mp4.", ["0", "2", "3", "4", "5"], 0),
    "renamed": (lambda f: rename(f, 1, 9), "1 new .9.mp4., 1 gone .1.mp4.", ["0", "2", "3", "4", "5", "9"], 0),
    "broken": (lambda f: (f / "1.mp4").write_bytes(b"no"), "1 changed .1.mp4.", ["0", "2", "3", "4", "5"], 0),
    "no caption": (lambda f: (f / "1.txt").write_text(" "), "1 no longer usable .1.mp4.", ["0", "2", "3", "4", "5"], 0),
    "caption": (lambda f: (f / "1.txt").write_text("b"), "1 with another caption .1.mp4.", list("012345"), 1),
    "other pixels": (lambda f: shutil.copy(f / "0.mp4", f / "1.mp4"), "1 changed .1.mp4.", list("012345"), 1),
    "copied": (lambda f: copy(f, 1, 11), "1 new .11.mp4.", ["0", "1", "11", "2", "3", "4", "5"], 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_training_says_how_the_folder_differs_and_encoding_brings_the_cache_in_line(folder, tmp_path, change):
    make, says, names, encoded = CHANGES[change]
    out = tmp_path / "cache"
    assert encode(folder, out)[1] == 6
    open_for_training(out)
    make(folder)
    refused(f"differs from its folder of clips .*clips: {says}. Run `pusa-lab data encode", open_for_training, out)
    report, count = encode(folder, out)
    assert count == encoded
    assert set(report.dropped) == {"1.mp4"} - {path.name for path in folder.iterdir()}
    open_for_training(out)
    found = items(out)
    assert [name for name, *_ in found] == [f"{name}.mp4" for name in names]
    encode(folder, tmp_path / "fresh")
    assert found == items(tmp_path / "fresh")


def change(g, folder, pool, new):
    """Something that a person may do to a folder of clips."""
    first, *rest = sorted(path.stem for path in folder.glob("*.mp4"))
    name = g.choice([first, *rest])
    match g.randrange(7):
        case 0 if rest:
            delete(folder, name)
        case 1:
            rename(folder, name, new)
        case 2:
            copy(folder, name, new)
        case 3:
            shutil.copy(g.choice(sorted(pool.glob("*.mp4"))), folder / f"{name}.mp4")
        case 4:
            (folder / f"{name}.txt").write_text(g.choice(["", "a", "b", "caption 1"]))
        case 5:
            (folder / f"{name}.mp4").write_bytes(b"broken")
        case _ if name != first:  # two change their names
            for old, other in ((name, "x"), (first, name), ("x", first)):
                rename(folder, old, other)


def test_any_changes_one_after_the_other_end_in_what_a_new_cache_would_be(pool, folder, tmp_path):
    g, out, known = random.Random(0), tmp_path / "cache", set()
    for turn in range(16):
        change(g, folder, pool, f"n{turn}")
        try:
            report, count = encode(folder, out)
        except ValueError as error:
            assert "no clip in" in str(error)
            continue
        fresh = tmp_path / f"fresh {turn}"
        encode(folder, fresh)
        assert items(out) == items(fresh)
        assert LatentCache(out).manifest["broken"] == LatentCache(fresh).manifest["broken"]
        served = {(clip["hash"], clip["caption"]) for clip in LatentCache(fresh).manifest["clips"]}
        assert count == len(served - known)
        assert len(report.kept) + len(report.encoded) == len(items(fresh))
        known |= served
        open_for_training(out)


def test_a_clip_that_comes_back_is_not_encoded_again(pool, folder, tmp_path):
    encode(folder, tmp_path / "cache")
    before = items(tmp_path / "cache")
    delete(folder, 2)
    encode(folder, tmp_path / "cache")
    assert len(items(tmp_path / "cache")) == 5
    for end in (".mp4", ".txt"):
        shutil.copy(pool / f"2{end}", folder / f"2{end}")
    assert encode(folder, tmp_path / "cache")[1] == 0
    assert items(tmp_path / "cache") == before


def test_the_same_contents_twice_with_one_caption_and_with_two(folder, tmp_path):
    copy(folder, 1, 7)
    copy(folder, 1, 8)
    (folder / "8.txt").write_text("another")
    report, count = encode(folder, tmp_path / "cache")
    assert (count, report.kept) == (7, ["7.mp4"])
    found = {name: (caption, latents, text) for name, caption, latents, text in items(tmp_path / "cache")}
    assert found["1.mp4"] == found["7.mp4"]
    assert found["8.mp4"][:2] == ("another", found["1.mp4"][1])
    assert found["8.mp4"][2] != found["1.mp4"][2]


def test_what_only_looks_changed_is_not(folder, tmp_path):
    encode(folder, tmp_path / "cache")
    os.utime(folder / "1.mp4", (1, 1))
    open_for_training(tmp_path / "cache")
    assert encode(folder, tmp_path / "cache")[1] == 0


def test_a_cache_without_its_folder_is_trained_on_as_it_is(folder, tmp_path):
    encode(folder, tmp_path / "cache")
    folder.rename(tmp_path / "moved")
    with pytest.warns(UserWarning, match=r"^no folder of clips can be read at .*clips, so the cache .* is not"):
        assert open_for_training(tmp_path / "cache").learned == 6
    report, count = encode(tmp_path / "moved", tmp_path / "cache")
    assert (count, len(report.kept)) == (0, 6)
    delete(tmp_path / "moved", 1)
    refused("1 gone", open_for_training, tmp_path / "cache")


def test_a_folder_without_clips_differs_too(folder, tmp_path):
    encode(folder, tmp_path / "cache")
    for path in folder.iterdir():
        path.unlink()
    refused("differs from its folder of clips .*: no clips in", open_for_training, tmp_path / "cache")


def test_the_clips_of_another_folder_do_not_take_the_place_of_these(folder, pool, tmp_path):
    encode(folder, tmp_path / "cache")
    before = files(tmp_path / "cache")
    refused("holds the clips of the folder .*clips: give another folder", encode, pool, tmp_path / "cache")
    assert files(tmp_path / "cache") == before


def test_a_mended_clip_is_missed(folder, pool, tmp_path):
    (folder / "1.mp4").write_bytes(b"broken")
    encode(folder, tmp_path / "cache")
    open_for_training(tmp_path / "cache")
    shutil.copy(pool / "1.mp4", folder / "1.mp4")
    refused("1 changed .1.mp4.", open_for_training, tmp_path / "cache")
    assert encode(folder, tmp_path / "cache")[0].encoded == ["1.mp4"]
    open_for_training(tmp_path / "cache")


def test_a_file_that_is_written_while_it_is_read_is_skipped(folder, tmp_path, monkeypatch):
    def meanwhile(self, clip, real=Plain.encode_video):
        if not self.encoded:
            os.utime(folder / "0.mp4", (5, 5))
        return real(self, clip)

    monkeypatch.setattr(Plain, "encode_video", meanwhile)
    report = encode(folder, tmp_path / "cache")[0]
    assert report.skipped == {"0.mp4": "changed while it was being read: run the same command again."}


class TestNothingIsLeft:
    @pytest.mark.parametrize(
        "options",
        [{"size": (30, 16)}, {"num_frames": 6}, {"fps": 0}, {"start": -1}, {"num_frames": 10**9 + 1}, {"fps": 1e9}],
    )
    def test_by_sizes_that_are_refused(self, folder, tmp_path, options):
        refused(
            "data.encode_folder: .*give|^data.encode_folder: .* must be",
            encode_options,
            folder,
            tmp_path,
            options,
        )
        assert not (tmp_path / "deep").exists()

    @pytest.mark.parametrize("spoil", [lambda f: f.write_text(""), lambda f: f.with_suffix(".mp4").write_bytes(b"")])
    def test_by_clips_of_which_none_can_be_used(self, folder, tmp_path, spoil):
        for path in folder.glob("*.txt"):
            spoil(path)
        refused("no clip in .* can be used .6 clips tried.; the first: 0.mp4", encode_options, folder, tmp_path, {})
        assert not (tmp_path / "deep").exists()
        for path in folder.glob("*.txt"):
            path.write_text("a")
        if (folder / "0.mp4").stat().st_size:
            encode_options(folder, tmp_path, {"start": 0.25, "num_frames": 5})
            assert len(items(tmp_path / "deep" / "cache")) == 6

    def test_and_a_cache_without_clips_takes_other_settings(self, folder, tmp_path):
        out = tmp_path / "cache"
        encode(folder, out)
        texts = {path: path.read_text() for path in folder.glob("*.txt")}
        for path in texts:
            path.write_text("")
        refused("no clip in .* can be used .6 clips tried.", encode, folder, out)
        assert items(out) == []
        for path, text in texts.items():
            path.write_text(text)
        assert encode(folder, out, start=0.0, num_frames=5)[1] == 6
        assert LatentCache(out)[0]["latents"].shape == (3, 2, 2, 2)
        encode(folder, tmp_path / "fresh", num_frames=5)
        assert files(out) == files(tmp_path / "fresh")

    def test_a_folder_begun_by_hand_stays(self, folder, tmp_path):
        (tmp_path / "cache").mkdir()
        refused("fps=0", lambda: encode(folder, tmp_path / "cache", fps=0))
        assert files(tmp_path / "cache") == {}


def encode_options(folder, tmp_path, options):
    return encode(folder, tmp_path / "deep" / "cache", **options)


class TestProcesses:
    @pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.nightly)])
    def test_killed_at_any_moment_the_cache_is_valid_and_the_same_command_ends_the_same(self, folder, tmp_path, every):
        delete(folder, 5)
        delete(folder, 4)
        encode(folder, tmp_path / "whole")
        (tmp_path / "killed").mkdir()
        places = [str(folder), str(tmp_path / "killed")]
        run = python(f"from encoding import *; kills(*map(Path, {places}), {every})")
        left = [int(line) for line in run.stdout.split()]
        assert run.returncode == 0, run.stderr
        assert set(left) == {0, 2, 4} and left == sorted(left) and len(left) > 80 // every
        for at in range(every, every * len(left) + 1, every):
            assert files(tmp_path / "killed" / str(at)) == files(tmp_path / "whole"), at

    def test_a_second_one_is_refused_and_the_first_one_ends_as_alone(self, folder, tmp_path):
        out = tmp_path / "cache"
        here, there = SERVER.Pipe()
        run = SERVER.Process(target=waiting, args=(folder, out, there), daemon=True)
        run.start()
        there.close()
        for _ in range(3):  # then the first shard is there
            assert here.recv() == "at a clip"
            here.send("go on")
        assert here.recv() == "at a clip"
        refused("another process is writing into .*cache: wait until it has ended", encode, folder, out)
        for _ in range(3):
            here.send("go on")
        run.join()
        assert run.exitcode == 0
        encode(folder, tmp_path / "alone")
        assert files(out) == files(tmp_path / "alone")


def test_a_full_disk_at_any_moment_leaves_a_cache_that_can_go_on(folder, tmp_path, monkeypatch):
    encode(folder, tmp_path / "whole")
    real = Path.replace
    for at in range(1, 100):
        out, seen = tmp_path / str(at), []

        def full(path, target, at=at, seen=seen):
            seen.append(Path(target))
            if len(seen) == at:
                raise OSError(28, "No space left on device")
            return real(path, target)

        with monkeypatch.context() as room:
            room.setattr(Path, "replace", full)
            try:
                encode(folder, out)
                break
            except OSError as error:
                assert f"{out} cannot be written (No space left on device): make room and run the same" in str(error)
        assert not list(out.rglob(".*"))
        done = sum(path.parent.name == "unsealed" and path.suffix == ".safetensors" for path in seen[:-1])
        assert len(encode(folder, out)[0].kept) == done
        assert files(out) == files(tmp_path / "whole")
    assert at == 17  # settings and six clips; null prompt, manifest, thrice shard and manifest, the manifest at the end


def test_steps_say_what_is_refused_by_their_name(folder, tmp_path):
    refused(
        "^data.encode_steps: per_shard=0: give 1 to 4096",
        list,
        encode_steps(folder, Plain(), tmp_path / "o", "p", per_shard=0),
    )
    refused("^data.encode_steps: model is None: give ", encode_steps, folder, None, tmp_path / "o", "p")
    assert not (tmp_path / "o").exists()
