"""The action of every frame of a stream, asked for when the frame begins."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Protocol, TypeAlias, runtime_checkable

from pusa_lab.arguments import called, returned
from pusa_lab.types import Cond

Actions: TypeAlias = str | Iterable[str] | Annotated[Callable[..., Any], 1]
"""One action for all latent frames; one for each, until they end; or a function (frame) -> action."""


@runtime_checkable
class ActionConditioned(Protocol):
    """What a model offers that takes an action for each frame."""

    actions: tuple[str, ...]
    """Names of the actions; the first is that of a frame for which none is given."""

    def encode_actions(self, names: list[str]) -> Cond:
        """One action for each frame to the denoiser's keyword arguments."""
        ...


class FrameActions:
    """The actions of the frames in the window; those of frames that have not begun are not known yet.

    Args:
        actions: as `stream` takes them.
        model: encodes them.

    Raises:
        ValueError: the model takes no actions, or one that is known already is none of the model's.
    """

    def __init__(self, actions: Actions, model: Any) -> None:
        if not isinstance(model, ActionConditioned) or not model.actions:
            raise ValueError(
                f"actions for a {type(model).__name__}, which takes none: leave them out, or give a model with actions "
                f"and encode_actions, as streaming.ActionConditioned says, such as nano-actions."
            )
        self.model: ActionConditioned = model
        known = [actions] if isinstance(actions, str) else actions if isinstance(actions, Sequence) else []
        for frame, name in enumerate(known):
            self._check(name, frame)
        self.source = _source(actions, model.actions[0])
        self.names: list[str] = []
        self.first = 0

    def ask(self, newest: int) -> None:
        """Ask for the actions of all frames up to this one that have none yet."""
        for frame in range(self.first + len(self.names), newest + 1):
            self.names.append(self._check(self.source(frame), frame))

    def slide(self, drop: int) -> None:
        """Forget the first frames of the window."""
        self.first += drop
        del self.names[:drop]

    def encoded(self, frames: int) -> Cond:
        """Keyword arguments of the denoiser call for a window of so many frames."""
        none = [self.model.actions[0]] * (frames - len(self.names))
        return self.model.encode_actions(self.names + none)

    def _check(self, name: str, frame: int) -> str:
        if name not in self.model.actions:
            raise ValueError(
                f"no action {name!r:.60} for frame {frame}: choose one of {', '.join(self.model.actions)}."
            )
        return name


def _source(actions: Actions, none: str) -> Callable[[int], str]:
    if isinstance(actions, str):
        return lambda frame: actions
    if callable(actions):
        return lambda frame: returned(called("actions", actions, {"frame": frame}), str, f"actions, for frame {frame},")
    each = iter(actions)
    return lambda frame: next(each, none)
