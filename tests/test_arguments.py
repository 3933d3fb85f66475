"""pytest tests/test_arguments.py: what fits an annotation passes, everything else gets one sentence."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from fuzz.basics import nested
from jaxtyping import jaxtyped

from pusa_lab import arguments, samplers, schedules, timesteps
from pusa_lab.arguments import ArgumentError, calling, checked
from pusa_lab.files import read_json
from pusa_lab.metrics.inside import attention_mass
from pusa_lab.types import Levels, Tau, Video, VideoModel

pytestmark = pytest.mark.usefixtures("as_user")
X, TAU = torch.zeros(2, 3, 4, 5, 5), torch.zeros(2, 4)
NESTED = nested()


@checked
@jaxtyped(typechecker=None)
def door(
    x: Video = X,
    tau: Tau = TAU,
    n: int = 1,
    s: float = 1.0,
    yes: bool = False,
    word: str = "",
    at: Sequence[int] = (),
    pair: tuple[int, float] = (1, 2.0),
    noise: Levels = 0.0,
    path: str | Path | None = None,
    one: Literal["a", "b"] = "a",
    function: Callable[..., Any] | None = None,
    table: Mapping[str, int] | None = None,
    model: VideoModel | None = None,
    anything: Any = None,
) -> dict[str, Any]:
    return dict(locals())


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ({"n": np.int64(3)}, 3),
        ({"n": torch.tensor(3)}, 3),
        ({"s": 2}, 2),
        ({"s": np.float32(0.5)}, 0.5),
        ({"s": torch.tensor(0.5)}, 0.5),
        ({"s": float("inf")}, float("inf")),
        ({"yes": np.bool_(True)}, True),
        ({"at": (0, -1)}, [0, -1]),
        ({"at": range(2)}, [0, 1]),
        ({"at": np.arange(2)}, [0, 1]),
        ({"at": torch.arange(2)}, [0, 1]),
        ({"pair": [1, 2]}, (1, 2)),
        ({"noise": 0.5}, 0.5),
        ({"noise": (0.5, 1)}, [0.5, 1]),
        ({"path": "a/b"}, "a/b"),
        ({"path": None}, None),
        ({"one": "b"}, "b"),
        ({"table": {"a": 1}}, {"a": 1}),
        ({"anything": object}, object),
    ],
)
def test_what_is_meant_is_taken(given, becomes):
    (name,) = given
    found = door(**given)[name]
    assert type(found) is type(becomes)
    assert found == becomes


@pytest.mark.parametrize("tau", [TAU.tolist(), TAU.numpy(), TAU.double().numpy(), TAU.int().numpy(), list(TAU)])
def test_lists_and_arrays_become_tensors(tau):
    found = door(tau=tau)["tau"]
    assert found.dtype == torch.float32
    assert torch.equal(found, TAU)


def test_tensors_pass_as_they_are():
    tau = TAU.double().requires_grad_()
    assert door(tau=tau)["tau"] is tau


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n": 2.5}, "n is 2.5 .a float.: give a whole number"),
        ({"n": True}, "n is True: give a whole number"),
        ({"n": 10**30}, "give a whole number"),
        ({"n": torch.tensor([1, 2])}, r"n is a tensor of shape \(2,\), int64: give a whole number"),
        ({"s": "1"}, "s is '1' .a str.: give a number"),
        ({"s": float("nan")}, "not NaN"),
        ({"s": 1j}, "give a number"),
        ({"s": np.complex64(1)}, "give a number"),
        ({"s": TAU.to_sparse()}, "give a number"),
        ({"at": TAU[0].to("meta")}, "give a list"),
        ({"s": np.array("a")}, "give a number"),
        ({"yes": 1}, "give True or False"),
        ({"yes": "False"}, "give True or False"),
        ({"word": None}, "word is None: give a text"),
        ({"at": 3}, "at is 3 .an int.: give a list"),
        ({"at": "01"}, "give a list"),
        ({"at": [0, "a"]}, r"at\[1\] is 'a' .a str.: give a whole number"),
        ({"pair": (1,)}, "give 2 values"),
        ({"noise": None}, "noise is None"),
        ({"path": ""}, "path is '' .a str.: give a path or None"),
        ({"path": "a\0b"}, "give a path or None"),
        ({"path": "x" * 300}, "names of at most 255"),
        ({"path": 3}, "path is 3"),
        ({"one": "c"}, "give one of 'a', 'b'"),
        ({"function": 3}, "give a function"),
        ({"table": [1]}, "give a dict"),
        ({"table": {"a": "b"}}, "whole number"),
        ({"model": 3}, r'give a VideoModel, such as pusa_lab.load\("mini-vta"\)'),
        ({"tau": None}, r"tau is None: give a tensor \(b f\)"),
        ({"tau": "a"}, r"give a tensor \(b f\)"),
        ({"tau": [[1], [1, 2]]}, r"give a tensor \(b f\)"),
        ({"tau": TAU[0]}, r"tau has shape \(4,\): give a tensor \(b f\)"),
        (
            {"tau": TAU[:, :1], "x": X},
            r"tau has shape \(2, 1\), but x of shape .* needs tau \(2, 4\), that is \(b f\)",
        ),
        ({"tau": TAU.to_sparse()}, "dense"),
        ({"tau": NESTED}, "tau is a nested tensor, float32: give .* dense"),
        ({"s": NESTED}, "s is a nested tensor, float32: give a number"),
        ({"at": NESTED}, "at is a nested tensor, float32: give a list"),
        ({"tau": TAU.to("meta")}, "tau is on the meta device and has no numbers: give a tensor on the CPU or a GPU"),
        ({"tau": TAU + 0j}, "real numbers"),
        ({"tau": TAU > 0}, "floating point"),
        ({"tau": {"a": 1}}, r"give a tensor \(b f\)"),
        ({"tau": object()}, "tau is an object: give a tensor"),
        ({"x": X.byte()}, "uint8: give a tensor .b c f h w. of floating point numbers"),
    ],
)
def test_everything_else_is_refused_in_one_sentence(given, says):
    with pytest.raises(ArgumentError, match=says) as caught:
        door(**given)
    assert str(caught.value).startswith("test_arguments.door: ")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)


def test_only_what_the_person_called_is_named():
    with pytest.raises(ValueError, match=r"^outer: inner is wrong$"):
        _nested()


def _nested():
    namespace = {"__name__": "pusa_lab.nothing"}
    exec("def inner():\n    raise ValueError('inner is wrong')", namespace)
    with calling("outer"), calling("inner"):
        namespace["inner"]()


def test_what_a_file_refuses_is_named_too(tmp_path):
    says = r"^outer: .*none is not an existing file: give the path of a letter\.$"
    with pytest.raises(FileNotFoundError, match=says), calling("outer"):
        read_json(tmp_path / "none", "a letter")


def test_errors_of_functions_that_a_person_brought_stay_as_they_are():
    def own():
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"), calling("outer"):
        own()


def test_a_class_is_checked_when_it_is_made():
    @checked
    class Pair:
        def __init__(self, n: int = 1):
            self.n = n

    assert Pair(np.int32(2)).n == 2
    with pytest.raises(ArgumentError, match=r"n is 'a' .a str.: give a whole number"):
        Pair("a")


@checked
def listed(words: Iterable[str]) -> list[str]:
    return list(words)


def test_what_can_be_gone_through_is_checked_item_by_item():
    assert listed({"a": 1}) == listed(iter(["a"])) == ["a"]
    for wrong in ("ab", 3, torch.zeros(()), iter([1])):
        with pytest.raises(ValueError, match=r"^test_arguments.listed: .*give a list"):
            listed(wrong)
    with pytest.raises(ValueError, match=r"^test_arguments.listed: words\[1\] is 1 \(an int\): give a text \(str\)\.$"):
        listed(["a", 1])


@checked
def matched(
    levels: Levels,
    ranges: Sequence[range] = (),
    seeds: int | Sequence[int] = 0,
    sizes: dict[str, list[int]] | None = None,
) -> None:
    """Nested kinds."""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"levels": True}, "levels is True: give a number, a list, an array or a tensor."),
        ({"levels": [0.1, True]}, "levels[1] is True: give a number."),
        ({"levels": 0, "ranges": (0, 4)}, "ranges[0] is 0 (an int): give a range."),
        ({"levels": 0, "ranges": [(0, 4)]}, "ranges[0] is a tuple of 2 items: give a range."),
        ({"levels": 0, "ranges": 4}, "ranges is 4 (an int): give a list."),
        (
            {"levels": 0, "seeds": 2**63},
            "seeds is 9223372036854775808 (an int): give a whole number from -2**63 to 2**63 - 1 or a list.",
        ),
        (
            {"levels": 0, "seeds": [1, -(2**63) - 1]},
            "seeds[1] is -9223372036854775809 (an int): give a whole number from -2**63 to 2**63 - 1.",
        ),
        ({"levels": 0, "sizes": {"a": [1, "x"]}}, "sizes['a'][1] is 'x' (a str): give a whole number."),
    ],
)
def test_the_item_at_fault_is_named(arguments, says):
    with pytest.raises(ValueError) as error:
        matched(**arguments)
    assert str(error.value) == f"test_arguments.matched: {says}"
    matched(0.5, [range(4)], -(2**63), {"a": [2**63 - 1]})


def test_names_of_files_do_not_break_the_line(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^outer: .*a\\nb\\x1b is not an existing file"), calling("outer"):
        read_json(tmp_path / "a\nb\x1b", "a letter")


def test_a_generator_and_a_context_speak_in_the_name_of_what_was_called():
    @checked
    def counted(n: int):
        yield 1
        raise ValueError(f"n={n}: give another.")

    @checked
    @contextlib.contextmanager
    def opened(n: int):
        try:
            if n < 0:
                raise ValueError(f"n={n}: give 0 or more.")
            yield n
        except KeyError:
            closed.append("caught")
        finally:
            closed.append("closed")

    closed = []
    steps = counted(3)
    assert next(steps) == 1
    with opened(1) as n, pytest.raises(ValueError, match=r"^mine$"):
        assert n == 1
        raise ValueError("mine")
    with opened(1):
        raise KeyError
    with pytest.raises(ValueError, match=r"^mine$"), opened(1):
        raise ValueError("mine")
    assert closed == ["closed", "caught", "closed", "closed"]


def test_what_a_library_generator_refuses_on_the_way_begins_with_its_name():
    steps = samplers.sample_steps(lambda x, tau: None, torch.zeros(1, 1, 2, 2, 2), "synchronous", steps=2)
    assert next(steps).row == 0
    with pytest.raises(ValueError, match=r"^samplers\.sample_steps: the denoiser returned None"):
        next(steps)
    with (
        pytest.raises(ValueError, match=r"^metrics\.attention_mass: a Linear has no blocks"),
        attention_mass(torch.nn.Linear(1, 1)),
    ):
        pass


@pytest.mark.parametrize("solver", ["euler", "heun", "unipc"])
def test_arguments_are_checked_once_and_not_at_every_row(monkeypatch, solver):
    checks, one = [], arguments._one
    monkeypatch.setattr(arguments, "_one", lambda known, key, value: checks.append(key) or one(known, key, value))
    counts = []
    for steps in (2, 20):
        S = schedules.synchronous(steps, 3)
        checks.clear()
        samplers.sample(lambda x, tau: x, torch.randn(2, 1, 3, 2, 2), S, solver)
        counts.append(len(checks))
    assert counts[0] == counts[1]


def test_what_a_persons_own_function_calls_is_checked_and_converted():
    def denoiser(x, tau):
        return x - timesteps.interpolate(x, torch.ones_like(x), [[0.5, 1.0]])

    x = torch.randn(1, 1, 2, 2, 2)
    v = (x - 1) * torch.tensor([0.5, 1.0])[None, None, :, None, None]
    torch.testing.assert_close(samplers.sample(denoiser, x, [[1.0, 1.0], [0.0, 0.0]]), x - v)
    with pytest.raises(ArgumentError, match=r"samplers.sample: tau is 'half' .a str."):
        samplers.sample(lambda x, tau: timesteps.per_frame("half", x), x, [[1.0, 1.0], [0.0, 0.0]])


def test_settings_that_a_person_binds_are_checked():
    with pytest.raises(ArgumentError, match=r"lag is 'x' .a str."):
        samplers.sample(lambda x, tau: x, torch.randn(1, 1, 2, 2, 2), functools.partial(schedules.pyramid, lag="x"))
    with pytest.raises(ArgumentError, match=r"rho is 'x' .a str."):
        schedules.pyramid(4, 3, sigmas=functools.partial(schedules.sigmas.karras, rho="x"))


@checked
class Box:
    """A class with a checked constructor."""

    def __init__(self, side: int, *, colour: str = "red"):
        self.side = side


@checked
def named(x: int, y: int, z: int = 0, *, word: str = "") -> int:
    return x + y + z


@checked
def framed(steps: int, frames: int) -> int:
    return steps + frames


@checked
def open_ended(x: int, **options: object) -> int:
    return x


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: open_ended(foo=1), "x is missing: give x."),
        (lambda: named(), "x is missing: give x, y."),
        (lambda: named(1), "y is missing: give x, y."),
        (lambda: named(y=1), "x is missing: give x, y."),
        (lambda: named(1, 2, 3, 4), "4 arguments by position, but at most 3 can be given so: give the others by name."),
        (lambda: named(1, 2, foo=1), "there is no argument foo: choose from x, y, z, word."),
        (lambda: framed(3, num_frames=4), "there is no argument num_frames: use frames."),
        (lambda: named(1, 2, x=1), "x is given by position and by name: give it once."),
        (lambda: Box(), "side is missing: give side."),
        (lambda: Box(1, "red"), "2 arguments by position, but at most 1 can be given so: give the others by name."),
        (lambda: Box(1, color="red"), "there is no argument color: choose from side, colour."),
    ],
)
def test_calls_that_do_not_match_the_signature_are_one_sentence(call, says):
    with pytest.raises(ArgumentError, match=rf"^test_arguments.(named|framed|open_ended|Box): {re.escape(says)}$"):
        call()


def test_type_errors_from_inside_a_function_stay_as_they_are():
    @checked
    def inside(x: int) -> int:
        return len(x)

    with pytest.raises(TypeError, match=r"^object of type 'int' has no len") as error:
        inside(3)
    assert not isinstance(error.value, ArgumentError)
