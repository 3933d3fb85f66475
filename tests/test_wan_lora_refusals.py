"""pytest tests/test_wan_lora_refusals.py: what fits no model is refused in one sentence, before any change."""

import os
import pickle

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from pusa_lab.wan import lora

pytestmark = pytest.mark.usefixtures("one_thread", "as_user")

Q = "blocks.0.self_attn.q.lora_{}.default.weight"
GOOD = {Q.format("A"): torch.ones(2, 24), Q.format("B"): torch.ones(24, 2)}
WIDE = {Q.format("A"): torch.ones(4, 1536), Q.format("B"): torch.ones(1536, 4)}
HEAD = {"head.head.lora_A.weight": torch.ones(2, 25), "head.head.lora_B.weight": torch.ones(16, 2)}
OTHER = {"blocks.9.self_attn.q.diff_b": torch.ones(24)}


def tiny():
    return WanTransformer3DModel((1, 2, 2), 2, 12, 4, 4, text_dim=16, freq_dim=32, ffn_dim=48, num_layers=2)


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}, list(getattr(model, "peft_config", {}))


def unchanged(model, before):
    held, adapters = state(model)
    assert adapters == before[1] and held.keys() == before[0].keys()
    assert all(v.is_meta or torch.equal(v, before[0][k]) for k, v in held.items())


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def bad_file(kind, folder):
    path, held = folder / kind, {"x": Evil(folder / "ran")} if "evil" in kind else GOOD
    if kind.endswith("list.pt"):
        torch.save([1, 2], path)
    elif kind == "raw_evil.pt":
        path.write_bytes(pickle.dumps(held, protocol=2))
    elif kind.endswith("pt"):
        torch.save(held, path)
    elif kind.endswith("safetensors"):
        save_file(held, path)
    if kind.startswith("cut"):
        path.write_bytes(path.read_bytes()[:-100])
    if kind.startswith("noise"):
        path.write_bytes(b"no tensors at all" * 9)
    return path


def refused(model, says, *args, **kw):
    before = state(model)
    with pytest.raises((ValueError, FileNotFoundError), match=says) as error:
        lora.load_lora(model, *args, **kw)
    assert "\n" not in str(error.value)
    unchanged(model, before)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("cut.safetensors", "is truncated or not a safetensors file"),
        ("noise.safetensors", "is truncated or not a safetensors file"),
        ("evil.pt", "holds more than tensors, so reading it could run code"),
        ("raw_evil.pt", "holds more than tensors, so reading it could run code"),
        ("cut.pt", "is truncated or not a file of torch.save"),
        ("noise.pt", "is damaged or holds more"),
        ("list.pt", "holds a list of 2 items: give a file with a dict"),
        ("lora.gguf", r"have the suffix of a LoRA file \('.gguf'\): give .safetensors or .pt"),
        ("none.bin", "there is no LoRA file"),
    ],
)
def test_files_that_cannot_be_read_are_refused_and_run_nothing(kind, says, tmp_path):
    refused(tiny(), says, bad_file(kind, tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"text_model.x.lora_A.weight": torch.ones(2, 2)}, r"nothing in the dict fits .* first text_model"),
        ({}, r"nothing in the dict fits this model \(0 keys\): give"),
        (HEAD, r"first head.head.lora_A.weight: A \(2, 25\) and B \(16, 2\) do not fit a weight of \(16, 24\)"),
        (WIDE, r"for a model 1536 wide \(Wan 1.3B\), but this one is 24 wide .* give a LoRA"),
        ({k: v for k, v in GOOD.items() if k != Q.format("B")}, "A of blocks.0.attn1.to_q without its B: download"),
        ({k: v for k, v in GOOD.items() if k != Q.format("A")}, "B of blocks.0.attn1.to_q without its A: download"),
        (GOOD | {Q.format("A"): GOOD[Q.format("A")] / 0}, "not finite in blocks.0.attn1.to_q's A"),
        (
            {f"transformer{i}.blocks.0.norm2.diff_b": torch.ones(24) for i in ("", "_2")},
            r"holds both transformer\..* of one expert only",
        ),
    ],
)
def test_loras_that_do_not_fit_are_refused(source, says, partial):
    refused(tiny(), says, source, partial=partial)


def test_what_fits_in_part_is_refused_unless_asked_for():
    says = r"3 of 5 keys in the dict do not fit this model, first blocks.9.* \(.* no such layer\): .*partial=True"
    refused(tiny(), says, GOOD | HEAD | OTHER)
    assert lora.load_lora(tiny(), GOOD | HEAD | OTHER, partial=True).unmatched == (*OTHER, *HEAD)


def test_names_and_strengths_are_checked():
    model = tiny()
    names = [lora.load_lora(model, GOOD).name for _ in range(3)]
    assert names == ["adapter", "adapter_2", "adapter_3"]
    refused(model, "already has an adapter 'adapter': give another", GOOD, name="adapter")
    refused(model, "cannot be called 'v1.0': give", GOOD, name="v1.0")
    refused(model, "cannot be called 'keys': give", GOOD, name="keys")
    refused(model, r"load_lora: strength=nan: give a number, not NaN", GOOD, strength=float("nan"))
    refused(model, "load_lora: strength=inf: give a finite", GOOD, strength=float("inf"))


def meta(model):
    model.to("meta")


@pytest.mark.parametrize(
    ("before", "then", "says"),
    [
        (
            None,
            lambda m: lora.set_strengths(m, {"toy": 2.0, "tory": 1.0}),
            "no LoRA 'tory' .* give one of its LoRAs .'toy'",
        ),
        (
            None,
            lambda m: lora.set_strengths(m, {"toy": float("inf")}),
            "set_strengths: strength=inf: give a finite number",
        ),
        (lora.merge, lambda m: lora.set_strengths(m, {"toy": 1.0}), "is merged into the weights: unmerge"),
        (lora.merge, lambda m: lora.merge(m, ["toy"]), "is already merged"),
        (None, lambda m: lora.unload_lora(m, "x"), "no LoRA 'x'"),
        (
            None,
            lambda m: lora.save_lora(m, "x.safetensors", "toy", "kohya"),
            "naming is 'kohya' .*: give one of 'diffusers'",
        ),
        (None, lambda m: lora.save_lora(m, "x.pt", "toy"), "does not end in .safetensors: give a path that does"),
        (WanTransformer3DModel.fuse_lora, lora.merge, r"call model.unfuse_lora\(\) first"),
        (WanTransformer3DModel.fuse_qkv_projections, lora.merge, r"call model.unfuse_qkv_projections\(\) first"),
        (meta, lora.merge, "on the meta device"),
        (None, lambda m: lora.merge(m.blocks), "a ModuleList takes no LoRA: give the transformer"),
    ],
)
def test_what_cannot_be_done_is_said(before, then, says):
    model = tiny()
    lora.load_lora(model, GOOD, name="toy")
    if before:
        before(model)
    held = state(model)
    with pytest.raises(ValueError, match=says):
        then(model)
    unchanged(model, held)
