"""pytest tests/test_targets.py: CI runs every test once, but for those of `make nightly`."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from _pytest.mark.expression import Expression

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text().replace("$(TESTS)", "$(BIN)/python -m pytest")
USUAL = re.search(r"^addopts = .* -m '(.*?)'", (ROOT / "pyproject.toml").read_text(), re.M)[1]
TARGETS = ["test", "check", "browser-test"]


def selects(target, marks):
    """Whether a target runs tests with these marks."""
    return Expression.compile(expression(target)).evaluate(lambda name, **_: name in marks)


def expression(target):
    """Its -m."""
    (words,) = re.findall(rf"^{target}:(?:.*\n\t)*?.*-m pytest(.*(?:\\\n.*)*)", MAKEFILE, re.M)
    options = shlex.split(words.replace("\\\n", " "))
    return options[options.index("-m") + 1] if "-m" in options else USUAL


@pytest.mark.parametrize("marks", [set(), {"artefact"}, {"browser"}])
def test_a_test_belongs_to_one_target(marks):
    assert sum(selects(target, marks) for target in TARGETS) == 1
    assert not any(selects(target, marks | {"nightly"}) for target in TARGETS if "browser" not in marks)


def test_ci_runs_all_targets():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    made = {word for line in lines if line.startswith("make ") for word in shlex.split(line)[1:]}
    assert set(TARGETS) <= made


def test_tests_with_a_browser_are_where_their_target_looks():
    marked = [path for path in ROOT.glob("tests/**/test_*.py") if "pytest.mark.browser" in path.read_text()]
    assert {path.parent.name for path in marked if path != Path(__file__)} == {"browser"}


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_target_does_not_import_has_only_tests_that_it_leaves_out(target, pytestconfig):
    ignores = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py")).pytest_ignore_collect
    config = SimpleNamespace(option=SimpleNamespace(markexpr=expression(target)))
    for path in [ROOT / "tests", ROOT / "tests" / "browser", *ROOT.glob("tests/**/test_*.py")]:
        of_all = {"browser"} if "browser" in path.parts else set()
        if path.is_file():
            of_all |= set(re.findall(r"^pytestmark = pytest\.mark\.(\w+)$", path.read_text(), re.M))
        assert bool(ignores(path, config)) == (bool(of_all) and not selects(target, of_all)), path
