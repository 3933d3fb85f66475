"""pytest tests/test_training_logs.py: the checkpoints of a run survive full disks, kills, and other runs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from test_resume_whole import CONFIG, dataset, same, trained

from pusa_lab.cli import main
from pusa_lab.training import LatentVideoDataModule

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
    pytest.mark.usefixtures("measured_in_two_steps", "small_toys"),
]
LONG = replace(CONFIG, max_steps=24, save_every=5, log_every=4)
KEPT = r"What was trained is kept as (\S+last\.ckpt): make room, and resume from it\.$"


def full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The folder for temporary files."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def full_from(monkeypatch, logs, number):
    """The disk of the logs is full from this checkpoint on, after half of it."""
    save, seen = torch.save, []

    def limited(found, stream):
        if logs in Path(stream.name).parents:
            seen.append(stream.write(b"half"))
            if len(seen) >= number:
                full()
            stream.seek(0)
        save(found, stream)

    monkeypatch.setattr("torch.save", limited)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_checkpoint_that_cannot_be_written_is_kept_elsewhere(tmp_path, monkeypatch, elsewhere, number, ema):
    config, logs = replace(LONG, ema=ema), tmp_path / "logs"
    whole = trained(tmp_path / "a", config)
    with monkeypatch.context() as disk:
        full_from(disk, logs, number)
        says = rf"^training.run: {logs}/last\.ckpt cannot be written \(No space left on device\): make room\. {KEPT}"
        with pytest.raises(OSError, match=says) as error:
            trained(logs, config)
    kept = Path(re.search(KEPT, str(error.value))[1])
    assert elsewhere in kept.parents
    assert torch.load(kept, weights_only=True)["global_step"] == 5 * number
    left = [path.name for path in logs.iterdir() if path.is_file()]
    assert left == ["last.ckpt"][: number - 1], "the checkpoint before it is whole, and nothing unfinished is left"
    assert not left or torch.load(logs / "last.ckpt", weights_only=True)["global_step"] == 5
    assert same(trained(logs, config, kept), whole)


def test_a_checkpoint_that_fits_nowhere_is_told(tmp_path, monkeypatch, elsewhere):
    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OSError, match=r"logs/last\.ckpt cannot be written .* could not be saved as \S+ either \("):
        trained(tmp_path / "logs", LONG)
    assert not any(elsewhere.iterdir())


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_curves_that_cannot_be_written_do_not_lose_the_weights(tmp_path, monkeypatch, elsewhere, ema):
    config, logs = replace(LONG, ema=ema, save_every=0), tmp_path / "logs"
    whole = trained(tmp_path / "a", config)
    with monkeypatch.context() as disk:
        disk.setattr(TensorBoardLogger, "log_metrics", full)
        says = rf"^training.run: logs {logs} cannot be written \(No space left on device\): make room, or .*\. {KEPT}"
        with pytest.raises(OSError, match=says) as error:
            trained(logs, config)
    assert same(trained(logs, config, Path(re.search(KEPT, str(error.value))[1])), whole)
    with monkeypatch.context() as disk:
        disk.setattr(CSVLogger, "finalize", full)
        with pytest.warns(UserWarning, match=r"the run has ended, but its last curves are missing: logs .* cannot be"):
            assert same(trained(tmp_path / "b", config), whole)


def test_a_sheet_that_cannot_be_written_does_not_lose_the_weights(tmp_path, elsewhere):
    """While it is made, the averaged weights are in place."""

    def report(model, step):
        raise OSError("sheet.png cannot be written (No space left on device): make room.")

    config, data = replace(LONG, save_every=0, validate_every=12), LatentVideoDataModule(dataset(), dataset())
    whole = trained(None, replace(config, validate_every=0))
    with pytest.raises(OSError, match=rf"^training.run: sheet.png cannot be written .*: make room\. {KEPT}") as error:
        trained(tmp_path / "logs", config, data=data, report=report)
    kept = Path(re.search(KEPT, str(error.value))[1])
    assert torch.load(kept, weights_only=True)["global_step"] == 12
    assert same(trained(None, replace(config, validate_every=0), kept), whole)


def test_errors_that_are_not_about_the_logs_stay_as_they_are(tmp_path, elsewhere):
    def batches():
        yield from (batch for _, batch in zip(range(3), dataset(), strict=False))
        raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(ConnectionResetError):
        trained(tmp_path / "logs", LONG, data=batches())
    assert not any(elsewhere.iterdir())


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    """A file is complete before it takes the place of the old one, in the same folder and so on the same disk."""
    moves, replaced = [], Path.replace

    def move(part, path):
        if path.name == "last.ckpt":
            before = torch.load(path, weights_only=True)["global_step"] if path.exists() else 0
            moves.append((before, torch.load(part, weights_only=True)["global_step"], part.parent == path.parent))
        return replaced(part, path)

    monkeypatch.setattr(Path, "replace", move)
    trained(tmp_path, LONG)
    assert moves == [(5 * i, 5 * i + 5, True) for i in range(4)]


def test_the_checkpoint_of_another_run_is_not_replaced(tmp_path):
    trained(tmp_path, LONG)
    last = (tmp_path / "last.ckpt").read_bytes()
    says = (
        rf"^training.run: logs {tmp_path} holds last.ckpt of a run that took 20 steps: resume it with "
        rf"resume='{tmp_path}/last.ckpt', give another folder for the logs, or delete the file\.$"
    )
    for config in (LONG, replace(LONG, seed=1)):
        with pytest.raises(ValueError, match=says):
            trained(tmp_path, config)
    trained(tmp_path / "other", replace(LONG, seed=1))
    with pytest.raises(ValueError, match=says):
        trained(tmp_path, replace(LONG, seed=1), tmp_path / "other" / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == last
    trained(tmp_path, replace(LONG, seed=1, save_every=0))
    moved = (tmp_path / "last.ckpt").rename(tmp_path / "moved.ckpt")
    trained(tmp_path, LONG, moved)
    trained(tmp_path, LONG, moved)
    (tmp_path / "last.ckpt").write_bytes(b"truncated")
    trained(tmp_path, LONG)


def test_the_command_says_how_to_go_on(tmp_path, capsys):
    words = ["train", "--model", "nano", "--stage", "base", "--fast", "--max-steps", "2", "--save-every", "2"]
    words += ["--logs", str(tmp_path / "l"), "--out", str(tmp_path / "o")]
    assert main(words) == 0
    assert main(words) == 2
    says = f"--logs {tmp_path}/l holds last.ckpt of a run that took 2 steps: resume it with --resume {tmp_path}/l/last"
    assert says in capsys.readouterr().err
    assert main([*words, "--resume", str(tmp_path / "l" / "last.ckpt")]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "/proc/x"], "--out /proc/x cannot be written (No such file or directory): give another place."),
        (
            ["--out", "{tmp_path}", "--max-steps", "20", "--warmup", "1000000"],
            "--warmup 1000000 is more than --max-steps 20, so the learning rate never reaches its peak: set --warmup",
        ),
    ],
)
def test_what_the_command_cannot_do_is_said_before_the_work(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.setattr("small_models.training.train.clips_of", lambda *_: pytest.fail("data were drawn"))
    assert main(["train", "--stage", "base", "--fast", *(word.format(tmp_path=tmp_path) for word in words)]) == 2
    assert capsys.readouterr().err.startswith(f"pusa-lab train: {says}")
