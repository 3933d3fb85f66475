"""Two recipes for training VTA on Wan: that of the paper, and that of the released trainer."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.data.latents import LatentCache
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import seed_of

PAPER = TrainConfig(
    steps=900,
    batch=8,
    micro=1,
    lr=1e-5,
    rate="constant",
    warmup=0,
    beta2=0.999,
    clip=math.inf,
    ema=0.0,
    caption_dropout=0.0,
    draw="independent",
    lora_rank=512,
    precision="32-true",  # the base model is already in bfloat16, and its updates are to be in float32
    log_every=1,
    check_finite=True,
)
WAN_RECIPES = {
    "paper": PAPER,
    "released": replace(PAPER, shift=5.0, weight="bell", weight_by_clip=True),
}
"""paper: tau ~ U[0, 1], no weight (Sec. 3.1, App. C, arXiv 2507.16116). released: tau shifted by 5 and the mean weight
of each clip, as in Yaofang-Liu/Pusa-VidGen; its weight differs by a constant factor, to which AdamW is invariant."""


@checked
class CacheBatches:
    """Endless batches from a cache, for one of several processes: (latents (b, c, f, h, w), embeddings, {}, names).

    The clips of a step depend on seed and step alone, and each process takes its share. Held-out clips are never among
    them; `chunks` returns those.

    Args:
        cache: the training data.
        config: of the run; batch, micro, seed and held_out are used.
        start: called when iteration begins; returns the number of the first step.
        place: returns the number of this process, from 0, and the number of processes.

    Raises:
        ValueError: there are no clips, all are held out, or the cache no longer agrees with its folder of clips.
    """

    def __init__(
        self,
        cache: LatentCache,
        config: TrainConfig,
        start: Callable[[], int] = lambda: 0,
        place: Callable[[], tuple[int, int]] = lambda: (0, 1),
    ):
        if not len(cache):
            raise ValueError(f"the cache {cache.folder} has no clips: encode some with `pusa-lab data encode`.")
        if config.held_out >= len(cache):
            raise ValueError(
                f"held_out={config.held_out} of {len(cache)} clips: give fewer, so that some are left for training."
            )
        cache.require_source()
        self.cache, self.config, self.start, self.place = cache, config, start, place
        self.learned = len(cache) - config.held_out

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield batches without end."""
        step = self.start()
        while True:
            rank, world = self.place()
            times = self.config.accumulate(world)
            g = torch.Generator().manual_seed(seed_of(self.config.seed, step, 0))
            rows = torch.randint(self.learned, (self.config.batch,), generator=g)
            for part in range(times):
                yield self._batch(rows.chunk(times * world)[part * world + rank].tolist())
            step += 1

    def chunks(self) -> list[tuple[Any, ...]]:
        """Return the held-out clips, one per batch."""
        return [self._batch([row]) for row in range(self.learned, len(self.cache))]

    def _batch(self, rows: list[int]) -> tuple[Any, ...]:
        clips = [self.cache[row] for row in rows]
        latents = torch.stack([clip["latents"] for clip in clips]).float()
        return latents, [clip["text"] for clip in clips], {}, [clip["name"] for clip in clips]
