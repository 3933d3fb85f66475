"""Recipes for training VTA on Wan: that of the paper, that of the released trainer, and one found on the toy."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from pusa_lab.arguments import checked
from pusa_lab.data.latents import LatentCache
from pusa_lab.sentences import counted
from pusa_lab.training.batch import Batch
from pusa_lab.training.config import TrainConfig
from pusa_lab.training.data import seed_of

PAPER = TrainConfig(
    max_steps=900,
    global_batch_size=8,
    micro_batch_size=1,
    lr=1e-5,
    lr_scheduler="constant",
    warmup=0,
    beta2=0.999,
    max_grad_norm=math.inf,
    ema=0.0,
    caption_dropout=0.0,
    timestep_sampler="independent",
    lora_rank=512,
    precision="32-true",  # the base model is already in bfloat16, and its updates are to be in float32
    log_every=1,
    check_finite=True,
)
WAN_RECIPES = {
    "paper": PAPER,
    "released": replace(PAPER, shift=5.0, weight="bell", per_sample_weighting=True),
    "mixture": replace(
        PAPER, timestep_sampler="mixture(samplers=[independent, task_mixture])", shift=5.0, weight="free_frames"
    ),
}
"""paper: tau ~ U[0, 1], no weight (Sec. 3.1, App. C, arXiv 2507.16116). released: tau shifted by 5 and the mean weight
of each clip, as in Yaofang-Liu/Pusa-VidGen; its weight differs by a constant factor, to which AdamW is invariant.
mixture: half of the clips with independent timesteps, half with known frames at 0 and one timestep for all others, as
at sampling, and known frames left out of the loss: the best of `pusa-lab bench recipe`, a search on `mini`
(docs/claims.md). On 14B it was not tried, and the rate and rank are the paper's."""


@checked
class CacheBatches:
    """Endless batches of latents and embedded captions from a cache, for one of several processes.

    The clips of a step depend on seed and step alone, and each process takes its share. Validation clips are never
    among them; `chunks` returns those.

    Args:
        cache: the training data.
        config: of the run; global_batch_size, micro_batch_size, seed and num_val_clips are used.
        start: called when iteration begins; returns the number of the first step.
        place: returns the number of this process, from 0, and the number of processes.

    Raises:
        ValueError: there are no clips, all are for validation, or the cache no longer agrees with its folder of clips.
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
        if config.num_val_clips >= len(cache):
            raise ValueError(
                f"num_val_clips={config.num_val_clips} of {counted(len(cache), 'clip')}: give fewer, so that some are "
                "left for training."
            )
        cache.require_source()
        self.cache, self.config, self.start, self.place = cache, config, start, place
        self.learned = len(cache) - config.num_val_clips

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches without end."""
        step = self.start()
        while True:
            rank, world = self.place()
            times = self.config.accumulate(world)
            g = torch.Generator().manual_seed(seed_of(self.config.seed, step, 0))
            rows = torch.randint(self.learned, (self.config.global_batch_size,), generator=g)
            for part in range(times):
                yield self._batch(rows.chunk(times * world)[part * world + rank].tolist())
            step += 1

    def chunks(self) -> list[Batch]:
        """Return the validation clips, one per batch."""
        return [self._batch([row]) for row in range(self.learned, len(self.cache))]

    def _batch(self, rows: list[int]) -> Batch:
        clips = [self.cache[row] for row in rows]
        latents = torch.stack([clip["latents"] for clip in clips]).float()
        return Batch(latents, [clip["text"] for clip in clips], names=[clip["name"] for clip in clips])
