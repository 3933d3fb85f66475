"""The prompt of every frame of a stream, which may change on the way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, TypeAlias

from pusa_lab.arguments import called, returned, shown
from pusa_lab.types import Cond, VideoModel

Prompts: TypeAlias = str | Iterable[str] | Annotated[Callable[..., Any], 1]
"""One prompt; one for each latent frame, of which the last stays; or a function (frame) -> prompt."""


class FramePrompts:
    """The prompts of the frames in the window, and their encodings.

    Args:
        prompt: as `stream` takes it.
        model: encodes them.

    Raises:
        ValueError: there is no prompt, or one is not a text that the model can encode.
    """

    def __init__(self, prompt: Prompts, model: VideoModel) -> None:
        self.model = model
        self.source = _source(prompt)
        self.texts: list[str] = []
        self.first = 0
        self.changes: list[tuple[int, str]] = []
        self.encoded: dict[str, Cond] = {}
        if isinstance(prompt, Sequence) and not isinstance(prompt, str):
            model.encode_text(list(dict.fromkeys(prompt)))  # refuses words now, not in an hour

    def __getitem__(self, frame: int) -> str:
        """The prompt of a frame in the window."""
        return self.texts[frame - self.first]

    def slide(self, drop: int, add: int) -> None:
        """Forget the first frames of the window, and ask for the prompts of new ones after the last."""
        self.first += drop
        del self.texts[:drop]
        for frame in range(self.first + len(self.texts), self.first + len(self.texts) + add):
            later = [text for at, text in self.changes if at <= frame]
            self.texts.append(later[-1] if later else self.source(frame))
        passed = [change for change in self.changes if change[0] <= self.first]
        self.changes = passed[-1:] + self.changes[len(passed) :]
        self._encode()

    def change(self, text: str, at: int) -> None:
        """Change the prompt of a frame and of all that come after it."""
        self.encoded[text] = self.model.encode_text([text])
        self.changes = [*(change for change in self.changes if change[0] < at), (at, text)]
        here = max(at - self.first, 0)
        self.texts[here:] = [text] * len(self.texts[here:])
        self._encode()

    def _encode(self) -> None:
        """Keep the encodings of the prompts in the window, and make those that are new."""
        kept = self.encoded
        self.encoded = {text: kept.get(text) or self.model.encode_text([text]) for text in dict.fromkeys(self.texts)}


def _source(prompt: Prompts) -> Callable[[int], str]:
    if isinstance(prompt, str):
        return lambda frame: prompt
    if callable(prompt):
        return lambda frame: returned(called("prompt", prompt, {"frame": frame}), str, f"prompt, for frame {frame},")
    each, last = iter(prompt), list[str]()

    def one_by_one(frame: int) -> str:
        for text in _next(each):
            if not isinstance(text, str):
                raise ValueError(f"the prompt of frame {frame} is {shown(text)}: give a text for each latent frame.")
            last[:] = [text]
        if not last:
            raise ValueError("no prompt was given: give a text, or one for each latent frame.")
        return last[0]

    return one_by_one


def _next(each: Iterator[str]) -> list[str]:
    """The next one, or nothing at the end."""
    try:
        return [next(each)]
    except StopIteration:
        return []
