"""Clips a second of `pusa-lab data encode`, by number of processes, with Wan's codec at its true size.

pusa-lab bench encode                       # two GPUs; --devices "[1]" for one
pusa-lab bench encode --tiny                # two processes on a CPU, whose times mean nothing
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKLWan
from jsonargparse.typing import PositiveInt
from wan_random import Log, transformer

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import wan_tiny
from films import waves, write

from pusa_lab import cli
from pusa_lab.cli.launch import processes
from pusa_lab.data import LatentCache
from pusa_lab.files import check_writable

OUT = Path(__file__).parent / "results" / "encode.json"
SIZES = {False: ((480, 832), 81), True: ((32, 48), 9)}
"""Height and width, and pixel frames; tiny or not."""


def make_folder(place: Path, tiny: bool) -> None:
    """A Wan's folder with random weights, of which only the codec is of its true size; it encodes the clips."""
    pipeline = wan_tiny.pipeline()
    if not tiny:
        pipeline.register_modules(vae=AutoencoderKLWan(), transformer=transformer("cpu", tiny=True, in_channels=16))
    pipeline.save_pretrained(place)


def encoded(work: Path, devices: int, tiny: bool) -> dict[str, Any]:
    """One run of the command into a new cache."""
    (height, width), frames = SIZES[tiny]
    words = ["data", "encode", str(work / "clips"), "--model", str(work / "wan"), "--out", str(work / str(devices))]
    words += ["--size", f"{height}x{width}", "--num-frames", str(frames), "--devices", str(devices)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    how: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": paths}, "capture_output": True, "text": True}
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "pusa_lab", *words], **how)
    if done.returncode:
        raise ValueError(f"--devices {devices}: {done.stderr.strip().splitlines()[-1]}")
    whole = time.perf_counter() - began
    count, seconds = re.findall(r"^(\d+) encoded in ([\d.]+) s", done.stdout)[0]
    found = {"clips": int(count), "seconds": float(seconds), "seconds with start and loading": round(whole, 1)}
    return found | {"clips a second": round(int(count) / max(float(seconds), 0.1), 3)}


def apart(one: LatentCache, other: LatentCache) -> float:
    """The largest difference of two caches' latents; 0 where they are equal, bit for bit."""
    pairs = zip(one, other, strict=True)
    return max((a["latents"].float() - b["latents"].float()).abs().max().item() for a, b in pairs)


def main(
    *,
    devices: list[PositiveInt] | None = None,
    clips: PositiveInt | None = None,
    tiny: bool = False,
    out: Path | None = None,
) -> None:
    """Clips a second of `pusa-lab data encode` at 480 x 832, 81 frames, by number of processes.

    Args:
        devices: numbers of processes (default [1, 2]), each on a GPU of its own, or on the CPU where there is none.
        clips: number of clips (default 24, or 4 with --tiny).
        tiny: a tiny codec and 9 frames of 32 x 48, to try the script.
        out: file of the results (default: benchmarks/results/encode.json).

    Raises:
        ValueError: there are fewer GPUs, or the file cannot be written.
    """
    every = devices or [1, 2]
    out = check_writable(out or OUT, "--out")
    for count in every:
        processes("--devices", count, "data encode")
    log = Log(out)
    (height, width), frames = SIZES[tiny]
    log["what"] = f"{frames} frames of {height} x {width}, codec in float32, text encoder tiny"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_folder(work / "wan", tiny)
        first = write(work / "clips" / "0.mp4", waves(frames, (height, width)), 16, "clip 0")
        for i in range(1, clips or (4 if tiny else 24)):  # with another caption, the same pixels are another clip
            shutil.copy(first, first.with_name(f"{i}.mp4"))
            first.with_name(f"{i}.txt").write_text(f"clip {i}")
        for count in every:
            log[f"{count} devices"] = encoded(work, count, tiny)
        one = LatentCache(work / str(every[0]))
        log["apart"] = max(apart(one, LatentCache(work / str(count))) for count in every)
    log["done"] = True


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
