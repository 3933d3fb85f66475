"""Draws calls of public functions, makes them, and says what came of them."""

import contextlib
import functools
import inspect
import random
import typing
import warnings
from dataclasses import dataclass
from typing import Any

import torch

from pusa_lab import arguments, schedules
from pusa_lab.annotations import has_fixed_axes, is_array

from . import judge, objects, recipes, values
from .targets import METHODS, Target

WITHOUT_BOUND = {
    "pusa_lab.metrics.frames.psnr": "equal clips",
    "pusa_lab.metrics.vbench.totals": "NaN is a missing score",
    "pusa_lab.training.module.by_timestep_and_frame": "NaN where no sample fell",
    "small_models.evaluation.evaluate.collect": "equal clips",
    "small_models.experiments.prediction.rank_correlation": "NaN if one is constant",
    "small_models.experiments.rows.line_of": "NaN where a row has no such score",
    "small_models.experiments.rows.score_numbers": "NaN where the row has no such score",
    "small_models.evaluation.actions.obeyed": "NaN where nothing is asked",
    "small_models.world.reader.locate": "NaN where nothing of a colour is seen",
    "small_models.evaluation.suite.fidelity": "equal clips",
    "small_models.evaluation.suite.obedience": "off its law: NaN where nothing that was asked for is there",
    "small_models.world.tracks.motion_costs": "infinite for what is impossible",
}
"""What may return numbers that are not finite, and when."""


@dataclass(frozen=True)
class Case:
    """A call as text."""

    target: Target
    texts: dict[str, str]
    """Parameter -> text; "*" and "**" are what comes besides."""

    def __str__(self) -> str:
        words = [t if k == "*" else f"{k}={t}" for k, t in self.texts.items()]
        return f"{callee(self.target)}({', '.join(words)})"


def callee(target: Target) -> str:
    """Text of what is called.

    Args:
        target: a function, class or method.
    """
    _, _, method = target.name.rpartition(".")
    return f"{METHODS[target.name]}.{method}" if target.name in METHODS else f"the({target.name!r})"


@functools.cache
def parameters(target: Target) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """The parameters and the annotations, with "return".

    Args:
        target: a function, class or method.
    """
    thing = target.thing
    if inspect.isclass(thing):
        thing = thing.__new__ if issubclass(thing, tuple) else thing.__init__
    found = dict(inspect.signature(thing).parameters)
    found.pop("_cls", None)
    found.pop("self", None)
    with contextlib.suppress(NameError, TypeError):
        return found, typing.get_type_hints(thing)
    return found, {}


def names_of(target: Target) -> tuple[str, ...]:
    """By which a sentence may call it.

    Args:
        target: a function, class or method.
    """
    return (
        arguments._short(target.thing),
        target.name,
        *((target.thing.__qualname__,) if target.name in METHODS else ()),
    )


def plain(target: Target, draw: values.Draw) -> dict[str, str] | None:
    """Arguments that ought to be right; None if somebody has to say what is.

    Args:
        target: what is called.
        draw: the call's choices.
    """
    texts: dict[str, str] = {}
    found, hints = parameters(target)
    order = sorted(found.values(), key=lambda p: -len(getattr(values._bare(hints.get(p.name)), "dims", None) or ()))
    for p in order:
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            continue
        if p.default is not p.empty and draw.rng.random() < 0.6:
            continue
        text = values.valid(draw, target.name, p.name, hints.get(p.name, Any))
        if text is None and p.default is p.empty:
            return None
        if text is not None:
            texts[p.name] = text
    options = recipes.own(target.name, "**")
    if options and draw.rng.random() < 0.5:
        name, _, text = draw.one(*options).partition("=")
        texts[name] = text
    return {p: texts[p] for p in [*found, *texts] if p in texts}


def drawn(target: Target, rng: random.Random) -> Case:
    """A case: most of its arguments are right, one or two may not be.

    Args:
        target: what is called.
        rng: of the case.
    """
    draw = values.Draw(rng)
    texts = plain(target, draw)
    if texts is None:
        raise LookupError(f"nobody knows valid arguments of {target.name}: add them to tests/fuzz/recipes.py")
    found, hints = parameters(target)
    open_to_change = [n for n, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2)) if open_to_change else 0):
        name = rng.choice(open_to_change)
        hint = hints.get(name, Any)
        value = texts.get(name) or values.valid(draw, target.name, name, hint) or "None"
        texts[name] = values.nearly(draw, name, hint, value) if rng.random() < 0.5 else values.hostile(draw)
    if rng.random() < 0.02:
        texts["unknown"] = "1"
    elif texts and rng.random() < 0.02:
        texts.pop(rng.choice(list(texts)))
    return Case(target, texts)


@functools.cache
def names() -> dict[str, Any]:
    """What texts may name."""
    objects.folder()
    return dict(vars(objects))


def evaluated(case: Case) -> dict[str, Any] | None:
    """The arguments, or None if the text itself does not work out.

    Args:
        case: to evaluate.
    """
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return {name: eval(text, names()) for name, text in case.texts.items()}
        except Exception:
            return None


def made(case: Case, given: dict[str, Any]) -> judge.Verdict:
    """Make the call.

    Args:
        case: to play.
        given: its arguments.
    """
    target = case.target
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = eval(callee(target), names())
    return judge.judged(lambda: call(**given), given, names_of(target), lambda result: _fault(case, given, result))


class Call:
    """A public function, as a thing that is played."""

    def __init__(self, target: Target) -> None:
        self.target, self.name, self.module = target, target.name, target.module

    def played(self, rng: random.Random) -> tuple[Case, judge.Verdict]:
        """Draw a call and make it.

        Args:
            rng: of the case.
        """
        for _ in range(20):
            case = drawn(self.target, rng)
            given = evaluated(case)
            if given is not None:
                return case, made(case, given)
        raise LookupError(f"no arguments of {self.name} can be evaluated, such as {case}")


# What must hold of a result


def _fault(case: Case, given: dict[str, Any], result: Any) -> str:
    target = case.target
    _, hints = parameters(target)
    hint = hints.get("return", Any)
    if not inspect.isclass(target.thing) and (wrong := judge.shape_fault(result, hint, _sizes(hints, given))):
        return wrong
    finite = target.name not in WITHOUT_BOUND and not any(judge.not_finite(v) for v in given.values())
    if finite and not inspect.isclass(target.thing) and judge.not_finite(result):
        return "returned numbers that are not finite"
    edited = target.name.startswith("pusa_lab.studio.edits")  # what is drawn by hand may be wrong for a while
    if hint == schedules.checks.Schedule and not edited and (faults := schedules.faults(result, whole=False)):
        return f"returned a schedule with faults: {faults[0]}"
    if target.name.startswith(("pusa_lab.schedules.timestep_samplers", "pusa_lab.schedules.timestep_sampler_tasks")):
        tau = result(2, 3, torch.Generator().manual_seed(0)) if callable(result) else result
        if isinstance(tau, torch.Tensor) and not ((tau >= 0) & (tau <= 1)).all():
            return "drew levels outside 0..1"
    return ""


def _sizes(hints: dict[str, Any], given: dict[str, Any]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, value in given.items():
        hint = values._bare(hints.get(name))
        if is_array(hint) and isinstance(value, torch.Tensor) and has_fixed_axes(hint):
            axes = hint.dim_str.split()
            if len(axes) == value.ndim:
                sizes = {a: n for a, n in zip(axes, value.shape, strict=True) if a[0] != "_"} | sizes
    return sizes
