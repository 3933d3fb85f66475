"""pytest tests/test_notebook_helpers.py: setup, check and play."""

import numpy as np
import pytest
import torch

from pusa_lab import samplers
from pusa_lab.notebook import check, play, setup

X, V = torch.randn(2, 2, 3, 4, 5, 5).unbind(0)
TAU, NEXT = torch.rand(2, 2, 4).unbind(0)


def wrong_sign(x, v, tau, tau_next):
    return x + (tau - tau_next)[:, None, :, None, None] * v


def wrong_shape(x, v, tau, tau_next):
    return (x + (tau_next - tau)[:, None, :, None, None] * v)[:, :1]


def right(x, v, tau, tau_next):
    return x + (tau_next - tau)[:, None, :, None, None] * v


def raises(x, v, tau, tau_next):
    raise NotImplementedError


@pytest.mark.parametrize("stub", [lambda *_: ..., lambda *_: None, raises])
def test_an_empty_stub_is_quiet(stub, capsys):
    check(stub, samplers.euler_step, X, V, TAU, NEXT)
    assert "not written yet" in capsys.readouterr().out


def test_a_right_answer_gets_a_tick(capsys):
    check(right, samplers.euler_step, X, V, TAU, NEXT)
    assert "✓" in capsys.readouterr().out


def test_wrong_answers_raise_with_the_difference():
    with pytest.raises(AssertionError, match=r"differs by up to .* at \(\d, \d, \d, \d, \d\)"):
        check(wrong_sign, samplers.euler_step, X, V, TAU, NEXT)
    with pytest.raises(AssertionError, match=r"shape \(2, 1, 4, 5, 5\), expected \(2, 3, 4, 5, 5\)"):
        check(wrong_shape, samplers.euler_step, X, V, TAU, NEXT)


def test_an_answer_of_nan_is_wrong():
    with pytest.raises(AssertionError, match="nan"):
        check(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("answer", ["three", object(), {"a": 1}, [1, "a"], [[1], [1, 2]]])
def test_an_answer_without_numbers_is_said(answer):
    with pytest.raises(AssertionError, match=r"your answer is .*, which holds no numbers: expected 3"):
        check(answer, 3)


def test_values_can_be_checked_too(capsys):
    check([0.5, 1.0], torch.tensor([0.5, 1.0]))
    check(3, 3)
    assert capsys.readouterr().out.count("✓") == 2


def test_setup_seeds_and_names_the_device():
    assert setup(seed=3) == ("cuda" if torch.cuda.is_available() else "cpu")
    a = torch.rand(3), np.random.rand()
    setup(seed=3)
    assert torch.equal(torch.rand(3), a[0])
    assert np.random.rand() == a[1]


def test_play_embeds_mp4(monkeypatch):
    shown = []
    monkeypatch.setattr("mediapy._display_html", lambda text, **_: shown.append(text))
    play({"two": np.zeros((4, 16, 16, 3), np.uint8), "videos": np.zeros((4, 16, 16, 3), np.uint8)})
    assert shown[0].count("data:video/mp4;base64") == 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: play({}), "no videos to play"),
        (lambda: play(None), "videos is None: give a dict"),
        (lambda: play(np.zeros((4, 8, 8, 3), np.uint8)), "videos is an array"),
        (lambda: play({"a": np.zeros((4, 8, 8, 3))}), r"'a' has shape \(4, 8, 8, 3\), float"),
        (lambda: play({"a": np.zeros((8, 8, 3), np.uint8)}), r"give \(frames, h, w, 3\) uint8"),
        (lambda: play({"a": np.zeros((4, 8, 8, 3), np.uint8)}, fps=0), "fps=0"),
        (lambda: play({"a": np.zeros((4, 8, 8, 3), np.uint8)}, fps=1e-320), "give 0.001 to 1000 frames per second"),
        (lambda: play({"a": np.zeros((4, 8, 8, 3), np.uint8)}, width="8"), "width is '8'"),
        (lambda: setup(seed=-1), "seed=-1: give 0 to 4294967295"),
        (lambda: setup(seed=None), "seed is None"),
        (lambda: setup(shapes=1), "shapes is 1"),
        (lambda: check(3, 3, tolerance="a"), "tolerance is 'a'"),
    ],
)
def test_wrong_arguments_get_a_sentence(call, says, as_user):
    with pytest.raises(ValueError, match=rf"^notebook\.\w+: .*{says}"):
        call()
