"""pytest tests/test_training_data_cache.py: the latent cache, written, read, resumed, refused, out of room."""

import json
import pickle
import resource
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from wan_tiny import refused

from pusa_lab.data import CacheSettings, CacheWriter, LatentCache, latents
from pusa_lab.data.latents import identity
from pusa_lab.files import digest

SETTINGS = CacheSettings("tiny", (16, 24), 9, 3, 4, 8.0, 0.0, "codec", "text", 7)


def clip(i, rows=5):
    g = torch.Generator().manual_seed(i)
    latents, text = torch.randn(4, 3, 2, 3, generator=g), torch.zeros(7, 6)
    text[:rows] = torch.randn(rows, 6, generator=g)
    return latents, text


def fill(folder, numbers, per_shard=2, settings=SETTINGS, close=True):
    writer = CacheWriter(folder, settings, torch.ones(1, 6), per_shard)
    for i in numbers:
        if not writer.has(f"hash {i}", f"caption {i}"):
            writer.add(f"{i}.mp4", f"hash {i}", f"caption {i}", *clip(i, rows=1 + i % 7))
    if close:
        writer.close()
    return writer


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_added_is_read_back_rounded_and_without_padding(tmp_path):
    fill(tmp_path / "cache", range(5))
    cache = LatentCache(tmp_path / "cache")
    assert len(cache) == 5
    shards = [f"shard-0000{i}.safetensors" for i in range(3)]
    assert sorted(files(cache.folder)) == ["empty.safetensors", "manifest.json", *shards]
    for i in range(5):
        latents, text = clip(i, rows=1 + i % 7)
        item = cache[i]
        assert torch.equal(item["latents"], latents.bfloat16())
        assert torch.equal(item["text"], text[: 1 + i % 7].bfloat16())
        assert (item["name"], item["caption"]) == (f"{i}.mp4", f"caption {i}")
    assert torch.equal(cache.empty, torch.ones(1, 6, dtype=torch.bfloat16))


def test_the_manifest_tells_where_everything_lies(tmp_path):
    writer = fill(tmp_path, range(3), close=False)
    writer.mark_broken("a.mov", "has no caption.")
    writer.mark_broken("b.mov", "is cut short.")
    writer.close()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["size"] == [16, 24]
    assert (manifest["codec"], manifest["text_encoder"], manifest["dtype"]) == ("codec", "text", "bfloat16")
    assert [b["name"] for b in manifest["broken"]] == ["a.mov", "b.mov"]
    for entry in manifest["clips"]:
        latents, _ = clip(int(entry["name"][0]))
        assert torch.equal(load_file(tmp_path / entry["shard"])[f"{entry['index']}.latents"], latents.bfloat16())


def test_going_on_gives_the_same_files_as_one_run(tmp_path):
    fill(tmp_path / "whole", range(7), per_shard=3)
    fill(tmp_path / "parts", range(5), per_shard=3, close=False)  # the fourth and fifth are lost with the process
    assert len(LatentCache(tmp_path / "parts")) == 3
    fill(tmp_path / "parts", range(7), per_shard=3)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_a_shard_that_no_manifest_names_is_written_over(tmp_path):
    fill(tmp_path / "whole", range(4))
    fill(tmp_path / "parts", range(2))
    for name in ("shard-00001.safetensors", "shard-00001.safetensors.part", "manifest.json.part"):
        (tmp_path / "parts" / name).write_bytes(b"half")
    fill(tmp_path / "parts", range(4))
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_a_clip_with_another_caption_takes_the_place_of_the_old_one(tmp_path):
    first = fill(tmp_path, range(2), close=False)
    first.mark_broken("2.mp4", "is cut short.")
    first.close()
    assert len(LatentCache(tmp_path).manifest["broken"]) == 1
    writer = fill(tmp_path, [], close=False)
    assert writer.has("hash 1", "caption 1")
    assert not writer.has("hash 1", "better")
    writer.add("1.mp4", "hash 1", "better", *clip(1))
    writer.add("2.mp4", "hash 2", "mended", *clip(2))
    writer.close()
    cache = LatentCache(tmp_path)
    assert [cache[i]["caption"] for i in range(3)] == ["caption 0", "better", "mended"]
    assert cache.manifest["broken"] == []


