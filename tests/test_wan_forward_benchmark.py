"""pytest tests/test_wan_forward_benchmark.py: what wan_forward.py says of kinds of attention, by a stand-in."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import wan_attention  # noqa: E402
import wan_forward  # noqa: E402
from wan_random import transformer  # noqa: E402

sys.path.remove(str(BENCHMARKS))
pytestmark = [pytest.mark.artefact, pytest.mark.usefixtures("one_thread")]


def test_each_kind_against_float32(fake_fa4):
    found = wan_attention.agreement(["native", "fa4"], "cpu", True)
    assert len(found) == len(wan_attention.TINY)
    for row in found.values():
        assert row.keys() == {"native", "fa4"}
        for errors in row.values():
            assert list(errors) == list(wan_attention.PARTS) and all(1e-4 < error < 1e-2 for error in errors.values())
    assert len(fake_fa4) == 2 * len(found)


def test_kinds_are_compared_in_one_run_and_one_that_fails_leaves_the_others(fake_fa4):
    bench = wan_forward.Bench(transformer("cpu", tiny=True), (32, 64), 9, "cpu")
    kinds, why = wan_attention.kinds_of_attention("cpu", 12)
    assert kinds == ["native", "fa4"] and list(why) == ["cudnn"]
    found = bench.attentions([*kinds, "cudnn"], 2)
    assert found["native"]["output apart from native"] == 0 < found["fa4"]["output apart from native"] < 1e-2
    assert len(found["fa4"]["rounds"]) == len(found["native"]["rounds"]) == 2
    assert found["cudnn"].startswith(
        "failed: ValueError: wan.set_attention: attention='cudnn', but the model computes on the CPU"
    )
    assert wan_attention.alone(bench.model, 24, "cpu")["forward and backward"].keys() == {"native", "fa4"}
