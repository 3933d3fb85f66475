"""pytest tests/test_wan_lora_unknown_scales.py: what may scale a LoRA without saying how is refused, also in part."""

import pytest
import torch
from foreign import loras
from safetensors.torch import save_file
from wan_tiny import refused

from pusa_lab.wan import lora

pytestmark = pytest.mark.usefixtures("one_thread")


def written(folder, header=None, **more):
    """A LoRA of rank 4, with entries in its header and tensors beside its own."""
    held = loras.renamed(loras.peft_model(), "transformer.{d}.lora_A.weight", "transformer.{d}.lora_B.weight")
    save_file(held | more, folder / "lora.safetensors", header)
    return folder / "lora.safetensors"


@pytest.mark.parametrize(
    ("header", "entry"),
    [
        *(({name: "4"}, name) for name in ("linear_alpha", "lora_scale", "scale", "LoRA_alpha", "lora.alpha")),
        *(({name: "4"}, name) for name in ("adapter_scale", "default_alpha", "lora-alpha", "lora_scaling_factor")),
        *(({name: "4"}, name) for name in ("train.lora_alpha", "lora_config.lora_alpha", "peftLoraScale")),
        ({"args": "Namespace(lora_alpha=16, seed=0)"}, "lora_alpha"),
        ({"network_config": '{"type": "lora", "linear": 4, "linear_alpha": 16, "conv_alpha": 8}'}, "linear_alpha"),
        ({"config": '{"network": {"linear_alpha": 16}}'}, "linear_alpha"),
        ({"transformer.scaling": "2"}, "transformer.scaling"),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_a_scale_under_another_name_is_refused(header, entry, partial, tmp_path):
    path = written(tmp_path, header)
    says = rf"{entry} \(.*\) in .*header, which may scale its layers in an unknown way: rename it to lora_alpha"
    refused(says, lambda: lora.load_lora(loras.base(), path, partial=partial))


def test_settings_of_a_training_under_any_name_are_read(tmp_path):
    path = written(tmp_path, {"training_args": '{"lora_alpha": 16, "rank": 4}', "training_info": '{"step": 3}'})
    report = lora.load_lora(loras.base(), path)
    assert set(report.scale.values()) == {4.0}
    assert report.scale_source == "lora_alpha in training_args in the header"


@pytest.mark.parametrize("partial", [False, True])
def test_a_scaling_beside_the_tensors_is_not_dropped(partial, tmp_path):
    path = written(tmp_path, scaling=torch.tensor(4.0))
    refused(r"scaling \(4.0\) in the file", lambda: lora.load_lora(loras.base(), path, partial=partial))


@pytest.mark.parametrize("name", ["guidance_scale", "recommended_strength", "scaling_factor", "upscale", "alphabet"])
def test_other_entries_of_a_header_are_no_scales(name, tmp_path):
    assert lora.load_lora(loras.base(), written(tmp_path, {name: "4"})).unmatched == ()


@pytest.mark.parametrize("text", ["abc", "nan"])
def test_what_stands_in_place_of_a_number_is_named(text, tmp_path):
    path = written(tmp_path, {"lora_alpha": text})
    refused(rf"has '{text}' as lora_alpha", lambda: lora.load_lora(loras.base(), path))


def test_a_matrix_of_whole_numbers_is_not_called_missing():
    key = "transformer.blocks.0.attn1.to_q.lora_{}.weight"
    held = {key.format("A"): torch.ones(4, 24, dtype=torch.int8), key.format("B"): torch.ones(24, 4)}
    refused("holds A of blocks.0.attn1.to_q as torch.int8", lambda: lora.load_lora(loras.base(), held))
