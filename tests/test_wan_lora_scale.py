"""pytest tests/test_wan_lora_scale.py: LoRAs of other programs do what they do in PEFT's model, or are refused."""

import functools
import json
import shutil

import pytest
import torch
from diffusers.loaders import WanLoraLoaderMixin
from foreign import loras
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from wan_tiny import refused

from pusa_lab.wan import lora
from pusa_lab.wan.lora import adapters

pytestmark = pytest.mark.usefixtures("one_thread")
close = {"rtol": 1e-6, "atol": 1e-6}
rounded = {"rtol": 1e-5, "atol": 3e-6}
"""Where weights or B are multiplied and rounded on the way."""


@pytest.mark.parametrize("kind", [*loras.KINDS, *loras.NAMINGS])
def test_it_does_what_pefts_model_does(kind, tmp_path):
    path, want = loras.make(kind, tmp_path)
    model = loras.base()
    report = lora.load_lora(model, path, name="toy")
    torch.testing.assert_close(loras.run(model), want, **close)
    assert report.unmatched == ()
    if kind in loras.KINDS:
        assert loras.KINDS[kind][2] in report.scale_source and report.scale_source in str(report)
        assert (want - loras.run(loras.base())).abs().max() > 0.01
    else:
        assert report.alpha is None and set(report.scale.values()) == {1.0}


@pytest.mark.parametrize("kind", ["PEFT, rsLoRA with patterns", "PEFT, trained biases of B", "kohya, header alone"])
def test_its_scale_survives_strengths_merging_and_writing(kind, tmp_path):
    (tmp_path / "in").mkdir()
    path, want = loras.make(kind, tmp_path / "in")
    model = loras.base()
    lora.load_lora(model, path, strength=0.3, name="toy")
    lora.set_strengths(model, {"toy": 1.0})
    torch.testing.assert_close(loras.run(model), want, **rounded)
    for merged in (False, True):
        if merged:
            lora.merge(model)
            torch.testing.assert_close(loras.run(model), want, **rounded)
        for naming in ("diffusers", "diffsynth", "comfyui"):
            out = tmp_path / f"{naming}.safetensors"
            lora.save_lora(model, out, "toy", naming)
            again = loras.base()
            lora.load_lora(again, out)
            torch.testing.assert_close(loras.run(again), want, **rounded)
    lora.unmerge(model)
    torch.testing.assert_close(loras.run(model), want, **rounded)
    lora.unload_lora(model, "toy")
    torch.testing.assert_close(loras.run(model), loras.run(loras.base()), **rounded)


@pytest.mark.parametrize("kind", ["PEFT, rsLoRA with patterns", "PEFT, trained biases of B"])
def test_diffusers_and_peft_read_what_is_written(kind, tmp_path):
    (tmp_path / "in").mkdir()
    path, want = loras.make(kind, tmp_path / "in")
    model, out = loras.base(), tmp_path / "out.safetensors"
    lora.load_lora(model, path, name="toy")
    lora.save_lora(model, out, "toy")
    theirs = loras.base()
    theirs.load_lora_adapter(WanLoraLoaderMixin.lora_state_dict(out))
    torch.testing.assert_close(loras.run(theirs), want, **rounded)
    held = {key.removeprefix("transformer."): tensor for key, tensor in load_file(out).items()}
    ranks = {key.removesuffix(".lora_A.weight"): len(t) for key, t in held.items() if key.endswith("lora_A.weight")}
    config = {"rank_pattern": ranks, "alpha_pattern": ranks, "target_modules": list(ranks)}
    peft = get_peft_model(loras.base(), LoraConfig(**config, lora_bias=any("bias" in key for key in held))).eval()
    told = set_peft_model_state_dict(peft, {f"base_model.model.{key}": tensor for key, tensor in held.items()})
    assert not told.unexpected_keys
    torch.testing.assert_close(loras.run(peft), want, **rounded)


