"""pytest tests/test_training_data_processes.py: several processes encode one folder, byte for byte as one does."""

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
from encoding import Plain, clips, files, forked
from films import waves, write
from processes import python
from torch import distributed as dist
from wan_commands import PORTS
from wan_tiny import refused

from pusa_lab.cli import launch, main
from pusa_lab.data import LatentCache, encode_folder
from pusa_lab.data.encode import check_encode
from pusa_lab.data.pieces import encode_share
from pusa_lab.data.shared_work import OtherProcessError, SharedWork
from pusa_lab.data.unsealed import Unsealed
from pusa_lab.files import locked

pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = ["--size", "32x48", "--num-frames", "9", "--fps", "8"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Six clips, one of them twice, and one that is too short."""
    place = clips(tmp_path_factory.mktemp("pool"), 6)
    for end in (".mp4", ".txt"):
        shutil.copy(place / f"1{end}", place / f"4 again{end}")
    write(place / "3 short.mp4", waves(3, (16, 16)), 8, "short")
    return place


@pytest.fixture(scope="module")
def alone(pool, tmp_path_factory):
    """What one process makes of them."""
    out = tmp_path_factory.mktemp("alone") / "cache"
    report = encode_folder(pool, Plain(), out, "plain", per_shard=2)
    assert (report.encoded, report.kept, list(report.skipped)) == (NEW, ["4 again.mp4"], ["3 short.mp4"])
    return files(out)


NEW = [f"{i}.mp4" for i in range(6)]


def together(pool, out, count, models=None):
    """As so many processes encode: threads that share a store. Returns the report, and how many clips each encoded."""
    models, store, failed = models or [Plain() for _ in range(count)], dist.HashStore(), []

    def share(rank):
        work = SharedWork(store, rank, count)
        try:
            with work.together():
                encode_share(pool, models[rank], out, "plain", work)
        except (ValueError, OSError) as error:
            failed.append(error)

    others = [threading.Thread(target=share, args=(rank,)) for rank in range(1, count)]
    for other in others:
        other.start()
    try:
        work = SharedWork(store, 0, count) if count > 1 else SharedWork()
        with work.together():
            report = encode_folder(pool, models[0], out, "plain", per_shard=2, work=work)
    finally:
        for other in others:
            other.join()
    assert not failed
    return report, [model.encoded for model in models]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_several_encode_what_one_does(pool, alone, tmp_path, count):
    report, encoded = together(pool, tmp_path / "cache", count)
    assert sum(encoded) == len(NEW) and (report.encoded, report.kept) == (NEW, ["4 again.mp4"])
    assert files(tmp_path / "cache") == alone
    report, encoded = together(pool, tmp_path / "cache", count)
    assert sum(encoded) == 0 and len(report.kept) == 7
    assert files(tmp_path / "cache") == alone


def test_the_faster_takes_more(pool, alone, tmp_path):
    """The first one waits at its first clip until the other has encoded all that are left."""
    models = [Plain(), Plain()]
    encode = models[0].encode_video

    def slow(clip):
        while models[1].encoded < 5:
            threading.Event().wait(0.001)
        return encode(clip)

    models[0].encode_video = slow
    assert together(pool, tmp_path / "cache", 2, models)[1] == [1, 5]
    assert files(tmp_path / "cache") == alone


def kill_all(pool, place):
    """Two processes encode into a folder of its own for each number of clips, at which they are killed."""
    for after in range(7):
        status = forked(lambda after=after: killed(pool, Path(place) / str(after), after))
        assert status == (0 if after == 6 else -signal.SIGKILL)


def killed(pool, out, after):
    begun = []

    class Killed(Plain):
        def encode_video(self, clip):
            begun.append(1)
            if len(begun) > after:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().encode_video(clip)

    together(pool, out, 2, [Killed(), Killed()])


@pytest.fixture(scope="module")
def all_killed(pool, tmp_path_factory):
    place = tmp_path_factory.mktemp("killed")
    done = python("import sys; from test_training_data_processes import kill_all; kill_all(*sys.argv[1:])", pool, place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize(("after", "count"), [(0, 3), (1, 1), (2, 3), (3, 1), (4, 3), (5, 1), (6, 3)])
def test_killed_and_resumed_by_another_number_it_ends_the_same(pool, alone, all_killed, after, count):
    out = all_killed / str(after)
    there = keys_there(out)
    assert after - 1 <= len(there) <= after  # at most one of the two had another one in hand
    report, encoded = together(pool, out, count)
    assert sum(encoded) == len(report.encoded) == 6 - len(there)
    assert files(out) == alone


def keys_there(out):
    """What identifies the clips that a killed run left, in shards or in none."""
    sealed = LatentCache(out).manifest["clips"] if (out / "manifest.json").exists() else []
    head = json.loads(path.read_text()) if (path := out / "unsealed" / "settings.json").exists() else {}
    names = {Unsealed(out, head)._name((clip["hash"], clip["caption"])) for clip in sealed}
    return names | {path.name.partition("-")[0] for path in out.glob("unsealed/[0-9a-f]*-*")}


class TestClipsInNoShard:
    @pytest.fixture
    def left(self, pool, tmp_path):
        """A cache of which a killed run left clips in no shard, and nothing else."""

        class Stopped(Plain):
            def encode_video(self, clip):
                if self.encoded:
                    raise RuntimeError("stopped")
                return super().encode_video(clip)

        with pytest.raises(RuntimeError, match="stopped"):
            encode_folder(pool, Stopped(), tmp_path / "cache", "plain", per_shard=2)
        assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["unsealed"]
        return tmp_path / "cache"

    def test_are_not_encoded_again(self, pool, alone, left):
        model = Plain()
        report = encode_folder(pool, model, left, "plain", per_shard=2)
        assert (model.encoded, report.kept) == (5, ["0.mp4", "4 again.mp4"])
        assert files(left) == alone

    def test_nor_mixed_with_clips_of_other_settings(self, pool, left):
        says = f"the cache {left} was made with num_frames=9, but 5 is expected: use the same settings, or another"
        refused(says, lambda: encode_folder(pool, Plain(), left, "plain", num_frames=5))
        refused("was made with size=.16, 16., but .32, 16. is exp", check_encode, pool, left, {"size": (32, 16)})

    def test_are_encoded_again_if_damaged(self, pool, alone, left):
        (path,) = left.glob("unsealed/[0-9a-f]*-*")
        path.write_bytes(path.read_bytes()[:-1] + b"\1")
        assert together(pool, left, 1)[1] == [6]
        assert files(left) == alone

    @pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
    def test_of_settings_that_cannot_be_read(self, pool, left, content):
        (left / "unsealed" / "settings.json").write_bytes(content)
        refused(
            "settings.json is damaged: delete .*unsealed, whose clips are then encoded again", check_encode, pool, left
        )

    def test_that_vanish_meanwhile(self, pool, left):
        class Thief(Plain):
            def encode_video(self, clip):
                shutil.rmtree(left / "unsealed")
                return super().encode_video(clip)

        report = encode_folder(pool, Thief(), left, "plain", per_shard=1)
        assert report.kept[0] == "0.mp4" and not report.skipped.keys() - {"3 short.mp4"}


class TestFailures:
    def test_of_one_end_all_with_its_sentence(self, pool, alone, tmp_path):
        class Full(Plain):
            def encode_video(self, clip):
                raise OSError(28, "No space left on device")

        class Waiting(Plain):
            def encode_video(self, clip):
                while not full.is_set():
                    full.wait()
                return super().encode_video(clip)

        full, store, said = threading.Event(), dist.HashStore(), []

        def other():
            work = SharedWork(store, 1, 2)
            try:
                with work.together():
                    encode_share(pool, Full(), tmp_path / "cache", "plain", work)
            except OSError as error:
                said.append(str(error))
            full.set()

        thread = threading.Thread(target=other)
        thread.start()
        with pytest.raises(OtherProcessError, match="No space left on device"):
            encode_folder(pool, Waiting(), tmp_path / "cache", "plain", per_shard=2, work=SharedWork(store, 0, 2))
        thread.join()
        assert said == ["[Errno 28] No space left on device"]
        together(pool, tmp_path / "cache", 1)
        assert files(tmp_path / "cache") == alone

    def test_of_one_that_ended_without_a_word_counts_against_no_clip(self, pool, alone, tmp_path):
        def watch():
            raise OtherProcessError("one ended early.")

        store = dist.HashStore()
        store.add("taken", 1)  # by the one that ended
        work = SharedWork(store, 0, 2, watch)
        with pytest.raises(OtherProcessError, match=r"^one ended early\.$"):
            encode_folder(pool, Plain(), tmp_path / "cache", "plain", per_shard=2, work=work)
        assert together(pool, tmp_path / "cache", 1)[1] == [1]
        assert files(tmp_path / "cache") == alone

    def test_a_process_with_another_model_is_refused(self, pool, tmp_path):
        class Other(Plain):
            text = type("Part", (), {"identity": "other"})()

        with pytest.raises(ValueError, match=r"text_encoder='plain', but 'other' is expected by process 1: start all"):
            together(pool, tmp_path / "cache", 2, [Plain(), Other()])

    def test_more_processes_than_clips(self, pool, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr("pusa_lab.models.load_encoders", None)
        monkeypatch.setattr(launch, "multiprocessing", None)
        words = ["data", "encode", str(pool), "--out", str(tmp_path / "cache"), "--devices"]
        assert main([*words, "9"]) == 2
        assert "9 processes, but " in (said := capsys.readouterr().err) and said.endswith("encoded: start at most 8.\n")
        with locked(tmp_path / "cache"):
            assert main([*words, "2"]) == 2
        assert "another process is writing into " in capsys.readouterr().err
        assert main([*words, "0"]) == 2
        assert "--devices 0: give a whole number of at least 1." in capsys.readouterr().err
        assert main([*words[:-1], "--gpus", "2"]) == 2
        assert "there is no option --gpus: did you mean --devices?" in capsys.readouterr().err

    def test_one_that_is_killed_ends_the_run(self):
        says = r"^one of 2 processes ended early \(exit status -9\): run the same command again, perhaps with fewer"
        with pytest.raises(ValueError, match=says), launch.shared_work(2, list, kill_itself) as work:
            work.wait("nothing")

    def test_one_that_fails_says_why(self):
        with (
            pytest.raises(OtherProcessError, match=r"^no room$"),
            launch.shared_work(2, list, fail, "no room") as work,
        ):
            work.wait("nothing")

    @pytest.mark.parametrize("given", [(None, 1, 2), (None, 0, 2), (dist.HashStore(), 2, 2), (dist.HashStore(), 0, 1)])
    def test_ranks_that_cannot_be(self, given):
        refused(
            "SharedWork: rank=., count=.: give 0 to count - 1, and a store where there are several", SharedWork, *given
        )


def kill_itself(work):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(work, why):
    raise ValueError(why)


@pytest.fixture
def wan_clips(tmp_path):
    for i in range(3):
        write(tmp_path / "clips" / f"{i}.mp4", waves(9, (32, 48), i), 8, f"clip {i}")
    return tmp_path / "clips"


@pytest.fixture
def words(whole, wan_clips, tmp_path, monkeypatch):
    """The command but for its folder, which one process has run into `one`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    words = ["data", "encode", str(wan_clips), "--model", str(whole), *SIZES, "--out"]
    assert main([*words, str(tmp_path / "one")]) == 0
    return words


def test_the_command_starts_processes(words, tmp_path, capsys):
    capsys.readouterr()
    assert main([*words, str(tmp_path / "two"), "--devices", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("3 encoded in ") and len(said.err.splitlines()) == 1
    assert files(tmp_path / "two") == files(tmp_path / "one")


def ranks(words, port):
    """Two processes with the environment that torchrun gives them."""
    os.environ |= {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    child = os.fork()
    os.environ |= dict.fromkeys(("RANK", "LOCAL_RANK"), "0" if child else "1")
    try:
        status = main(words)
    except SystemExit as error:
        status = error.code
    if not child:
        os._exit(status)
    print("ended", status, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def test_processes_of_torchrun_encode_together_or_are_refused_with_one_sentence(words, tmp_path):
    for fps, ended in (("8", "ended 0 0"), ("4", "ended 2 2")):
        given = [fps if word == "8" else word for word in [*words, str(tmp_path / "two")]]
        done = python(f"from test_training_data_processes import ranks; ranks({given!r}, {next(PORTS)})")
        assert done.stdout.endswith(f"{ended}\n"), done.stderr
        assert files(tmp_path / "two") == files(tmp_path / "one")
    assert len(done.stderr.splitlines()) == 1 and "was made with --fps 8.0, but 4.0 is expected" in done.stderr


@pytest.mark.nightly  # the same processes, started by torchrun itself
def test_torchrun(words, tmp_path):
    done = python(f"from wan_commands import torchrun; torchrun({[[*words, str(tmp_path / 'two')]]!r})")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "two") == files(tmp_path / "one")
