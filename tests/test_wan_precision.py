"""pytest tests/test_wan_precision.py: Wan's large layers in float8: LoRAs, offloading, compiled blocks, errors."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from wan_tiny import pipeline, refused

import pusa_lab as pl
from pusa_lab.planning import measured, plan
from pusa_lab.wan import float8_errors, loading, lora, model, use_float8
from pusa_lab.wan.configs import WAN_CONFIGS
from pusa_lab.wan.model import WanModel
from pusa_lab.wan.precision import LAYERS, RowScaledLinear, large_linears, saved_bytes, settle_precision
from pusa_lab.wan.precision_errors import relative_error

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"size": (32, 64), "num_frames": 9, "dtype": torch.bfloat16, "device": "cpu", "cache": None}
ROOT = Path(__file__).parents[1]
ADAPTED = {"self_attn.q": (24, 24), "cross_attn.k": (24, 24), "ffn.2": (40, 24)}
"""Layer of a block that the LoRA changes -> its numbers of inputs and outputs; one of them is not in float8."""


@pytest.fixture(scope="module")
def wan(tmp_path_factory):
    place = tmp_path_factory.mktemp("wan")
    pipeline().save_pretrained(place / "one")
    pipeline("wan2.2-a14b").save_pretrained(place / "two")
    g = torch.Generator().manual_seed(0)
    pairs = {}
    for block in (0, 1):
        for name, (n_in, n_out) in ADAPTED.items():
            pairs[f"blocks.{block}.{name}.lora_A.weight"] = torch.randn(2, n_in, generator=g) / 5
            pairs[f"blocks.{block}.{name}.lora_B.weight"] = torch.randn(n_out, 2, generator=g) / 5
    save_file(pairs, place / "lora.safetensors")
    return place


def load(wan, **changes):
    return WanModel.from_pretrained(wan / "one", **{**SMALL, **changes})


def inputs():
    g = torch.Generator().manual_seed(1)
    x, text = torch.randn(1, 4, 3, 4, 8, generator=g), torch.randn(1, 512, 16, generator=g)
    return x.bfloat16(), 1000 * torch.rand(1, 3, generator=g), text.bfloat16()


def velocity(transformer):
    with torch.no_grad():
        return transformer(*inputs(), return_dict=False)[0]


def test_a_layer_rounds_rows_of_inputs_and_weights_to_8_bits():
    torch.manual_seed(0)
    for bias in (True, False):
        linear = nn.Linear(64, 48, bias=bias).bfloat16().requires_grad_(False)
        x = (torch.randn(2, 5, 64) * torch.logspace(-3, 3, 5)[None, :, None]).bfloat16()
        rounded = []
        for rows in (x.flatten(0, 1), linear.weight):
            scale = rows.double().abs().amax(1, keepdim=True) / 448
            rounded.append((rows.double() / scale).to(torch.float8_e4m3fn).double() * scale)
        want = (rounded[0] @ rounded[1].T + (linear.bias.double() if bias else 0)).unflatten(0, (2, 5))
        layer = RowScaledLinear(linear)
        pairs = zip(layer(x).flatten(0, 1), want.flatten(0, 1), strict=True)
        assert max(relative_error(y, exact) for y, exact in pairs) < 0.005, "sums are rounded to bfloat16"
        assert 0.005 < relative_error(layer(x), linear(x)) < 0.06
        assert layer.weight.dtype == torch.float8_e4m3fn and layer.scale.shape == (1, 48)
        assert linear.weight.dtype == torch.bfloat16, "the layer that is given stays"


def test_layers_that_see_every_token_are_in_float8_and_no_other(wan):
    transformer = load(wan, precision="float8").transformer
    eight = {path for path, layer in transformer.named_modules() if isinstance(layer, RowScaledLinear)}
    assert eight == {f"blocks.{block}.{name}" for block in (0, 1) for name in LAYERS}
    assert {p.dtype for name, p in transformer.named_parameters() if name.rpartition(".")[0] not in eight} == {
        torch.bfloat16,
        torch.float32,
    }
    assert transformer.dtype == torch.bfloat16
    assert 1e-3 < relative_error(velocity(transformer), velocity(load(wan).transformer)) < 0.05


def test_both_experts_are(wan):
    two = WanModel.from_pretrained(wan / "two", **SMALL, precision="float8")
    assert all(isinstance(layer, RowScaledLinear) for e in two.experts for layer in large_linears(e).values())
    assert pl.generate(two, "a dog", steps=2).latents.isfinite().all()


def test_loras_are_merged_before(wan):
    merged = load(wan, lora=wan / "lora.safetensors").transformer
    use_float8(merged)
    assert torch.equal(
        velocity(merged), velocity(load(wan, lora=wan / "lora.safetensors", precision="float8").transformer)
    )


def test_an_attached_lora_computes_in_bfloat16_above_the_float8_layer(wan):
    file = wan / "lora.safetensors"
    base = load(wan, precision="float8").transformer
    adapted = load(wan, lora=file, merged=False, precision="float8").transformer
    x, pairs = torch.randn(3, 24).bfloat16(), {k: t.bfloat16() for k, t in load_file(file).items()}
    a, b = (pairs[f"blocks.1.self_attn.q.lora_{n}.weight"] for n in "AB")
    want = base.blocks[1].attn1.to_q(x) + (x @ a.T) @ b.T
    with torch.no_grad():
        assert torch.equal(adapted.blocks[1].attn1.to_q(x), want)
    assert relative_error(velocity(adapted), velocity(base)) > 0.01
    exact = load(wan, lora=file).transformer
    assert relative_error(velocity(adapted), velocity(exact)) < 0.05


def test_a_lora_may_come_later_and_go(wan):
    file = wan / "lora.safetensors"
    want = velocity(load(wan, lora=file, merged=False, precision="float8").transformer)
    transformer = load(wan, precision="float8").transformer
    base = velocity(transformer)
    lora.load_lora(transformer, file, name="toy")
    assert torch.equal(velocity(transformer), want)
    lora.set_strengths(transformer, {"toy": 0.0})
    assert torch.equal(velocity(transformer), base)
    refused("is stored in float8_e4m3fn, which would round", lora.merge, transformer)
    lora.unload_lora(transformer, "toy")
    assert torch.equal(velocity(transformer), base)


def test_diffusers_own_way_of_loading_a_lora_works_too(wan, tmp_path):
    adapted = load(wan, lora=wan / "lora.safetensors", merged=False, precision="float8")
    lora.save_lora(adapted.transformer, tmp_path / "x.safetensors", adapted.loras[0][0].name)
    transformer = load(wan, precision="float8").transformer
    transformer.load_lora_adapter(load_file(tmp_path / "x.safetensors"))
    assert torch.equal(velocity(transformer), velocity(adapted.transformer))


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloaded(offload, attached, wan):
    how = {"precision": "float8"} | ({"lora": wan / "lora.safetensors", "merged": False} if attached else {})
    want = pl.generate(load(wan, **how), "a dog", steps=2).latents
    assert torch.equal(pl.generate(load(wan, offload=offload, **how), "a dog", steps=2).latents, want)


@pytest.mark.parametrize("attached", [False, True])
def test_in_compiled_blocks(attached, wan):
    how = {"lora": wan / "lora.safetensors", "merged": False} if attached else {}
    transformer = load(wan, precision="float8", **how).transformer
    want = velocity(transformer)
    transformer.compile_repeated_blocks(backend="aot_eager", fullgraph=True, dynamic=False)
    assert torch.equal(velocity(transformer), want)


class TestErrors:
    @pytest.mark.parametrize("attached", [False, True])
    def test_of_each_layer_and_of_the_output(self, attached, wan):
        transformer = load(wan, **({"lora": wan / "lora.safetensors", "merged": False} if attached else {})).transformer
        want = velocity(transformer)
        found = float8_errors(transformer, *inputs())
        assert torch.equal(velocity(transformer), want), "the model is left as it is"
        assert found.layers.keys() == large_linears(transformer).keys()
        assert all(0.005 < error < 0.06 for error in found.layers.values())
        use_float8(transformer)
        assert found.output == pytest.approx(relative_error(velocity(transformer), want), rel=1e-6)
        assert found.output > 1e-3

    def test_as_a_table(self, wan):
        found = float8_errors(load(wan).transformer, seed=3)
        rows = str(found).splitlines()
        assert rows[0].split() == ["layer", "blocks", "mean", "largest", "in", "block"]
        assert [row.split()[0] for row in rows[1:]] == [*LAYERS, "output"]
        kind = found.kinds["ffn.net.2"]
        of = [found.layers[f"blocks.{i}.ffn.net.2"] for i in (0, 1)]
        assert kind == {"blocks": 2, "mean": sum(of) / 2, "largest": max(of), "in block": of.index(max(of))}
        assert f"{found.output:.2%}" in rows[-1] and f"{found.output:.2%}" in found._repr_html_()
        assert found == float8_errors(load(wan).transformer, seed=3) != float8_errors(load(wan).transformer, seed=4)

    def test_bad_input_is_one_sentence(self, wan):
        refused("with 1 input: give hidden_states, timestep", float8_errors, load(wan).transformer, inputs()[0])
        eight = load(wan, precision="float8").transformer
        refused("of a model in float8: load it without precision=", float8_errors, eight)
        for call in (float8_errors, use_float8):
            refused("of a Linear: give a Wan's transformer", call, nn.Linear(2, 2))
            refused("before the model is offloaded", call, load(wan, offload="group").transformer)
            refused("before the model is compiled", call, torch.compile(load(wan).transformer, backend="eager"))
            compiled = load(wan).transformer
            compiled.compile_repeated_blocks(backend="eager")
            refused("before the model is compiled", call, compiled)


class TestRefusals:
    def refused(self, wan, monkeypatch, match, **changes):
        monkeypatch.setattr(model, "find_folder", self.weightless(model.find_folder))
        with pytest.raises(ValueError, match=match) as error:
            load(wan, **changes)
        assert "\n" not in str(error.value)

    def weightless(self, find):
        """Finding the folder, but never its weights."""

        def found(source, weights=True):
            assert not weights, "it is refused before weights are fetched"
            return find(source, weights=False)

        return found

    def test_before_weights_are_read(self, wan, monkeypatch):
        self.refused(wan, monkeypatch, "unknown precision 'int8': choose float8 or float8-storage", precision="int8")
        self.refused(
            wan,
            monkeypatch,
            "precision='float8' with dtype=torch.float16: its sums are in bfloat16; leave out dtype",
            precision="float8",
            dtype=torch.float16,
        )

    @pytest.mark.parametrize(
        ("capability", "width", "says"),
        [
            ((8, 0), 128, "on a NVIDIA A100: products of 8-bit numbers need an Ada, Hopper or newer GPU"),
            ((9, 0), 12, "a transformer 24 wide, 64 in the feed-forward: a GPU takes multiples of 16"),
            ((8, 9), 128, ""),
        ],
    )
    def test_by_the_gpu(self, capability, width, says, monkeypatch):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA A100")
        config = {"num_attention_heads": 2, "attention_head_dim": width, "ffn_dim": 64}
        with pytest.raises(ValueError, match=says) if says else nullcontext():
            assert settle_precision("float8", None, torch.device("cuda"), config) == torch.bfloat16
        assert settle_precision("float8-storage", None, torch.device("cuda"), config) == torch.bfloat16

    def test_a_gradient(self, wan):
        transformer = load(wan, precision="float8").transformer
        x, tau, text = inputs()
        with pytest.raises(ValueError, match=r"a gradient through a model with precision='float8'.*torch.no_grad\(\)"):
            transformer(x.requires_grad_(), tau, text)

    def test_weights_in_another_type(self, wan):
        refused("has weights in torch.float32: load the model in torch.bfloat16", use_float8, pipeline().transformer)
        eight = load(wan, precision="float8").transformer
        refused("has weights in torch.float8_e4m3fn: load", use_float8, eight)


class TestMemory:
    @pytest.mark.parametrize("precision", [None, "float8", "float8-storage"])
    def test_what_is_saved_is_what_the_tensors_show(self, precision, wan):
        held = [
            sum(p.nbytes for p in load(wan, precision=asked).transformer.parameters()) for asked in (None, precision)
        ]
        config = load(wan).folder.config("transformer")
        linears = sum(layer.weight.numel() for layer in large_linears(load(wan).transformer).values())
        saved = {None: 0, "float8": linears, "float8-storage": held[0] // 2}[precision]
        assert saved_bytes(precision, torch.bfloat16, config, held[0]) == saved
        if precision == "float8":
            assert held[0] - held[1] == saved

    @pytest.mark.parametrize(
        ("how", "gib"),
        [
            ({}, 39),
            ({"precision": "float8"}, 27.8),
            ({"precision": "float8-storage"}, 25.7),
            ({"precision": "float8", "loras": True}, 27.8),
            ({"precision": "float8", "offload": "model"}, 15.5),
            ({"precision": "float8", "offload": "model", "loras": True}, 26.7),
        ],
    )
    def test_a_gpu_too_small_for_16_bits_may_hold_8(self, how, gib, wan, monkeypatch):
        folder, config = load(wan).folder, WAN_CONFIGS["wan2.1-14b"]
        parts = {"transformer": config.parameters, "text_encoder": config.text_parameters, "vae": 2**28}
        monkeypatch.setattr(type(folder), "parameters", parts)
        monkeypatch.setattr(type(folder), "config", lambda self, name: config.transformer)
        how = {"offload": "none"} | how
        for free, fits in ((gib + 1, True), (gib - 1, False)):
            monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, n=int(free * 2**30): (n, n))
            with nullcontext() if fits else pytest.raises(ValueError, match="the weights alone need"):
                loading.require_room(folder, torch.bfloat16, torch.device("cuda"), **how)

    def test_the_plan_counts_the_same(self):
        config = WAN_CONFIGS["wan2.1-14b"]
        found = {p: plan(precision=p).memory["transformer"] * 2**30 for p in (None, "float8", "float8-storage")}
        for precision, held in found.items():
            saved = saved_bytes(precision, torch.bfloat16, config.transformer, 2 * config.parameters)
            assert held == pytest.approx(found[None] - saved, rel=1e-9)
        group = {p: plan(precision=p, offload="group").memory for p in (None, "float8")}
        assert plan(precision="float8", offload="model").seconds["moving"] < plan(offload="model").seconds["moving"]
        assert all("transformer" not in memory or memory["transformer"] < 5 for memory in group.values())


def test_the_plan_states_the_error_that_was_measured():
    rows = json.loads((ROOT / "benchmarks" / "results" / "wan_forward.json").read_text())
    found, layers = plan(size="480p", precision="float8"), rows["480p float8, relative errors"]["layers"]
    assert found.error == pytest.approx(rows["480p float8, relative errors"]["output"], rel=1e-4)
    assert found.sources["error"] == "measured"
    said = " ".join((ROOT / "docs" / "wan.md").read_text().split())
    low, high = (of(kind["mean"] for kind in layers.values()) for of in (min, max))
    assert f"each of these layers is {low:.1%} to {high:.1%} off, and the whole output {found.error:.1%}" in said


def test_the_plan_states_the_error_where_it_was_measured(monkeypatch):
    given = {"gpu": "h200", "size": (480, 832), "compiled": True, "offload": "model", "precision": "float8"}
    row = measured.Measured(given, {"forward": 2.0}, {"denoising": 20.0}, "a test", error=0.0221)
    bare = [one for one in measured.MEASURED if one.given.get("precision") is None]
    monkeypatch.setattr(measured, "MEASURED", bare)
    assert "error" not in plan().sources and "\nerror" not in str(plan())
    assert plan(precision="float8").error is None
    assert "\nerror                 not measured for this model" in str(plan(precision="float8"))
    monkeypatch.setattr(measured, "MEASURED", [*bare, row])
    found = plan(size="480p", precision="float8")
    assert (found.error, found.sources["error"]) == (0.0221, "measured")
    assert "2.2% of the output, against bfloat16" in str(found) and "0.0221 of random weights at 480 x 832" in str(
        found
    )
    assert plan(precision="float8").sources["error"] == "arithmetic"
    assert plan("wan2.2-5b", precision="float8").error is None and plan(precision="float8-storage").error is None
    faster = plan(size="480p", precision="float8", compiled=True)
    assert (faster.seconds["forward"], faster.sources["forward"]) == (2.0, "measured")
    assert (
        plan(size="480p", compiled=True).seconds["forward"] == plan(**{**given, "precision": None}).seconds["forward"]
    )
