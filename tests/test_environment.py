"""pytest tests/test_environment.py: environment.yml brings what pyproject.toml and constraints.txt say."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

pytestmark = pytest.mark.artefact

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOUND = yaml.safe_load((ROOT / "environment.yml").read_text())
CONDA = [entry for entry in FOUND["dependencies"] if isinstance(entry, str)]
(PIP,) = (entry["pip"] for entry in FOUND["dependencies"] if isinstance(entry, dict))
LINES = (ROOT / "constraints.txt").read_text().splitlines()
PINS = [Requirement(line) for line in LINES if line and not line.startswith("#")]


def test_it_is_named_as_the_project():
    assert FOUND["name"] == PROJECT["name"]
    assert set(FOUND) == {"name", "channels", "dependencies"}


def test_everything_but_python_comes_from_pip():
    assert FOUND["channels"] == ["conda-forge"]
    assert [re.split("[=<>]", entry)[0] for entry in CONDA] == ["python", "pip"]


def test_its_python_is_supported():
    wanted = CONDA[0].removeprefix("python=")
    assert wanted in SpecifierSet(PROJECT["requires-python"])
    assert wanted in re.search(r"ran on, Python ([\d.]+)\.", LINES[0])[1], "the one that the constraints are of"


def test_it_installs_the_clone_with_known_extras_under_the_constraints():
    files = [line.split()[1] for line in PIP if line.startswith("-c ")]
    assert files == ["constraints.txt"]
    assert (ROOT / files[0]).is_file()
    (clone,) = (line for line in PIP if line.startswith("-e "))
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", clone)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert len(PIP) == 2


@pytest.mark.parametrize("extra", ["core", *PROJECT["optional-dependencies"]])
def test_every_dependency_has_a_pin_in_its_range(extra):
    asked = PROJECT["dependencies"] if extra == "core" else PROJECT["optional-dependencies"][extra]
    for line in asked:
        wanted = Requirement(line)
        if wanted.name == PROJECT["name"]:
            assert wanted.extras <= set(PROJECT["optional-dependencies"])
            continue
        pins = [pin for pin in PINS if same(pin.name, wanted.name)]
        assert pins, f"{wanted.name} is not pinned in constraints.txt"
        newest = max((next(iter(pin.specifier)).version for pin in pins), key=Version)
        assert newest in wanted.specifier, f"{wanted.name}: {newest} is not in {wanted.specifier}"


def same(one, other):
    return re.sub("[-_.]+", "-", one).lower() == re.sub("[-_.]+", "-", other).lower()
