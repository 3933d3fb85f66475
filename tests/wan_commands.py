"""Commands on a tiny Wan, as a user types them."""

import csv
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch.distributed as dist
from films import collection
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pusa_lab.cli import main

PORTS = itertools.count(20_000 + os.getpid() % 10_000)
"""Below those that the system gives away, so that no other process takes one between its choice and its use."""
SHORT = [
    "max_steps=20",
    "global_batch_size=2",
    "micro_batch_size=0",
    "lr=1e-2",
    "caption_dropout=0.3",
    "lora_rank=3",
    "save_every=5",
    "num_val_clips=1",
]


def encode(whole: Path, place: Path) -> Path:
    """A cache of five real clips."""
    words = ["data", "encode", collection(place / "clips"), "--model", whole, "--out", place / "cache"]
    assert main([*map(str, words), "--size", "32x48", "--num-frames", "9", "--fps", "8"]) == 0
    return place / "cache"


def words_of(model: Path, cache: Path, out: Path, *changes: str, options: Sequence[object] = ()) -> list[str]:
    """Of `pusa-lab train`; curves and checkpoints go beside what is written, and the last change of a field counts."""
    logs = out.with_name(f"logs-{out.stem}")
    options = [*options] if "--logs" in options else ["--logs", logs, *options]
    words = ["train", "--recipe", "paper", "--data", cache, "--model", model, "--out", out, *options]
    settings = dict(change.split("=", 1) for change in [*SHORT, *changes])
    return [*map(str, words), *(f"--{name.replace('_', '-')}={value}" for name, value in settings.items())]


def train(*args: object, **kwargs: object) -> Path:
    """Run it here, and leave nothing of a run with split weights: its group of one process, and its variables."""
    words, before = words_of(*args, **kwargs), dict(os.environ)
    try:
        assert main(words) == 0
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        os.environ.clear()
        os.environ.update(before)
    return Path(words[words.index("--out") + 1])


def torchrun(commands: Sequence[Sequence[str]]) -> None:
    """As `torchrun --standalone --nproc-per-node 2` runs them one after the other, in processes that are forked."""
    config = LaunchConfig(
        1, 1, 2, run_id="two", rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="forkserver"
    )
    elastic_launch(config, _run_all)(commands)


def _run_all(commands: Sequence[Sequence[str]]) -> None:
    for words in commands:
        assert main(words) == 0


def logs_of(out: Path) -> Path:
    return out.with_name(f"logs-{out.stem}")


def rows(out: Path) -> list[dict[str, float]]:
    """All that was logged, by the last of its runs."""
    with max(logs_of(out).glob("run-*/metrics.csv")).open() as lines:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(lines)]


def environment() -> dict[str, str]:
    """For processes beside this one."""
    path = os.pathsep.join([str(Path.cwd()), *sys.path])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "MASTER_PORT": str(next(PORTS))}
