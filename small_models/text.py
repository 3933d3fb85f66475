"""Captions for the toy: a word-level vocabulary and a small transformer in which words meet each other."""

import re
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from small_models import world

MAX_WORDS = 20
WORDS = ["<empty>", ",", "a", "and", "moves"]
WORDS += sorted(set(" ".join([*world.SHAPES, *world.COLOURS, *world.DIRECTIONS, *world.SPEEDS]).split()) - {"and"})


INDEX = {word: i for i, word in enumerate(WORDS)}


def tokenize(prompts: list[str]) -> Int[Tensor, "b l"]:
    """Words to indices, one row a caption, filled up with <empty>; "" is the empty caption.

    Args:
        prompts: captions of the toy's few words.

    Raises:
        ValueError: a word is unknown, or a caption too long.
    """
    return torch.tensor([_row(prompt) for prompt in prompts])


@lru_cache(maxsize=100_000)
def _row(prompt: str) -> tuple[int, ...]:
    words = re.findall(r"[^\s,]+|,", prompt.lower().rstrip(". "))
    if unknown := [w for w in words if not INDEX.get(w)]:
        listed = ", ".join(dict.fromkeys(unknown))
        raise ValueError(f"unknown words in {prompt!r}: {listed}. The toy knows: {' '.join(WORDS[2:])}.")
    if len(words) > MAX_WORDS:
        raise ValueError(f"a caption of {len(words)} words: the toy reads at most {MAX_WORDS}.")
    return (*(INDEX[w] for w in words), *[0] * (MAX_WORDS - len(words)))


class TextEncoder(nn.Module):
    """Embeddings with positions and one transformer layer, so that "red" can find its "circle".

    Args:
        dim: size of a word's embedding, a multiple of 4.
    """

    def __init__(self, dim: int = 64):
        super().__init__()
        self.word = nn.Embedding(len(WORDS), dim)
        self.position = nn.Parameter(torch.randn(MAX_WORDS, dim))
        self.layer = nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)

    def forward(self, tokens: Int[Tensor, "b l"]) -> Float[Tensor, "b l text_dim"]:
        """Indices from `tokenize` to embeddings."""
        return self.layer(self.word(tokens) + self.position)
