"""pytest tests/test_models.py: models by name, LoRAs on them, and a family of one's own."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from processes import python
from safetensors.torch import save_file

import pusa_lab as pl
import small_models
from pusa_lab import models
from pusa_lab.models import ModelFamily, load_encoders, register_family
from small_models.models.zoo import CHECKPOINTS

ROOT = Path(__file__).parents[1]


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class TestToys:
    def test_by_name_and_by_file(self, nano_vta):
        for name in ("nano-vta", str(CHECKPOINTS / "nano-vta.safetensors")):
            assert same(pl.load(name, device="cpu"), nano_vta)

    def test_a_low_rank_update_goes_on_its_own_base_alone(self):
        lora = CHECKPOINTS / "mini-vta.safetensors"
        whole = small_models.load("mini-vta", "cpu", strength=0.5)
        assert same(pl.load("mini-base", lora=lora, strength=0.5, device="cpu"), whole)
        assert same(pl.load("mini-vta", strength=0.5, device="cpu"), whole)
        with pytest.raises(
            ValueError,
            match=r"^load: \S+mini-vta.safetensors is a low-rank update of mini-base, not of nano-base: give "
            r"mini-base as the model, or an update that was trained from nano-base\.$",
        ):
            pl.load("nano-base", lora=lora)
        with pytest.raises(
            ValueError, match=r"nano-base\S* is a whole model, not a low-rank update of mini-base: load it"
        ):
            pl.load("mini-base", lora=CHECKPOINTS / "nano-base.safetensors")
        with pytest.raises(ValueError, match="2 LoRA files for mini-base: a toy takes one"):
            pl.load("mini-base", lora=[lora, lora])

    @pytest.mark.parametrize(
        ("name", "options", "says"),
        [
            (
                "giga",
                {},
                r"no model 'giga': choose one of mini-base, .*, or give a toy's .safetensors file, a Wan's folder",
            ),
            ("mini-codec", {}, "mini-codec is a codec and makes no videos"),
            ("mini-features", {}, "mini-features only reads videos and makes none"),
            (
                "mini-vta",
                {"offload": "model"},
                "no option 'offload' for loading 'mini-vta': choose from lora, strength, d",
            ),
            ("mini-base", {"strength": 2.0}, "has all weights and no low-rank update"),
            ("mini-vta", {"device": "tpu"}, r"device is 'tpu' .a str.: give a device such as"),
        ],
    )
    def test_what_does_not_fit_is_said(self, name, options, says):
        with pytest.raises(ValueError, match=says) as error:
            pl.load(name, **options)
        assert str(error.value).startswith("load: ") and str(error.value).endswith(".")


class TestWan:
    def test_a_folder_with_a_lora(self, whole, tmp_path):
        from pusa_lab.wan.model import WanModel

        how = {"size": (32, 48), "num_frames": 9, "device": "cpu", "cache": None, "dtype": torch.float32}
        base, layer = pl.load(whole, **how), "transformer.blocks.0.attn1.to_q"
        assert isinstance(base, WanModel) and base.geometry.size == (32, 48)
        low, up = torch.randn(2, 24), torch.randn(24, 2)
        save_file({f"{layer}.lora_A.weight": low, f"{layer}.lora_B.weight": up}, tmp_path / "a.safetensors")
        adapted = pl.load(whole, lora=tmp_path / "a.safetensors", strength=1.4, **how)
        before, after = (m.transformer.blocks[0].attn1.to_q.weight for m in (base, adapted))
        torch.testing.assert_close(after, before + 1.4 * up @ low)

    def test_what_does_not_fit_is_said(self, whole, tmp_path):
        with pytest.raises(ValueError, match="no option 'colour' for loading a Wan: choose from lora, strength"):
            pl.load(whole, colour=3)
        with pytest.raises(ValueError, match=r"strength=1.4 without a LoRA has no effect: give lora= too"):
            pl.load(whole, strength=1.4)
        with pytest.raises(ValueError, match=r"has no model_index.json"):
            pl.load(tmp_path)

    def test_encoders_alone(self, whole):
        found = load_encoders(whole, size=(32, 48), num_frames=9)
        assert found.geometry.size == (32, 48) and not hasattr(found, "transformer")
        assert load_encoders("mini-vta").geometry.size == (64, 64)
        with pytest.raises(ValueError, match="mini-codec reads no captions"):
            load_encoders("mini-codec")


@pytest.fixture
def registered(monkeypatch, nano_base):
    monkeypatch.setattr(models.FAMILIES, "_added", {})
    load = lambda name, colour="red", device=None: nano_base  # noqa: E731
    family = ModelFamily("mine", "my own folder", lambda name: name.startswith("my-"), load, load, lambda: ["my-model"])
    return register_family(family)


class TestAThirdFamily:
    def test_registered_at_run_time(self, registered, nano_base):
        assert pl.load("my-model", colour="blue") is nano_base
        assert "my-model" in models.model_names()
        assert models.find_family("my-model") is registered
        with pytest.raises(ValueError, match="no option 'strength' for loading 'my-model': choose from colour, device"):
            pl.load("my-model", strength=2.0)
        register_family(replace(registered, knows=lambda name: False))
        with pytest.raises(ValueError, match=r"or give my own folder, a toy's .safetensors file, a Wan's folder"):
            pl.load("my-model")

    @pytest.mark.parametrize(
        ("made", "says"),
        [
            (
                "a text",
                r"the model family mine loaded 'a text' \(a str\) for 'my-model', which has no geometry: its `load`",
            ),
            (
                SimpleNamespace(geometry=1, device="cpu"),
                "which has no encode_text: its `load` must return a VideoModel",
            ),
        ],
    )
    def test_what_is_no_model_is_refused(self, registered, made, says):
        register_family(replace(registered, load=lambda name: made))
        with pytest.raises(ValueError, match=says):
            pl.load("my-model")

    def test_installed_by_another_package_it_is_asked_before_ours(self, tmp_path):
        """In a process of its own, where the package lies on the path."""
        (tmp_path / "mochi.py").write_text(
            "from pusa_lab.models import ModelFamily\n"
            "class Mochi:\n    geometry = device = encode_text = encode_video = decode = __call__ = 'of Mochi'\n"
            "F = ModelFamily('mochi', 'a Mochi', lambda name: name == 'genmo/mochi', lambda name: Mochi(), print)\n"
        )
        about = tmp_path / "zebra-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: zebra\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[pusa_lab.models]\nzebra = mochi:F\n")
        code = "import pusa_lab as pl; print(pl.load('genmo/mochi').decode)"
        code = f"import sys; sys.path[:0] = {[str(tmp_path), str(ROOT)]}; {code}"
        done = python(code, cwd=tmp_path)
        assert done.stdout == "of Mochi\n"
        (tmp_path / "mochi.py").write_text("import no_such_package")
        done = python(code, cwd=tmp_path)
        assert "'zebra' of zebra cannot be imported (No module named 'no_such_p" in done.stderr


NEW = """
import sys
import pusa_lab
assert "torch" not in sys.modules
sys.modules["tqdm"] = None  # neither the package nor a generation needs it
import pusa_lab.generate as module, pusa_lab.progress
from pusa_lab.generate import prepare
assert callable(pusa_lab.generate) and pusa_lab.prepare is prepare and callable(pusa_lab.load)
assert "tqdm.auto" not in sys.modules
import pusa_lab.data.clips  # which finds clips, and reads none
assert "av" not in sys.modules
import torch, small_models
from small_models.models.codec import Codec
Codec(small_models.CODECS["mini"])(torch.zeros(1, 3, 5, 8, 8))
assert "diffusers" not in sys.modules
"""


def test_the_package_is_light_and_its_names_are_stable():
    """In a new process: what it is asked for brings nothing else."""
    done = subprocess.run([sys.executable, "-c", NEW], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert set(pl.__all__) <= set(dir(pl)) and all(hasattr(pl, name) for name in pl.__all__)
