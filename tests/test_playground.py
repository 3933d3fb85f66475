"""pytest tests/test_playground.py: the page's engine in JavaScript and its models as ONNX compute what Python does."""

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import small_models
from pusa_lab.files import digest
from small_models.models.zoo import find_checkpoint

SITE = Path(__file__).parents[1] / "site"
NODE = shutil.which("node")
MODELS = ("nano-vta", "nano-base")


def script(name):
    """A module of site/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", SITE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(NODE is None, reason="node is missing: apt-get install nodejs, as make browser-test does")
def test_the_engine_computes_what_python_does():
    words = [NODE, "--test", "engine/engine.test.js"]
    done = subprocess.run(words, cwd=SITE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout
    assert "# skipped 0" in done.stdout


def test_vectors_are_what_python_computes_now():
    vectors = script("vectors")
    stored, now = json.loads(vectors.VECTORS.read_text()), vectors.rounded(vectors.vectors())
    assert {row["name"] for row in stored["zoo"]} == set(vectors.OWN), "python site/vectors.py"
    assert differences(stored, json.loads(json.dumps(now))) == [], "python site/vectors.py"


def differences(stored, now, at=""):
    """Places where two trees differ, numbers by more than rounding."""
    if isinstance(now, dict) and isinstance(stored, dict) and now.keys() == stored.keys():
        return [one for key in now for one in differences(stored[key], now[key], f"{at}.{key}")]
    if isinstance(now, list) and isinstance(stored, list) and len(now) == len(stored):
        return [one for i, pair in enumerate(zip(stored, now, strict=True)) for one in differences(*pair, f"{at}.{i}")]
    if isinstance(now, float) and isinstance(stored, float):
        return [] if abs(now - stored) <= 1e-5 * max(1, abs(now)) else [f"{at}: {stored} {now}"]
    return [] if now == stored else [f"{at}: {stored!r:.80} {now!r:.80}"]


def test_differences_are_found():
    assert differences({"a": [1.0, "x"]}, {"a": [1.1, "y"]}) == [".a.0: 1.0 1.1", ".a.1: 'x' 'y'"]
    assert differences([1], [1, 2]) == [": [1] [1, 2]"]


@pytest.mark.parametrize("name", MODELS)
def test_onnx_is_the_shipped_toy(name):
    """The file says which checkpoint it is of, and answers as that does: batch 2, other timesteps for every frame."""
    ort = pytest.importorskip("onnxruntime", reason="pip install -c constraints.txt onnxruntime")
    path = SITE / "models" / f"{name}.onnx"
    assert path.stat().st_size <= 16 * 2**20
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert about["sha256"] == digest(find_checkpoint(name)), "python site/export.py"
    model = small_models.load(name, device="cpu")
    g = torch.Generator().manual_seed(0)
    for batch in (2, 1):
        x, tau = torch.randn(batch, 3, 8, 16, 16, generator=g), torch.rand(batch, 8, generator=g)
        tau[0, 0], tau[0, 1] = 0, 1
        prompts = ["a red circle moves quickly right", ""][:batch]
        tokens = model.text.tokenize(prompts)
        (got,) = session.run(None, {"x": x.numpy(), "tau": tau.numpy(), "tokens": tokens.int().numpy()})
        with torch.no_grad():
            want = model(x, tau, **model.encode_text(prompts))
        assert (torch.from_numpy(got) - want).abs().max() <= 1e-4 * max(1, want.abs().max().item())


def test_tables_are_of_the_shipped_toy():
    vectors = script("vectors")
    assert json.loads(vectors.TABLES.read_text()) == json.loads(json.dumps(vectors.tables())), "python site/vectors.py"


@pytest.mark.artefact
def test_times_and_sizes_of_the_page_came_from_a_finished_run():
    found = json.loads((SITE.parent / "benchmarks" / "results" / "site.json").read_text())
    assert found["command"] == "python benchmarks/playground.py --picture docs/assets/playground.png"
    assert found["date"] and found["device"] and found["versions"]
    assert found["browser"].startswith("chromium")
    assert [one["isolated"] for one in found["seconds, median"].values()] == [False, True]
    lock = json.loads((SITE / "package-lock.json").read_text())["packages"]
    assert found["onnxruntime-web"] == lock["node_modules/onnxruntime-web"]["version"]
    assert max(found["bytes"].values()) <= 16 * 2**20
    assert sum(found["bytes"].values()) <= 12 * 2**20
    assert 0 < found["site, MiB"] <= 40
    mini = found["mini-vta"]
    assert mini["largest difference from PyTorch"] <= 1e-4
    for threads, name in enumerate(("one thread", "threads"), 1):
        row = mini[f"seconds, median, {name}"]
        assert (row["threads"] == 1) == (threads == 1)
        assert 0 < row["model opened"] < row["first frame"]
