"""pytest tests/test_lora_variants.py: rsLoRA, DoRA and alpha, against their equations."""

import pytest
import torch
from torch import nn

from pusa_lab.training import add_lora, lora_changes, lora_state
from small_models.models.lora import merge_update


def linear_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 3))


@pytest.mark.parametrize(
    ("options", "scale"),
    [({}, 1.0), ({"alpha": 8}, 2.0), ({"variant": "rslora"}, 2.0), ({"variant": "rslora", "alpha": 1}, 0.5)],
)
def test_the_factor_of_an_update_is_in_its_second_matrix(options, scale):
    """s = alpha / rank, alpha / sqrt(rank) with rsLoRA, here of rank 4."""
    model, plain, x = linear_model(), linear_model(), torch.randn(6, 5)
    add_lora(model, 4, **options)
    torch.testing.assert_close(model(x), plain(x))
    for name, p in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(p)
    update, changes = lora_state(model), lora_changes(model)
    a, b = (dict(model.named_parameters())[f"0.lora_{part}.default.weight"] for part in "AB")
    torch.testing.assert_close(changes["0.weight"], scale * (b @ a).detach())
    merge_update(plain, update)
    torch.testing.assert_close(plain(x), model(x), atol=1e-5, rtol=1e-4)


def test_what_dora_changed_is_its_merged_weights():
    model, plain, x = linear_model(), linear_model(), torch.randn(6, 5)
    add_lora(model, 4, variant="dora")
    torch.testing.assert_close(model(x), plain(x))
    for name, p in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(p) if "magnitude" not in name else p.data.mul_(1.5)
    parts = dict(model.named_parameters())
    a, b, m = (parts[f"0.lora_{part}.default.weight"] for part in ("A", "B", "magnitude_vector"))
    whole = plain[0].weight + b @ a
    want = m[:, None] * whole / whole.norm(dim=1, keepdim=True)  # arXiv 2402.09353
    changes = lora_changes(model)
    torch.testing.assert_close(changes["0.weight"], (want - plain[0].weight).detach())
    with torch.no_grad():
        for name, change in changes.items():
            plain.get_parameter(name).add_(change)
    torch.testing.assert_close(plain(x), model(x), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="the update is DoRA's, which has no two factors"):
        lora_state(model)


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), float("inf")])
def test_an_alpha_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match=r"alpha=.*: give a number"):
        add_lora(linear_model(), 2, alpha=alpha)


def test_a_second_update_and_a_broken_expression_are_refused_in_one_sentence():
    model = linear_model()
    with pytest.raises(ValueError, match=r"^training.add_lora: layers='\(' is not a valid regular expression"):
        add_lora(model, 2, "(")
    add_lora(model, 2)
    with pytest.raises(ValueError, match=r"^training.add_lora: the model has a low-rank update already"):
        add_lora(model, 2)


@pytest.mark.parametrize("read", [lora_state, lora_changes])
def test_a_model_without_an_update_has_none_to_read(read):
    with pytest.raises(ValueError, match=f"^training.{read.__name__}: the model has no low-rank update: call"):
        read(linear_model())


def test_an_update_that_is_merged_is_not_reported_as_no_change():
    model = linear_model()
    add_lora(model, 2)
    nn.init.normal_(model[0].lora_B["default"].weight)
    model[0].merge()
    with pytest.raises(ValueError, match=r"^training.lora_changes: the update of 0 is merged into its weight"):
        lora_changes(model)


@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_small_changes_of_weights_in_half_precision_are_not_rounded_away(variant):
    model = linear_model().bfloat16()
    add_lora(model, 2, variant=variant, alpha=0.01)
    nn.init.normal_(model[0].lora_B["default"].weight, std=0.1)
    update = 0.005 * (model[0].lora_B["default"].weight @ model[0].lora_A["default"].weight)
    weight = model[0].base_layer.weight.float()
    norm = 1 if variant == "lora" else model[0].lora_magnitude_vector["default"].weight[:, None].float()
    want = weight + update if variant == "lora" else norm * nn.functional.normalize(weight + update, dim=1)
    torch.testing.assert_close(lora_changes(model)["0.weight"], (want - weight).detach(), atol=1e-6, rtol=1e-3)
