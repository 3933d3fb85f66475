"""The command `pusa-lab train` on Wans of true width and several GPUs of one host.

pusa-lab bench wan_train_command          # four GPUs of 80 GB, about 8 minutes
pusa-lab bench wan_train_command --tiny   # the same on a CPU, about 4
"""

import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from safetensors.torch import load_file
from wan_random import Log, transformer

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import wan_tiny

from pusa_lab import cli
from pusa_lab.data import CacheSettings
from pusa_lab.data.cache import CacheWriter
from pusa_lab.data.latents import identity
from pusa_lab.files import check_folder

CHANNELS, TEXT = 4, 16
"""Of the tiny codec and text encoder that lie beside the large transformer."""
BATCH = 4
SIZES = {False: ((480, 832), 33), True: ((64, 64), 9)}
"""Height and width, and pixel frames; tiny or not."""


def make_folder(place: Path, blocks: int, tiny: bool) -> None:
    """A Wan's folder with random weights."""
    wan_tiny.pipeline().save_pretrained(place)
    sizes = {"in_channels": CHANNELS, "out_channels": CHANNELS, "text_dim": TEXT, "num_layers": blocks}
    model = transformer("cuda" if torch.cuda.is_available() else "cpu", tiny=tiny, **sizes)
    shutil.rmtree(place / "transformer")
    model.save_pretrained(place / "transformer")
    del model
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def make_cache(place: Path, tiny: bool, clips: int = 6) -> None:
    """Latents that move smoothly, as an encoder would have written them."""
    (height, width), frames = SIZES[tiny]
    f, h, w = 1 + (frames - 1) // 4, height // 8, width // 8
    settings = CacheSettings(
        "random", (height, width), frames, f, CHANNELS, 16.0, 0.0, identity(wan_tiny.codec()), "random", 512
    )
    writer = CacheWriter(place, settings, torch.zeros(1, TEXT))
    g = torch.Generator().manual_seed(0)
    for i in range(clips):
        coarse = torch.randn(1, CHANNELS, 2, 4, 4, generator=g)
        latents = torch.nn.functional.interpolate(coarse, (f, h, w), mode="trilinear", align_corners=True)[0]
        writer.add(f"{i}.mp4", str(i), f"clip {i}", latents / latents.std(), torch.randn(9, TEXT, generator=g))
    writer.close()


class Bench:
    """The folders, and the commands that run on them."""

    def __init__(self, work: Path, seconds: float):
        self.work, self.end = work, time.perf_counter() + seconds

    def command(self, name: str, wan: str, devices: int, changes: Sequence[str], torchrun: bool = False) -> list[str]:
        """Of one run."""
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(devices), "-m", "--"]
        words = ["pusa_lab", "train", "--recipe", "paper", "--data", str(self.work / "cache")]
        words += [
            "--model",
            str(self.work / wan),
            "--out",
            str(self.work / name),
            "--logs",
            str(self.work / "logs" / name),
        ]
        more = [] if torchrun else ["--gpus", str(devices)]
        return [
            sys.executable,
            *(start if torchrun else ["-m"]),
            *words,
            *more,
            f"--global-batch-size={BATCH}",
            *changes,
        ]

    def run(
        self, name: str, wan: str, gpus: Sequence[int], changes: Sequence[str], torchrun: bool = False
    ) -> dict[str, Any]:
        """One run to its end: its losses and seconds, or the end of what it said."""
        began = time.perf_counter()
        words = self.command(name, wan, len(gpus), changes, torchrun)
        left = max(1.0, self.end - began)
        row: dict[str, Any] = {"gpus": len(gpus), "blocks": int(wan[3:]), "command": " ".join(words[1:])}
        try:
            done = subprocess.run(words, env=self.environment(gpus), capture_output=True, text=True, timeout=left)
            said = done.stderr[-1500:] if done.returncode else ""
        except subprocess.TimeoutExpired:
            said = f"not done after {left:.0f} s"
        row |= {"seconds": round(time.perf_counter() - began, 1), **self.curves(name)}
        return row | ({"error": said} if said else {})

    def killed(self, name: str, wan: str, gpus: Sequence[int], changes: Sequence[str]) -> dict[str, Any]:
        """Killed after its first checkpoint, then resumed."""
        words = self.command(name, wan, len(gpus), changes)
        last = self.work / "logs" / name / "last.ckpt"
        with subprocess.Popen(
            words, env=self.environment(gpus), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            while not last.exists() and child.poll() is None and time.perf_counter() < self.end:
                time.sleep(0.02)
            child.send_signal(signal.SIGKILL)
        if not last.exists() or (self.work / name).exists():
            return {"error": f"ended with {child.returncode} before it could be killed"}
        step = torch.load(last, weights_only=True, map_location="cpu")["global_step"]
        return self.run(name, wan, gpus, [*changes, "--resume", str(last)]) | {"killed_after_step": step}

    def environment(self, gpus: Sequence[int]) -> dict[str, str]:
        """Of a process that sees these GPUs alone."""
        paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}

    def curves(self, name: str) -> dict[str, Any]:
        """What metrics.csv has, of the newest run."""
        found = sorted((self.work / "logs" / name).glob("run-*/metrics.csv"))
        return {"loss": [float(row["loss"]) for row in csv.DictReader(found[-1].open())]} if found else {}

    def difference(self, a: str, b: str) -> dict[str, float]:
        """Of two LoRA files: the largest of any number, and of all together relative to the first's B."""
        one, two = load_file(self.work / a), load_file(self.work / b)
        both = [(one[k].double(), two[k].double()) for k in one if "lora_B" in k]
        gap = sum((x - y).square().sum() for x, y in both).sqrt() / sum(x.square().sum() for x, _ in both).sqrt()
        return {"largest": max((one[k] - two[k]).abs().max().item() for k in one), "relative": gap.item()}


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest relative difference of two runs' losses."""
    return max(abs(a / b - 1) for a, b in zip(one["loss"], other["loss"], strict=True))


