"""pytest tests/test_descriptions.py: what checkpoints say of themselves is compared with their weights, then built."""

import copy
import json

import pytest
import torch
from safetensors.torch import save_file

import small_models
from small_models.files import KEY, read_weights, write_weights
from small_models.models.description import fault
from small_models.models.lora import merge_update
from small_models.models.zoo import CHECKPOINTS, codec_of

NANO = json.loads(json.dumps(small_models.PRESETS["nano"]))
HUGE = 10**9


@pytest.fixture(scope="module")
def nano():
    """The shipped weights."""
    return read_weights(CHECKPOINTS / "nano-base.safetensors")[1]


@pytest.mark.parametrize("name", small_models.list_models())
def test_shipped_checkpoints_have_no_fault(name):
    assert fault(*read_weights(CHECKPOINTS / f"{name}.safetensors")) == ""


SIZES = [
    *(("dit", name) for name in NANO["dit"]),
    *(("text", name) for name in ("dim", "layers", "longest")),
    *(("geometry", name) for name in ("channels", "frames", "fps")),
]
HOSTILE = [HUGE, 10**30, 0, -1, None, "3", 1.5, True, [], {}, [1, 2, HUGE], float("nan")]


@pytest.mark.parametrize(("part", "name"), SIZES)
def test_sizes_that_are_not_those_of_the_weights_are_refused_unbuilt(tmp_path, nano, part, name):
    for value in HOSTILE:
        preset = copy.deepcopy(NANO)
        preset[part][name] = value
        assert fault({"kind": "ToyModel", "preset": preset}, nano), value
    path = tmp_path / "x.safetensors"
    preset[part][name] = HUGE
    save_file(nano, path, {KEY: json.dumps({"kind": "ToyModel", "preset": preset})})
    with pytest.raises(ValueError, match=rf"x.safetensors holds another architecture .*({name}|video|layers)"):
        small_models.load(path)


@pytest.mark.parametrize(("name", "value"), [("size", [HUGE, 16]), ("size", 16), ("stride", [1, 1]), ("stride", "abc")])
def test_sizes_of_pictures_are_bounded(nano, name, value):
    preset = copy.deepcopy(NANO)
    preset["geometry"][name] = value
    assert name in fault({"kind": "ToyModel", "preset": preset}, nano)


def test_a_video_that_fills_the_memory_is_refused(nano):
    preset = copy.deepcopy(NANO)
    preset["geometry"] |= {"frames": 4000, "size": [4000, 4000]}
    assert "numbers, at most" in fault({"kind": "ToyModel", "preset": preset}, nano)


@pytest.mark.parametrize("name", [*small_models.CODECS["mini"], "is_residual", "patch_size", "unknown"])
def test_codecs_too(name):
    about, weights = read_weights(CHECKPOINTS / "mini-codec.safetensors")
    for value in (HUGE, -1, None, "3", [HUGE] * 4, {"a": 1}):
        if value is None and name in ("is_residual", "attn_scales", "patch_size"):  # none, as in a toy
            continue
        assert fault({**about, "preset": {**about["preset"], name: value}}, weights), value


NONE = [None, 3, "x", [], {}, {"name": "nano-base"}, {"name": 3, "sha256": "a"}, {"name": "a", "sha256": None}]


@pytest.mark.parametrize("value", NONE)
@pytest.mark.parametrize("key", ["kind", "preset", "base", "codec"])
def test_descriptions_of_other_types_are_one_sentence(tmp_path, nano, key, value):
    path = tmp_path / "x.safetensors"
    save_file(nano, path, {KEY: json.dumps({"kind": "ToyModel", "preset": NANO, key: value})})
    with pytest.raises(ValueError, match="holds another architecture than this package builds"):
        small_models.load(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "3", "null", '"x"', "{" * 10, '{"a": NaN}'])
def test_descriptions_that_are_none_are_one_sentence(tmp_path, nano, text):
    save_file(nano, tmp_path / "x.safetensors", {KEY: text})
    with pytest.raises(ValueError, match="holds another architecture than this package builds"):
        small_models.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", ["../secret", "/etc/secret", "a/../../secret", "C:\\secret", "..\\secret", "a\0b"])
def test_what_a_checkpoint_builds_on_lies_beside_it(tmp_path, nano, name):
    path = tmp_path / "x.safetensors"
    for part in ("base", "codec"):
        about = {"kind": "ToyModel", "preset": NANO, part: {"name": name, "sha256": "0" * 64}}
        save_file(nano, path, {KEY: json.dumps(about)})
        for call in (small_models.load, codec_of):
            with pytest.raises(ValueError, match="which is not a file inside"):
                call(path)


def test_a_base_of_another_kind_is_refused(tmp_path):
    from pusa_lab.files import digest

    codec = CHECKPOINTS / "mini-codec.safetensors"
    named = {"name": "mini-codec", "sha256": digest(codec)}
    write_weights(tmp_path / "x.safetensors", {}, {"kind": "ToyModel", "preset": NANO, "base": named}, {})
    with pytest.raises(ValueError, match="builds on mini-codec, which is a Codec"):
        small_models.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("card", ["[" * 100_000, "[1]", '{"sha256": 3}', '{"sha256": null}', "\xff"])
def test_cards_are_not_trusted(tmp_path, nano, card):
    path = tmp_path / "x.safetensors"
    write_weights(path, nano, {"kind": "ToyModel", "preset": NANO}, {"name": "x"})
    path.with_suffix(".json").write_text(card, encoding="latin-1")
    small_models.load(path, "cpu")
    assert small_models.card(path) == {}


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), -float("inf"), "1", None, 1e300])
def test_strengths_without_sense_are_refused(strength):
    with pytest.raises(ValueError, match="strength"):
        small_models.load("mini-vta", "cpu", strength=strength)


def test_a_strength_for_whole_weights_is_refused():
    with pytest.raises(ValueError, match=r"strength=0.5, but .*nano-vta.* has all weights and no low-rank update"):
        small_models.load("nano-vta", "cpu", strength=0.5)


@pytest.mark.parametrize("name", [None, 3, "", [], b"nano-vta", "a\0b"])
def test_names_of_other_types_are_one_sentence(name):
    with pytest.raises(ValueError, match=r"small_models.load|zoo.load"):
        small_models.load(name)


@pytest.mark.parametrize("device", ["nowhere", 3.5, "cuda:99", []])
def test_devices_that_are_not_there_are_one_sentence(device):
    with pytest.raises(ValueError, match="device"):
        small_models.load("nano-vta", device)


A, B = "l.lora_A.weight", "l.lora_B.weight"


@pytest.mark.parametrize(
    "update",
    [
        {A: torch.ones(1, 5)},
        {B: torch.ones(4, 1)},
        {A: torch.ones(1, 2**20), B: torch.ones(2**20, 1)},  # 4 TiB when multiplied
        {A: torch.ones(2, 5), B: torch.ones(4, 1)},
        {A: torch.ones(5), B: torch.ones(4)},
        {"l.weight": torch.ones(5, 4)},
        {"none": torch.ones(1)},
    ],
)
def test_updates_that_do_not_fit_are_refused_before_they_are_multiplied(update):
    model = torch.nn.Module()
    model.l = torch.nn.Linear(5, 4)
    with pytest.raises(ValueError, match="fits no layer of the model"):
        merge_update(model, update)
    before = model.l.weight.clone()
    merge_update(model, {A: torch.ones(1, 5), B: torch.ones(4, 1)}, strength=-2.0)
    torch.testing.assert_close(model.l.weight, before - 2)
