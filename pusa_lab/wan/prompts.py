"""Encoding of captions by UMT5; embeddings are cached on disk, so that the 11 GB encoder is rarely loaded."""

import html
import os
import re
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.files import content_digest, writing

LENGTH = 512
"""Number of tokens to which the embedding of a caption is padded with zeros, as in the training of every Wan."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pusa_lab" / "prompts"
"""Default folder of the embeddings."""


@checked
class PromptEncoder:
    """Encodes captions to embeddings (b, 512, d), or reads them from disk if they were encoded before.

    Args:
        load: returns (tokenizer, encoder); called when a caption must be encoded for the first time.
        identity: identifies the encoder's weights, so that embeddings of different encoders are kept apart.
        cache: folder on disk, perhaps with a ~; None keeps the embeddings in memory only.
        use: context manager that moves the encoder to the device on which it runs; None leaves it where it is.
    """

    def __init__(
        self,
        load: Callable[[], tuple[Any, nn.Module]],
        identity: str,
        cache: str | Path | None = CACHE,
        use: Callable[[nn.Module], AbstractContextManager[None]] | None = None,
    ):
        self.load, self.identity = load, identity
        self.cache = None if cache is None else Path(cache).expanduser()
        self.use = use or (lambda module: nullcontext())
        self.parts: tuple[Any, nn.Module] | None = None
        self.known: dict[str, Tensor] = {}

    def __call__(self, prompts: list[str]) -> Float[Tensor, "b 512 d"]:
        """Return embeddings (b, 512, d) on the CPU, in the encoder's precision.

        Args:
            prompts: b captions in any language; "" is the null prompt.

        Raises:
            ValueError: there is no list of captions, or the encoder returns numbers that are not finite; these are not
                cached.
        """
        if isinstance(prompts, str) or not prompts:
            raise ValueError(f"prompts is {prompts!r:.60}: give a list of captions, such as ['a red circle'].")
        texts = [clean(prompt) for prompt in prompts]
        for text in dict.fromkeys(texts):
            if text not in self.known and (found := self._from_disk(text)) is not None:
                self.known[text] = found
        if missing := [text for text in dict.fromkeys(texts) if text not in self.known]:
            for text, tokens in zip(missing, self._encode(missing), strict=True):
                self.known[text] = tokens
                self._to_disk(text, tokens)
        padded = [nn.functional.pad(self.known[text], (0, 0, 0, LENGTH - len(self.known[text]))) for text in texts]
        return torch.stack(padded)

    @torch.no_grad()
    def _encode(self, texts: list[str]) -> Iterable[Tensor]:
        self.parts = self.parts or self.load()
        tokenizer, encoder = self.parts
        for text in texts:
            if (n := len(tokenizer(text).input_ids)) > LENGTH:
                warnings.warn(f"a caption of {n} tokens is cut to {LENGTH}: {text[:60]!r}...", stacklevel=4)
        read = tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
        with self.use(encoder):
            device = next(encoder.parameters()).device
            mask = read.attention_mask.to(device)
            states = encoder(read.input_ids.to(device), mask).last_hidden_state.cpu()
        found = [x[:n].clone() for x, n in zip(states, read.attention_mask.sum(1).tolist(), strict=True)]
        for text, tokens in zip(texts, found, strict=True):
            if not torch.isfinite(tokens).all():
                raise ValueError(
                    f"the text encoder in {str(tokens.dtype).removeprefix('torch.')} gave numbers that are not finite "
                    f"for {text[:60]!r}: use dtype=torch.bfloat16, or download its weights again."
                )
        return found

    def _place(self, text: str) -> Path | None:
        key = content_digest(f"{self.identity}\n{LENGTH}\n{text}")
        return self.cache / f"{key}.safetensors" if self.cache else None

    def _from_disk(self, text: str) -> Tensor | None:
        place = self._place(text)
        if place is None or not place.is_file():
            return None
        try:
            tokens = load_file(place)["tokens"]
        except (SafetensorError, KeyError, OSError):
            return None  # unreadable: the caption is encoded and written again
        return tokens if torch.isfinite(tokens).all() else None

    def _to_disk(self, text: str, tokens: Tensor) -> None:
        if (place := self._place(text)) is None:
            return
        try:
            with writing(place) as part:
                save_file({"tokens": tokens.contiguous()}, part)
        except OSError as error:
            reason = str(error).rstrip(".")
            sentence = f"embeddings cannot be cached on disk ({reason}): captions will be encoded again next time."
            warnings.warn(sentence, stacklevel=5)


@checked
def clean(text: str) -> str:
    """Clean a caption as Wan's pipelines do: Unicode repaired (if ftfy is installed), no HTML codes, single spaces.

    Args:
        text: as typed.
    """
    if find_spec("ftfy"):
        import ftfy

        text = ftfy.fix_text(text)
    return re.sub(r"\s+", " ", html.unescape(html.unescape(text))).strip()
