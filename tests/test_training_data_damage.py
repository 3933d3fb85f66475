"""pytest tests/test_training_data_damage.py: a cache that was damaged, exchanged or written by others is refused."""

import json
import shutil
import sys

import pytest
import torch
from encoding import Plain, clips, files, items
from safetensors.torch import load_file, save_file
from wan_tiny import refused

from pusa_lab.cli import main
from pusa_lab.data import CacheSettings, CacheWriter, LatentCache, codec_hash, encode_folder
from pusa_lab.data.latents import damaged, identity
from pusa_lab.data.manifest import difference, file_state, manifest_digest, read_manifest, source_differences
from pusa_lab.files import digest
from pusa_lab.training.recipes import CacheBatches

FILES = ["empty.safetensors", "shard-00000.safetensors", "shard-00001.safetensors"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("made")
    encode_folder(clips(place / "clips", 4), Plain(), place / "cache", "plain", per_shard=2)
    return place


@pytest.fixture
def cache(made, tmp_path):
    return shutil.copytree(made / "cache", tmp_path / "cache")


def edit(cache, change, signed=True):
    """Change the manifest, and its digest to fit."""
    manifest = json.loads((cache / "manifest.json").read_text())
    change(manifest)
    if signed:
        manifest["digest"] = manifest_digest(manifest)
    (cache / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", FILES)
class TestFiles:
    @pytest.mark.parametrize("at", [10, -1, 0.5])
    def test_a_flipped_bit(self, cache, name, at):
        data = bytearray((cache / name).read_bytes())
        data[int(at * len(data)) if isinstance(at, float) else at] ^= 1
        (cache / name).write_bytes(data)
        refused(
            f"{name} is missing or damaged .its hash differs from the manifest.: restore the file, or run `pusa-lab",
            LatentCache,
            cache,
        )

    @pytest.mark.parametrize("other", FILES)
    def test_a_file_in_the_place_of_another(self, cache, name, other):
        shutil.copy(cache / other, cache / "x")
        (cache / "x").replace(cache / name)
        if name == other:
            assert len(LatentCache(cache)) == 4
        else:
            refused(f"{name} is missing or damaged", LatentCache, cache)

    def test_a_folder_in_its_place(self, cache, name):
        (cache / name).unlink()
        (cache / name).mkdir()
        refused(f"{name} is missing or damaged .there is no such file", LatentCache, cache)

    def test_is_encoded_again(self, made, cache, name):
        before = items(cache)
        (cache / name).write_bytes(b"damaged")
        model = Plain()
        report = encode_folder(made / "clips", model, cache, "plain", per_shard=2)
        assert len(report.encoded) == model.encoded == (0 if name == "empty.safetensors" else 2)
        assert items(cache) == before
        assert len(files(cache)) == len(files(made / "cache"))


@pytest.mark.parametrize(
    "change",
    [
        lambda w: {k: v.float() for k, v in w.items()},
        lambda w: {k: v[..., :1] for k, v in w.items()},
        lambda w: {k: v for k, v in w.items() if k != "1.text"},
        lambda w: {k: v[None] for k, v in w.items()},
    ],
)
def test_a_shard_whose_hash_was_written_anew_must_hold_the_same_tensors(cache, change):
    shard = cache / "shard-00001.safetensors"
    save_file(
        {k: v.contiguous() for k, v in change({k: v.clone() for k, v in load_file(shard).items()}).items()}, shard
    )
    edit(cache, lambda m: m["files"].update({shard.name: digest(shard)}))
    refused("shard-00001.safetensors is missing or damaged .it holds no .* of shape .* in bfloat16", LatentCache, cache)


@pytest.mark.parametrize("empty", [torch.zeros(2, 5).bfloat16(), torch.zeros(2, 6), torch.zeros(6).bfloat16()])
def test_an_empty_caption_of_another_shape(cache, empty):
    save_file({"text": empty}, cache / "empty.safetensors")
    edit(cache, lambda m: m["files"].update({"empty.safetensors": digest(cache / "empty.safetensors")}))
    refused("empty.safetensors is missing or damaged .it holds a tensor of shape", LatentCache, cache)


def of_clip(**changes):
    return lambda m: m["clips"][1].update(changes)


MANIFESTS = {
    "a list": "[]",
    "a number": "1",
    "nothing": "",
    "half": '{"format": 3',
    "deep": "[" * 100_000,
    "deep objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "no text": b"\xff\xfe\x00",
    "no fields": '{"format": 3}',
    "a huge number": '{"format": ' + "9" * 5000 + "}",
    "format true": '{"format": true}',
    "format null": '{"format": null}',
}
CHANGES = {
    **{f"no {key}": lambda m, key=key: m.pop(key) for key in ("size", "clips", "files", "source", "codec", "broken")},
    **{
        f"{key} {value!r:.20}": lambda m, key=key, value=value: m.update({key: value})
        for key, values in {
            "format": ["2", 2.5, [2], {}],
            "size": [16, [16], [16, 16, 16], ["16", "16"], [16.0, 16.0], [0, 16], [-16, 16], [10**9, 10**9], None, {}],
            "latent_frames": ["3", None, 0, -3, 2, 10**9, 10**30, True, 3.0],
            "num_frames": [10**9, 0, "9", None, 10**400],
            "channels": [10**9, -1, "3", []],
            "fps": ["8", 0, -8, float("nan"), float("inf"), None, 10**400, True],
            "start": [-1, float("nan"), "0"],
            "codec": [None, 5, []],
            "text_length": [0, 10**12, "2", 1],
            "dtype": ["float32", "", None],
            "version": [None, 1],
            "source": [None, 5, ["/tmp"], "here", "/a\0b"],
            "files": [None, [], {}, {"empty.safetensors": 5}, {"../x": "0"}, {"/etc/passwd": "0"}],
            "clips": [None, {}, [None], [[]], [{}], "clips", 5, [{"name": "a"}]],
            "spare": [None, [5]],
            "broken": [None, [5], [{"name": "a"}], [{"name": 1, "reason": 2}]],
        }.items()
        for value in values
    },
    **{
        f"clip {key} {value!r:.20}": of_clip(**{key: value})
        for key, values in {
            "name": [None, 5, ["a"], "0.mp4"],
            "caption": [None, 5, ["a"]],
            "hash": [None, 5],
            "bytes": ["5", None, 1.5],
            "shard": [None, 5, "", ".", "..", "../x", "/etc/passwd", "C:\\x", "a/../../x", "other.safetensors", "a\0b"],
            "index": [0, -1, "0", None, 10**30, 0.0, True],
            "latents": [
                None,
                [],
                [3, 3, 2],
                [3, 3, 2, -2],
                [3, 3, 2, 10**12],
                [3, 3, 2, 4],
                [3, 3, "2", 2],
                [9, 9, 2, 2],
            ],
            "text": [None, [2], [0, 6], [2, 7], [10**9, 6]],
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("text", MANIFESTS)
def test_a_manifest_that_is_none(cache, text):
    text = MANIFESTS[text]
    (cache / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused("cannot be read|holds a cache of format|holds no", LatentCache, cache)


def swap(manifest, key):
    first, second = manifest["clips"][:2]
    first[key], second[key] = second[key], first[key]


@pytest.mark.parametrize("key", ["index", "caption", "name", "hash", "mtime"])
def test_clips_that_change_places_in_the_manifest_are_refused(cache, key):
    edit(cache, lambda manifest: swap(manifest, key), signed=False)
    refused(r"cannot be read as the manifest .*\(it was changed after it was written\)", LatentCache, cache)


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_with_a_value_that_cannot_be_right(cache, change, capsys):
    edit(cache, CHANGES[change])
    refused("^data.LatentCache: .*(cannot be read|holds a cache of format)", LatentCache, cache)
    assert main(["data", "show", str(cache)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("change", [of_clip(index=7), of_clip(shard="empty.safetensors")])
def test_a_manifest_that_names_what_is_not_there(cache, change):
    edit(cache, change)
    refused("is missing or damaged .it holds no .*latents of shape", LatentCache, cache)


def test_a_cache_of_the_format_before_is_one_sentence_for_both_commands(made, cache, capsys):
    edit(cache, lambda m: m.update(format=2))
    refused(
        "holds a cache of format 2, and this version reads format 3: encode the clips again, into a new folder",
        LatentCache,
        cache,
    )
    refused("of format 2", encode_folder, made / "clips", Plain(), cache, "plain")


def test_control_characters_of_others_do_not_reach_the_terminal(cache, capsys):
    edit(cache, of_clip(caption="a\x1b[2Jb\nc", name="\udcff.mp4"))
    assert main(["data", "show", str(cache)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "a\\x1b[2Jb\\nc" in said


class Box:
    """Not what anything here is made for."""


HOSTILE = [None, 5, 5.5, True, [1], {"a": 1}, b"x", Box(), torch.zeros(2), "\0", sys, float("nan")]
SETTINGS = CacheSettings("tiny", (16, 24), 9, 3, 4, 8.0, 0.0, "codec", "text", 7)
CALLS = {
    "LatentCache": lambda x, at: LatentCache(x),
    "CacheBatches": lambda x, at: CacheBatches(x, x),
    "CacheWriter folder": lambda x, at: CacheWriter(x, SETTINGS, torch.ones(1, 6)),
    "CacheWriter settings": lambda x, at: CacheWriter(at, x, torch.ones(1, 6)),
    "CacheWriter empty": lambda x, at: CacheWriter(at, SETTINGS, x),
    "CacheWriter per_shard": lambda x, at: CacheWriter(at, SETTINGS, torch.ones(1, 6), 0 if isinstance(x, int) else x),
    "add name": lambda x, at: writer(at).add(
        None if isinstance(x, str) else x, "a", "a", torch.zeros(4, 3, 2, 3), torch.ones(1, 6)
    ),
    "add latents": lambda x, at: writer(at).add("a", "a", "a", x, torch.ones(1, 6)),
    "add text": lambda x, at: writer(at).add("a", "a", "a", torch.zeros(4, 3, 2, 3), x),
    "add state": lambda x, at: writer(at).add("a", "a", "a", torch.zeros(4, 3, 2, 3), torch.ones(1, 6), x),
    "encode folder": lambda x, at: encode_folder(x, Plain(), at, "plain"),
    "encode model": lambda x, at: encode_folder(at, x, at, "plain"),
    "encode size": lambda x, at: encode_folder(at, Plain(), at, "plain", size=5 if x is None else x),
    "encode frames": lambda x, at: encode_folder(at, Plain(), at, "plain", num_frames=5.5 if x is None else x),
    "encode start": lambda x, at: encode_folder(at, Plain(), at, "plain", start=x),
    "settings size": lambda x, at: CacheSettings("tiny", x, 9, 3, 4, 8.0, 0.0, "codec", "text", 7),
    "identity": lambda x, at: identity(5 if x is None else x),
    "codec_hash": lambda x, at: codec_hash(type("Model", (), {"codec": 5 if x is None else x})()),
    "file_state": lambda x, at: file_state(x),
    "read_manifest": lambda x, at: read_manifest(x),
    "damaged": lambda x, at: damaged(x, {}, []),
    "difference": lambda x, at: difference(None if isinstance(x, dict) else x, {}),
}


def writer(at):
    return CacheWriter(at, SETTINGS, torch.ones(1, 6))


@pytest.mark.parametrize("call", CALLS)
def test_hostile_arguments_get_one_sentence(call, tmp_path, as_user):
    for value in HOSTILE:
        with pytest.raises((ValueError, OSError)) as found:
            CALLS[call](value, tmp_path / "at")
        assert "\n" not in str(found.value), value
    assert not (tmp_path / "at").exists()


def test_source_differences_of_a_manifest_without_a_source(cache):
    edit(cache, lambda m: m.update(source=""))
    assert source_differences(read_manifest(cache)) == []
