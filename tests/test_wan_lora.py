"""pytest tests/test_wan_lora.py: LoRA files of every naming do what W + s B A by hand does, or are refused."""

import copy

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.loaders import WanLoraLoaderMixin
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors.torch import load_file, save_file

from pusa_lab.wan import lora
from pusa_lab.wan.lora import adapters, files, names

pytestmark = pytest.mark.usefixtures("one_thread")

MODULES = {
    "blocks.0.attn1.to_q": "blocks.0.self_attn.q",
    "blocks.1.attn1.to_k": "blocks.1.self_attn.k",
    "blocks.0.attn1.to_v": "blocks.0.self_attn.v",
    "blocks.1.attn1.to_out.0": "blocks.1.self_attn.o",
    "blocks.0.attn2.to_q": "blocks.0.cross_attn.q",
    "blocks.1.attn2.to_k": "blocks.1.cross_attn.k",
    "blocks.1.attn2.to_v": "blocks.1.cross_attn.v",
    "blocks.0.attn2.to_out.0": "blocks.0.cross_attn.o",
    "blocks.0.ffn.net.0.proj": "blocks.0.ffn.0",
    "blocks.1.ffn.net.2": "blocks.1.ffn.2",
}
ALL = MODULES | {
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "proj_out": "head.head",
    "patch_embedding": "patch_embedding",
}
NAMINGS = {
    "pusa": ("diffsynth", "{o}.lora_A.default.weight", "{o}.lora_B.default.weight", None),
    "diffsynth": ("diffsynth", "{o}.lora_A.weight", "{o}.lora_B.weight", None),
    "peft": ("diffsynth", "base_model.model.{o}.lora_A.weight", "base_model.model.{o}.lora_B.weight", None),
    "pipe": ("diffsynth", "pipe.dit.{o}.lora_A.default.weight", "pipe.dit.{o}.lora_B.default.weight", None),
    "diffusers": ("diffusers", "transformer.{d}.lora_A.weight", "transformer.{d}.lora_B.weight", None),
    "second": ("diffusers", "transformer_2.{d}.lora_A.weight", "transformer_2.{d}.lora_B.weight", None),
    "old": ("diffusers", "transformer.{d}.lora.down.weight", "transformer.{d}.lora.up.weight", None),
    "comfyui": ("comfyui", "diffusion_model.{o}.lora_down.weight", "diffusion_model.{o}.lora_up.weight", "{p}.alpha"),
    "kijai": ("comfyui", "diffusion_model.{o}.lora_A.weight", "diffusion_model.{o}.lora_B.weight", None),
    "musubi": ("musubi", "lora_unet_{u}.lora_down.weight", "lora_unet_{u}.lora_up.weight", "{p}.alpha"),
}


def tiny(seed=0, **kw):
    torch.manual_seed(seed)
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 48, "num_layers": 2} | kw
    return WanTransformer3DModel((1, 2, 2), in_channels=4, out_channels=4, text_dim=16, freq_dim=32, **sizes).eval()


@torch.no_grad()
def run(model):
    g = torch.Generator().manual_seed(7)
    dtype = model.proj_out.weight.dtype
    x, text = torch.randn(2, 4, 3, 6, 10, generator=g).to(dtype), torch.randn(2, 5, 16, generator=g).to(dtype)
    return model(x, torch.tensor([300.0, 900.0]), text, return_dict=False)[0]


def make(model, modules, seed=1, alpha=False):
    """Random pairs of different ranks: path -> (A, B, alpha or None)."""
    g, out = torch.Generator().manual_seed(seed), {}
    for i, path in enumerate(modules):
        w, r = model.get_submodule(path).weight, 2 + i % 3
        a = torch.randn(r, *w.shape[1:], generator=g) / w[0].numel() ** 0.5
        b = torch.randn(w.shape[0], r, *(1 for _ in w.shape[2:]), generator=g) / 3
        out[path] = a, b, 1.5 + i % 2 if alpha else None
    return out


def entries(pairs, naming):
    """The pairs as a file of some tool."""
    out, (_, key_a, key_b, key_alpha) = {}, NAMINGS[naming]
    for path, (a, b, alpha) in pairs.items():
        o = ALL[path]
        names = {"o": o, "d": path, "u": o.replace(".", "_")}
        out |= {key_a.format(**names): a, key_b.format(**names): b}
        if alpha is not None:
            out[key_alpha.format(p=key_a.format(**names).rsplit(".", 2)[0])] = torch.tensor(alpha)
    return out


