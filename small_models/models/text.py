"""Captions for the toys: a word-level vocabulary and a small transformer in which words meet each other."""

import re
import textwrap
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted

EMPTY = "<empty>"


@checked
class TextEncoder(nn.Module):
    """Embeddings with positions and transformer layers, so that "red" can find its "circle".

    Args:
        words: the vocabulary, <empty> first.
        dim: size of a word's embedding, a multiple of 4, at most 4,096.
        layers: transformer layers, at most 100.
        longest: words a caption may have, at most 1,000.

    Raises:
        ValueError: a size is out of range.
    """

    def __init__(self, words: list[str], dim: int = 64, layers: int = 1, longest: int = 20):
        super().__init__()
        if dim % 4 or not (0 < dim <= 4096 and 0 <= layers <= 100 and 1 <= longest <= 1000):
            raise ValueError(
                f"dim={dim}, layers={layers}, longest={longest}: give a dim that is a multiple of 4 up to 4096, 0 to "
                f"100 layers, and 1 to 1000 words."
            )
        if not words:
            raise ValueError("words is empty: give the vocabulary, <empty> first.")
        self.words, self.longest = tuple(words), longest
        self.word = nn.Embedding(len(words), dim)
        self.position = nn.Parameter(torch.randn(longest, dim))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(layers)
        )

    def tokenize(self, prompts: list[str]) -> Int[Tensor, "b l"]:
        """Words to indices, one row a caption, filled up with <empty>; "" is the null prompt.

        Args:
            prompts: captions in words of the vocabulary.

        Raises:
            ValueError: there is no list of captions, a word is unknown, or a caption is too long.
        """
        if isinstance(prompts, str) or not prompts:
            raise ValueError(f"prompts is {prompts!r:.60}: give a list of captions, such as ['a red circle'].")
        return torch.tensor([_row(prompt, self.words, self.longest) for prompt in prompts])

    def forward(self, tokens: Int[Tensor, "b l"]) -> Float[Tensor, "b l text_dim"]:
        """Indices from `tokenize` to embeddings."""
        x = self.word(tokens) + self.position
        for layer in self.layers:
            x = layer(x)
        return x


@checked
def split_words(caption: str) -> list[str]:
    """Words and commas, in lower case, without a full stop.

    Args:
        caption: any text.
    """
    return re.findall(r"[^\s,]+|,", caption.lower().rstrip(". \n"))


@lru_cache(maxsize=500_000)
def _row(prompt: str, vocabulary: tuple[str, ...], longest: int) -> tuple[int, ...]:
    index, words = _index(vocabulary), split_words(prompt)
    if unknown := [w for w in words if not index.get(w)]:
        listed, known = (
            textwrap.shorten(", ".join(some), 160, placeholder=" ...")
            for some in (dict.fromkeys(unknown), filter(str.isalpha, vocabulary[1:]))
        )
        raise ValueError(
            f"unknown words in {prompt!r:.60}: {listed:.80}. The toy knows: {known}; in Python, model.text.words has "
            "all of them."
        )
    if len(words) > longest:
        raise ValueError(f"a caption of {counted(len(words), 'word')}: the toy reads at most {longest}.")
    return (*(index[w] for w in words), *[0] * (longest - len(words)))


@lru_cache(maxsize=16)
def _index(vocabulary: tuple[str, ...]) -> dict[str, int]:
    return {word: i for i, word in enumerate(vocabulary)}