def phases(bench: Bench, log: Log, tiny: bool, gpus: list[int], blocks: tuple[int, int]) -> None:
    """All runs, the most important first; those that need one GPU side by side."""
    small, large = (f"wan{n}" for n in ((2, 3) if tiny else blocks))
    lora = ["--micro-batch-size=1", "--max-steps=4", f"--lora-rank={4 if tiny else 64}"]
    saved = [*lora, "--max-steps=8", "--save-every=2"]
    whole = ["--lora-rank=0", "--micro-batch-size=1", "--max-steps=4"]
    make_cache(bench.work / "cache", tiny)
    make_folder(bench.work / small, int(small[3:]), tiny)
    alone = [
        ("killed", bench.killed, "killed.safetensors", saved),
        ("uninterrupted", bench.run, "steady.safetensors", saved),
        ("one", bench.run, "one.safetensors", lora),
        ("all_weights_one", bench.run, "alone", whole),
    ]
    with ThreadPoolExecutor(1 if tiny else len(gpus)) as pool:
        jobs = [
            (name, pool.submit(run, out, small, [gpus[i % len(gpus)]], changes))
            for i, (name, run, out, changes) in enumerate(alone)
        ]
        for name, job in jobs:
            log[name] = job.result()
    if not {"error"} & {*log.found["killed"], *log.found["uninterrupted"]}:
        log["killed_against_uninterrupted"] = bench.difference("steady.safetensors", "killed.safetensors")
    log["torchrun_two"] = bench.run("torchrun.safetensors", small, gpus[:2], lora, True)
    log["all"] = bench.run("all.safetensors", small, gpus, lora)
    log["all_weights_all"] = bench.run("split", small, gpus, whole)
    pairs = [("one", "torchrun_two"), ("one", "all"), ("all_weights_one", "all_weights_all")]
    pairs = [(a, b) for a, b in pairs if "error" not in {*log.found[a], *log.found[b]}]
    log["losses_apart"] = {f"{a}, {b}": apart(log.found[a], log.found[b]) for a, b in pairs}
    make_folder(bench.work / large, int(large[3:]), tiny)
    log["all_weights_large"] = bench.run(
        "large", large, gpus, ["--lora-rank=0", "--micro-batch-size=1", "--max-steps=3"]
    )


def main(
    *,
    out: Path | None = None,
    tiny: bool = False,
    seconds: PositiveFloat = 500,
    gpus: PositiveInt = 4,
    blocks: tuple[PositiveInt, PositiveInt] = (8, 40),
) -> None:
    """Losses of `pusa-lab train` on several GPUs of one host: of a LoRA, after a kill, of all weights.

    Wans of random weights are written as folders, with a cache of latents; then `pusa-lab train --recipe paper` runs in
    processes of its own: with 1, 2 (by torchrun) and all GPUs (by `--gpus`) on the same clips a step; killed and
    resumed; with all weights on 1 and all GPUs; and at last with more blocks.

    Args:
        out: folder of wan_train_command.json (default: benchmarks/results).
        tiny: take tiny Wans, which are trained on a CPU.
        seconds: seconds after which a run is ended.
        gpus: number of GPUs.
        blocks: number of blocks of the Wan for all runs, and for the last one.

    Raises:
        ValueError: the folder cannot be written to.
    """
    out = check_folder(out or Path(__file__).parent / "results", "--out")
    log = Log(out / "wan_train_command.json")
    with tempfile.TemporaryDirectory() as work:
        phases(Bench(Path(work), seconds), log, tiny, list(range(gpus)), blocks)


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
