"""pytest tests/test_wan_train_benchmark.py: benchmarks/wan_train.py in miniature, what it lets blocks keep, rows."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pusa_lab.checkpointing import checkpointing_plan
from pusa_lab.cli import main

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import wan_train  # noqa: E402
import wan_train_join  # noqa: E402
import wan_train_memory  # noqa: E402
import wan_train_profile  # noqa: E402
import wan_train_step  # noqa: E402

sys.path.remove(str(BENCHMARKS))
pytestmark = [pytest.mark.artefact, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def rows(tmp_path):
    """Of a run with these words."""

    def run(*words: str):
        assert main(["bench", "wan_train", "--phase", "best", "--tiny", "--out", str(tmp_path), *words]) == 0
        return json.loads((tmp_path / "wan_train.json").read_text())["rows"]

    return run


def test_everything_at_once(rows, tmp_path):
    (row,) = rows("--ac-save-attention=1", "--ac-skip-blocks=1", "--ways=4", "--offload-activations", "--profile")
    assert row["checkpointing"] == "input kept: 1, attention kept: 1, everything kept: 1, tokens on host"
    assert (row["precision"], row["optimizer"], row["offload_activations"]) == ("float8", "adamw", True)
    assert 0 < row["optimizer_seconds"] < row["seconds_per_sample"]
    assert row["losses"][1] < row["losses"][0]
    assert len(row["measured_seconds"]) == 1
    error = row["against bfloat16"]
    assert 0 < error["gradients"] < 0.1 and 0.99 < error["cosine"] < 1 and error["blocks"] == 3
    assert row["profile"]["blocks"] == 3
    assert all(row["profile"]["seconds"][kind] > 0 for kind in ("attention forward", "attention backward"))
    assert len(row["profile"]["longest"]) == 12
    read = wan_train_join.measured({**row, "device": "NVIDIA H200", "compile": True})
    saved = {"ac_save_attention": 1, "ac_skip_blocks": 1, "offload_activations": True, "float8": True, "compiled": True}
    assert read.given == {"workload": "lora", "gpu": "h200", "size": (64, 64), "global_batch_size": 1, **saved}
    assert read.peaks == {"training": row["peak_gib"]} and read.seconds == {"sample": row["seconds_per_sample"]}


def test_a_row_is_saved_before_what_may_fail_after_it(rows, monkeypatch, capsys):
    def fails(*_):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(wan_train, "float8_error", fails)
    (row,) = rows("--ac-save-attention", "40", "--ac-skip-blocks", "-1", "--ways", "4")
    assert row["checkpointing"] == "everything kept: 3", "a CPU's memory is not asked"
    assert "against bfloat16" not in row and "no room" in capsys.readouterr().out


@pytest.mark.parametrize("saves", [["input"] * 2, ["input", "attention", "everything"]])
def test_warming_up_changes_no_number(saves):
    args = SimpleNamespace(tiny=True, lora_rank=4, offload_activations=False, optimizer="adamw")
    plain, warm = (wan_train_step.Step(args, (64, 64), wan_train_step.WAYS[0], saves) for _ in range(2))
    warm.warm_up()
    assert len(warm.optimizer.state) == len(warm.trained) and len(warm.model.blocks) == len(saves)
    assert [plain() for _ in range(3)] == [warm() for _ in range(3)]
    for a, b in zip(plain.trained, warm.trained, strict=True):
        assert torch.equal(a, b)


class TestMemory:
    COSTS = wan_train_memory.Costs(
        10, 0.5, {"input": 1, "attention": 2, "everything": 8}, {"input": 9, "attention": 6, "everything": 3}
    )

    @pytest.mark.parametrize(
        ("plan", "want"),
        [
            ((0, 0), 10 + 4 + 9),  # four inputs, and the last block works
            ((4, 0), 10 + 8 + 6),
            ((1, 0), 10 + 3 + 9 + 0.5),  # the third block works, with one gradient there
            ((3, 1), 10 + 14 + 3),
        ],
    )
    def test_the_peak_of_a_plan(self, plan, want):
        assert self.COSTS.peak(checkpointing_plan(4, *plan)) == want

    def test_attention_goes_before_everything_but_where_a_number_is_given(self):
        assert wan_train_memory.choices(2, -1, -1) == [(0, 2), (1, 1), (2, 0), (1, 0), (0, 0)]
        assert wan_train_memory.choices(3, -1, 1) == [(2, 1), (1, 1), (0, 1)]
        assert wan_train_memory.choices(3, 1, -1) == [(0, 3), (1, 2), (1, 1), (1, 0)]
        assert wan_train_memory.choices(3, 40, 0) == [(3, 0)]

    def test_out_of_memory_keeps_less(self):
        assert wan_train_memory.fewer(34, 6) == [(34, 6), (37, 3), (40, 0), (30, 0), (0, 0)]
        assert wan_train_memory.fewer(0, 0) == [(0, 0)]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x128_4x1x1", "attention forward"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_26_128x128x128", "attention backward"),
        ("void cudnn::fusion::compute_dot_do_o_specialized<true, true>", "attention backward"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<128, 128, 64>>", "attention forward"),
        ("fmha_cutlassB_bf16_aligned_64x64_k128_sm80", "attention backward"),
        ("nvjet_tst_128x256_64x4_2x1_v_bz_coopA_TNT", "matrix products"),
        ("void cutlass::device_kernel<at::cuda::detail::enable_3x_kernel_for_sm90<cutlass::gemm>>", "matrix products"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_cublas", "matrix products"),
        ("triton_red_fused__scaled_dot_product_cudnn_attention_addmm_native_layer_norm_3", "everything else"),
        ("Memcpy DtoH (Device -> Pinned)", "everything else"),
    ],
)
def test_kinds_of_kernels(kernel, kind):
    assert wan_train_profile.kind(kernel) == kind


def test_later_rows_replace_those_of_their_setting_and_add_others(tmp_path):
    old = json.loads((BENCHMARKS / "results" / "wan_train.json").read_text())
    again = {**old["rows"][0], "seconds_per_sample": 1.0, "optimizer": "adamw", "host": False}
    new = {**again, "checkpointing": again["checkpointing"] + ", 8-bit AdamW"}
    part = {**old["parts"][0], "precision": "float8"}
    (tmp_path / "wan_train_eight.json").write_text(json.dumps({"rows": [again, new, part], "date": "later"}))
    found = wan_train_join.joined([BENCHMARKS / "results" / "wan_train.json", tmp_path])
    assert found["rows"] == [again, *old["rows"][1:], new]
    assert found["parts"] == [*old["parts"], part]
    assert all(found[kind] == old[kind] for kind in ("scaling", "full", "overfit"))
    assert found["date"] == "later"
