"""pytest tests/test_shapes.py: shapes are enforced in the core, of arguments and of results, and looked at once."""

import jaxtyping
import pytest
import torch
from jaxtyping import Float, TypeCheckError
from shapes import _checks, _jaxtyped, _pairs, checked_once
from torch import Tensor

from pusa_lab.timesteps import per_frame

WAYS = [one(typechecker=checked_once) for one in (_jaxtyped, jaxtyping.jaxtyped)]
"""By jaxtyping alone, and as tests/shapes.py does it in its place."""
X = torch.zeros(2, 3)
Wide, Tall = Float[Tensor, "b f"], Float[Tensor, "f b"]


def added(x: Float[Tensor, "b f"], y: Float[Tensor, "b f"], result: object = None) -> Float[Tensor, "b f"]:
    return x + y if result is None else result


def joined(*x: Float[Tensor, "b f"], last: Float[Tensor, "b g"] = X) -> Float[Tensor, "b f+g"]:
    return torch.cat([x[0], last], 1)


@pytest.mark.parametrize("way", WAYS)
def test_what_fits_passes(way):
    for _ in range(2):  # the second time, it is looked up
        assert way(added)(X, X).shape == (2, 3)
        assert way(joined)(X, X, last=X[:, :1]).shape == (2, 4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("function", "args", "options", "says"),
    [
        (added, (X, X[:, :2]), {}, "parameters of .*added.*'y'"),
        (added, (X, X.int()), {}, "parameters of .*added.*'y'"),
        (added, (X, 3), {}, "parameters of .*added.*'y'"),
        (added, (X, X, X.T), {}, "return value of .*added"),
        (added, (X, X, [X]), {}, "return value of .*added"),
        (joined, (X, X[:1]), {}, "parameters of .*joined"),
        (joined, (X,), {"last": X[:1]}, "parameters of .*joined.*'last'"),
        (joined, (X,), {"last": X[None]}, "parameters of .*joined"),
    ],
)
def test_what_does_not_fit_is_an_error(way, function, args, options, says):
    enforced = way(function)
    enforced(X, X, **({} if function is added else {"last": X}))
    with pytest.raises(TypeCheckError, match=f"(?s){says}"):
        enforced(*args, **options)


@pytest.mark.parametrize("way", WAYS)
def test_a_function_within_a_function_is_checked_like_any_other(way):
    def made(wrong):
        @way
        def inner(x: Wide) -> Tall:
            return x if wrong else x.T

        return inner

    made(False)(X)
    known = len(_checks) + len(_pairs)
    assert made(False)(X.T).shape == (2, 3) and len(_checks) + len(_pairs) == known
    assert made(False)(X).shape == (3, 2)
    with pytest.raises(TypeCheckError, match="return value"):
        made(True)(X)
    square = torch.zeros(3, 3)
    assert made(True)(square) is square


@pytest.mark.parametrize("way", WAYS)
def test_what_a_list_holds_is_looked_at_each_time(way):
    @way
    def first(x: list[Wide], name: str = "", scale: float = 1.0) -> Wide:
        return x[0]

    long = [X] * 12
    assert first(long) is X and first([X], "a", 2.0) is X
    for wrong in ([X.int()] * 12, [X, X[0]][1:], [3], (X,)):
        with pytest.raises(TypeCheckError, match="parameters of"):
            first(wrong)
    with pytest.raises(TypeCheckError, match="parameters of"):
        first([X], 3, 2.0)


def test_the_core_is_enforced():
    with pytest.raises(TypeCheckError, match=r"parameters of pusa_lab\.timesteps\.per_frame"):
        per_frame.__wrapped__(torch.zeros(3), torch.zeros(1, 2, 3, 4, 5))
