"""pytest tests/test_wan_files.py: files of weights fit the model they are for, or are refused before they are read."""

import pytest
import torch
import transformers
from safetensors.torch import save_file
from transformers import UMT5EncoderModel
from wan_tiny import edit, pipeline, refused, rewrite, text_encoder, transformer, without

from pusa_lab.wan import checks, loading
from pusa_lab.wan.folders import check_wan_folder
from pusa_lab.wan.lora.names import original_name

pytestmark = pytest.mark.usefixtures("one_thread")


class TestWeights:
    @pytest.mark.parametrize(
        ("part", "change", "match"),
        [
            ("transformer", without("blocks.1.attn1.to_q"), r"transformer lacks 2 of 69 weights, first blocks.1.attn1"),
            (
                "transformer",
                lambda w: {**w, "vace": w["proj_out.bias"]},
                "1 weight that this model does not have, first vace",
            ),
            ("transformer", lambda w: {k: v[:1] for k, v in w.items()}, r"\(1, 24, 1, 1, 1\)|of another shape"),
            ("vae", without("post_quant_conv"), "vae lacks 2 of"),
            ("text_encoder", without("block.1"), "text_encoder lacks 10 of"),
            ("text_encoder", without("shared"), "text_encoder lacks 2 of"),
            (
                "text_encoder",
                lambda w: {**w, "encoder.block.2.layer.0.layer_norm.weight": torch.ones(16)},
                "1 weight that this model does not have, first encoder.block.2",
            ),
            ("vae", lambda w: {**w, "encoder.x": torch.ones(1)}, "1 weight that this model does not have, first enc"),
        ],
    )
    def test_headers_are_held_against_the_config(self, folder, monkeypatch, part, change, match):
        for reader in (loading.VTAWanTransformer3DModel, loading.AutoencoderKLWan, UMT5EncoderModel):
            monkeypatch.setattr(reader, "from_pretrained", None)
        checks.check_weights(check_wan_folder(folder))
        rewrite(next((folder / part).glob("*.safetensors")), change)
        refused(match, checks.check_weights, check_wan_folder(folder))

    def test_what_is_lost_after_the_check_is_refused(self, folder):
        found = check_wan_folder(folder)
        rewrite(folder / "transformer" / "diffusion_pytorch_model.safetensors", without("blocks.1.attn1.to_q.weight"))
        rewrite(folder / "vae" / "diffusion_pytorch_model.safetensors", without("post_quant_conv.bias"))
        says = "transformer has lost blocks.1.attn1.to_q.weight since it was checked: download it again"
        refused(says, loading.read_transformer, found, "transformer", torch.float32)
        refused("vae has lost post_quant_conv.bias since", loading.read_codec, found)

    def test_what_no_model_uses_may_be_there(self, folder):
        file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
        rewrite(file, lambda w: {**w, "blocks.0.attn2.norm_added_q.weight": torch.ones(24)})
        encoder = folder / "text_encoder" / "model.safetensors"
        rewrite(encoder, lambda w: {**w, "decoder.block.0.layer.0.layer_norm.weight": torch.ones(16)})
        checks.check_weights(check_wan_folder(folder))
        loading.read_transformer(check_wan_folder(folder), "transformer", torch.float32)

    def test_two_experts(self, tmp_path):
        pipeline("wan2.2-a14b").save_pretrained(tmp_path)
        checks.check_weights(check_wan_folder(tmp_path))
        rewrite(tmp_path / "transformer_2" / "diffusion_pytorch_model.safetensors", without("proj_out.bias"))
        refused(
            "transformer_2 lacks 1 of 69 weights, first proj_out.bias", checks.check_weights, check_wan_folder(tmp_path)
        )


