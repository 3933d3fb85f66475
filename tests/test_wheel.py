"""pytest tests/test_wheel.py: what `pip install` brings works without the clone."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pusa_lab.cli.demo import MADE

ROOT = Path(__file__).parents[1]
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "pusa_lab", "small_models", "notebooks", "benchmarks")
PROMPT = "a red circle moves right"
SHARED = str(Path(sys.prefix) / "share" / "jupyter")
pytestmark = pytest.mark.artefact


def run(*words, cwd):
    """A process that knows nothing of the clone."""
    known = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"JUPYTER_PATH": SHARED}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=known, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*words, cwd):
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *words, cwd=cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, as setuptools leaves folders of its own where it builds."""
    place = tmp_path_factory.mktemp("wheel")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, place)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", ".", cwd=place)
    (built,) = (place / "dist").glob("*.whl")
    return built


def required(package: Distribution, extras: tuple[str, ...] = ("",)) -> Iterator[Requirement]:
    """What pip installs with a package, without its optional dependencies unless their extras are asked for."""
    for line in package.requires or ():
        wanted = Requirement(line)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
            yield wanted


def closure(package: Distribution) -> dict[str, Distribution]:
    """Name -> every other distribution that `pip install` of a package brings, as it is installed here."""
    found, asked, waiting = {}, set(), list(required(package))
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if (key := (name, frozenset(wanted.extras))) not in asked:
            asked.add(key)
            found[name] = distribution(name)
            waiting += required(found[name], ("", *wanted.extras))
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel and what it requires: links to this one's packages, and to no others."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place)
    pip("--python", place / "bin" / "python", "install", "--no-deps", "--no-index", "--no-compile", wheel, cwd=place)
    (packages,) = place.glob("lib/python*/site-packages")
    (metadata,) = packages.glob("pusa_lab-*.dist-info")
    brought = {file.parts[0] for each in closure(PathDistribution(metadata)).values() for file in each.files}
    for name in brought - {"..", "__pycache__"}:
        (packages / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    return place / "bin"


def test_it_holds_every_file_of_both_packages(wheel):
    with zipfile.ZipFile(wheel) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
    packages = [path for name in ("pusa_lab", "small_models") for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {str(path.relative_to(ROOT)) for path in packages if "__pycache__" not in path.parts}
    not_read = {name for name in wanted - found if name.startswith("small_models/results/")}
    assert found == wanted - not_read
    assert all(Path(name).parent == Path("small_models/results") for name in not_read), "the paper's results are read"


def test_the_demo_runs(installed, tmp_path):
    said = run(installed / "pusa-lab", "demo", "--fast", "--out", "made", cwd=tmp_path)
    made = ["index.html", "metrics.csv", "quick_tour.ipynb", *(f"{name}.mp4" for name in MADE)]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(made)
    assert all(f"made/{name}" in said for name in made)
    table = (tmp_path / "made" / "metrics.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in table] == list(MADE)
    page = (tmp_path / "made" / "index.html").read_text()
    assert "data:video/mp4" in page
    assert not re.findall(r'href="[^"#]+\.(?:ipynb|py|md)"', page), "the page stands alone"


SWEEP = f"{{model: nano-vta, prompts: {PROMPT}, settings: {{steps: 1}}, metrics: 'a.py:size', cache: swept}}"
COMMANDS = f"""
from importlib.util import find_spec
from pathlib import Path
import pusa_lab, small_models
from pusa_lab.cli import main
from pusa_lab.studio.session import Session
print(pusa_lab.__file__, small_models.__file__)
assert find_spec("torch") and not find_spec("pytest"), "nothing but what the wheel requires"
assert main(["generate", "{PROMPT}", "--steps", "2", "--out", "a.mp4"]) == 0
assert main(["bench", "paper", "--table", "steps", "--show"]) == 0
Path("a.py").write_text("def size(result): return result.video.size")
Path("a.yaml").write_text("{SWEEP}")
assert main(["sweep", "a.yaml"]) == 0
assert main(["train", "--recipe", "paper", "--plan-only"]) == 0
assert main(["new-notebook", "one"]) == 2
assert Session().view()["assets"] == ["still.png", "clip.mp4"]
for name in small_models.list_models():
    print(small_models.load(name))
"""


def test_models_results_and_plans_are_there(installed, tmp_path):
    said = run(installed / "python", "-c", COMMANDS, cwd=tmp_path)
    ours, toys = said.splitlines()[0].split()
    assert Path(ours).is_relative_to(installed.parent) and Path(toys).is_relative_to(installed.parent)
    assert (tmp_path / "a.mp4").is_file()
