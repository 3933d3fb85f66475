"""Caches of diffusers on `mini`, with one timestep per frame: dB lost and computation left out, beside frames at rest.

pusa-lab bench caches            # two cores, about two minutes
"""

import contextlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.hooks import FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch.utils.flop_counter import FlopCounterMode

import small_models
from pusa_lab import cli, generate
from pusa_lab.evaluation import known_frames
from pusa_lab.files import check_writable, write_json
from pusa_lab.generate import Result
from pusa_lab.metrics import psnr
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.tasks import Task
from pusa_lab.wan.caches import LAYERS
from pusa_lab.wan.model import WanModel
from small_models.evaluation.ways import EVAL_SEED, parts
from small_models.machine import conditions
from small_models.models.toy import ToyModel
from small_models.world import MINI, captions, draw_scenes

OUT = Path(__file__).parent / "results" / "caches.json"
ROW = dict[str, Any]


class Unchecked(WanModel):
    """Takes any schedule, to show what a refusal spares."""

    check_caches = None  # type: ignore[assignment]


def as_wan(toy: ToyModel, kind: type[WanModel] = WanModel) -> WanModel:
    """The same model with diffusers' classes, which have caches."""
    assert toy.codec is not None
    prompts = lambda words: toy.encode_text(list(words))["text"]  # noqa: E731
    return kind(toy.dit.to_diffusers(), toy.codec.to_diffusers(), prompts, geometry=toy.geometry)


class Bench:
    """True clips of the world, and what the model makes of their first frames and captions."""

    def __init__(self, toy: ToyModel, scenes: int, seed: int, options: dict[str, Any]) -> None:
        self.toy, self.seed, self.options = toy, seed, options
        drawn = draw_scenes(scenes, EVAL_SEED + 2, MINI)
        some, clip, _ = next(iter(parts(drawn, toy.geometry, "cpu", scenes)))
        self.prompts, self.truth = captions(some, EVAL_SEED), to_uint8(clip)
        self.exact: dict[str, tuple[Result, int]] = {}

    def made(self, model: WanModel, schedule: str, **more: Any) -> tuple[Result, int]:
        """A result, and the floating point operations that it took before decoding."""
        task = Task("image to video", known_frames(self.truth, [0], model.geometry, 0.0, "denoise"))
        options = self.options | {"schedule": schedule, "seed": self.seed, "output": "latents"} | more
        with FlopCounterMode(display=False) as counter:
            result = generate(model, self.prompts, task, **options)
        return result.decode(model), counter.get_total_flops()

    def row(self, schedule: str, name: str, config: Any = None, **more: Any) -> ROW:
        """PSNR of the frames that were not given, and the share of the operations, against computing everything."""
        model = as_wan(self.toy, Unchecked)
        if config is not None:
            model.transformer.enable_cache(config)
        result, flops = self.made(model, schedule, **more)
        exact, all_flops = self.exact.setdefault(schedule, (result, flops))
        free = slice(1, None)  # the first latent frame is one pixel frame
        truth, video, other = (to_pixels(clip) for clip in (self.truth, result.video, exact.video))
        found: ROW = {"schedule": schedule, "what": name, "refused": self.refused(schedule, config)}
        found |= {"psnr_db": psnr(video, truth)[:, free].mean().item(), "computed": flops / all_flops}
        if video is not other and result is not exact:
            found["psnr_to_exact_db"] = psnr(video, other)[:, free].clamp(max=99).mean().item()
        sys.stderr.write(f"{json.dumps(found)}\n")
        return found

    def refused(self, schedule: str, config: Any) -> str:
        """The sentence with which `generate` refuses this cache with this schedule, or ""."""
        if config is None:
            return ""
        model = as_wan(self.toy)
        model.transformer.enable_cache(config)
        model.prompts = stop
        try:
            self.made(model, schedule)
        except StopError:
            return ""
        except ValueError as error:
            return str(error)
        raise AssertionError

    def ratios(self, steps: int) -> list[float]:
        """How the residuals grow from step to step, as MagCache measures and prints them: those with the caption."""
        model = as_wan(self.toy)
        model.transformer.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=steps))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.made(model, "synchronous")
        return json.loads(next(line for line in said.getvalue().splitlines() if line.startswith("[1.0")))


class StopError(Exception):
    """Captions would be encoded now."""


def stop(words: Sequence[str]) -> Any:
    """In place of a text encoder."""
    raise StopError


def rows(bench: Bench, steps: int) -> Iterator[ROW]:
    """All rows of the table, the exact one of each schedule first."""
    yield bench.row("synchronous", "everything")
    for threshold in (0.05, 0.1, 0.2):
        yield bench.row("synchronous", f"first block, {threshold}", FirstBlockCacheConfig(threshold=threshold))
    ratios = bench.ratios(steps)
    for threshold in (0.06, 0.24):
        config = MagCacheConfig(threshold=threshold, num_inference_steps=steps, mag_ratios=ratios)
        yield bench.row("synchronous", f"MagCache, {threshold}", config)
    for interval in (2, 3):
        named: dict[str, Any] = {"cache_identifiers": [LAYERS], "taylor_factors_dtype": torch.float32}
        yield bench.row(
            "synchronous", f"TaylorSeer, {interval}", TaylorSeerCacheConfig(cache_interval=interval, **named)
        )
    yield bench.row("synchronous", "frames at rest, 5", refresh=5)
    yield bench.row("autoregressive", "everything")
    for threshold in (0.05, 0.1):
        yield bench.row("autoregressive", f"first block, {threshold}", FirstBlockCacheConfig(threshold=threshold))
    yield bench.row("autoregressive", "frames at rest, auto", refresh="auto")


def main(
    *,
    scenes: PositiveInt = 4,
    steps: PositiveInt = 10,
    guidance: PositiveFloat = 3.0,
    seed: int = 5,
    out: Path | None = None,
) -> None:
    """Caches of diffusers under one timestep per frame, on `mini`: image to video, all frames together and in turn.

    Args:
        scenes: true clips, made in one batch, for which a cache decides at once.
        steps: of each frame.
        guidance: scale of text guidance.
        seed: of the noise.
        out: file of the results (default: benchmarks/results/caches.json).

    Raises:
        ValueError: the file cannot be written.
    """
    out = check_writable(out or OUT, "--out")
    options: dict[str, Any] = {"steps": steps, "guidance": guidance}
    bench = Bench(small_models.load("mini-vta", device="cpu"), scenes, seed, options)
    about = conditions() | {"seed": seed, "model": "mini-vta", "scenes": scenes, **options}
    found = list(rows(bench, steps))
    write_json(out, about | {"rows": found, "done": True})


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
