"""What a causal model needs of a stream, so that its keys and values are those of the whole long video."""

from itertools import pairwise

from pusa_lab.blocks import Blocks
from pusa_lab.causal import Causal
from pusa_lab.streaming.plan import SteadyWindow


def check_blocks(model: Causal, plan: SteadyWindow, frames: int, overlap: int | None, branches: int) -> None:
    """Refuse a stream whose window does not move by blocks, or forgets a block before it is kept.

    Args:
        model: a causal one.
        plan: how every frame runs.
        frames: latent frames of the window.
        overlap: final frames that stay in it; None is as many as fit.
        branches: conditions for which keys and values are kept.

    Raises:
        ValueError: as said, or an earlier block is noisier than a later one, or there is not enough memory.
    """
    blocks, block, last = model.blocks, model.block, max(track.end for track in (*plan.head, *plan.period))
    Blocks(block).check(frames)  # the window moves by blocks, and holds them
    periods = frames // len(plan.period) + block + 2  # until the window is full, and has moved by every remainder
    firsts = [plan.first(row, frames, overlap) for row in range(last + periods * plan.rows)]
    for row, first in enumerate(firsts):
        if blocks.start(first) != first:
            raise ValueError(
                f"the window moves on to frame {first} at row {row}, inside a block of {block}: give a schedule whose "
                f"blocks are the model's, such as blockwise(block={block}, lag=10), or causal(model, block=1)."
            )
        spans = blocks.spans(first, first + frames)
        noisiest = [max(plan.level(i, row) for i in range(start, stop)) for start, stop in spans]
        if odd := [span for span, (one, next_one) in zip(spans, pairwise(noisiest), strict=False) if one > next_one]:
            raise ValueError(
                f"at row {row} frames {odd[0][0]} to {odd[0][1] - 1} are noisier than the block after them, which they "
                f"never see: give a schedule in which earlier blocks are cleaner, such as blockwise."
            )
        if row and first > blocks.start(plan.oldest(row - 1)):
            raise ValueError(
                f"frame {plan.oldest(row - 1)} is final at row {row} and leaves the window before its keys and values "
                f"are kept: give latent_frames={frames + block}"
                + (", or a larger overlap." if overlap is not None else ".")
            )
    if model.cache:
        size = model.geometry.latent_shape(1, frames)[3:]
        model.model.check_resting(branches * (model.window or frames), size)
