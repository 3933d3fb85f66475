"""pytest tests/test_wan_untrusted.py: folders that anyone may have written are read within bounds, or refused."""

import json
import shutil

import pytest
import torch
from wan_tiny import edit, refused, transformer

from pusa_lab.wan import checks, folders, loading
from pusa_lab.wan.model import WanModel

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"size": (32, 64), "num_frames": 9, "dtype": torch.float32, "device": "cpu", "cache": None}
DEEP = "[" * 100_000
INDEX = "diffusion_pytorch_model.safetensors.index.json"


@pytest.fixture
def sharded(folder):
    """The transformer's weights in several files, and their index."""
    shutil.rmtree(folder / "transformer")
    transformer().save_pretrained(folder / "transformer", max_shard_size="40KB")
    return folder / "transformer" / INDEX


class TestSizes:
    @pytest.mark.parametrize(
        ("part", "name", "value"),
        [
            ("transformer", "num_layers", 10**9),
            ("transformer", "num_attention_heads", 10**9),
            ("transformer", "ffn_dim", 10**12),
            ("transformer", "text_dim", 2**63),
            ("transformer", "freq_dim", 10**9),
            ("transformer", "rope_max_seq_len", 10**9),
            ("transformer", "added_kv_proj_dim", 10**9),
            ("transformer", "num_layers", 0),
            ("transformer", "num_layers", -1),
            ("transformer", "num_layers", 2.0),
            ("transformer", "num_layers", "2"),
            ("transformer", "num_layers", True),
            ("transformer", "num_layers", [2]),
            ("transformer", "num_layers", {"a": 1}),
            ("transformer", "patch_size", 2),
            ("transformer", "patch_size", [1, 2]),
            ("transformer", "patch_size", [1, 2, 0]),
            ("transformer", "patch_size", [1, 2, "2"]),
            ("transformer", "patch_size", [1] * 10_000),
            ("vae", "z_dim", 10**9),
            ("vae", "z_dim", "4"),
            ("vae", "base_dim", 10**9),
            ("vae", "dim_mult", [1] * 10_000),
            ("vae", "dim_mult", [1, 10**9, 1, 1]),
            ("vae", "num_res_blocks", 10**6),
            ("vae", "latents_mean", [0.0] * 3),
            ("vae", "latents_std", [1.0, None, 1.0, 1.0]),
            ("vae", "latents_mean", "zero"),
            ("vae", "latents_std", [0.0] * 4),
            ("vae", "latents_std", [1.0, 1.0, -1.0, 1.0]),
            ("vae", "dim_mult", []),
            ("transformer", "eps", "x"),
            ("transformer", "eps", 0),
            ("transformer", "eps", 10**400),
            ("transformer", "attention_head_dim", 13),
            ("text_encoder", "dropout_rate", float("nan")),
            ("text_encoder", "dropout_rate", 2),
            ("text_encoder", "layer_norm_epsilon", "x"),
            ("tokenizer", "model_max_length", "x"),
            ("tokenizer", "model_max_length", 0),
            ("vae", "scale_factor_spatial", 0),
            ("vae", "scale_factor_temporal", "4"),
            ("text_encoder", "num_layers", 10**9),
            ("text_encoder", "vocab_size", 10**12),
            ("text_encoder", "d_ff", 10**12),
            ("text_encoder", "d_model", None),
        ],
    )
    def test_what_no_model_has_is_refused_before_it_is_built(self, folder, monkeypatch, part, name, value):
        for builder in ("empty", "UMT5EncoderModel", "AutoencoderKLWan"):
            monkeypatch.setattr(checks, builder, None)
        edit(folder / part / ("tokenizer_config.json" if part == "tokenizer" else "config.json"), **{name: value})
        refused(rf"config.json gives (no )?.*{name}|.*{name}", WanModel.from_pretrained, folder)

    @pytest.mark.parametrize(
        ("part", "name", "value"),
        [
            ("transformer", "qk_norm", 5),
            ("transformer", "eps", "x"),
            ("transformer", "freq_dim", "x"),
            ("transformer", "cross_attn_norm", {"a": 1}),
            ("vae", "dim_mult", "x"),
            ("vae", "temperal_downsample", 7),
            ("vae", "latents_mean", None),
            ("text_encoder", "num_heads", "x"),
            ("text_encoder", "feed_forward_proj", 7),
        ],
    )
    def test_other_wrong_values_end_in_one_sentence(self, folder, part, name, value):
        edit(folder / part / "config.json", **{name: value})
        try:
            WanModel.from_pretrained(folder, **SMALL)
        except ValueError as error:
            assert "\n" not in str(error) and str(error).startswith("wan.WanModel.from_pretrained: ")
            assert "config" in str(error) or "weights" in str(error)

    def test_a_published_size_passes(self, folder):
        sizes = {"num_layers": 40, "num_attention_heads": 40, "attention_head_dim": 128, "ffn_dim": 13824}
        edit(folder / "transformer" / "config.json", **sizes)
        assert folders.check_wan_folder(folder, weights=False).config("transformer")["num_layers"] == 40


