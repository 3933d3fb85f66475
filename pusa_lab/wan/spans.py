"""Tokens by frame: runs of whole frames and of parts, and rules with one vector per frame."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from pusa_lab.arguments import checked, shown
from pusa_lab.sentences import counted

Spans = tuple[tuple[int, int, int, int], ...]
"""Runs of tokens: (first token, end, first frame, end); a run has equally many tokens of each of its frames."""


@checked
def frame_spans(start: int, stop: int, per_frame: int) -> Spans:
    """Divide tokens [start, stop) into the end of a frame, whole frames, and the beginning of a frame.

    Args:
        start: first token, counted from the beginning of the video.
        stop: one past the last token.
        per_frame: tokens per frame, at least 1.

    Raises:
        ValueError: the range is empty, or a number is out of range.
    """
    if not 0 <= start < stop or per_frame < 1:
        raise ValueError(f"start={start}, stop={stop}, per_frame={per_frame}: give 0 <= start < stop and 1 or more.")
    whole = min(stop, -(-start // per_frame) * per_frame), max(start, stop // per_frame * per_frame)
    return tuple(
        (a - start, b - start, a // per_frame, -(-b // per_frame)) for a, b in pairwise(sorted({start, *whole, stop}))
    )


@checked
def by_frame(
    rule: Callable[..., Tensor], spans: Spans, tokens: tuple[Tensor, ...], vectors: tuple[Tensor, ...]
) -> Tensor:
    """Apply a rule to tokens (b, l, d) and vectors (b, f, d), one vector per frame, without repeating it per token.

    Args:
        rule: (tokens (b, f, hw, d) ..., vectors (b, f, 1, d) ...) -> (b, f, hw, d).
        spans: from `frame_spans`; together they cover all l tokens.
        tokens: first arguments of the rule, each (b, l, d).
        vectors: further arguments of the rule, each (b, f, d).

    Returns:
        Tokens (b, l, d).

    Raises:
        ValueError: tokens, vectors or the rule's result have other shapes, or the spans do not fit them.
    """
    _check_spans(spans, tokens, vectors)
    found = [
        rule(*(x[:, a:b].unflatten(1, (j - i, -1)) for x in tokens), *(v[:, i:j, None] for v in vectors))
        for a, b, i, j in spans
    ]
    if not all(isinstance(x, Tensor) and x.ndim == 4 for x in found):
        raise ValueError(f"rule returns {shown(found[0])}: let it return tokens (b, f, hw, d).")
    parts = [x.flatten(1, 2) for x in found]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _check_spans(spans: Spans, tokens: tuple[Tensor, ...], vectors: tuple[Tensor, ...]) -> None:
    if not spans or not tokens or not vectors or any(x.ndim < 3 for x in (*tokens, *vectors)):
        raise ValueError(
            "spans, tokens or vectors are empty or of another shape: give at least one of each, tokens (b, l, d) and "
            "vectors (b, f, d)."
        )
    length, frames = min(x.shape[1] for x in tokens), min(v.shape[1] for v in vectors)
    for a, b, i, j in spans:
        if not (0 <= a < b <= length and 0 <= i < j <= frames) or (b - a) % (j - i):
            raise ValueError(
                f"spans has {(a, b, i, j)} for {counted(length, 'token')} and {counted(frames, 'frame')}: use "
                "frame_spans."
            )
