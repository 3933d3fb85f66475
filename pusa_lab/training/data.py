"""Training data: latents or clips in memory, in batches that depend on seed and step alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked, shown
from pusa_lab.sentences import counted
from pusa_lab.training.batch import Batch, as_batch


@checked
def seed_of(seed: int, step: int, stream: int) -> int:
    """Return the seed of one random stream in one step.

    Args:
        seed: of the run.
        step: number of the step; negative in validation.
        stream: 0 for the rows of the batch, 1 for timesteps and captions, 2 for noise, 3 for the codec.
    """
    return ((seed * 1_000_003 + step) * 4 + stream) % 2**63


@checked
class InMemoryDataset:
    """Endless random batches of clips or latents held in memory; the batch of a step is always the same.

    Args:
        videos: (n, c, f, h, w), latents of any float type, or pixels in uint8, which are converted to [-1, 1].
        captions: n captions.
        batch: clips per batch, at least 1.
        seed: of the batches.
        extras: further tensors, each (n, ...), batched with the videos: arguments of the denoiser call, or labels.
        start: called when iteration begins; returns the number of the first step.

    Raises:
        ValueError: the numbers of videos, captions and extras differ or are 0, videos have another shape, batch is
            below 1, or a latent is not finite.
    """

    def __init__(
        self,
        videos: Tensor,
        captions: Sequence[str],
        batch: int,
        seed: int,
        extras: dict[str, Tensor] | None = None,
        start: Callable[[], int] = lambda: 0,
    ):
        if videos.ndim != 5:
            raise ValueError(f"videos have shape {tuple(videos.shape)}: give (n, c, f, h, w).")
        if len(videos) != len(captions) or not len(videos):
            raise ValueError(
                f"{counted(len(videos), 'video')} and {counted(len(captions), 'caption')}: give one caption per video, "
                "and at least one."
            )
        if batch < 1:
            raise ValueError(f"batch={batch}: give at least 1.")
        if wrong := [name for name, extra in (extras or {}).items() if extra.shape[:1] != videos.shape[:1]]:
            raise ValueError(
                f"extras[{wrong[0]!r}] does not have {counted(len(videos), 'row')}: give one row per video."
            )
        if broken := first_not_finite(videos):
            raise ValueError(f"video {broken - 1} has numbers that are not finite: encode it again, or leave it out.")
        self.videos, self.captions, self.extras = videos, captions, extras or {}
        self.batch, self.seed, self.start = batch, seed, start

    @checked
    def rows(self, rows: Tensor) -> Batch:
        """Return the batch of the given rows, in float32.

        Args:
            rows: n row numbers.
        """
        at = rows.to(self.videos.device, non_blocking=True)
        videos = self.videos[at]
        videos = videos.float() / 127.5 - 1 if videos.dtype == torch.uint8 else videos.float()
        extras = {k: v[at].float() for k, v in self.extras.items()}
        return Batch(videos, [self.captions[i] for i in rows.tolist()], extras)

    @checked
    def part(self, chosen: Tensor) -> "InMemoryDataset":
        """Return an InMemoryDataset with the chosen rows only.

        Args:
            chosen: a boolean per row.
        """
        rows = torch.nonzero(chosen)[:, 0].tolist()
        extras = {k: v[rows] for k, v in self.extras.items()}
        return InMemoryDataset(self.videos[rows], [self.captions[i] for i in rows], self.batch, self.seed, extras)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches without end."""
        step = self.start()
        while True:
            g = torch.Generator().manual_seed(seed_of(self.seed, step, 0))
            yield self.rows(torch.randint(len(self.captions), (self.batch,), generator=g))
            step += 1

    def chunks(self) -> list[Batch]:
        """Return all rows once, in order, in batches."""
        return [self.rows(rows) for rows in torch.arange(len(self.captions)).split(self.batch)]


@checked
def first_not_finite(videos: Tensor) -> int:
    """Return the number, counted from 1, of the first video with a NaN or infinity; 0 if there is none.

    Args:
        videos: (n, ...).

    Raises:
        ValueError: videos is a single number, or on the meta device.
    """
    if not videos.ndim or videos.is_meta:
        raise ValueError(f"videos is {shown(videos)}: give several, (n, ...), on the CPU or a GPU.")
    if not videos.is_floating_point():
        return 0
    return next((i for i, video in enumerate(videos, 1) if not video.isfinite().all()), 0)


class Batches:
    """Batches from the user, as many as the run needs, checked one by one; a resumed run skips those already used.

    Args:
        source: an iterable of batches: a list, a generator, or a DataLoader, which is started again when it ends.
        needed: number of batches in the whole run.
        had: called when iteration begins; returns how many batches the run has already used.

    Raises:
        ValueError: the source cannot be iterated, is too short, or a batch has another form.
    """

    def __init__(self, source: Any, needed: int, had: Callable[[], int] = lambda: 0):
        if isinstance(source, str | bytes | dict | Tensor) or not hasattr(source, "__iter__"):
            raise ValueError(f"data is {shown(source)}: give batches (latents, captions), or a LightningDataModule.")
        self.again = isinstance(source, DataLoader)
        if isinstance(source, Sequence) and len(source) < needed:
            raise ValueError(_too_few(len(source), needed))
        self.source, self.needed, self.had = source, needed, had

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches that are still needed."""
        count, before = 0, self.had()
        while True:
            start = count
            for given in self.source:
                batch = as_batch(given, count)
                if count >= before:
                    yield batch
                count += 1
                if count >= self.needed:
                    return
            if not self.again or count == start:
                raise ValueError(_too_few(count, self.needed))


def _too_few(count: int, needed: int) -> str:
    got = f"{count} batch{'es' * (count != 1)}"
    return f"data gave {got} and the run needs {needed}: give more batches, or a smaller max_steps."


@checked
class LatentVideoDataModule(L.LightningDataModule):
    """Data for training and validation; a resumed run continues with the batch that comes next.

    Args:
        train: an `InMemoryDataset`, or other endless batches that begin at the step given by their `start`.
        val: held-out data, in the batches of its `chunks`; None validates nothing.

    Raises:
        ValueError: train or val is neither an `InMemoryDataset` nor similar.
    """

    def __init__(self, train: Any, val: Any = None):
        super().__init__()
        if not (callable(attribute(train, "start")) and attribute(train, "__iter__")):
            raise ValueError(
                f"train is {shown(train)}: give an InMemoryDataset; lists and generators go to `fit` as they are."
            )
        if val is not None and attribute(val, "chunks") is None:
            raise ValueError(f"val is {shown(val)}: give an InMemoryDataset, or None.")
        self.train, self.val = train, val
        self.train.start = lambda: self.trainer.global_step if self.trainer else 0

    def train_dataloader(self) -> Any:
        """Return the endless training batches."""
        return self.train

    def val_dataloader(self) -> Any:
        """Return the held-out batches, always the same."""
        return DataLoader(self.val.chunks(), batch_size=None) if self.val else []
