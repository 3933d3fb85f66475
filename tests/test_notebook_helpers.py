"""pytest tests/test_notebook_helpers.py: setup, play, diagrams, files of the course, and judged exercises."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pusa_lab import samplers
from pusa_lab.notebook import Wrong, asset, check, check_that, diagram, play, result, setup

SEEDED = torch.Generator().manual_seed(0)
X, V = torch.randn(2, 2, 3, 4, 5, 5, generator=SEEDED).unbind(0)
TAU, NEXT = torch.rand(2, 2, 4, generator=SEEDED).unbind(0)


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


def test_wrong_answers_raise_without_giving_the_right_one_away():
    with pytest.raises(Wrong, match=r"off at \d+ of 600 places, the first of them \(0, 0, 0, 0, 0\), by up to .* %"):
        check(wrong_sign, samplers.euler_step, X, V, TAU, NEXT)
    with pytest.raises(Wrong, match=r"shape \(2, 1, 4, 5, 5\), which is not the right shape\.$"):
        check(wrong_shape, samplers.euler_step, X, V, TAU, NEXT)
    with pytest.raises(
        Wrong, match=r"shape \(4,\), which is not the right shape: its axes should be \(batch, frames\)"
    ):
        check(torch.zeros(4), torch.zeros(2, 4), axes="(batch, frames)")
    with pytest.raises(Wrong, match="your answer 210 is too large"):
        check(210, 70)
    with pytest.raises(Wrong, match="nothing: is a `return` missing"):
        check(lambda x: (x + 1, None)[1], lambda x: x, 1)


def test_a_known_mistake_is_named():
    mistakes = {"the sign is wrong": wrong_sign, "one channel is left": wrong_shape, "no such call": lambda: 1}
    for wrong, says in ((wrong_sign, "the sign is wrong"), (wrong_shape, "one channel is left")):
        with pytest.raises(Wrong, match=f"^{says}$"):
            check(wrong, samplers.euler_step, X, V, TAU, NEXT, mistakes=mistakes)
    with pytest.raises(Wrong, match="your answer is off"):
        check(lambda *given: 2 * right(*given), samplers.euler_step, X, V, TAU, NEXT, mistakes=mistakes)


def test_a_function_that_raises_is_told_in_one_sentence():
    def unspread(x, v, tau, tau_next):
        return x + (tau_next - tau) * v

    def misspelt(x, v, tau, tau_next):
        return x + v.speed

    for wrong, says in (
        (unspread, r"^two tensors in your function do not fit together, so look at their shapes: The size of tensor a"),
        (misspelt, r"^your function stops with AttributeError: 'Tensor' object has no attribute 'speed'$"),
    ):
        with pytest.raises(Wrong, match=says) as told:
            check(wrong, samplers.euler_step, X, V, TAU, NEXT)
        assert told.value.__suppress_context__


def test_a_large_difference_is_told_without_an_exponent():
    with pytest.raises(Wrong, match="by up to 300 % of the largest right value"):
        check(torch.tensor([8.0, 2.0]), torch.tensor([2.0, 2.0]))


def test_an_answer_of_nan_is_wrong():
    with pytest.raises(Wrong, match="holds nan or infinity"):
        check(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_division_by_zero_names_no_mistake_that_divides_too(value):
    """It fits several of them, and what is wrong first is the division."""
    right = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    wrong = right.clone()
    wrong[1] = value
    with pytest.raises(Wrong, match="divided by zero"):
        check(wrong.clone(), right, mistakes={"it is this one": wrong})
    with pytest.raises(Wrong, match=r"^it is this one$"):
        check(right + 1, right, mistakes={"it is another": wrong, "it is this one": right + 1})


def test_infinities_and_nans_are_right_where_the_right_answer_has_them(capsys):
    infinite = torch.tensor([-torch.inf, torch.inf, torch.nan, 1.0])
    check(infinite.clone(), infinite)
    assert "✓" in capsys.readouterr().out
    for place, value, says in (
        (0, torch.inf, "holds nan or infinity"),
        (1, 5.0, "finite where it should not be, at 1 of 4 places"),
        (2, torch.inf, "holds nan or infinity"),
        (3, torch.inf, "holds nan or infinity"),
        (3, torch.nan, "holds nan or infinity"),
        (3, 1.5, r"off at 1 of 4 places, the first of them 3, by up to 50 % of the largest"),
    ):
        answer = infinite.clone()
        answer[place] = value
        with pytest.raises(Wrong, match=says):
            check(answer, infinite)
        with pytest.raises(Wrong, match=r"^it is this one$"):
            check(answer, infinite, mistakes={"it is this one": answer.clone()})
    with pytest.raises(Wrong, match="holds nan or infinity"):
        check(torch.inf, 3.0, tolerance=torch.inf)
    with pytest.raises(Wrong, match="finite where it should not be"):
        check(3.0, torch.inf)


def test_a_tolerance_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"tolerance=-1e-09: give 0 or more\."):
        check(3, 3, tolerance=-1e-9)


@pytest.mark.parametrize("answer", ["three", object(), {"a": 1}, [1, "a"], [[1], [1, 2]], 3 + 2j])
def test_an_answer_without_numbers_is_said(answer):
    with pytest.raises(Wrong, match=r"your answer is .*, which cannot be read as real numbers: give a number or a ten"):
        check(answer, 3)


def test_a_notebook_shows_the_sentence_alone():
    assert Wrong("the sign is wrong")._render_traceback_() == ["✗ the sign is wrong"]


def test_conditions_are_told_in_order(capsys):
    conditions = {"it is odd": lambda n: n % 2 == 0, "it is small": lambda n: n > 10}
    for nothing in (None, ..., lambda n: ...):
        check_that(nothing, conditions)
    check_that(12, conditions)
    assert capsys.readouterr().out == "… not written yet\n" * 3 + "✓ right\n"
    for answer, says in ((13, "^it is odd$"), (4, "^it is small$"), ("a", "could not be tried: TypeError: ")):
        with pytest.raises(Wrong, match=says):
            check_that(answer, conditions)
    with pytest.raises(Wrong, match="it is false"):
        check_that(1, {"it is false": False})


def test_files_of_the_course_are_found_without_a_clone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert asset("assets/still.png").is_file()
    (tmp_path / "mine.png").touch()
    assert asset("mine.png") == Path("mine.png")
    assert result("wan_forward")["device"]
    with pytest.raises(
        ValueError, match=r"there is no file 'assets/none.png', here or in the course, which has .*still"
    ):
        asset("assets/none.png")
    with pytest.raises(ValueError, match=r"there is no result 'none': choose one of .*wan_forward"):
        result("none")


def test_a_diagram_has_its_alt_text(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    monkeypatch.setattr("pusa_lab.notebook.DIAGRAMS", tmp_path)
    (tmp_path / "01_a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    diagram("01_a", 'Three "frames".')
    assert shown[0]["image/svg+xml"].startswith('<svg role="img" aria-label="Three &quot;frames&quot;." xmlns')
    assert shown[0]["text/plain"] == 'Three "frames".'
    with pytest.raises(ValueError, match="there is no diagram '02_b': choose one of 01_a"):
        diagram("02_b", "words")
    with pytest.raises(ValueError, match="'01_a' has no alt text"):
        diagram("01_a", " ")


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
    monkeypatch.setattr("pusa_lab.notebook._display_html", shown.append)
    play({"two": np.zeros((4, 16, 16, 3), np.uint8), "<videos>": np.zeros((4, 16, 16, 3), np.uint8)})
    assert shown[0].count("data:video/mp4;base64") == 2
    assert shown[0].count('width="192" height="192"') == 2
    assert "&lt;videos&gt;</figcaption>" in shown[0]
    assert shown[0].count(" controls ") == shown[0].count("prefers-reduced-motion") == 2
    assert "autoplay" not in shown[0]


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