def by_hand(model, *loras):
    """A copy of the model whose weights got s * alpha / r * B A."""
    out = copy.deepcopy(model)
    for pairs, s in loras:
        for path, (a, b, alpha) in pairs.items():
            scale = s * (1 if alpha is None else alpha / len(a))
            a, b = (t.to(model.dtype).float() for t in (a, b))
            w = out.get_submodule(path).weight.data
            w.copy_(w.float() + scale * torch.einsum("ri...,or->oi...", a, b.flatten(1)))
    return out


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def equal(one, other, **tol):
    assert one.keys() == other.keys()
    for k in one:
        torch.testing.assert_close(one[k], other[k], msg=lambda m, k=k: f"{k}: {m}", **(tol or {"rtol": 0, "atol": 0}))


close = {"rtol": 1e-5, "atol": 1e-5}
PAIRS = make(tiny(), MODULES)
GOOD = entries(PAIRS, "pusa")
FULL = make(tiny(), ALL)


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming_changes_the_weights_as_by_hand(naming, tmp_path):
    model, has_alpha = tiny(), NAMINGS[naming][3] is not None
    pairs = make(model, ALL, alpha=has_alpha)
    want = by_hand(model, (pairs, 1.4))
    save_file(entries(pairs, naming), tmp_path / "pusa v1.0.safetensors")
    expert = "low" if naming == "second" else None
    report = lora.load_lora(model, tmp_path / "pusa v1.0.safetensors", strength=1.4, expert=expert)
    assert (report.name, report.naming) == ("pusa_v1_0", NAMINGS[naming][0])
    assert set(report.matched) == set(ALL)
    assert report.unmatched == report.zero_norm == ()
    assert report.rank == {path: len(a) for path, (a, _, _) in pairs.items()}
    assert report.alpha == ({path: alpha for path, (*_, alpha) in pairs.items()} if has_alpha else None)
    r, alpha = report.rank["blocks.1.ffn.net.2"], pairs["blocks.1.ffn.net.2"][2]
    assert report.scale["blocks.1.ffn.net.2"] == pytest.approx(1.4 * alpha / r if has_alpha else 1.4)
    torch.testing.assert_close(run(model), run(want), **close)
    assert (run(model) - run(tiny())).abs().max() > 0.1
    lora.merge(model)
    equal(weights(model), weights(want), **close)


def test_original_names_are_those_that_diffusers_converts():
    model = tiny(image_dim=8, added_kv_proj_dim=24, qk_norm="rms_norm_across_heads")
    original = {}
    for name in model.state_dict():
        module, end = (name, "") if name.endswith("table") else name.rsplit(".", 1)
        original[f"{names.original_name(module)}.{end}".rstrip(".")] = name
    assert {"blocks.0.norm3.bias", "blocks.1.cross_attn.norm_k_img.weight", "head.modulation"} < set(original)
    back = convert_wan_transformer_to_diffusers(dict(original))
    assert all(name == want for name, want in back.items())


def test_two_adapters_keep_their_own_strengths_and_diffusers_switches_them():
    model, second = tiny(), make(tiny(), [*list(MODULES)[3:], "proj_out"], seed=5)
    lora.load_lora(model, GOOD, strength=1.4, name="pusa")
    lora.load_lora(model, entries(second, "kijai"), strength=0.5, name="fast")
    torch.testing.assert_close(run(model), run(by_hand(tiny(), (PAIRS, 1.4), (second, 0.5))), **close)
    lora.set_strengths(model, {"pusa": 0.3})
    torch.testing.assert_close(run(model), run(by_hand(tiny(), (PAIRS, 0.3), (second, 0.5))), **close)
    model.set_adapters(["fast"], 2.0)
    torch.testing.assert_close(run(model), run(by_hand(tiny(), (second, 2.0))), **close)
    model.disable_lora()
    assert torch.equal(run(model), run(tiny()))
    model.enable_lora()
    lora.unload_lora(model, "fast")
    assert torch.equal(run(model), run(tiny()))  # the other one was switched off, and stays so
    model.set_adapters(["pusa"], 1.4)
    torch.testing.assert_close(run(model), run(by_hand(tiny(), (PAIRS, 1.4))), **close)
    lora.unload_lora(model, "pusa")
    equal(weights(model), weights(tiny()))