@pytest.mark.parametrize("key", ["blocks.0.norm3.diff", "blocks.0.norm3.diff_b", "head.head.diff", "head.head.diff_b"])
def test_what_diffusers_cannot_read_is_not_written_for_it(key, tmp_path):
    model, out = loras.base(), tmp_path / "out.safetensors"
    name = {"blocks.0.norm3": "blocks.0.norm2", "head.head": "proj_out"}[key.rpartition(".")[0]]
    shape = model.get_submodule(name).get_parameter("bias" if key.endswith("_b") else "weight").shape
    q = "diffusion_model.blocks.0.self_attn.q.lora_{}.weight"
    pair = {q.format("down"): torch.ones(2, 24), q.format("up"): torch.ones(24, 2)}
    lora.load_lora(model, pair | {f"diffusion_model.{key}": torch.ones(shape)}, name="toy")
    refused(r"the whole of .* write it with naming='comfyui'", lora.save_lora, model, out, "toy")
    assert not out.exists()
    lora.save_lora(model, out, "toy", "comfyui")
    again = loras.base()
    lora.load_lora(again, out)
    torch.testing.assert_close(loras.run(again), loras.run(model), **close)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("kind", loras.OTHERS)
def test_other_kinds_are_refused_also_in_part(kind, partial, tmp_path):
    write, says = loras.OTHERS[kind]
    path, model = write(tmp_path), loras.base()
    refused(says, lambda: lora.load_lora(model, path, partial=partial))
    assert not getattr(model, "peft_config", None)


@functools.cache
def of_rank_4():
    return loras.renamed(loras.peft_model(), "transformer.{d}.lora_A.weight", "transformer.{d}.lora_B.weight")


