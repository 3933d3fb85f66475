"""pytest tests/test_sweep_identity.py: equal content is the same row, other content another; and what is refused."""

import importlib
import linecache
import math
import sys
from functools import partial

import numpy as np
import pytest
import sweeping
import torch

import pusa_lab as pl
from pusa_lab.sweeps import rows as rows_module
from pusa_lab.sweeps.identity import digest_of, label_of, package_code

SOURCE = """
FACTOR = 2
TABLE = [1, 2]
def helper(x):
    return x + 1
def score(result, power=1):
    return sum(helper(x) for x in [result]) * FACTOR ** power + TABLE[0]
def made(k):
    def score(result):
        return result * k
    return score
two = [lambda x: x + 1, lambda x: x + 2]
class Solver:
    def __call__(self):
        return 1
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Imports a source as the module `swept`, each time anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(source):
        (tmp_path / "swept.py").write_text(source)
        sys.modules.pop("swept", None)
        linecache.clearcache()
        return importlib.import_module("swept")

    yield load
    sys.modules.pop("swept", None)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("score", "x + 1\ndef", "x + 2\ndef"),
        ("score", "FACTOR = 2", "FACTOR = 3"),
        ("score", "power=1", "power=2"),
        ("score", "[1, 2]", "[1, 3]"),
        ("Solver", "return 1", "return 2"),
    ],
)
def test_a_function_or_class_is_known_by_what_it_does(module, name, old, new):
    one, same, other = (digest_of(getattr(module(s), name)) for s in (SOURCE, SOURCE, SOURCE.replace(old, new)))
    assert one == same != other


def test_closures_lambdas_and_partials_are_told_apart(module):
    m = module(SOURCE)
    assert digest_of(m.made(1)) == digest_of(m.made(1)) != digest_of(m.made(2))
    assert digest_of(m.two[0]) != digest_of(m.two[1])
    assert digest_of(partial(m.score, power=2)) != digest_of(partial(m.score, power=3)) != digest_of(m.score)


@pytest.mark.parametrize(
    "values",
    [
        [1, 1.0, "1", True, None, math.nan, math.inf],
        [torch.zeros(2), torch.zeros(2, dtype=torch.double), torch.zeros(1, 2), torch.tensor([0.0, 1e-9]), np.zeros(2)],
        [[1, 2], (1, 2), [2, 1], [[1], 2], {"a": 1}, {"a": 2}],
        [pl.solvers.AdamsBashforth(2), pl.solvers.AdamsBashforth(3), pl.solvers.euler],
        [pl.tasks.image_to_video(np.full((4, 4, 3), n, np.uint8), noise=m) for n in (1, 2) for m in (0, 0.1)],
    ],
)
def test_other_values_have_other_digests(values):
    assert len({digest_of(value) for value in values}) == len(values)


def test_equal_values_have_equal_digests():
    task = [pl.tasks.image_to_video(np.full((4, 4, 3), 1, np.uint8)) for _ in range(2)]
    for one, two in ([torch.ones(3), torch.ones(3)], [np.float64(0.5), 0.5], [np.int64(3), 3], task):
        assert digest_of(one) == digest_of(two)


def test_a_registered_solver_whose_code_changes_makes_new_rows(nano_vta, tmp_path, monkeypatch, module):
    monkeypatch.setattr(pl.solvers.SOLVERS, "_added", {})
    source = "import pusa_lab as pl\ndef mine(denoiser, x, tau, tau_next):\n    return {}(denoiser, x, tau, tau_next)"
    given = {"prompts": "a red circle moves right", "metrics": sweeping.brightness, "cache": tmp_path / "c"}
    found = []
    for step in ("pl.solvers.euler", "pl.solvers.heun"):
        pl.solvers.SOLVERS.register(module(source.format(step)).mine, name="mine")
        found.append(pl.sweep(nano_vta, {"solver": "mine", "steps": 2}, **given)["brightness"][0])
    assert found[0] != found[1]


def test_the_code_of_the_package_leaves_out_what_no_score_depends_on():
    package_code.cache_clear()
    first = package_code("pusa_lab")
    package_code.cache_clear()
    assert package_code("pusa_lab") == first and len(first) == 16
    assert package_code("torch") == "" and package_code("json") == "", "versions tell libraries apart"
    assert package_code("small_models") not in ("", first)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (5, 5),
        ("apg(scale=5)", "apg(scale=5)"),
        (None, None),
        (pl.solvers.heun, "heun"),
        (partial(pl.schedules.pyramid, lag=2), "pyramid(lag=2)"),
        (pl.tasks.text_to_video(), "text_to_video"),
        (pl.solvers.AdamsBashforth(3), "AdamsBashforth(order=3)"),
        (np.float64(0.5), 0.5),
        ((0.2, 0.5), "(0.2, 0.5)"),
    ],
)
def test_values_have_short_names_in_the_table(value, label):
    assert label_of(value) == label


def test_values_of_one_name_are_told_apart_in_the_table(tmp_path):
    df = pl.sweep(lambda t: t.known[0].noise[0] if t.known else 0, {"t": _tasks()}, cache=tmp_path / "c")
    assert df["t"].nunique() == 2 and all(name.startswith("image_to_video ") for name in df["t"])


def _tasks():
    return [pl.tasks.image_to_video(np.zeros((4, 4, 3), np.uint8), noise=m) for m in (0.25, 0.5)]


def nothing(result):
    return 1.0


SWEEP = {"model": "nano-vta", "settings": {"steps": 1}, "prompts": "a", "metrics": nothing}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"settings": {"schedula": "pyramid"}}, "no setting 'schedula': did you mean schedule?"),
        ({"settings": {"noise": 0.1}}, "no setting 'noise': choose from schedule, "),
        ({"settings": {"task": "image_to_video", "nois": 1, "picture": 1}}, "no setting 'nois': did you mean noise?"),
        (
            {"settings": {"task": "image_to_video"}},
            "the task image_to_video needs picture: give a setting of that name",
        ),
        ({"settings": {"steps": []}}, "settings has an empty list for steps: give at least one value"),
        ({"settings": []}, "settings is an empty list: give at least one dict of settings"),
        ({"settings": {"steps": [1, 2, 1]}}, "the setting steps=1 is there twice"),
        ({"settings": [{"steps": 1}, {"steps": [2, 1]}]}, "the setting steps=1 is there twice"),
        ({"settings": {"seed": [1, 2]}}, "settings names 'seed', which is a column of the table already: use seeds="),
        ({"settings": {"generator": torch.Generator()}}, "a torch.Generator cannot be a setting: use seeds="),
        ({"settings": {"generator": 3}}, "there is no setting 'generator': use seeds="),
        ({"settings": {"stepz": 1}}, "no setting 'stepz': did you mean steps[?] There are (?!.*generator).* solver"),
        ({"settings": {1: 2}}, r"settings"),
        ({"settings": {"schedule": ["pyramid", "piramid"]}}, "unknown schedule 'piramid': choose one of synchronous"),
        ({"settings": {"schedule": "pyramid(lag="}}, "is not a name with settings"),
        ({"settings": {"solver": "rk45"}}, "unknown solver 'rk45'"),
        ({"settings": {"guidance": "apgg(scale=5)"}}, "apgg"),
        ({"settings": {"task": "image2video"}}, "unknown task 'image2video'"),
        ({"settings": {"schedule": "nowhere:f"}}, "'nowhere:f' cannot be imported .*No module named 'nowhere'"),
        ({"settings": {"schedule": "sweeping:f"}}, "'sweeping:f' cannot be imported .*no attribute 'f'"),
        ({"settings": {"schedule": object()}}, "cannot be told from others of its kind"),
        ({"settings": {"a": [[1], [1]]}}, "is there twice"),
        ({"model": None}, "settings has no model: give model="),
        ({"model": "nano-vtaa"}, "no model 'nano-vtaa'"),
        ({"prompts": []}, "prompts is an empty list"),
        ({"prompts": ["a", "b", "a"]}, "the prompt 'a' is there twice"),
        ({"seeds": [0, 0]}, "the seed 0 is there twice"),
        ({"seeds": []}, "seeds is an empty list"),
        ({"metrics": ()}, "no metrics were given: give names, such as psnr, or functions of a result"),
        ({"metrics": ["psnrr"]}, "unknown metric 'psnrr': choose one of psnr"),
        ({"metrics": ["psnr"]}, "the metric psnr compares with a truth: give truth="),
        ({"metrics": [lambda r: 1]}, "give a dict of names and functions"),
        ({"metrics": {"seed": nothing}}, "metrics cannot have the column 'seed', which is taken"),
        ({"metrics": [nothing, nothing]}, "metrics cannot have the column 'nothing', which is taken"),
        ({"metrics": ["psnr"], "truth": {"b": 1}}, "truth has no entry for the prompt 'a' with seed 0"),
        ({"metrics": ["psnr"], "truth": 5}, "truth is 5"),
        ({"workers": 0}, "workers=0: give at least 1"),
        ({"cache": "/proc/none/x"}, "cache /proc/none/x cannot be written"),
        ({"settings": {"steps": range(2000), "shift": range(2000)}}, "settings make more than 1,000,000 combinations"),
        ({"model": sweeping.squared, "settings": {"b": 1}}, "the function squared has no parameter 'b': .* a"),
        (
            {"model": sweeping.squared, "settings": {"steps": 1}},
            "no parameter 'steps': choose from a. If it makes a model, give it as the setting 'model'",
        ),
        ({"model": sweeping.squared, "settings": {}}, "the function squared needs a: give a setting of that name"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_run(change, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "load", lambda *args, **options: pytest.fail("a model was loaded"))
    with pytest.raises(ValueError, match=sentence) as told:
        pl.sweep(**{"cache": tmp_path / "c", **SWEEP, **change})
    assert str(told.value).startswith("sweep: ") and not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        (lambda a: "high", r"the function returned 'high' \(a str\): return a number, or a dict of names and numbers"),
        (lambda a: None, "the function returned None: return a number"),
        (lambda a: math.nan, "the function returned nan: return a finite number"),
        (lambda a: {"psnr": math.inf}, "the function's 'psnr' returned inf: return a finite number"),
        (lambda a: torch.zeros(2), r"the function returned a tensor of shape \(2,\)"),
        (lambda a: {"a": 1.0}, "a score is called 'a', as another column: give it another name"),
    ],
)
def test_a_first_score_that_is_no_number_ends_the_sweep_and_leaves_no_row(score, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        pl.sweep(score, {"a": [1, 2]}, cache=tmp_path / "c")
    assert not list((tmp_path / "c").rglob("*.json"))
    good = pl.sweep(sweeping.squared, {"a": [1, 2]}, cache=tmp_path / "c")
    assert good["value"].tolist() == [1, 4]


def test_a_later_score_that_is_no_number_is_a_failed_row(tmp_path):
    df = pl.sweep(lambda a: "high" if a == 2 else a, {"a": [1, 2, 3]}, cache=tmp_path / "c")
    assert df["status"].tolist() == ["done", "failed", "done"]
    assert df["error"][1].startswith("UnfitScoreError: the function returned 'high'")


def test_a_function_whose_source_cannot_be_read_is_refused(tmp_path):
    space = {"__name__": "nowhere"}
    exec("def f(a): return a", space)
    with pytest.raises(
        ValueError, match="the source of nowhere:f cannot be read: define it in a file or in a notebook"
    ):
        pl.sweep(space["f"], {"a": 1}, cache=tmp_path / "c")
