"""pytest tests/test_files.py: files are written whole or not at all, and none leads out of its folder."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pusa_lab.files import (
    check_folder,
    check_writable,
    content_digest,
    digest,
    locked,
    path_inside,
    read_json,
    sampled_digest,
    write_json,
    writing,
)


def names(folder):
    return [path.name for path in sorted(folder.iterdir())]


def test_what_lay_there_stays_until_the_new_file_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_json(path, 1)
    with pytest.raises(RuntimeError, match="half"), writing(path) as part:
        assert part.suffix == ".txt"
        part.write_text("half")
        raise RuntimeError("half")
    assert read_json(path, "a number") == 1
    assert names(path.parent) == ["a.txt"]


def test_what_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    write_json(tmp_path / "a", 1)
    monkeypatch.setattr("pusa_lab.files.MOST_JSON", 20)
    with pytest.raises(ValueError, match="a would have 25 bytes, more than the limit of 20: write several files"):
        write_json(tmp_path / "a", "x" * 22)
    assert read_json(tmp_path / "a", "a number") == 1
    assert names(tmp_path) == ["a"]


def test_a_folder_is_written_whole_too(tmp_path):
    with writing(tmp_path / "weights") as part:
        part.mkdir()
        (part / "a").write_text("a")
    assert names(tmp_path) == ["weights"]
    with pytest.raises(RuntimeError, match="half"), writing(tmp_path / "more") as part:
        part.mkdir()
        raise RuntimeError("half")
    assert names(tmp_path) == ["weights"]


def test_a_disk_that_is_full_is_one_sentence(tmp_path):
    with (
        pytest.raises(OSError, match=r"cannot be written .No space left on device.: make room"),
        writing(tmp_path / "a"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("a")
    assert names(tmp_path) == []


def test_places_are_tried_and_left_as_they_were(tmp_path):
    assert check_writable(tmp_path / "a" / "b" / "c.mp4", "--out") == tmp_path / "a" / "b" / "c.mp4"
    assert check_folder(tmp_path / "a" / "b", "--logs") == tmp_path / "a" / "b"
    assert names(tmp_path) == []


@pytest.mark.parametrize("check", [check_writable, check_folder])
def test_an_address_is_not_a_place(check):
    for address in ("http://a/b.mp4", Path("s3://a/b.mp4")):
        with pytest.raises(ValueError, match=r"--out .* is an address: give a path of this machine"):
            check(address, "--out")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (".", "--out .* is a folder: give the name of a file"),
        ("there.txt/a", "there.txt is a file"),
        ("a" * 300, "File name too long.: give a shorter name"),
        ("\0", "is not a file name"),
    ],
)
def test_places_where_nothing_can_be_written_are_refused(tmp_path, name, says):
    (tmp_path / "there.txt").write_text("")
    with pytest.raises(ValueError, match=says):
        check_writable(f"{tmp_path}/{name}", "--out")
    if name != ".":
        with pytest.raises(ValueError, match=says):
            check_folder(f"{tmp_path}/{name}", "--out")
    assert names(tmp_path) == ["there.txt"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not the manifest that can be read"),
        ("[" * 100_000, "is not the manifest that can be read"),
        ("[]", "an empty list instead of an object"),
        ("{}", "no 'n' in it"),
        ('{"n": "1"}', "'n' is '1' .a str."),
        ('{"n": true}', "'n' is True"),
        ("\xff", "is not the manifest that can be read"),
    ],
)
def test_json_that_others_spoilt_is_refused(tmp_path, text, says):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=says):
        read_json(tmp_path / "a.json", "the manifest", {"n": int})


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "..\\a", "C:\\a", "", None, 3, "a\0b"])
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="which is not a file inside"):
        path_inside(tmp_path, name, "the manifest")
    assert path_inside(tmp_path, "a/b..c", "the manifest") == tmp_path / "a/b..c"


def test_two_processes_do_not_write_at_once(tmp_path):
    other = (
        "import sys; from pusa_lab.files import locked\n"
        "with locked(sys.argv[1]): print('in', flush=True); sys.stdin.read()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", other, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout.readline() == "in\n"
    with pytest.raises(ValueError, match="another process is writing into"), locked(tmp_path):
        pass
    run.kill()  # a killed process lets go
    run.communicate()
    with locked(tmp_path):
        pass


def test_what_is_not_a_regular_file_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=r"pipe cannot be written \(it is not a regular file\): give another place\.$"):
        write_json(pipe, {})
    with pytest.raises(ValueError, match=r"pipe is not a regular file: give another name\.$"):
        check_writable(pipe)
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_a_lock_leaves_nothing_and_a_taken_one_is_refused(tmp_path):
    (tmp_path / ".lock").write_text("")  # of a process that was killed
    with locked(tmp_path):
        assert names(tmp_path) == [".lock"]
        with pytest.raises(ValueError, match="another process is writing into"), locked(tmp_path):
            pass
        assert names(tmp_path) == [".lock"]
    assert names(tmp_path) == []


def test_a_lock_that_was_just_taken_away_is_not_held(tmp_path, monkeypatch):
    """Another process ended, and took the file away, between the opening and the locking."""
    import fcntl

    real = fcntl.flock
    monkeypatch.setattr("fcntl.flock", lambda stream, how: ((tmp_path / ".lock").unlink(), real(stream, how)))
    with pytest.raises(ValueError, match="another process is writing into"), locked(tmp_path):
        pass


def test_a_content_hash_is_sha256_of_what_is_joined(tmp_path):
    ours = content_digest(["naïve ", b"d", memoryview("é".encode())])
    assert ours == content_digest("naïve dé") == hashlib.sha256("naïve dé".encode()).hexdigest()
    (tmp_path / "a").write_bytes(os.urandom(2**20 + 1))
    assert digest(tmp_path / "a") == content_digest((tmp_path / "a").read_bytes())
    assert digest(tmp_path / "a") == sampled_digest(tmp_path / "a")


def test_a_large_file_is_known_by_its_size_and_by_parts_of_it(tmp_path):
    with (tmp_path / "a").open("wb") as stream:
        stream.truncate(2**28 + 1)  # sparse
    found = [sampled_digest(tmp_path / "a")]
    for place in (0, 2**28):
        with (tmp_path / "a").open("rb+") as stream:
            stream.seek(place)
            stream.write(b"x")
        found.append(sampled_digest(tmp_path / "a"))
    os.truncate(tmp_path / "a", 2**28 + 2)
    found.append(sampled_digest(tmp_path / "a"))
    assert len(set(found)) == 4 and all(one.startswith("sampled:") for one in found)


def test_a_file_can_be_read_by_whom_the_umask_allows(tmp_path):
    (tmp_path / "plain").write_text("")
    with writing(tmp_path / "weights.safetensors") as part:
        save_file({"a": torch.zeros(1)}, part)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert len(modes) == 1