class TestTextEncoder:
    @pytest.mark.parametrize("tied", [False, True])
    @pytest.mark.parametrize("kept", [["shared"], ["encoder.embed_tokens"], ["shared", "encoder.embed_tokens"]])
    def test_every_published_layout_of_its_embedding(self, folder, tied, kept):
        want = text_encoder().shared.weight
        edit(folder / "text_encoder" / "config.json", tie_word_embeddings=tied)
        words = {f"{name}.weight": want.clone() for name in kept}
        rewrite(folder / "text_encoder" / "model.safetensors", lambda w: {**without("shared")(w), **words})
        checks.check_weights(check_wan_folder(folder))
        encoder = loading.read_text_encoder(check_wan_folder(folder), torch.float32)[1]
        assert torch.equal(encoder.encoder.embed_tokens.weight, want)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda e: setattr(e.encoder, "embed_tokens", torch.nn.Embedding(32, 16)),
            lambda e: setattr(e.encoder.embed_tokens, "weight", torch.nn.Parameter(torch.zeros(32, 16))),
            lambda e: e.shared.weight.data.zero_(),
        ],
    )
    def test_a_transformers_that_loses_it(self, whole, monkeypatch, spoil):
        read = UMT5EncoderModel.from_pretrained

        def loses(*args, **kwargs):
            encoder, told = read(*args, **kwargs)
            spoil(encoder)
            return encoder, told

        monkeypatch.setattr(UMT5EncoderModel, "from_pretrained", loses)
        match = rf"transformers {transformers.__version__} loses the word embeddings of .*: install transformers"
        refused(match, loading.read_text_encoder, check_wan_folder(whole), torch.float32)

    def test_a_transformers_that_knows_other_names(self, whole, monkeypatch):
        encoder = text_encoder()
        give = lambda *_, **__: (encoder, {"missing_keys": {"encoder.embed_tokens.weight", "encoder.x"}})  # noqa: E731
        monkeypatch.setattr(UMT5EncoderModel, "from_pretrained", give)
        refused(
            "found no encoder.x and 0 more weights", loading.read_text_encoder, check_wan_folder(whole), torch.float32
        )


def in_wans_names(weights, prefix=""):
    """Wan's own names, or ComfyUI's."""
    paths = {key: key.removesuffix(".weight").removesuffix(".bias") for key in weights}
    return {prefix + original_name(path) + key[len(path) :]: weights[key] for key, path in paths.items()}


