"""Which blocks save how much for the backward pass: one plan for training and for the planner."""

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted

MOST_BLOCKS = 2**16
"""Most blocks of a model, far more than any has."""
SAVES = ("input", "attention", "everything")
"""What a block saves: its input only, also the output of its self-attention, or all that the backward pass needs."""


@checked
def checkpointing_plan(num_layers: int, ac_save_attention: int = 0, ac_skip_blocks: int = 0) -> list[str]:
    """Plan what each block saves: the last ones save most, because their memory is freed first.

    Args:
        num_layers: number of blocks.
        ac_save_attention: number of blocks that save the output of self-attention, the most expensive part to compute
            again.
        ac_skip_blocks: number of blocks without activation checkpointing, which save everything.

    Returns:
        One of `SAVES` for each block.

    Raises:
        ValueError: a number is negative, their sum exceeds the number of blocks, or that is larger than `MOST_BLOCKS`.
    """
    if not 0 <= num_layers <= MOST_BLOCKS:
        raise ValueError(f"num_layers={num_layers}: give 0 to {MOST_BLOCKS}.")
    rest = num_layers - ac_save_attention - ac_skip_blocks
    if min(ac_save_attention, ac_skip_blocks, rest) < 0:
        raise ValueError(
            f"ac_save_attention={ac_save_attention} and ac_skip_blocks={ac_skip_blocks} for a model of "
            f"{counted(num_layers, 'block')}: give numbers of at least 0 whose sum is at most {num_layers}."
        )
    return ["input"] * rest + ["attention"] * ac_save_attention + ["everything"] * ac_skip_blocks
