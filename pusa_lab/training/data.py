"""Data for training: latents or clips in memory, in batches that depend on seed and step alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

Row = tuple[Any, ...]


def seed_of(seed: int, step: int, stream: int) -> int:
    """The seed of one source of randomness in one step: rows 0, clocks and captions 1, noise 2, codec 3.

    Args:
        seed: of the run.
        step: number of the step; negative in validation.
        stream: 0 to 3.
    """
    return ((seed * 1_000_003 + step) * 4 + stream) % 2**63


class Bank:
    """Endless random batches out of clips or latents kept in memory; the batch of a step is always the same.

    Args:
        videos: (n, c, f, h, w): latents in any float type, or pixels in uint8, which come out in [-1, 1].
        captions: n captions.
        batch: size of a batch.
        seed: of the batches.
        extras: further arguments of the denoiser call, each (n, ...), batched along.
        start: called when iteration begins, gives the first step's number.
    """

    def __init__(
        self,
        videos: Tensor,
        captions: Sequence[str],
        batch: int,
        seed: int,
        extras: dict[str, Tensor] | None = None,
        start: Any = lambda: 0,
    ):
        if len(videos) != len(captions) or not len(videos):
            raise ValueError(f"{len(videos)} videos and {len(captions)} captions: give as many, at least one.")
        self.videos, self.captions, self.extras = videos, captions, extras or {}
        self.batch, self.seed, self.start = batch, seed, start

    def rows(self, rows: Tensor) -> Row:
        """The batch made of these rows."""
        at = rows.to(self.videos.device, non_blocking=True)
        videos = self.videos[at]
        videos = videos.float() / 127.5 - 1 if videos.dtype == torch.uint8 else videos.float()
        extras = {k: v[at].float() for k, v in self.extras.items()}
        return (videos, [self.captions[i] for i in rows.tolist()], *([extras] if extras else []))

    def part(self, chosen: Tensor) -> "Bank":
        """The bank of some rows.

        Args:
            chosen: n booleans.
        """
        rows = torch.nonzero(chosen)[:, 0].tolist()
        extras = {k: v[rows] for k, v in self.extras.items()}
        return Bank(self.videos[rows], [self.captions[i] for i in rows], self.batch, self.seed, extras)

    def __iter__(self) -> Iterator[Row]:
        """Batches without end."""
        step = self.start()
        while True:
            g = torch.Generator().manual_seed(seed_of(self.seed, step, 0))
            yield self.rows(torch.randint(len(self.captions), (self.batch,), generator=g))
            step += 1

    def chunks(self) -> list[Row]:
        """All rows once, in order, in batches."""
        return [self.rows(rows) for rows in torch.arange(len(self.captions)).split(self.batch)]


class LatentVideoDataModule(L.LightningDataModule):
    """Banks for training and validation; a resumed run goes on with the batch that came next.

    Args:
        train: what is learned from: a `Bank`, or other endless batches that begin at the step of their `start`.
        val: what is held out, in batches of its `chunks`; None validates nothing.
    """

    def __init__(self, train: Any, val: Any = None):
        super().__init__()
        self.train, self.val = train, val
        self.train.start = lambda: self.trainer.global_step if self.trainer else 0

    def train_dataloader(self) -> Any:
        """Endless batches."""
        return self.train

    def val_dataloader(self) -> Any:
        """Held-out batches, always the same."""
        return DataLoader(self.val.chunks(), batch_size=None) if self.val else []