class TestIndex:
    @pytest.mark.parametrize(
        "name", ["../x.safetensors", "/etc/passwd", "a/../../x", "C:\\x", "..\\x", "", 3, None, ["x"], {}]
    )
    def test_names_that_leave_the_folder(self, folder, sharded, name):
        found = json.loads(sharded.read_text())
        found["weight_map"]["proj_out.bias"] = name
        sharded.write_text(json.dumps(found))
        refused("which is not a file inside", folders.check_wan_folder, folder)

    def test_a_second_index_is_checked_too(self, folder, sharded):
        """diffusers has its own choice of one."""
        other = sharded.with_name("diffusion_pytorch_model.fp16.safetensors.index.json")
        other.write_text(json.dumps({"weight_map": {"a": "../x.safetensors"}}))
        refused("which is not a file inside", folders.check_wan_folder, folder)
        other.write_text(sharded.read_text())
        folders.check_wan_folder(folder)

    @pytest.mark.parametrize(
        "text", [DEEP, '{"a":' * 100_000, "", "{", "[]", "3", "null", '{"weight_map": []}', "\xff", "{}"]
    )
    def test_what_is_no_index(self, folder, sharded, text):
        sharded.write_bytes(text.encode("latin1"))
        refused("index.json", folders.check_wan_folder, folder)

    def test_links_of_the_hubs_cache_are_followed(self, folder, sharded, tmp_path):
        blobs, snapshot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "abc"
        blobs.mkdir(parents=True)
        for i, file in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
            place = snapshot / file.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, blobs / str(i))
            place.symlink_to(blobs / str(i))
        found = folders.check_wan_folder(snapshot)
        checks.check_weights(found)
        loading.read_transformer(found, "transformer", torch.float32)


class TestJson:
    @pytest.mark.parametrize("file", ["model_index.json", "transformer/config.json", "vae/config.json"])
    @pytest.mark.parametrize("text", [DEEP, '{"a":' * 100_000, "", "{", "[]", "3", "null", "\xff\xfe", '"x"'])
    def test_what_is_no_object(self, folder, file, text):
        (folder / file).write_bytes(text.encode("latin1"))
        refused("json", WanModel.from_pretrained, folder)

    @pytest.mark.parametrize("value", [3, "x", True, {"a": 1}, [], [None, None]])
    def test_a_second_transformer_that_is_none(self, folder, value):
        edit(folder / "model_index.json", transformer_2=value)
        assert folders.check_wan_folder(folder, weights=False).experts == ["transformer"]

    @pytest.mark.parametrize("value", ["x", [1], 7, -1, True, float("nan")])
    def test_a_boundary_that_is_none(self, folder, value):
        edit(folder / "model_index.json", boundary_ratio=value)
        refused("gives boundary_ratio as", WanModel.from_pretrained, folder)

    @pytest.mark.parametrize("text", [DEEP, "[]", "3", '{"auto_map": 3}'])
    def test_the_tokenizer(self, folder, text):
        (folder / "tokenizer" / "tokenizer_config.json").write_text(text)
        refused("tokenizer", WanModel.from_pretrained, folder)


class TestHeaders:
    def header(self, **entry):
        return json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **entry}})

    @pytest.mark.parametrize(
        "header",
        [
            DEEP,
            "[]",
            "3",
            '{"x": 3}',
            '{"x": {}}',
            {"shape": ["a"]},
            {"shape": [-1]},
            {"shape": [1.5]},
            {"shape": [2**80]},
            {"shape": None},
            {"data_offsets": [4, 0]},
            {"data_offsets": [-4, 4]},
            {"data_offsets": ["0", "4"]},
            {"data_offsets": [0, 2**70]},
            {"dtype": 3},
        ],
    )
    def test_a_header_that_lies(self, folder, header):
        text = (header if isinstance(header, str) else self.header(**header)).encode()
        file = folder / "vae" / "diffusion_pytorch_model.safetensors"
        file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
        refused("is not a safetensors file|its header", folders.check_wan_folder, folder)

    def test_a_header_longer_than_the_file(self, folder):
        file = folder / "vae" / "diffusion_pytorch_model.safetensors"
        file.write_bytes((2**62).to_bytes(8, "little") + b"{}")
        refused("is not a safetensors file", folders.check_wan_folder, folder)


@pytest.mark.parametrize(
    "change",
    [
        {"source": None},
        {"source": 3},
        {"source": b"x"},
        {"lora": 3},
        {"lora": [3]},
        {"lora": {"a": 1}},
        {"strength": "much"},
        {"strength": None},
        {"merged": "yes"},
        {"transformer": 3},
        {"dtype": "bfloat16"},
        {"dtype": 16},
        {"precision": "int8"},
        {"device": "tpu-9"},
        {"device": 3.5},
        {"offload": 3},
        {"size": 480},
        {"size": (480,)},
        {"size": ("a", "b")},
        {"size": (-16, 32)},
        {"size": (0, 0)},
        {"num_frames": "9"},
        {"num_frames": 2.5},
        {"num_frames": -3},
        {"num_frames": 0},
        {"shift": "x"},
        {"shift": torch.nan},
        {"shift": torch.inf},
        {"shift": -1.0},
        {"shift": 0.0},
        {"cache": 3},
    ],
    ids=str,
)
def test_hostile_arguments(whole, change):
    with pytest.raises(ValueError, match=r"^wan.WanModel.from_pretrained: ") as found:
        WanModel.from_pretrained(**{"source": whole, **SMALL, **change})
    assert "\n" not in str(found.value) and str(found.value).endswith(".")
