"""A batch of training data, and its making from what users give."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pusa_lab.arguments import checked, shown
from pusa_lab.sentences import counted


@dataclass
class Batch:
    """Clips that are trained on together; Lightning moves all tensors in it to the model's device."""

    x0: Tensor
    """Clean latents (b, c, f, h, w); for a codec and for features pixels in [-1, 1]."""
    captions: Sequence[str | Tensor]
    """b captions, each a text or its embedding."""
    extras: dict[str, Tensor] = field(default_factory=dict)
    """Further tensors by name, each (b, ...): arguments of the denoiser call, or labels."""
    names: Sequence[str] = ()
    """Names of the clips for error messages; empty if they have none."""

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory; a DataLoader with pin_memory=True calls this."""
        captions = [c.pin_memory() if isinstance(c, Tensor) else c for c in self.captions]
        return Batch(self.x0.pin_memory(), captions, {k: v.pin_memory() for k, v in self.extras.items()}, self.names)


@checked
def as_batch(given: Any, number: int) -> Batch:
    """Return a checked batch.

    Args:
        given: a Batch, or (latents, captions) with an optional dictionary of extras; latents may be an array or a list.
        number: of the batch, for error messages.

    Raises:
        ValueError: it is none of these, latents are not (b, c, f, h, w) of floating point, captions are not b, or a
            latent is not finite.
    """
    batch = given if isinstance(given, Batch) else _from_sequence(given)
    if batch is None or not isinstance(batch.x0, Tensor) or batch.x0.ndim != 5 or not batch.x0.is_floating_point():
        several = isinstance(given, list | tuple)
        got = f"({', '.join(map(shown, given[:4]))})" if several else shown(given)
        raise ValueError(f"batch {number} is {got}: give (latents (b, c, f, h, w) of floating point, b captions).")
    x0, captions = batch.x0, batch.captions
    several = isinstance(captions, Sequence) and not isinstance(captions, str)
    if not several or len(captions) != len(x0) or not all(isinstance(c, str | Tensor) for c in captions):
        raise ValueError(
            f"batch {number} has {counted(len(x0), 'video')}, and its captions are {shown(captions)}: give one per "
            "video."
        )
    # not on a GPU, where the check would wait for it
    if not len(captions) or not (x0.is_cuda or x0.isfinite().all()):
        what = "has numbers that are not finite" if len(captions) else "is empty"
        raise ValueError(f"batch {number} {what}: leave it out.")
    return batch


def _from_sequence(given: Any) -> Batch | None:
    if not isinstance(given, list | tuple) or not 2 <= len(given) <= 3:
        return None
    x0, captions, *extras = given
    if isinstance(x0, np.ndarray | list):
        with contextlib.suppress(ValueError, TypeError):
            x0 = torch.from_numpy(np.asarray(x0, np.float32))
    return Batch(x0, captions, *extras)
