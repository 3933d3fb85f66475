"""Frames at rest written anew: whole forward passes, in which they have the keys and values of an earlier one."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

SDPA = F.scaled_dot_product_attention


class Reference:
    """A model that computes everything, and puts what it recorded of frames at rest into every self-attention.

    The j-th call of a row, counted round all guidance branches, continues the last whole row's.
    """

    def __init__(self, model: Any, refresh: int, branches: int):
        self.model, self.refresh, self.branches = model, refresh, branches
        self.geometry, self.device = model.geometry, model.device
        self.encode_text, self.encode_video, self.decode = model.encode_text, model.encode_video, model.decode
        self.num_layers, self.picture_input = model.num_layers, getattr(model, "picture_input", "")
        self.calls, self.moving, self.age, self.whole = 0, [], 0, True
        self.records: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self.velocities: dict[int, Tensor] = {}

    def begin(self, moving: list[int]) -> None:
        """A row in which these frames move."""
        self.age = 0 if moving != self.moving else self.age + 1
        self.whole = self.age % self.refresh == 0
        self.moving, self.calls = moving, 0

    def __call__(self, x: Tensor, tau: Tensor, **cond: Any) -> Tensor:
        """The velocity."""
        j, frames = self.calls % self.branches, x.shape[2]
        self.calls += 1
        rest = [i for i in range(frames) if i not in self.moving]
        record: list[tuple[Tensor, Tensor]] = []
        old = None if self.whole else iter(self.records[j])

        def attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
            if query.shape[2] == key.shape[2]:  # self-attention, not that to the caption
                if old is not None:
                    pairs = zip((key, value), next(old), strict=True)
                    key, value = (self._with(new, kept, frames, rest) for new, kept in pairs)
                record.append((key, value))
            return SDPA(query, key, value, **options)

        F.scaled_dot_product_attention = attention
        try:
            out = self.model(x, tau, **cond)
        finally:
            F.scaled_dot_product_attention = SDPA
        if self.whole:
            self.records[j], self.velocities[j] = record, out
            return out
        out = out.clone()
        out[:, :, rest] = self.velocities[j][:, :, rest]
        return out

    @staticmethod
    def _with(new: Tensor, kept: Tensor, frames: int, rest: list[int]) -> Tensor:
        out = new.unflatten(2, (frames, -1)).clone()
        out[:, :, rest] = kept.unflatten(2, (frames, -1))[:, :, rest]
        return out.flatten(2, 3)


def run_reference(model: Any, refresh: int, branches: int, renewed: list[int], *args: Any, **options: Any) -> Tensor:
    """Latents of `generate`, with frames at rest as `Reference` has them."""
    import pusa_lab as pl

    reference = Reference(model, refresh, branches)
    run = pl.prepare(reference, *args, **options)
    levels = run.schedule if run.schedule.ndim == 3 else run.schedule[None]
    for state in run.states():
        if state.row < run.last_row:
            before, after = levels[:, state.row], levels[:, state.row + 1]
            moving = [i for i in range(levels.shape[2]) if bool((after < before)[:, i].any())]
            if moving:
                reference.begin(sorted({*moving, *renewed}))
    return state.x
