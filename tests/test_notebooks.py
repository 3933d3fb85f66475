"""pytest tests/test_notebooks.py: every chapter runs, is what its text says, and judges its exercises rightly."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "notebooks" / "src").glob("*.py"))
spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

# Kernels and papermill warn about their own futures.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

# Exercise by exercise: wrong answers that must be refused, then a right one.
ANSWERS = {
    "00_quick_tour": [
        (
            [
                "def my_euler_step(x, v, tau, tau_next):\n    return x + (tau - tau_next)[:, None, :, None, None] * v",
                "def my_euler_step(x, v, tau, tau_next):\n    return x + (tau_next - tau).mean() * v",
            ],
            "def my_euler_step(x, v, tau, tau_next):\n    return x + (tau_next - tau)[:, None, :, None, None] * v",
        ),
        (
            ["my_result = pl.generate(model, PROMPT, tasks.image_to_video(picture, noise=0.0), steps=2)"],
            "my_result = pl.generate(model, PROMPT, tasks.image_to_video(picture, noise=0.3), steps=2)",
        ),
        (
            ["my_schedule = schedules.pyramid(4, frames, lag=2)", "my_schedule = torch.ones(5, frames)"],
            "my_schedule = schedules.pyramid(4, frames, lag=2).flip(1)",
        ),
    ],
    "01_one_clock_per_frame": [
        (
            [
                "def my_interpolate(x0, eps, tau):\n    return tau[:, None, :, None, None] * x0",
                "def my_interpolate(x0, eps, tau):\n    return torch.lerp(eps, x0, tau[:, None, :, None, None])",
            ],
            "def my_interpolate(x0, eps, tau):\n    t = tau[:, None, :, None, None]\n    return (1 - t) * x0 + t * eps",
        ),
        (
            ["my_mean = torch.tensor([0.7, 0.56, 0.448])"],
            "x = torch.randn(SAMPLES, 1, 3, 1, 1)\nx[:, :, 2] = 0.7\n"
            "my_mean = samplers.sample(model, x, schedules.hold(STEPS, 3, at=(2,)), 'heun').view(SAMPLES, 3).mean(0)",
        ),
        (
            ["my_schedule = torch.linspace(1, 0.5, STEPS)[:, None].expand(-1, 3)"],
            "my_schedule = schedules.pyramid(STEPS, 3, lag=5).flip(1)",
        ),
    ],
    "02_the_zoo_of_schedules": [
        (
            ["def my_shift(levels, shift):\n    return levels / (1 + (shift - 1) * levels)"],
            "def my_shift(levels, shift):\n    return shift * levels / (1 + (shift - 1) * levels)",
        ),
        (["my_calls = 10 * 21", "my_calls = 10 + 21 * 3"], "my_calls = 10 + 20 * 3"),
        (
            ["my_schedule = schedules.pyramid(4, 5)", "my_schedule = schedules.delayed(4, [4, 0, 4, 0, 4])"],
            "my_schedule = schedules.delayed(4, [0, 4, 0, 4, 0])",
        ),
    ],
    "03_solvers_and_known_frames": [
        (
            ["def my_weights(h, before):\n    return torch.tensor([1.5, -0.5])"],
            "def my_weights(h, before):\n    w = h / before / 2\n    return torch.stack([1 + w, -w])",
        ),
        (["my_calls = 26", "my_calls = 2 * 10 * 9"], "my_calls = 2 * (10 + 8 * 2)"),
        (
            ["my_solver = euler"],
            "def my_solver(denoiser, x, tau, tau_next):\n"
            "    half = (tau_next - tau)[:, None, :, None, None] / 2\n"
            "    v = denoiser(x + half * denoiser(x, tau), (tau + tau_next) / 2)\n"
            "    return x + 2 * half * v, v",
        ),
    ],
    "04_the_frame_aware_loss": [
        (
            [
                "def my_loss(denoiser, x0, tau, eps, weight):\n"
                "    return weight.mean() * losses.fafm_loss(denoiser, x0, tau, eps)",
                "def my_loss(denoiser, x0, tau, eps, weight):\n    t = tau[:, None, :, None, None]\n"
                "    v = denoiser((1 - t) * x0 + t * eps, tau)\n"
                "    return (weight * (v - (x0 - eps)).square().mean(dim=(1, 3, 4))).mean()",
            ],
            "def my_loss(denoiser, x0, tau, eps, weight):\n    t = tau[:, None, :, None, None]\n"
            "    v = denoiser((1 - t) * x0 + t * eps, tau)\n"
            "    return (weight * (v - (eps - x0)).square().mean(dim=(1, 3, 4))).mean()",
        ),
        (
            ["my_floor = torch.tensor([0.36, 0.0, 0.36])", "my_floor = torch.ones(3)"],
            "my_floor = torch.tensor([1 - 0.8**2, 1.0, 1 - 0.8**2])",
        ),
        (
            ["my_draw = draws.independent", "my_draw = draws.clean_prefix()", "my_draw = released"],
            "def my_draw(batch, frames, generator=None):\n"
            "    tau = draws.independent(batch, frames, generator)\n"
            "    picture = torch.cat([tau[:, :1] / 20, (1 + tau[:, 1:]) / 2], dim=1)\n"
            "    return torch.where(torch.rand(batch, 1, generator=generator) < 0.3, picture, tau)",
        ),
    ],
    "05_train_a_toy": [
        (
            [
                "def my_step(toy, x0, words, g):\n"
                "    tau, eps = draws.independent(*x0.shape[::2][:2], g), torch.randn(x0.shape, generator=g)\n"
                "    t = tau[:, None, :, None, None]\n"
                "    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))\n"
                "    return (v - (x0 - eps)).square().mean(dim=(1, 3, 4))",
                "def my_step(toy, x0, words, g):\n"
                "    tau, eps = draws.shared(*x0.shape[::2][:2], g), torch.randn(x0.shape, generator=g)\n"
                "    return losses.fafm_frame_loss(toy, x0, tau, eps, **toy.encode_text(words))",
            ],
            "def my_step(toy, x0, words, g):\n"
            "    tau, eps = draws.independent(*x0.shape[::2][:2], g), torch.randn(x0.shape, generator=g)\n"
            "    t = tau[:, None, :, None, None]\n"
            "    v = toy((1 - t) * x0 + t * eps, tau, **toy.encode_text(words))\n"
            "    return (v - (eps - x0)).square().mean(dim=(1, 3, 4))",
        ),
        (
            ["my_draw = draws.clean_prefix(3)", "my_draw = picture", "my_draw = draws.blockwise(3)"],
            "my_draw = draws.clean_prefix(3, rest=draws.shared)",
        ),
        (
            ["my_own = draws.independent", "my_own = draws.shared"],
            "def my_own(batch, frames, generator):\n"
            "    return (torch.rand(batch, 1, generator=generator) + torch.arange(frames) / frames) % 1",
        ),
    ],
    "06_tasks_without_training": [
        (
            [
                "def my_start_end(first, last, noise):\n    K = tasks.Known\n"
                "    return K(first, 0, noise=noise), K(last, -2, noise=noise)",
                "def my_start_end(first, last, noise):\n    return tasks.start_end(first, last[-1], noise).known",
            ],
            "def my_start_end(first, last, noise):\n    K = tasks.Known\n"
            "    return K(first, 0, noise=noise), K(last, -1, noise=noise)",
        ),
        (["my_noise = 0.1", "my_noise = 1.0"], "my_noise = 0.55"),
        (
            [
                "my_task = tasks.start_end(video[0], video[end])",
                "my_task = tasks.keyframes([video[0], video[16]], at=[0, 4], noise=0.3)",
            ],
            "my_task = tasks.Task('middle', (tasks.Known(video[13:21], at=4),))",
        ),
    ],
    "07_measuring": [
        (
            [
                "def my_mean(scores, ranges, weights):\n"
                "    return sum(w * scores[k] for k, w in weights.items()) / sum(weights.values())",
                "def my_mean(scores, ranges, weights):\n"
                "    parts = [(scores[k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0]) for k in weights]\n"
                "    return sum(parts) / len(parts)",
            ],
            "def my_mean(scores, ranges, weights):\n"
            "    n = {k: (scores[k] - ranges[k][0]) / (ranges[k][1] - ranges[k][0]) for k in weights}\n"
            "    return sum(w * n[k] for k, w in weights.items()) / sum(weights.values())",
        ),
        (
            [
                "def my_damage(clip):\n    return suite.destroyed(clip)['blurred']",
                "def my_damage(clip):\n    return suite.destroyed(clip)['noise']",
                "def my_damage(clip):\n    return clip.flip(2)",
            ],
            "def my_damage(clip):\n    return clip[:, :, torch.arange(clip.shape[2]) * 7 % clip.shape[2]]",
        ),
        (
            [
                "my_metric = metrics.motion_smoothness",
                "my_metric = metrics.dynamic_degree",
                "def my_metric(clip):\n    return metrics.motion(clip).mean()",
            ],
            "def my_metric(clip):\n    return metrics.motion(clip).mean(1) * (metrics.motion_smoothness(clip) - 0.9)",
        ),
    ],
}


@pytest.fixture(params=SOURCES, ids=lambda p: p.stem)
def source(request):
    return request.param


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_twin_has_the_same_cells(source):
    text, built = build.read(source), nbformat.read(source.parents[1] / f"{source.stem}.ipynb", as_version=4)
    for a, b in zip(text.cells, built.cells, strict=True):
        assert (a.cell_type, a.source) == (b.cell_type, b.source), "run `make notebooks`"
        assert a.metadata.get("tags", []) == b.metadata.get("tags", [])


def test_twin_is_executed_clean_and_small(source):
    path = source.parents[1] / f"{source.stem}.ipynb"
    assert path.stat().st_size < build.MOST_BYTES
    built = nbformat.read(path, as_version=4)
    nbformat.validate(built)
    assert set(built.metadata) == {"kernelspec", "language_info"}
    for cell in built.cells:
        assert set(cell.metadata) <= {"tags"}
        if cell.cell_type == "code":
            assert cell.execution_count
            assert not [o for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]


def test_parameters_are_literals_and_say_fast(source):
    (cell,) = tagged(jupytext.read(source), "parameters")
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}
    assert values["FAST"] is False
    assert "SEED" in values


def test_the_form_of_a_chapter(source):
    notebook, first = build.read(source), build.read(SOURCES[0])
    assert notebook.cells[0].source.startswith(f"# {int(source.stem[:2])} · ")
    assert tagged(notebook, "setup")[0].source == tagged(first, "setup")[0].source
    assert len(tagged(notebook, "exercise")) == len(tagged(notebook, "check")) == 3
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(code))) >= 5
    for word in ("import *", "!pip", "%matplotlib", "filterwarnings"):
        assert word not in code
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 10


def test_papermill_runs_it_fast_with_stubs_unfilled(source):
    done = build.execute(build.read(source), FAST=True)
    (injected,) = tagged(done, "injected-parameters")
    assert "FAST = True" in injected.source
    for cell in tagged(done, "check"):
        assert "not written yet" in cell.outputs[0].text


def test_an_unknown_parameter_is_refused(source):
    with pytest.raises(ValueError, match="no such parameters: FATS"):
        build.execute(build.read(source), FATS=True)


def test_right_answers_are_accepted_and_wrong_ones_refused(source):
    notebook = build.read(source)
    for exercise, check, (wrong, right) in zip(
        tagged(notebook, "exercise"), tagged(notebook, "check"), ANSWERS[source.stem], strict=True
    ):
        refused = "".join(
            f"{answer}\ntry:\n{_indent(check.source)}\nexcept (AssertionError, ValueError):\n    pass\n"
            f"else:\n    raise RuntimeError('accepted a wrong answer')\n"
            for answer in wrong
        )
        exercise.source = f"{refused}\n{right}"
    done = build.execute(notebook, FAST=True)
    for cell in tagged(done, "check"):
        assert "✓" in cell.outputs[0].text


def _indent(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


def test_a_failing_chapter_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "09_broken.py").write_text("# %%\nraise KeyError('broken')\n")
    (tmp_path / "09_broken.ipynb").write_text("old")
    monkeypatch.setattr(build, "HERE", tmp_path)
    with pytest.raises(papermill.PapermillExecutionError):
        build.main([])
    assert (tmp_path / "09_broken.ipynb").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["09_broken.ipynb", "src"]


def test_nbval_runs_them_all():
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=120", "-p", "no:cacheprovider"]
    built = [str(p.parents[1] / f"{p.stem}.ipynb") for p in SOURCES]
    words = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-W", "ignore", *options, *built]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout


@pytest.mark.parametrize("where", [".", "clone", "clone/notebooks"])
def test_the_setup_cell_finds_the_clone(tmp_path, monkeypatch, where):
    clone = tmp_path / "clone"
    (clone / "pusa_lab").mkdir(parents=True)
    (clone / "pusa_lab" / "__init__.py").touch()
    (clone / "notebooks").mkdir()
    called = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", lambda words, check: called.append(words[-1]))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path / where)
    exec(tagged(build.read(SOURCES[0]), "setup")[0].source, {})
    assert called == [f"{clone.resolve()}[notebooks]"]
    assert Path.cwd() == clone.resolve() / "notebooks"


def test_the_setup_cell_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="no clone of it is in or beside"):
        exec(tagged(build.read(SOURCES[0]), "setup")[0].source, {})