def test_merging_some_leaves_the_others_and_unmerging_brings_all_back():
    model, second = tiny(), make(tiny(), [*MODULES, "patch_embedding"], seed=5)
    lora.load_lora(model, GOOD, strength=1.4, name="pusa")
    lora.load_lora(model, entries(second, "diffusers"), strength=-0.5, name="fast")
    attached, keys = run(model), set(model.state_dict())
    lora.merge(model, "pusa")
    torch.testing.assert_close(run(model), attached, **close)
    lora.merge(model)
    assert set(model.state_dict()) == set(tiny().state_dict())
    assert not any("lora" in type(m).__module__ for m in model.modules())
    torch.testing.assert_close(run(model), attached, **close)
    lora.unmerge(model)
    assert set(model.state_dict()) == keys
    base = {k: v.detach() for k, v in adapters.base_weights(model).items()}
    equal(base, weights(tiny()), rtol=0, atol=1e-6)
    torch.testing.assert_close(run(model), attached, **close)
    lora.merge(model)
    lora.unload_lora(model, "fast")
    torch.testing.assert_close(run(model), run(by_hand(tiny(), (PAIRS, 1.4))), **close)


def diffs():
    g = torch.Generator().manual_seed(3)
    shapes = {
        "blocks.0.norm3.diff": ("blocks.0.norm2.weight", (24,)),
        "blocks.0.norm3.diff_b": ("blocks.0.norm2.bias", (24,)),
        "blocks.1.self_attn.norm_q.diff": ("blocks.1.attn1.norm_q.weight", (24,)),
        "blocks.0.self_attn.q.diff_b": ("blocks.0.attn1.to_q.bias", (24,)),
        "blocks.1.modulation.diff": ("blocks.1.scale_shift_table", (1, 6, 24)),
        "blocks.0.diff_m": ("blocks.0.scale_shift_table", (1, 6, 24)),
        "head.head.diff": ("proj_out.weight", (16, 24)),
        "patch_embedding.diff_b": ("patch_embedding.bias", (24,)),
    }
    return {f"diffusion_model.{k}": (p, torch.randn(s, generator=g) / 4) for k, (p, s) in shapes.items()}