@pytest.mark.parametrize(
    "change",
    [{"size": (16, 32)}, {"codec": "other"}, {"text_encoder": "other"}, {"fps": 16.0}, {"start": 1.0}, {"model": "m"}],
)
def test_other_settings_are_refused_and_nothing_is_touched(tmp_path, change):
    fill(tmp_path, range(3))
    before = files(tmp_path)
    refused(
        f"was made with {next(iter(change))}=.*another folder", fill, tmp_path, range(5), 2, replace(SETTINGS, **change)
    )
    assert files(tmp_path) == before


def test_another_version_is_refused_to_write_but_read(tmp_path, monkeypatch):
    fill(tmp_path, range(3))
    monkeypatch.setattr("pusa_lab.__version__", "9.9")
    refused("was made with version='.*, but '9.9' is expected", fill, tmp_path, range(5))
    assert len(LatentCache(tmp_path)) == 3


def test_a_run_that_needs_another_cache_is_told(tmp_path):
    fill(tmp_path, range(3))
    cache = LatentCache(tmp_path)
    cache.require(model="tiny", codec="codec", size=(16, 24), latent_frames=3)
    refused("was made with codec='codec', but 'other' is expected", lambda: cache.require(codec="other"))
    refused("was made with size=.16, 24., but .16, 32. is expected", lambda: cache.require(size=(16, 32)))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    refused("holds holiday.jpg and is not a cache", fill, tmp_path, range(1))
    assert list(files(tmp_path)) == ["holiday.jpg"]


def test_latents_of_other_sizes_are_refused(tmp_path):
    writer = fill(tmp_path, range(1))
    with pytest.raises(ValueError, match=r"have shape \(4, 2, 2, 3\): give \(c, f, h, w\) with \(c, f\) = \(4, 3\)"):
        writer.add("x.mp4", "x", "x", torch.zeros(4, 2, 2, 3), torch.ones(1, 6))


class TestDamage:
    def test_no_cache(self, tmp_path):
        refused("holds no manifest.json", LatentCache, tmp_path)

    def test_a_manifest_of_another_format_or_none(self, tmp_path):
        fill(tmp_path, range(1))
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
        refused("of format 99, and this version reads format 3", LatentCache, tmp_path)
        (tmp_path / "manifest.json").write_text("{")
        refused("cannot be read", LatentCache, tmp_path)

    @pytest.mark.parametrize("name", ["shard-00001.safetensors", "empty.safetensors"])
    def test_a_file_cut_short_or_gone(self, tmp_path, name):
        fill(tmp_path, range(4))
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-10])
        refused(f"{name} is missing or damaged", LatentCache, tmp_path)
        path.unlink()
        refused(f"{name} is missing or damaged", LatentCache, tmp_path)


def test_a_full_disk_leaves_a_valid_cache_that_can_go_on(tmp_path):
    """The kernel refuses the bytes: a limit on file size, above the first shard and below the second."""
    fill(tmp_path / "whole", range(6))
    writer = fill(tmp_path / "cache", range(2))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer.add("2.mp4", "hash 2", "caption 2", *clip(2, rows=3))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        with pytest.raises(OSError, match=r"File too large.*make room.*after the 2 clips already encoded\.$"):
            writer.add("3.mp4", "hash 3", "caption 3", *clip(3, rows=4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "cache").glob("*.part"))
    assert [item["name"] for item in LatentCache(tmp_path / "cache")] == ["0.mp4", "1.mp4"]
    fill(tmp_path / "cache", range(6))
    assert files(tmp_path / "cache") == files(tmp_path / "whole")


def test_hashes_change_with_what_they_name(tmp_path):
    one, two = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert identity(one) != identity(two)
    two.load_state_dict(one.state_dict())
    assert identity(one) == identity(two)
    assert identity(None) == "none"
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_cache_is_read_once_when_it_is_opened_and_its_headers_never_again(tmp_path, monkeypatch):
    fill(tmp_path / "cache", range(5))
    opened, mapped = Counter(), Counter()
    opening, mapping = Path.open, latents.safe_open
    monkeypatch.setattr(Path, "open", lambda path, *a, **k: opened.update([path.name]) or opening(path, *a, **k))
    monkeypatch.setattr(latents, "safe_open", lambda path, **k: mapped.update([path.name]) or mapping(path, **k))
    cache = LatentCache(tmp_path / "cache")
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert opened == Counter(names)
    assert mapped == Counter(names - {"manifest.json"})
    before = [item["latents"] for item in cache]
    assert opened == Counter(names) and mapped == Counter(names - {"manifest.json"})
    elsewhere = pickle.loads(pickle.dumps(cache))
    assert all(torch.equal(one, item["latents"]) for one, item in zip(before, elsewhere, strict=True))