class TestSingleFile:
    @pytest.fixture
    def config(self, whole):
        return check_wan_folder(whole, weights=False).config("transformer")

    def write(self, path, change=lambda w: w, **sizes):
        save_file({k: v.clone() for k, v in change(transformer(seed=5, **sizes).state_dict()).items()}, path)
        return path

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize(
        "naming",
        [
            lambda w: w,
            in_wans_names,
            lambda w: in_wans_names(w, "model.diffusion_model."),
            lambda w: in_wans_names(w, "diffusion_model."),
            lambda w: in_wans_names(w, "pipe.dit."),
        ],
    )
    def test_it_is_read_as_a_folder_is(self, whole, config, tmp_path, dtype, naming):
        file = self.write(tmp_path / "wan.safetensors", naming)
        checks.check_single(file, config)
        got = loading.read_transformer(check_wan_folder(whole), "transformer", dtype, file)
        transformer(seed=5).save_pretrained(tmp_path / "folder")
        want = loading.VTAWanTransformer3DModel.from_pretrained(tmp_path / "folder", torch_dtype=dtype)
        assert not any(tensor.is_meta for tensor in [*got.parameters(), *got.buffers()])
        assert not got.training
        for (name, one), (other, two) in zip(got.state_dict().items(), want.state_dict().items(), strict=True):
            assert (name, one.dtype) == (other, two.dtype)
            assert torch.equal(one, two), name
        x, times, text = torch.randn(1, 4, 3, 4, 8), torch.rand(1, 3), torch.randn(1, 7, 16)
        with torch.no_grad():
            a, b = (m(x.to(dtype), 1000 * times, text.to(dtype), return_dict=False)[0] for m in (got, want))
        torch.testing.assert_close(a, b)  # tensors that lie elsewhere in a file are summed in another order

    @pytest.mark.parametrize("most", ["20KB", "5GB"])
    def test_a_folder_is_read_whether_its_weights_are_in_one_file_or_in_shards(self, whole, tmp_path, most):
        transformer(seed=5).save_pretrained(tmp_path / "own", max_shard_size=most)
        shards = sorted((tmp_path / "own").glob("*.safetensors"))
        assert (len(shards) > 2) == (most == "20KB")
        got = loading.read_transformer(check_wan_folder(whole), "transformer", torch.float32, tmp_path / "own")
        want = transformer(seed=5).state_dict()
        assert all(torch.equal(tensor, want[name]) for name, tensor in got.state_dict().items())

    def test_a_shard_that_is_missing_is_named(self, whole, config, tmp_path):
        transformer(seed=5).save_pretrained(tmp_path / "own", max_shard_size="20KB")
        first, second, *_ = sorted((tmp_path / "own").glob("*.safetensors"))
        first.unlink()
        refused(rf"lacks {first.name} of \d+ shards", checks.check_single, tmp_path / "own", config)
        refused("lacks .* weights, first", checks.check_single, second, config)
        refused("whole model: give that of its transformer, .*/transformer", checks.check_single, whole, config)
        refused("has no safetensors files", checks.check_single, tmp_path, config)
        refused("no files were given", checks.check_single, [], config)

    def test_float8_without_scales_is_only_rounded(self, whole, config, tmp_path):
        eight = lambda w: {k: v.to(torch.float8_e4m3fn) if v.ndim == 2 else v for k, v in w.items()}  # noqa: E731
        file = self.write(tmp_path / "wan.safetensors", eight)
        checks.check_single(file, config)
        got = loading.read_transformer(check_wan_folder(whole), "transformer", torch.bfloat16, file).proj_out.weight
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.float(), transformer(seed=5).proj_out.weight, atol=0.02, rtol=0.1)

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda w: {**w, "blocks.0.self_attn.q.scale_weight": torch.ones(1)}, r"quantised \(blocks.0.self_attn.q"),
            (lambda w: {**w, "scaled_fp8": torch.ones(1).to(torch.float8_e4m3fn)}, r"quantised \(scaled_fp8, F8_E4M3"),
            (
                lambda w: {**w, "blocks.0.attn1.to_q.weight": torch.ones(24, 24).char()},
                r"quantised \(.*to_q.weight, I8",
            ),
            (without("blocks.1.attn1.to_q"), "lacks 2 of 69 weights, first blocks.1.attn1.to_q"),
            (
                lambda w: {**w, "vace_blocks.0.x": torch.ones(1)},
                "1 weight that this model does not have, first vace_blocks",
            ),
            (lambda w: {**w, "proj_out.bias": torch.ones(7)}, r"of another shape, first proj_out.bias: \(7,\)"),
            (
                lambda w: {**w, "patch_embedding.weight": torch.ones(24, 9, 1, 2, 2)},
                r"image-to-video .*9 input channels",
            ),
            (lambda w: {**w, "img_emb.proj.0.weight": torch.ones(9)}, r"image-to-video .*img_emb.proj.0"),
            (lambda w: {**w, "patch_embedding.weight": torch.ones(9)}, r"of another shape, first patch_embedding"),
            (lambda w: {k: torch.cat([v, v]) for k, v in w.items()}, "is for a model 48 wide, but this one is 24 wide"),
            (lambda w: {**w, **in_wans_names(w, "model.")}, "holds both .* and "),
            (lambda w: {"a": torch.ones(1)}, r"is not a Wan transformer \(1 key, first a\)"),
        ],
    )
    def test_what_is_refused_and_why(self, config, whole, tmp_path, change, match):
        file = self.write(tmp_path / "wan.safetensors", change)
        refused(match, checks.check_single, file, config)
        refused(match, loading.read_transformer, check_wan_folder(whole), "transformer", torch.float32, file)

    def test_other_depths_and_sizes(self, config, tmp_path):
        file = self.write(tmp_path / "deep.safetensors", num_layers=3)
        refused("weights that this model does not have, first blocks.2", checks.check_single, file, config)
        file = self.write(tmp_path / "wide.safetensors", num_attention_heads=3)
        refused("36 wide, but this one is 24 wide", checks.check_single, str(file), config)

    def test_what_is_no_such_file(self, config, tmp_path):
        refused(
            "there is no file or folder .*: give the path of a transformer's",
            checks.check_single,
            tmp_path / "x.safetensors",
            config,
            error=FileNotFoundError,
        )
        (tmp_path / "x.gguf").touch()
        refused("does not end in .safetensors", checks.check_single, tmp_path / "x.gguf", config)
        file = self.write(tmp_path / "cut.safetensors")
        file.write_bytes(file.read_bytes()[:-100])
        refused("its header needs", checks.check_single, file, config)


class TestUpdate:
    @pytest.fixture
    def config(self, whole):
        return check_wan_folder(whole, weights=False).config("transformer")

    def write(self, path, width=24, **more):
        q = "blocks.0.self_attn.q.lora_{}.default.weight"
        save_file({q.format("A"): torch.ones(2, width), q.format("B"): torch.ones(width, 2), **more}, path)
        return path

    def test_a_good_one_passes(self, config, tmp_path):
        checks.check_update(self.write(tmp_path / "a.safetensors"), config, 1.4)

    def test_others_are_refused_before_any_model_is_read(self, config, tmp_path):
        file = self.write(tmp_path / "a.safetensors")
        refused("strength=nan: give a number", checks.check_update, file, config, float("nan"))
        refused("there is no LoRA file", checks.check_update, tmp_path / "b.pt", config, 1.0, error=FileNotFoundError)
        wide = self.write(tmp_path / "wide.safetensors", 36)
        refused("36 wide, but this one is 24 wide", checks.check_update, wide, config, 1.0)
        more = self.write(tmp_path / "more.safetensors", **{"blocks.9.self_attn.q.diff_b": torch.ones(24)})
        refused("1 of 3 keys in .* do not fit", checks.check_update, more, config, 1.0)
        checks.check_update(more, config, 1.0, partial=True)