def test_whole_changes_scale_merge_and_go():
    model, whole = tiny(), diffs()
    low = {f"diffusion_model.{k}": v for k, v in entries(PAIRS, "diffsynth").items()}
    report = lora.load_lora(model, low | {k: v for k, (_, v) in whole.items()}, strength=0.7, name="fast")
    assert report.unmatched == () and report.scale["blocks.0.norm2"] == 0.7
    for strength in (0.7, -0.4):
        lora.set_strengths(model, {"fast": strength})
        want = by_hand(tiny(), (PAIRS, strength))
        for parameter, change in whole.values():
            want.get_parameter(parameter).data += strength * change
        torch.testing.assert_close(run(model), run(want), **close)
    lora.merge(model)
    equal(weights(model), weights(want), **close)
    lora.unload_lora(model, "fast")
    equal(weights(model), weights(tiny()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("naming", names.WRITTEN)
def test_a_written_lora_does_the_same_when_read(naming, merged, tmp_path):
    model, path = tiny(), tmp_path / "out.safetensors"
    pairs = make(model, ALL, alpha=True)
    whole = {k: v for k, (_, v) in diffs().items()}
    if naming == "diffusers":  # which has no keys for others
        whole = {k: v for k, v in whole.items() if k.endswith(("q.diff_b", "patch_embedding.diff_b"))}
    lora.load_lora(model, entries(pairs, "comfyui") | whole, strength=0.3, name="a1")
    if merged:
        lora.merge(model)
    lora.save_lora(model, path, "a1", naming)
    again = tiny()
    report = lora.load_lora(again, path, strength=0.3)
    assert (report.naming, report.name, report.unmatched) == (naming, "out", ())
    torch.testing.assert_close(run(again), run(model), **close)
    assert [p.name for p in tmp_path.iterdir()] == ["out.safetensors"]


def test_diffusers_reads_what_is_written(tmp_path):
    model, pairs = tiny(), make(tiny(), MODULES, alpha=True)
    lora.load_lora(model, entries(pairs, "musubi"), name="toy")
    for naming in ("diffusers", "comfyui"):
        lora.save_lora(model, tmp_path / f"{naming}.safetensors", "toy", naming)
        theirs = tiny()
        theirs.load_lora_adapter(WanLoraLoaderMixin.lora_state_dict(load_file(tmp_path / f"{naming}.safetensors")))
        torch.testing.assert_close(run(theirs), run(model), **close)


def test_writing_cut_off_keeps_the_old_file(tmp_path, monkeypatch):
    model, path = tiny(), tmp_path / "out.safetensors"
    lora.load_lora(model, GOOD, name="toy")
    lora.save_lora(model, path, "toy")
    before = path.read_bytes()

    def cut(tensors, part, metadata):
        part.write_bytes(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "save_file", cut)
    with pytest.raises(KeyboardInterrupt):
        lora.save_lora(model, path, "toy", "comfyui")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_bf16_adapters_merge_and_unmerge_within_rounding():
    model = tiny().to(torch.bfloat16)
    before = weights(model)
    lora.load_lora(model, entries(FULL, "pusa"), name="toy")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    attached = run(model)
    lora.merge(model)
    merged = weights(model)
    equal(merged, weights(by_hand(tiny().to(torch.bfloat16), (FULL, 1.0))), rtol=2**-7, atol=1e-6)
    assert (run(model) - attached).float().norm() < 0.02 * attached.float().norm()
    lora.unmerge(model)
    for k, w in adapters.base_weights(model).items():
        assert ((w - before[k]).abs().float() <= 2**-8 * (w.abs() + merged[k].abs()).float()).all()


def test_zero_changes_and_what_is_left_over_are_reported():
    pairs = dict(PAIRS)
    a, b, _ = pairs["blocks.0.attn1.to_q"]
    pairs["blocks.0.attn1.to_q"] = a, torch.zeros_like(b), None
    extra = {"diffusion_model.blocks.0.norm3.diff": torch.zeros(24)}
    images = {f"blocks.0.cross_attn.k_img.lora_{s}.default.weight": torch.ones(24, 24) for s in "AB"}
    model = tiny()
    report = lora.load_lora(model, {**entries(pairs, "pusa"), **extra, **images}, name="odd", partial=True)
    assert set(report.zero_norm) == {"blocks.0.attn1.to_q", "blocks.0.norm2"}
    assert report.unmatched == tuple(images)
    assert "11 modules changed, 2 of them change nothing; 2 keys left over, first blocks.0.cross_attn" in str(report)
    assert "rank 2 to 4, alpha none in the file, effective scale 1" in str(report)
    torch.testing.assert_close(run(model), run(by_hand(tiny(), (pairs, 1.0))), **close)
    none = {k: torch.zeros_like(v) for k, v in GOOD.items()}
    assert set(lora.load_lora(model, none).zero_norm) == set(MODULES)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("zipped", [True, False])
def test_plain_pickles_are_read(zipped, wrapped, tmp_path):
    model, held = tiny(), {"state_dict": GOOD, "epoch": 3} if wrapped else GOOD
    torch.save(held, tmp_path / "pusa.pt", _use_new_zipfile_serialization=zipped)
    assert lora.load_lora(model, tmp_path / "pusa.pt").unmatched == ()
    torch.testing.assert_close(run(model), run(by_hand(tiny(), (PAIRS, 1.0))), **close)


def test_a_report_shows_itself_as_a_table_of_the_kinds_of_layers():
    paths = [f"blocks.{block}.{kind}" for block in (0, 1) for kind in ("attn1.to_q", "ffn.net.2")]
    report = lora.LoRAReport(
        "a<b", "diffusers", tuple(paths), (), (paths[0],), dict.fromkeys(paths, 4), None, dict.fromkeys(paths, 1.4)
    )
    shown = report._repr_html_()
    assert "<tr><td>attn1.to_q</td><td>2</td><td>4</td><td>1.4</td><td>1</td></tr>" in shown
    assert "4 modules changed" in shown and "a&lt;b" in shown
