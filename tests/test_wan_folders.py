"""pytest tests/test_wan_folders.py: folders of Wan are told apart, and checked before they are read."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from transformers import UMT5EncoderModel
from wan_tiny import edit, refused, rewrite, text_encoder

from pusa_lab.wan import checks, loading
from pusa_lab.wan.folders import check_wan_folder, find_folder, with_weights
from pusa_lab.wan.headers import read_header
from pusa_lab.wan.prompts import PromptEncoder

pytestmark = pytest.mark.usefixtures("one_thread")


def encode(place, cache):
    """A caption as WanModel encodes it, and how often the encoder was read."""
    folder, log = check_wan_folder(place), []
    load = lambda: log.append(1) or loading.read_text_encoder(folder, torch.float32)  # noqa: E731
    return PromptEncoder(load, folder.identity("text_encoder"), cache)(["a dog"]), len(log)


class TestIdentity:
    def test_the_same_folder_elsewhere_is_the_same(self, whole, folder, tmp_path):
        first, reads = encode(whole, tmp_path / "cache")
        again, more = encode(folder, tmp_path / "cache")
        assert (reads, more) == (1, 0)
        assert torch.equal(first, again)

    def test_an_encoder_of_another_seed(self, whole, folder, tmp_path):
        text_encoder(seed=10).save_pretrained(folder / "text_encoder")
        files = [place / "text_encoder" / "model.safetensors" for place in (whole, folder)]
        assert files[0].stat().st_size == files[1].stat().st_size
        first, _ = encode(whole, tmp_path / "cache")
        other, reads = encode(folder, tmp_path / "cache")
        assert reads == 1
        assert (first - other).abs().max() > 0.1
        assert torch.equal(other, encode(folder, None)[0])

    @pytest.mark.parametrize("name", ["block.0.layer.0.SelfAttention.q.weight", "block.1.layer.1.layer_norm.weight"])
    def test_one_tensor_of_a_large_file_changes_it(self, whole, folder, monkeypatch, name):
        """Also where the reads that are spread over the file miss it."""
        monkeypatch.setattr("pusa_lab.wan.headers.SAMPLE", 16)
        monkeypatch.setattr("pusa_lab.wan.headers.SAMPLES", 2)
        before = check_wan_folder(folder).identity("text_encoder")
        rewrite(
            folder / "text_encoder" / "model.safetensors",
            lambda weights: {k: v + 1 if k.endswith(name) else v for k, v in weights.items()},
        )
        assert (
            check_wan_folder(folder).identity("text_encoder")
            != before
            == check_wan_folder(whole).identity("text_encoder")
        )

    def test_another_tokenizer(self, whole, folder, tmp_path):
        file = folder / "tokenizer" / "tokenizer.json"
        found = json.loads(file.read_text())
        found["model"]["vocab"][4:] = found["model"]["vocab"][:3:-1]
        file.write_text(json.dumps(found))
        first, _ = encode(whole, tmp_path / "cache")
        other, reads = encode(folder, tmp_path / "cache")
        assert reads == 1
        assert not torch.equal(first, other)
        assert check_wan_folder(folder).identity("vae") == check_wan_folder(whole).identity("vae")

    def test_numbers_that_are_not_finite_are_not_kept(self, folder, tmp_path):
        file = folder / "text_encoder" / "model.safetensors"
        rewrite(file, lambda w: {k: torch.full_like(v, torch.nan) if "final" in k else v for k, v in w.items()})
        refused("float32 gave numbers that are not finite for 'a dog'", encode, folder, tmp_path / "cache")
        assert not (tmp_path / "cache").exists()

    def test_a_cached_embedding_that_is_not_finite_is_not_used(self, whole, tmp_path):
        want, _ = encode(whole, tmp_path)
        (file,) = tmp_path.iterdir()
        rewrite(file, lambda w: {k: v * torch.inf for k, v in w.items()})
        assert torch.equal(encode(whole, tmp_path)[0], want)


class TestHub:
    def test_configs_come_first(self, whole, monkeypatch):
        asked = []
        give = lambda name, allow_patterns: asked.append(allow_patterns) or str(whole)  # noqa: E731
        monkeypatch.setattr(huggingface_hub, "snapshot_download", give)
        assert find_folder("Wan-AI/X", weights=False) == find_folder("Wan-AI/X") == whole
        assert asked == [["*.json", "tokenizer/*"], ["*.json", "tokenizer/*", "*.safetensors"]]

    def test_configs_are_checked_without_weights(self, folder):
        for file in folder.rglob("*.safetensors"):
            file.unlink()
        found = check_wan_folder(folder, weights=False)
        assert (found.experts, found.parameters) == (["transformer"], {})
        assert loading.folder_sizes(found, 5.0, (32, 64), 9).frames == 3
        refused("has no safetensors", check_wan_folder, folder)
        edit(folder / "vae" / "config.json", z_dim=None)
        refused("gives no z_dim", lambda: check_wan_folder(folder, weights=False))

    def test_weights_are_added_to_what_has_been_checked(self, whole, folder):
        found = check_wan_folder(whole, weights=False)
        for call in (found.identity, found.shapes):
            refused(r"the weights of \S+vae were not checked: use folders.with_weights first", call, "vae")
        assert with_weights(found, whole) == check_wan_folder(whole)
        assert with_weights(found, folder) == check_wan_folder(folder), "the repository has changed since"
        edit(folder / "vae" / "config.json", z_dim=None)
        refused("gives no z_dim", with_weights, found, folder)


class TestKinds:
    @pytest.mark.parametrize(
        ("part", "changes", "match"),
        [
            (
                "transformer",
                {"_class_name": "WanVACETransformer3DModel"},
                "is of kind WanVACETransformer3DModel, but WanTransformer3DModel is expected",
            ),
            ("transformer", {"_class_name": "CogVideoXTransformer3DModel", "patch_size": 2}, "is of kind CogVideoX"),
            ("vae", {"_class_name": "AutoencoderKL"}, "is of kind AutoencoderKL, but AutoencoderKLWan is expected"),
            ("text_encoder", {"model_type": "t5"}, "is of kind t5, but umt5 is expected"),
            ("transformer", {"_class_name": None}, "is of kind unknown ._class_name is missing."),
            ("transformer", {"num_layers": None, "out_channels": None}, "gives no out_channels, num_layers"),
            ("text_encoder", {"d_model": 4096}, "a text encoder 4096 wide, but its transformer reads 16"),
        ],
    )
    def test_another_model_or_half_a_config(self, folder, part, changes, match):
        edit(folder / part / "config.json", **changes)
        refused(match, lambda: check_wan_folder(folder, weights=False))

    def test_no_config_at_all(self, folder):
        (folder / "transformer" / "config.json").write_text("[]")
        refused("holds an empty list instead of a JSON object", check_wan_folder, folder)

    def test_a_saved_vta_model_is_a_wan(self, folder):
        edit(folder / "transformer" / "config.json", _class_name="VTAWanTransformer3DModel")
        checks.check_weights(check_wan_folder(folder))


class TestLayout:
    def test_shards_without_their_index(self, folder):
        place = folder / "text_encoder"
        shutil.rmtree(place)
        text_encoder().save_pretrained(place, max_shard_size="10KB")
        check_wan_folder(folder)
        (place / "model.safetensors.index.json").unlink()
        refused(r"has no index .*3, first model-00001-of-00003.safetensors.: download", check_wan_folder, folder)
        for file in sorted(place.glob("*.safetensors"))[1:]:
            file.unlink()
        refused(r"has no index .*1, first model-00001-of-00003.safetensors.: download", check_wan_folder, folder)

    def test_weights_in_two_precisions(self, folder):
        place = folder / "text_encoder"
        shutil.copy(place / "model.safetensors", place / "model_in_half.safetensors")
        refused("has no index .*2, first model.safetensors.: download", check_wan_folder, folder)

    def test_an_index_of_nothing(self, folder):
        (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text("{}")
        refused("lists no shards", check_wan_folder, folder)

    def test_a_file_that_no_one_would_open(self, folder):
        (folder / "vae" / "diffusion_pytorch_model.safetensors").rename(folder / "vae" / "codec.safetensors")
        refused("rename '.*codec.safetensors' to diffusion_pytorch_model.safetensors", check_wan_folder, folder)

    def test_an_empty_tokenizer(self, folder):
        (folder / "tokenizer" / "tokenizer.json").unlink()
        refused("has neither tokenizer.json nor spiece.model", check_wan_folder, folder)

    def test_a_spoilt_tokenizer_is_found_before_the_encoder_is_read(self, folder, monkeypatch):
        monkeypatch.setattr(UMT5EncoderModel, "from_pretrained", None)
        (folder / "tokenizer" / "tokenizer.json").write_text("{}")
        refused("cannot be read as a tokenizer", loading.read_text_encoder, check_wan_folder(folder), torch.float32)


class TestForeignCode:
    @pytest.fixture
    def trap(self, folder, tmp_path):
        """A tokenizer with code of its own, and the file that this would leave behind."""
        left = tmp_path / "ran"
        (folder / "tokenizer" / "evil.py").write_text(f"open({str(left)!r}, 'w')\nclass Evil: pass\n")
        changes = {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}
        edit(folder / "tokenizer" / "tokenizer_config.json", **changes)
        return left

    @pytest.fixture(autouse=True)
    def no_questions(self, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))

    def test_it_is_refused_at_once(self, folder, trap):
        refused("asks to run code that came with it", lambda: check_wan_folder(folder, weights=False))
        assert not trap.exists()

    def test_it_is_not_run_where_it_slips_in_later(self, whole, folder, trap):
        found = check_wan_folder(whole)
        object.__setattr__(found, "path", folder)
        refused("cannot be read as a tokenizer", loading.read_text_encoder, found, torch.float32)
        assert not trap.exists()


@pytest.mark.parametrize("path", ["/proc/none/x", "a:b/c", "."])
def test_a_header_that_is_not_there_is_told(path):
    with pytest.raises(ValueError, match=rf"^wan.read_header: no safetensors file at '{path}'"):
        read_header(Path(path))
