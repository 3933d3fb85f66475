"""Guiders by name, with their settings, and several as one."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, TypeAlias

from torch import nn

from pusa_lab.arguments import ArgumentError, checked, returned
from pusa_lab.guidance.guided import Guided, calls, num_layers
from pusa_lab.guidance.history import history_guidance, picture_guidance
from pusa_lab.guidance.layers import skip_layer_guidance
from pusa_lab.guidance.projected import apg, cfg_zero_star
from pusa_lab.guidance.text import text_cfg
from pusa_lab.registry import Registry, misfit, written_calls
from pusa_lab.timesteps import velocity_by
from pusa_lab.types import Cond, Denoiser, Video

Guider: TypeAlias = Annotated[Callable[..., Any], 1]
"""(denoiser, ...) -> denoiser. `generate` fills in what it knows and the guider names: null (keyword arguments for the
negative caption), known (the task's latent frames), eps (noise that sampling does not start from); functools.partial
sets the rest."""

_ALL = (text_cfg, apg, cfg_zero_star, skip_layer_guidance, history_guidance, picture_guidance)
GUIDERS: Registry[Guider] = Registry(
    "guider", "pusa_lab.guiders", _ALL, "(denoiser, null=, known=, eps=, ...) -> denoiser"
)
"""Name -> guider. `GUIDERS.register` adds one."""


@checked
def chain(*guiders: Guider) -> Guider:
    """Several guiders as one, each around those before it: their calls of the denoiser multiply.

    `chain(partial(picture_guidance, scale=1.5), partial(text_cfg, scale=3.0))`

    Args:
        *guiders: as `generate` takes them, the innermost first.
    """

    return partial(_chained, guiders=guiders)


def _chained(denoiser: Denoiser, null: Cond, known: Sequence[int], eps: Video, guiders: Sequence[Guider]) -> Denoiser:
    for guider in guiders:
        denoiser = guide(guider, denoiser, null=null, known=known, eps=eps)
    return denoiser


@checked
def guide(guider: Guider, denoiser: Denoiser, **given: Any) -> Denoiser:
    """What a guider makes of a denoiser, given null, known and eps where it names them and they are not set.

    Args:
        guider: a function (denoiser, ...) -> denoiser, perhaps with settings by functools.partial.
        denoiser: what is guided.
        **given: what may be filled in.

    Raises:
        ValueError: the guider is a module, lacks a setting, refuses one, or returns no function.
    """
    function, settings = (guider.func, guider.keywords) if isinstance(guider, partial) else (guider, {})
    name = f"the guider {getattr(function, '__name__', type(function).__name__)}"
    if isinstance(function, nn.Module):
        raise ArgumentError(f"{name} is a module: give a function (denoiser, ...) -> denoiser.")
    try:
        takes = inspect.signature(function).parameters
        free = {k: v for k, v in given.items() if k in takes and k not in settings}
        inspect.signature(guider).bind(denoiser, **free)
    except (TypeError, ValueError):
        fault = misfit(function, list(settings), 1, list(given)) or "takes no denoiser: give a function that takes one"
        raise ArgumentError(f"{name} {fault}.") from None
    try:
        found = returned(guider(denoiser, **free), Denoiser, name)
    except ValueError as error:
        if not str(error).startswith("the guider"):  # of a chain, the one inside is named
            error.args = (f"{name}: {error}",)
        raise
    remembers = isinstance(found, Guided) and found.remembers
    return Guided(partial(velocity_by, f"the denoiser of {name}", found), calls(found), num_layers(found), remembers)


@checked
def guider_named(text: str) -> Guider:
    """A guider written as text: "apg(scale=5, eta=0.2)", or a chain "picture_guidance(scale=1.5) | text_cfg(scale=3)".

    Args:
        text: names in GUIDERS or import paths such as mine.py:sharper, with settings as Python writes them.

    Raises:
        ValueError: it is not written so, or a name or a setting does not fit.
    """
    try:
        written = written_calls(text, GUIDERS)
    except ArgumentError as error:
        raise ArgumentError(f"guidance={text!r:.80}: {error}{' Or give a number.' * text.isidentifier()}") from error
    except ValueError as error:
        if isinstance(error.__cause__, ImportError | AttributeError):  # one of another package
            raise
        raise ValueError(
            f"guidance is {text!r:.80}: give a number, or one of {', '.join(GUIDERS)} with its settings, such as "
            f"'apg(scale=5, eta=0.2)', or several joined by |, the innermost first."
        ) from None
    guiders = [partial(member, **settings) for member, settings in written]
    return guiders[0] if len(guiders) == 1 else chain(*guiders)
