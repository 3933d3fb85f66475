"""pytest tests/test_read_once.py: files, headers and JSON of a Wan folder, a LoRA and a cache are read once a load."""

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from opened import opened
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from wan_commands import encode, words_of
from wan_tiny import pipeline

import pusa_lab as pl
from pusa_lab.cli import main
from pusa_lab.data import LatentCache
from pusa_lab.data import latents as cached
from pusa_lab.wan.encoders import WanEncoders
from pusa_lab.wan.lora import files as lora_files
from pusa_lab.wan.model import WanModel

pytestmark = pytest.mark.usefixtures("one_thread")
HOW = {"size": (32, 48), "num_frames": 9, "device": "cpu", "cache": None, "dtype": torch.float32}
EXPERTS = ("transformer", "transformer_2")
PARTS = (*EXPERTS, "vae", "text_encoder")
LAYER = "blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with two experts, of which one is in shards."""
    place = tmp_path_factory.mktemp("wan") / "two"
    pipeline("wan2.2-a14b").save_pretrained(place)
    for file in (place / "transformer_2").glob("*.safetensors*"):
        file.unlink()
    pipeline("wan2.2-a14b").transformer_2.save_pretrained(place / "transformer_2", max_shard_size="40KB")
    return place


@pytest.fixture
def mapped(monkeypatch):
    """Name of each file -> how often our code had safetensors read its header."""
    found = Counter()

    def counted(path, *args, **kwargs):
        found[Path(path).name] += 1
        return safe_open(path, *args, **kwargs)

    for module in (cached, lora_files):
        monkeypatch.setattr(module, "safe_open", counted)
    return found


def weights(part, place):
    return [f"{part}/{file.name}" for file in (place / part).glob("*.safetensors")]


def once(place, *parts):
    """JSON, and one header of each file of weights; the text encoder's weights are identified by samples too."""
    json_files = ["model_index.json", "tokenizer/tokenizer_config.json", *(f"{part}/config.json" for part in PARTS)]
    indices = [str(file.relative_to(place)) for file in place.glob("*/*.index.json")]
    headers = [file for part in PARTS for file in weights(part, place)]
    samples = [file for part in parts for file in weights(part, place)]
    # what tokens depend on is hashed
    hashed = ["tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"]
    return Counter([*json_files, *indices, *headers, *samples, *hashed])


def test_a_folder_with_two_experts(two):
    assert len(weights("transformer_2", two)) > 2
    with opened(two) as found:
        WanModel.from_pretrained(two, **HOW).encode_text(["a dog"])
    assert found == once(two, "text_encoder")


def test_its_encoders_alone(two):
    with opened(two) as found:
        WanEncoders.from_pretrained(two, **HOW).encode_text(["a dog"])
    assert found == once(two, "text_encoder")


def test_by_name_where_every_part_is_identified(two):
    """The family is found by model_index.json too, before it is known that this is a Wan."""
    with opened(two) as found:
        model = pl.load(two, **HOW)
    assert found == once(two, *PARTS) + Counter(["model_index.json"])
    assert pl.models.origin_of(model).digest == pl.models.origin_of(pl.load(two, **HOW)).digest


def test_loras_of_two_experts_and_weights_in_a_single_file(two, tmp_path, mapped):
    pairs = {f"{LAYER}.lora_A.weight": torch.randn(2, 24), f"{LAYER}.lora_B.weight": torch.randn(24, 2)}
    both = {f"{expert}.{key}": x.clone() for expert in EXPERTS for key, x in pairs.items()}
    save_file(both, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 2}))
    (tmp_path / "other").mkdir()
    save_file(pairs, tmp_path / "other" / "low.safetensors")
    singles = [tmp_path / f"{expert}.safetensors" for expert in ("high", "low")]
    for file, expert in zip(singles, EXPERTS, strict=True):
        save_file({k: v for f in weights(expert, two) for k, v in load_file(two / f).items()}, file)
    how = dict(zip(("transformer", "transformer_low"), singles, strict=True))
    with opened(tmp_path) as found:
        model = WanModel.from_pretrained(
            two, lora=tmp_path, lora_low=tmp_path / "other" / "low.safetensors", **how, **HOW
        )
    assert [len(reports) for reports in model.loras] == [1, 2]
    assert mapped == {"adapter_model.safetensors": 1, "low.safetensors": 1}
    assert found == Counter(["adapter_config.json", "high.safetensors", "low.safetensors"])


@pytest.fixture(scope="module")
def cache(whole, tmp_path_factory):
    return encode(whole, tmp_path_factory.mktemp("encoded"))


FILES = ("shard-00000.safetensors", "empty.safetensors")


def test_a_latent_cache(cache, mapped):
    with opened(cache) as found:
        clips = LatentCache(cache)
        assert len([clips[i] for i in range(len(clips))]) > 1
    assert found == Counter(["manifest.json", *FILES])  # the shards to compare their hashes
    assert mapped == Counter(FILES)


def test_a_run_of_training_up_to_its_first_step(whole, cache, tmp_path, mapped, monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("pusa_lab.finetune.run", stopped)
    words = words_of(whole, cache, tmp_path / "lora.safetensors")
    with opened(cache) as found, opened(whole) as read:
        assert main(words) == 130
    assert found == Counter(["manifest.json", *FILES])
    assert mapped == Counter(FILES)
    assert read and set(read.values()) == {1}
