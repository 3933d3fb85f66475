"""pytest tests/test_shapes.py: shapes are enforced in the core, of arguments and of results, and looked at once."""

import pytest
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from shapes import _checks, checked_once
from torch import Tensor

from pusa_lab.timesteps import per_frame

enforced = jaxtyped(typechecker=checked_once)
X = torch.zeros(2, 3)
Wide, Tall = Float[Tensor, "b f"], Float[Tensor, "f b"]


@enforced
def added(x: Float[Tensor, "b f"], y: Float[Tensor, "b f"], result: object = None) -> Float[Tensor, "b f"]:
    return x + y if result is None else result


@enforced
def joined(*x: Float[Tensor, "b f"], last: Float[Tensor, "b g"] = X) -> Float[Tensor, "b f+g"]:
    return torch.cat([x[0], last], 1)


def test_what_fits_passes():
    assert added(X, X).shape == (2, 3)
    assert joined(X, X, last=X[:, :1]).shape == (2, 4)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: added(X, X[:, :2]), "parameters of .*added.*'y'"),
        (lambda: added(X, X.int()), "parameters of .*added.*'y'"),
        (lambda: added(X, 3), "parameters of .*added.*'y'"),
        (lambda: added(X, X, X.T), "return value of .*added"),
        (lambda: added(X, X, [X]), "return value of .*added"),
        (lambda: joined(X, X[:1]), "parameters of .*joined"),
        (lambda: joined(X, last=X[:1]), "parameters of .*joined.*'last'"),
        (lambda: jaxtyped(joined.__wrapped__, typechecker=checked_once)(X, last=X[None]), "parameters of .*joined"),
    ],
)
def test_what_does_not_fit_is_an_error(call, says):
    with pytest.raises(TypeCheckError, match=f"(?s){says}"):
        call()


def test_a_function_within_a_function_is_checked_like_any_other():
    def made(wrong):
        @enforced
        def inner(x: Wide) -> Tall:
            return x if wrong else x.T

        return inner

    made(False)(X)
    known = len(_checks)
    assert made(False)(X.T).shape == (2, 3) and len(_checks) == known
    with pytest.raises(TypeCheckError, match="return value"):
        made(True)(X)


def test_the_core_is_enforced():
    with pytest.raises(TypeCheckError, match=r"parameters of pusa_lab\.timesteps\.per_frame"):
        per_frame.__wrapped__(torch.zeros(3), torch.zeros(1, 2, 3, 4, 5))
