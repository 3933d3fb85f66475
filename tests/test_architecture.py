"""pytest tests/test_architecture.py: the shape of the code that DESIGN.md promises."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.artefact
FILES = sorted([*ROOT.glob("pusa_lab/**/*.py"), *ROOT.glob("small_models/**/*.py")])
TREES = {path: ast.parse(path.read_text()) for path in FILES}
CORE = ["types", "timesteps", "schedules", "losses", "solvers", "samplers", "guidance", "analytic", "tasks"]


def run(*words):
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def brought():
    """Heavy modules that importing pusa_lab brings, and then the toys."""
    heavy = ["diffusers", "lightning", "matplotlib", "mediapy", "transformers", "papermill", "IPython", "beartype"]
    show = f"print(*(m for m in {[*heavy, 'pandas']} if m in sys.modules))"
    lines = run("-c", f"import sys, pusa_lab; {show}; import small_models; {show}").stdout.splitlines()
    return [set(line.split()) for line in lines]


def test_importing_the_package_brings_nothing_heavy(brought):
    assert brought[0] == set()


def test_importing_the_toys_brings_no_diffusers_and_no_lightning(brought):
    assert brought[1] & {"diffusers", "lightning", "matplotlib", "pandas"} == set()


def test_lazy_rooms_open_and_unknown_ones_do_not():
    import pusa_lab

    assert pusa_lab.viz.plot_schedule
    with pytest.raises(AttributeError, match="spaceship"):
        _ = pusa_lab.spaceship


def test_imports_point_one_way():
    linter = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout


def test_the_contract_names_every_room():
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    named = set(re.findall(r"pusa_lab\.(\w+)", " ".join(layers)))
    places = [p for p in (ROOT / "pusa_lab").iterdir() if p.suffix == ".py" or any(p.glob("*.py"))]
    rooms = {p.stem for p in places} - {"__init__", "__main__"}
    assert rooms == named


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 40, f"{node.name} has {lines} lines"


SHARED = {"load"}
"""Public names that several modules define: the front doors of both packages, pusa_lab.load and small_models.load."""


def several_homes(names_of):
    """Name -> the files that define it, for names that more than one does."""
    homes = {}
    for path in FILES:
        for name in {name for node in TREES[path].body for name in names_of(node)}:
            homes.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return {name: places for name, places in homes.items() if len(places) > 1}


def assigned(node):
    """Names that a statement assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
    names = [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
    return names if isinstance(node, ast.Assign | ast.AnnAssign) else []


def is_registry(node):
    """Whether a statement makes a registry, in which people find what they can choose."""
    return isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).startswith("Registry[")


REGISTRIES = {name for tree in TREES.values() for node in filter(is_registry, tree.body) for name in assigned(node)}


def meanings(node):
    """Public functions, classes, aliases of types and variables that a statement defines.

    Constants in capitals are not among them: they belong to their module, such as the NAMES of its columns, unless they
    are registries, which a person adds to.
    """
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        names = [node.name]
    else:
        names = [name for name in assigned(node) if name in REGISTRIES or not name.isupper()]
    return [name for name in names if not name.startswith("_")]


def test_a_public_name_means_one_thing():
    assert {"SCHEDULES", "SOLVERS", "GUIDERS", "TASKS"} <= REGISTRIES
    several = several_homes(meanings)
    assert several.keys() == SHARED, {n: several.get(n, "has one home now") for n in several.keys() ^ SHARED}


def test_public_names_use_the_words_of_the_field():
    """Sampling loop, stateful solver, replacement, activation checkpointing, in-memory data set, trainer, timestep."""
    private = re.compile(r"(?i)(^|_)(walk|remembering|reimpose|recompute|bank|workshop|hands|clock)(s|_|$)")
    names = [name for path in FILES for node in TREES[path].body for name in meanings(node)]
    modules = [path.stem for path in FILES]
    assert len(names) > 500 and [name for name in [*names, *modules] if private.search(name)] == []


@pytest.mark.parametrize(
    "text", ["Step: TypeAlias = int", "Step = tuple[int, str]", "class Step: pass", "def Step(): pass"]
)
def test_what_has_a_meaning_is_seen(text):
    assert meanings(ast.parse(text).body[0]) == ["Step"]
    assert [meanings(ast.parse(other).body[0]) for other in ("STEPS = 3", "_Step = int", "import Step")] == [[]] * 3


def test_a_limit_has_one_name_and_one_value():
    limit = re.compile(r"(MOST|LARGEST|LONGEST|DEEPEST)(_\w+)?")

    assert several_homes(lambda node: filter(limit.fullmatch, assigned(node))) == {}


def room_of(path):
    """The room of pusa_lab that a file belongs to, or None."""
    return (
        path.relative_to(ROOT / "pusa_lab").parts[0].split(".")[0] if path.is_relative_to(ROOT / "pusa_lab") else None
    )


def lines_of_code(path):
    """Without docstrings, comments, blank lines and the doors of public functions."""
    text, passed_over = path.read_text(), set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            passed_over |= set(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    passed = ("#", "@checked", "from pusa_lab.arguments import")
    return sum(bool(line.strip()) and not line.strip().startswith(passed) and i not in passed_over for i, line in lines)


def test_the_core_stays_small():
    assert sum(lines_of_code(p) for p in FILES if room_of(p) in CORE) < 1770


def test_only_timesteps_broadcasts_tau():
    # The view (b, 1, f, 1, 1) is written once; analytic centres its mean with the same view of another vector.
    view = "[:, None, :, None, None]"
    assert [p.name for p in FILES if view in p.read_text()] == ["analytic.py", "timesteps.py"]


def test_there_is_one_content_hash():
    assert [str(p.relative_to(ROOT)) for p in FILES if "hashlib" in p.read_text()] == ["pusa_lab/files.py"]


def public_functions():
    for path in FILES:
        for node in TREES[path].body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield pytest.param(path, node, id=f"{path.relative_to(ROOT)}::{node.name}")


@pytest.mark.parametrize(("path", "node"), list(public_functions()))
def test_public_functions_are_annotated_and_documented(path, node):
    doc = ast.get_docstring(node)
    assert doc
    assert node.returns is not None
    for arg in [*node.args.args, *node.args.kwonlyargs]:
        assert arg.annotation is not None, arg.arg
        if len(node.args.args) and "Args:" in doc:
            assert re.search(rf"^\s+\*{{0,2}}{arg.arg}:", doc, re.M), f"{arg.arg} is not explained"


@pytest.mark.parametrize("room", ["timesteps", "schedules", "losses", "solvers", "samplers", "guidance", "analytic"])
def test_every_public_function_of_tensors_names_their_shapes(room):
    """No bare Tensor in a public signature of the core, but for what `faults` and `validate` must accept."""
    for path in (p for p in FILES if room_of(p) == room):
        for node in TREES[path].body:
            if (
                not isinstance(node, ast.FunctionDef)
                or node.name.startswith("_")
                or node.name in ("faults", "validate")
            ):
                continue
            for arg in node.args.args:
                assert ast.unparse(arg.annotation) not in ("Tensor", "torch.Tensor"), f"{node.name}({arg.arg})"
