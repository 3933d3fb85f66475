"""The settings of a sweep: every combination that was asked for, and to what each of their names belongs."""

import inspect
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pusa_lab.arguments import ArgumentError, shown
from pusa_lab.generate import OTHERS, prepare
from pusa_lab.guidance import guider_named
from pusa_lab.import_paths import imported, is_import_path
from pusa_lab.models import find_family
from pusa_lab.samplers import SOLVERS
from pusa_lab.schedules import SCHEDULES
from pusa_lab.sweeps.identity import described, label_of, takes
from pusa_lab.tasks import TASKS, Task

Setting = dict[str, Any]
"""Name -> value: what one call is given, beside its prompt and its seed."""
GIVEN = ("prompt", "seed")
"""What a function, a task and a truth are given for each row where they name it."""
COLUMNS = ("prompt", "seed", "seconds", "status", "error", "clip")
"""Columns of the table that no setting or score may be called."""
MOST_ROWS = 1_000_000
"""A larger sweep is taken for a mistake."""


def settings_of(settings: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Every combination of values, each once.

    A list, tuple, range or 1-D array holds values to try, anything else is one value, such as a schedule matrix:
    {"steps": range(5, 7), "solver": ["euler", "heun"]} are four settings. A list, tuple or 1-D array that is one value
    itself stands in a list. Of several such dicts, each adds its own combinations.

    Args:
        settings: name -> value or values, or several such dicts.

    Raises:
        ValueError: a list is empty, a name is not text, or a combination occurs twice.
    """
    blocks = [settings] if isinstance(settings, Mapping) else list(settings)
    if not blocks:
        raise ValueError("settings is an empty list: give at least one dict of settings, {} if nothing varies.")
    found = [setting for block in blocks for setting in _product(block)]
    _refuse_twice([described(setting) for setting in found], [written(setting) for setting in found], "the setting")
    return found


def _product(block: Mapping[str, Any]) -> Iterator[Setting]:
    values = {}
    for name, value in block.items():
        if not isinstance(name, str):
            raise ValueError(f"settings names {shown(name)}: give names of settings as text.")
        if name in COLUMNS:
            place = f"use {name}s=" if name in GIVEN else "choose another name"
            raise ValueError(f"settings names {name!r}, which is a column of the table already: {place}.")
        values[name] = _values(value)
        if not values[name]:
            raise ValueError(f"settings has an empty list for {name}: give at least one value.")
    if len(values) and _size(values) > MOST_ROWS:
        raise ValueError(f"settings make more than {MOST_ROWS:,} combinations: give fewer values.")
    return (dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values()))


def _values(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray | Tensor) and value.ndim < 2:
        return list(value.reshape(-1).tolist())
    return list(value) if isinstance(value, list | tuple | range) else [value]


def _size(values: Mapping[str, list[Any]]) -> int:
    size = 1
    for found in values.values():
        size *= len(found)
    return size


def each_once(name: str, values: Any, kind: type) -> list[Any]:
    """Prompts or seeds: at least one, each once.

    Args:
        name: of the argument, "prompts" or "seeds".
        values: one, or several.
        kind: what each must be.

    Raises:
        ValueError: there is none, one is of another kind, or one occurs twice.
    """
    found = [values] if isinstance(values, str | int) else list(values)
    if not found:
        raise ValueError(f"{name} is an empty list: give at least one.")
    for value in found:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name} holds {shown(value)}: give {'text' if kind is str else 'whole numbers'}.")
    _refuse_twice(found, [f"{value!r:.60}" for value in found], f"the {name.removesuffix('s')}")
    return found


def _refuse_twice(values: Sequence[Any], names: Sequence[str], what: str) -> None:
    seen = set[str]()
    for value, name in zip(values, names, strict=True):
        key = json.dumps(value, sort_keys=True)
        if key in seen:
            raise ValueError(f"{what} {name} is there twice, which would make the same rows twice: give it once.")
        seen.add(key)


def written(setting: Mapping[str, Any]) -> str:
    """A setting in words: "steps=5, solver=heun".

    Args:
        setting: name -> value.
    """
    return ", ".join(f"{name}={label_of(value)}" for name, value in setting.items()) or "no setting"


@dataclass(frozen=True)
class RowRequest:
    """A setting of a model, by what each part of it is for."""

    loading: Setting
    """For `load`: model, lora, strength, and other options of the family."""
    task: Callable[..., Task] | Task | None
    """What makes the task, or the task itself; None is text to video."""
    task_options: Setting
    """Arguments of the task."""
    sampling: Setting
    """Keyword arguments of `generate`."""


def request_of(setting: Mapping[str, Any], model: Any = None) -> RowRequest:
    """Sort a setting's values by what they are for; names that can be checked without the model are.

    Args:
        setting: name -> value, for `generate`, for loading the model, or for the task.
        model: name or model that settings do not replace.

    Raises:
        ValueError: a name or value is unknown.
    """
    setting = resolved(setting, aside=("solver",))  # whose settings a text may hold, which makes it anew for each row
    generating = [
        name for name in list(inspect.signature(prepare).parameters)[1:] if name not in (*GIVEN, "generator", "task")
    ]
    model = setting.get("model", model)
    loads = _loading(model)
    task = setting.get("task")
    task = TASKS.find(task) if isinstance(task, str) else task
    inside = [] if task is None or isinstance(task, Task) else list(takes(task) or ())
    inside = [name for name in inside if name not in (*GIVEN, *generating, *loads)]
    known = [*generating, "task", "model", *loads, *inside]
    for name in setting:
        if name not in known:
            use = "use seeds=" if name == "generator" else choices(name, known)
            raise ArgumentError(f"there is no setting {name!r:.40}: {use}.")
    sampling, options = ({k: v for k, v in _found(setting).items() if k in names} for names in (generating, inside))
    _check_task(task, options)
    return RowRequest({"model": model, **{k: v for k, v in setting.items() if k in loads}}, task, options, sampling)


def _loading(model: Any) -> list[str]:
    """Names of the options with which a model is loaded, if it is given by its name."""
    if model is None:
        raise ValueError("settings has no model: give model=, or a setting of that name.")
    if not isinstance(model, str | Path):
        return []
    names = list(inspect.signature(find_family(model).load).parameters.values())[1:]
    return [p.name for p in names if p.kind is not p.VAR_KEYWORD] + ["lora", "strength", "device"]


def resolved(setting: Mapping[str, Any], aside: Sequence[str] = ()) -> Setting:
    """A setting with the objects that import paths name, such as "mymodule:function", in place of their text.

    Args:
        setting: name -> value.
        aside: further names whose values stay text, as those of models, LoRAs and captions do.

    Raises:
        ValueError: one cannot be imported.
    """
    own = ("model", "lora", "negative_prompt", *aside)
    return {k: imported(v) if is_import_path(v) and k not in own else v for k, v in setting.items()}


def _found(setting: Mapping[str, Any]) -> Setting:
    """The same; schedules, solvers and guiders that are named exist, and a schedule with settings is made."""
    found = dict(setting)
    if isinstance(name := setting.get("schedule"), str):
        found["schedule"] = SCHEDULES.find(name)
    if isinstance(setting.get("solver"), str):
        SOLVERS.find(setting["solver"])
    if isinstance(setting.get("guidance"), str):
        guider_named(setting["guidance"])
    return found


def _check_task(task: Any, options: Setting) -> None:
    if task is None or isinstance(task, Task):
        return
    if not callable(task):
        raise ValueError(f"task is {shown(task)}: give a task, its name, or a function that makes it.")
    parameters = (takes(task) or {}).values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if missing := [name for name in needed if name not in (*options, *GIVEN)]:
        raise ValueError(f"the task {label_of(task)} needs {missing[0]}: give a setting of that name.")


def check_function(function: Callable[..., Any], setting: Mapping[str, Any]) -> None:
    """Refuse settings that a function does not take, and settings that it lacks.

    Args:
        function: of the settings; prompt and seed are filled in where it names them.
        setting: name -> value.

    Raises:
        ValueError: a name is unknown, or one without a default is missing.
    """
    if (known := takes(function)) is None:
        return
    for name in setting:
        if name not in known:
            use = choices(name, list(known)) if known else "it takes none"
            if name in inspect.signature(prepare).parameters:  # of a function that makes a model, perhaps
                use = f"{use}. If it makes a model, give it as the setting 'model'"
            raise ArgumentError(f"the function {label_of(function)} has no parameter {name!r:.40}: {use}.")
    needed = [p.name for p in known.values() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    if missing := [name for name in needed if name not in (*setting, *GIVEN)]:
        raise ArgumentError(f"the function {label_of(function)} needs {missing[0]}: give a setting of that name.")


def choices(name: str, known: Sequence[str]) -> str:
    """What a name that is not known may have meant: "did you mean steps? There are steps, shift".

    Args:
        name: that was given.
        known: names that there are; those in GIVEN are left out.
    """
    known = [one for one in dict.fromkeys(known) if one not in GIVEN]
    meant = OTHERS[name] if OTHERS.get(name) in known else name
    near = "".join(f"did you mean {one}? " for one in get_close_matches(meant, known, 1))
    return f"{near}{'There are' if near else 'choose from'} {', '.join(known) or 'none'}"