def two_places(folder, header=None, config=None, alpha=None, settings=None):
    """A file of rank 4 whose scale is stated in several places."""
    held = dict(of_rank_4())
    if alpha is not None:
        held |= {key.replace("lora_A.weight", "alpha"): torch.tensor(alpha) for key in [*held] if "lora_A" in key}
    save_file(held | (settings or {}), folder / "lora.safetensors", header)
    if config is not None:
        (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder / "lora.safetensors"


META = {"lora_adapter_metadata": json.dumps({"transformer.r": 4, "transformer.lora_alpha": 16})}
PEFT = {"peft_type": "LORA", "r": 4, "lora_alpha": 16}


@pytest.mark.parametrize(
    "places",
    [
        {"header": META, "config": PEFT, "alpha": 16.0},
        {"header": META | {"ss_network_alpha": "16.0", "ss_network_dim": "4"}},
        {"header": META, "settings": {"lora_alpha": torch.tensor(16)}},
        {"header": {"lora_adapter_metadata": json.dumps({"r": 4, "lora_alpha": 8, "use_rslora": True})}, "alpha": 16.0},
    ],
)
def test_two_places_that_agree(places, tmp_path):
    report = lora.load_lora(loras.base(), two_places(tmp_path, **places))
    assert set(report.scale.values()) == {4.0}


@pytest.mark.parametrize(
    ("places", "says"),
    [
        (
            {"header": META, "alpha": 4.0},
            r"two scales for .*, 1 in the alphas .* and 4 in lora_alpha of lora_adapter_met",
        ),
        ({"header": META, "config": PEFT | {"lora_alpha": 8}}, r"2 in lora_alpha of adapter_config.json .* and 4 in"),
        ({"config": PEFT | {"use_rslora": True}, "alpha": 16.0}, "states two scales"),
        ({"header": META | {"ss_network_alpha": "4"}}, r"and 1 in ss_network_alpha"),
        ({"header": {"ss_network_alpha": "4", "ss_network_dim": "4"}, "alpha": 16.0}, r"and 1 in ss_network_alpha"),
        ({"header": {"alpha": "4"}, "settings": {"lora_alpha": torch.tensor(16)}}, "states two scales"),
        ({"header": {"alpha": "4", "lora_alpha": "16"}}, "states two scales, lora_alpha 16 and alpha 4"),
        ({"config": PEFT | {"r": 8}}, r"has rank 4 in .*, but lora_alpha of adapter_config.json .* states rank 8"),
        ({"config": PEFT | {"lora_alpha": None}}, "has None as lora_alpha of adapter_config.json"),
        ({"config": PEFT | {"lora_alpha": True}}, "has True as lora_alpha"),
        ({"config": PEFT | {"lora_alpha": float("inf")}}, "has inf as lora_alpha"),
        ({"config": {"r": 4}}, "has no lora_alpha in adapter_config.json"),
        ({"config": PEFT | {"use_rslora": "perhaps"}}, "has 'perhaps' as use_rslora"),
        ({"config": PEFT | {"alpha_pattern": [1]}}, r"has \[1\] as alpha_pattern"),
        ({"config": PEFT | {"alpha_pattern": {"(": 1}}}, r"has '\(' in alpha_pattern .* cannot be used"),
        ({"config": PEFT | {"rank_pattern": {"((a+)+)+$": 1}}}, "it repeats too much"),
        ({"config": PEFT | {"peft_type": "LOHA"}}, "is an adapter of the kind LOHA"),
        ({"config": [1]}, "a list of 1 item instead of an object"),
        ({"header": {"lora_adapter_metadata": "[" * 9000}}, "not a JSON object"),
        ({"header": {"lora_adapter_metadata": "{"}}, "not a JSON object"),
        ({"header": {"lora_alpha": "much"}}, "has 'much' as lora_alpha in the header"),
        ({"settings": {"alpha": torch.ones(2)}}, "as alpha in the file"),
        ({"settings": {"lora_alpha": torch.tensor(1), "use_rslora": torch.ones(2)}}, "as use_rslora in the file"),
        (
            {"header": {"lora_alpha": "16", "transformer.lora_alpha": "8"}},
            "two values in the header, (lora_alpha 16 and t.*lora_alpha 8|transformer.lora_alpha 8 and lora_alpha 16):",
        ),
        ({"header": {"transformer.alpha": "16", "alpha": "8"}}, "states two values in the header"),
        ({"header": {"transformer.alpha": "16", "lora_alpha": "8"}}, "states two scales, lora_alpha 8 and alpha 16"),
        (
            {"settings": {"lora_alpha": torch.tensor(16), "transformer.lora_alpha": torch.tensor(8)}},
            "states two values in the file",
        ),
        ({"header": {"lora_adapter_metadata": json.dumps({"lora_alpha": 16, "transformer.lora_alpha": 8})}}, "two val"),
        ({"header": {"use_rslora": "True"}, "config": PEFT | {"use_rslora": False}}, "use_rslora True in .* and False"),
        ({"header": {"lora_alpha": "16", "alpha_pattern": '{"to_q": '}}, "as alpha_pattern in the header"),
        ({"header": {"lora_alpha": "16", "rank_pattern": "2"}}, "as rank_pattern in the header"),
        ({"header": {"lora_alpha": "16", "rank_pattern": '{"to_q": 2}'}}, "lora_alpha in the header states rank 2"),
        ({"header": {"rank_pattern": '{"to_q": 2}'}}, "rank_pattern in the header states rank 2"),
        ({"header": {"alpha_pattern": '{"to_q": 2}'}}, "has no lora_alpha for"),
        ({"header": {"alpha_pattern": '{"to_q": 2}'}, "config": PEFT | {"alpha_pattern": {}}}, "states two scales for"),
        ({"header": {"lora_alpha": "16", "use_dora": "True"}}, "is DoRA .use_dora in the header"),
        (
            {"header": {"hparams": '{"lora_alpha": 8}', "lora_alpha": "16"}},
            "two scales .* lora_alpha in hparams in the",
        ),
    ],
)
def test_statements_that_disagree_or_cannot_be_read(places, says, tmp_path):
    refused(says, lora.load_lora, loras.base(), two_places(tmp_path, **places))


@pytest.mark.parametrize(
    "outer",
    [
        {"lora_alpha": 16},
        {"transformer.lora_alpha": 16},
        {"alpha": torch.tensor(16.0)},
        {"lora_config": PEFT},
        {"hparams": {"lora_alpha": 16}},
    ],
)
def test_levels_of_a_pickle_that_disagree(outer, tmp_path):
    held = loras.pairs(loras.peft_model())
    torch.save(outer | {"state_dict": held | {"lora_alpha": 8}}, tmp_path / "lora.pt")
    refused("two scales|two values|twice", lora.load_lora, loras.base(), tmp_path / "lora.pt")
    torch.save(outer | {"state_dict": held | {"lora_alpha": 16.0}}, tmp_path / "lora.pt")
    assert set(lora.load_lora(loras.base(), tmp_path / "lora.pt").scale.values()) == {4.0}


def test_whose_configuration_lies_in_a_folder(tmp_path):
    path = two_places(tmp_path, config=PEFT)
    shutil.copy(path, tmp_path / "other.safetensors")
    refused("may belong to lora.safetensors or to other.safetensors", lora.load_lora, loras.base(), path)
    refused("holds 2 weight files", lora.load_lora, loras.base(), tmp_path)
    shutil.copy(path, tmp_path / "adapter_model.safetensors")
    assert set(lora.load_lora(loras.base(), path).scale.values()) == {1.0}
    report = lora.load_lora(loras.base(), tmp_path)
    assert set(report.scale.values()) == {4.0}
    assert report.name == tmp_path.name.replace("[", "_")


class TestExperts:
    def both(self, folder):
        high = loras.renamed(loras.peft_model(1), "transformer.{d}.lora_A.weight", "transformer.{d}.lora_B.weight")
        low = loras.renamed(loras.peft_model(2), "transformer_2.{d}.lora_A.weight", "transformer_2.{d}.lora_B.weight")
        told = {f"transformer{n}.{k}": v for n, a in (("", 16), ("_2", 8)) for k, v in (("r", 4), ("lora_alpha", a))}
        save_file(high | low, folder / "both.safetensors", {"lora_adapter_metadata": json.dumps(told)})
        save_file(low, folder / "low.safetensors")
        return folder / "both.safetensors", folder / "low.safetensors"

    def test_each_takes_its_own(self, tmp_path):
        both, low = self.both(tmp_path)
        for expert, seed, alpha in (("high", 1, 16), ("low", 2, 8)):
            model = loras.base()
            assert lora.load_lora(model, both, expert=expert).unmatched == ()
            want = loras.run(loras.peft_model(seed, lora_alpha=alpha))
            torch.testing.assert_close(loras.run(model), want, **close)
        model = loras.base()
        lora.load_lora(model, low, expert="low")
        torch.testing.assert_close(loras.run(model), loras.run(loras.peft_model(2, lora_alpha=4)), **close)

    @pytest.mark.parametrize("prefix", ["transformer", "dit"])
    @pytest.mark.parametrize("name", ["lora_alpha", "alpha"])
    def test_a_header_speaks_to_each(self, tmp_path, prefix, name):
        self.both(tmp_path)
        header = {f"{prefix}.{name}": "16", f"transformer_2.{name}": "8"}
        save_file(load_file(tmp_path / "both.safetensors"), tmp_path / "told.safetensors", header)
        for expert, seed, alpha in (("high", 1, 16), ("low", 2, 8)):
            model = loras.base()
            lora.load_lora(model, tmp_path / "told.safetensors", expert=expert)
            want = loras.run(loras.peft_model(seed, lora_alpha=alpha))
            torch.testing.assert_close(loras.run(model), want, **close)

    @pytest.mark.parametrize("prefix", ["", "base_model.model."])
    @pytest.mark.parametrize("partial", [False, True])
    def test_one_for_high_noise_alone(self, partial, prefix):
        names = (f"{prefix}high_noise_model.{{o}}.lora_{end}.weight" for end in "AB")
        held = loras.renamed(loras.peft_model(lora_alpha=4), *names)
        refused(
            "expert for high noise .* expert='high'",
            lambda: lora.load_lora(loras.base(), held, partial=partial, expert="low"),
        )
        for expert in ("high", None):
            model = loras.base()
            lora.load_lora(model, held, expert=expert)
            torch.testing.assert_close(loras.run(model), loras.run(loras.peft_model(lora_alpha=4)), **close)

    @pytest.mark.parametrize("partial", [False, True])
    def test_none_is_taken_without_a_word(self, tmp_path, partial):
        both, low = self.both(tmp_path)
        model = loras.base()
        refused(
            r"of Wan2.2's two experts: give a model with both.* expert='high'",
            lambda: lora.load_lora(model, both, partial=partial),
        )
        for expert in (None, "high"):
            refused("expert for low noise only", lambda e=expert: lora.load_lora(model, low, partial=partial, expert=e))
        refused("expert is 'both'", lambda: lora.load_lora(model, both, expert="both"))


class TestPrecision:
    def test_layerwise_casting(self, tmp_path):
        """A LoRA beside weights in 8 bits that compute in float32, against the rounded weights and PEFT's pairs."""
        path, _ = loras.make("PEFT, rsLoRA", tmp_path)
        model = loras.base()
        model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
        lora.load_lora(model, path, name="toy", strength=0.5)
        lora.set_strengths(model, {"toy": 1.0})
        peft = loras.peft_model(use_rslora=True)
        for name, weight in adapters.base_weights(model).items():
            layer, _, end = name.rpartition(".")
            there = peft.base_model.model.get_submodule(layer)
            getattr(getattr(there, "base_layer", there), end).data = weight.detach().float()
        torch.testing.assert_close(loras.run(model), loras.run(peft), **close)
        refused("is stored in float8_e4m3fn, which would round", lora.merge, model)
        diff = {"blocks.0.self_attn.q.diff": torch.ones(24, 24)}
        refused("attn1.to_q.weight is stored in float8_e4m3fn", lora.load_lora, model, diff)
        lora.save_lora(model, tmp_path / "out.safetensors", "toy")
        assert load_file(tmp_path / "out.safetensors").popitem()[1].dtype == torch.float32
        lora.unload_lora(model, "toy")

    def test_merged_before_the_cast(self, tmp_path):
        path, want = loras.make("PEFT's folder", tmp_path)
        model = loras.base()
        lora.load_lora(model, path, name="toy")
        lora.merge(model)
        model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
        assert (loras.run(model) - want).abs().mean() < 0.1 * want.abs().mean()
        for call in (lambda: lora.unmerge(model), lambda: lora.unload_lora(model, "toy")):
            refused("is stored in float8_e4m3fn", call)

    @pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
    def test_weights_that_nothing_casts(self, dtype, tmp_path):
        path, _ = loras.make("PEFT's folder", tmp_path)
        refused("has weights in float8", lora.load_lora, loras.base().to(dtype), path)

    def test_products_in_8_bits(self, tmp_path):
        from pusa_lab.training.float8 import Float8Linear

        path, _ = loras.make("PEFT's folder", tmp_path)
        model = loras.base().requires_grad_(False)
        model.blocks[0].attn1.to_q = Float8Linear(torch.nn.Linear(32, 32).requires_grad_(False))
        refused("converted by to_float8 for training", lora.load_lora, model, path)


@pytest.mark.parametrize("how", ["whole", "in place", "a block"])
def test_compiled_models(how, tmp_path):
    path, want = loras.make("PEFT, patterns", tmp_path)
    model = loras.base()
    if how == "whole":
        model = torch.compile(model, backend="eager")
    elif how == "in place":
        model.compile(backend="eager")
    else:
        model.blocks[0] = torch.compile(model.blocks[0], backend="eager")
    before = loras.run(model)
    lora.load_lora(model, path, name="toy")
    torch.testing.assert_close(loras.run(model), want, **close)
    lora.merge(model)
    torch.testing.assert_close(loras.run(model), want, **close)
    lora.unmerge(model)
    lora.save_lora(model, tmp_path / "out.safetensors", "toy")
    lora.unload_lora(model, "toy")
    torch.testing.assert_close(loras.run(model), before, **close)
    lora.load_lora(model, tmp_path / "out.safetensors")
    torch.testing.assert_close(loras.run(model), want, **close)


@pytest.mark.parametrize(
    "source",
    [None, 3, b"x", [1], torch.ones(2), {"blocks.0.self_attn.q.lora_A.weight": 3}, {3: torch.ones(2)}, {"a": None}, ""],
)
def test_hostile_sources(source):
    with pytest.raises((ValueError, FileNotFoundError)) as found:
        lora.load_lora(loras.base(), source)
    assert str(found.value).startswith("wan.load_lora: ") and "\n" not in str(found.value)


Q = "blocks.0.self_attn.q.lora_{}.weight"


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, 24, dtype=torch.int8),
        torch.ones(2, 24, dtype=torch.complex64),
        torch.ones(2, 24).to_sparse(),
        torch.ones(2, 24, device="meta"),
        torch.ones(2, 24) > 0,
        torch.ones(0, 24),
        torch.tensor(1.0),
    ],
)
def test_hostile_tensors(tensor):
    refused(
        "do not fit|nothing in the dict fits",
        lora.load_lora,
        loras.base(),
        {Q.format("A"): tensor, Q.format("B"): tensor},
    )


@pytest.mark.parametrize(
    "key", ["lora_unet_down_blocks_0_attentions_0_proj_in", "lora_te1_text_model_x", "single_blocks.1.q"]
)
def test_a_lora_for_another_model_is_named(key):
    refused("the keys are those of", lora.load_lora, loras.base(), {f"{key}.lora_down.weight": torch.ones(2, 2)})
