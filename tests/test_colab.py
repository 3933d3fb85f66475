"""pytest tests/test_colab.py: what `make colab-check` looks for, and what it last saw."""

import importlib.util
import json
from pathlib import Path

import pytest
from nbformat import v4

pytestmark = pytest.mark.artefact

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("colab_check", ROOT / "benchmarks" / "colab_check.py")
colab_check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(colab_check)


def cell(*kinds):
    return v4.new_code_cell(outputs=[v4.new_output("display_data", {kind: "..."}) for kind in kinds])


@pytest.mark.parametrize(
    ("cells", "alone"),
    [
        ([cell("image/png"), cell(colab_check.WIDGET)], 0),
        ([cell("image/png", colab_check.WIDGET)], 0),
        ([cell(colab_check.WIDGET), cell("image/png")], 1),
        ([cell("image/png"), cell(), cell(colab_check.WIDGET), cell(colab_check.WIDGET)], 2),
        ([cell("image/png")], 0),
    ],
)
def test_a_widget_needs_a_picture_with_it_or_before_it(cells, alone):
    found = colab_check.look(v4.new_notebook(cells=[v4.new_markdown_cell("text"), *cells]))
    assert found["with widgets alone"] == alone
    assert found["with widgets"] == sum(colab_check.WIDGET in colab_check.shown(c) for c in cells)


def test_the_result_is_of_these_versions_and_chapters():
    seen = json.loads(colab_check.RESULT.read_text())
    pins = colab_check.pins(tuple(int(part) for part in seen["python"].split(".")[:2]))
    kept = {name: found for name, found in seen["versions"].items() if name != "torchao"}
    assert kept == {name: pin for name, pin in pins.items() if name != "torchao"}
    assert seen["versions"]["torchao"] != pins["torchao"], "the setup cell brings one that peft accepts"
    chapters = sorted(path.stem for path in (ROOT / "notebooks" / "src").glob("*.py"))
    assert len(seen["chapters"]) >= 7
    assert list(seen["chapters"]) == chapters[: len(seen["chapters"])], "those that were there when it last ran"
    assert all(found["cells with pictures"] for found in seen["chapters"].values())
