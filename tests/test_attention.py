"""pytest tests/test_attention.py: which attention a Wan gets: what was asked for, the fastest, or one sentence."""

import json
import logging
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_wan import SHORT, go, make_cache
from wan_tiny import pipeline, refused, transformer

import pusa_lab as pl
from pusa_lab.cli import main
from pusa_lab.finetune import check_wan, train_wan
from pusa_lab.planning import plan
from pusa_lab.planning.recipe import run_arguments
from pusa_lab.types import Geometry
from pusa_lab.wan import attention, fastest_attention
from pusa_lab.wan.attention import BACKENDS, FA4, NATIVE, check_attention, set_attention
from pusa_lab.wan.fastest_attention import attention_seconds, choose_attention
from pusa_lab.wan.model import WanModel

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start.*"),
]
SMALL = {"size": (32, 64), "num_frames": 9, "dtype": torch.float32, "device": "cpu", "cache": None}
CPU, GPU = torch.device("cpu"), torch.device("cuda")
BF16 = torch.bfloat16
CONFIG = {"num_attention_heads": 40, "attention_head_dim": 128, "patch_size": (1, 2, 2)}
GEOMETRY = Geometry((4, 8, 8), 16, 21, (480, 832))


def backends(model):
    parts = [part for expert in model.experts for block in expert.blocks for part in (block.attn1, block.attn2)]
    return {part.processor._attention_backend for part in parts}


@pytest.mark.parametrize(
    ("name", "device", "dtype", "head", "says"),
    [
        (
            "flash5",
            CPU,
            None,
            None,
            "attention='flash5': give one of auto, native, cudnn, fa4, or a backend of diffusers: .*sage",
        ),
        (
            "fa4",
            CPU,
            None,
            None,
            "attention='fa4', but it needs a Hopper or newer GPU, and the model computes on the CPU",
        ),
        ("cudnn", CPU, None, None, "attention='cudnn', but the model computes on the CPU: use attention='auto'"),
        ("cudnn", GPU, torch.float32, None, "attention='cudnn' with dtype=torch.float32: it computes in bfloat16"),
        ("flash", GPU, None, None, "attention='flash': .*missing package"),
        ("_flash_3", CPU, BF16, 128, "attention='_flash_3': .*not usable"),
    ],
)
def test_what_cannot_run_is_refused(name, device, dtype, head, says):
    refused(says, check_attention, name, device, dtype, head)


@pytest.mark.parametrize("head", [20, 256])
def test_heads_that_do_not_fit_are_refused(monkeypatch, head):
    monkeypatch.setattr(attention, "fa4_fault", lambda device: None)
    refused(
        f"with heads of {head} numbers: it needs a multiple of 8, at most 128", check_attention, "fa4", GPU, BF16, head
    )
    refused("with dtype=torch.float32", check_attention, "fa4", GPU, torch.float32, 128)
    check_attention("fa4", GPU, BF16, 128)


def test_set_attention_wants_one_that_was_chosen():
    refused("give set_attention what choose_attention found", set_attention, transformer(), "auto")
    refused("the model computes on the CPU", set_attention, transformer(), "fa4")


class TestLoading:
    def test_it_is_refused_before_weights_are_read(self, whole, monkeypatch):
        read = []
        monkeypatch.setattr("pusa_lab.wan.experts.read_transformer", lambda *args: read.append(args))
        monkeypatch.setattr("pusa_lab.wan.model.check_weights", lambda *args: read.append(args))
        for name, says in (("fa4", "Hopper"), ("cudnn", "CPU"), ("fa5", "give one of auto"), ("flash", "flash-attn")):
            refused(says, lambda name=name: WanModel.from_pretrained(whole, **SMALL, attention=name))
            refused(says, lambda name=name: pl.load(whole, **SMALL, attention=name))
        assert not read

    def test_the_default_and_what_auto_is_on_a_cpu(self, whole, tmp_path, monkeypatch):
        """Bit for bit, and nothing is measured."""
        monkeypatch.setattr(fastest_attention, "FASTEST", tmp_path / "attention.json")
        made = {}
        for name, want in ((None, None), ("native", NATIVE), ("auto", NATIVE), ("_native_math", "_native_math")):
            model = WanModel.from_pretrained(whole, **SMALL, attention=name)
            assert backends(model) == {want}
            made[name] = pl.generate(model, "a dog", steps=2, output="latents").latents
        assert torch.equal(made[None], made["native"]) and torch.equal(made[None], made["auto"])
        torch.testing.assert_close(made["_native_math"], made[None], atol=1e-4, rtol=0)
        assert not fastest_attention.FASTEST.exists()

    def test_both_experts_get_it_also_where_weights_are_in_8_bits(self, tmp_path, fake_fa4):
        pipeline("wan2.2-a14b").save_pretrained(tmp_path / "wan")
        for more in (
            {},
            {"precision": "float8-storage"},
            {"precision": "float8", "dtype": torch.bfloat16},
            {"offload": "group"},
        ):
            model = pl.load(tmp_path / "wan", attention="fa4", **{**SMALL, **more})
            assert backends(model) == {FA4}
        model = pl.load(tmp_path / "wan", **SMALL, attention="fa4")
        want = pl.generate(pl.load(tmp_path / "wan", **SMALL), "a dog", steps=2, guidance=2.0, output="latents")
        found = pl.generate(model, "a dog", steps=2, guidance=2.0, output="latents")
        torch.testing.assert_close(found.latents, want.latents, atol=1e-4, rtol=0)
        assert fake_fa4

    def test_a_pipeline_keeps_its_own(self, fake_fa4):
        pipe = pipeline()
        set_attention(pipe.transformer, "fa4")
        assert backends(WanModel.from_pipeline(pipe)) == {FA4}

    def test_on_the_command_line(self, whole, tmp_path, capsys):
        words = ["generate", "a dog", "--steps", "1", "--out", str(tmp_path / "a.mp4")]
        wan = ["--model", str(whole), "--size", "32x64", "--num-frames", "9", "--device", "cpu"]
        assert main([*words, *wan, "--attention", "fa4"]) != 0
        assert "--attention fa4, but it needs a Hopper or newer GPU" in capsys.readouterr().err
        assert main([*words, "--model", "nano-vta", "--attention", "fa4"]) != 0
        assert "--attention is not for nano-vta" in capsys.readouterr().err
        assert not (tmp_path / "a.mp4").exists()


class TestTraining:
    @pytest.fixture
    def cache(self, tmp_path):
        return make_cache(tmp_path / "cache")

    def test_it_is_refused_before_anything_is_trained(self, cache, tmp_path):
        out = tmp_path / "a.safetensors"
        for name, says in (("fa4", "Hopper"), ("fa5", "give one of auto")):
            refused(says, partial(train_wan, transformer(), cache, out, SHORT, accelerator="cpu", attention=name))
            refused(says, partial(check_wan, cache, out, SHORT, attention=name))

    def test_a_lora_is_the_same(self, cache, tmp_path, fake_fa4):
        config = replace(SHORT, max_steps=4)
        want, auto = (go(cache, tmp_path / f"{name}.safetensors", config, attention=name) for name in (None, "auto"))
        assert all(torch.equal(want[key], weight) for key, weight in auto.items()) and not fake_fa4
        found = go(cache, tmp_path / "fa4.safetensors", config, attention="fa4", ac_save_attention=1)
        assert {name for name, *_ in fake_fa4} == {"forward", "backward"}
        for name, weight in want.items():
            torch.testing.assert_close(found[name], weight, atol=1e-3, rtol=1e-2)

    def test_on_the_command_line(self, whole, cache, tmp_path, capsys):
        words = ["train", "--recipe", "paper", "--data", str(cache), "--model", str(whole), "--lora-rank", "3"]
        words += ["--out", str(tmp_path / "a.safetensors"), "--attention"]
        assert main([*words, "fa4"]) != 0
        assert "--attention fa4, but it needs a Hopper or newer GPU" in capsys.readouterr().err
        assert main(["train", "--model", "nano", "--attention", "fa4"]) != 0
        assert "--attention fa4 is for a Wan: give --recipe too" in capsys.readouterr().err


class TestPlans:
    def test_memory_is_the_same_and_time_of_its_own_rows_alone(self):
        training: dict[str, Any] = {"workload": "lora", "compiled": True, "ac_save_attention": 40}
        for more, source in ((training, "arithmetic"), ({}, "arithmetic"), ({"compiled": True}, "measured")):
            one, other = plan(size="480p", **more), plan(size="480p", attention="fa4", **more)
            assert one.peak == other.peak and one.sources["peak"] == other.sources["peak"]
            assert (one.sources["total"], other.sources["total"]) == ("measured", source)
            assert "--attention fa4" in str(other) and "--attention" not in str(one)

    def test_where_it_does_not_run(self):
        refused("the a100-80 does not run FlashAttention 4", lambda: plan(gpu="a100-80", attention="fa4"))
        refused("unknown attention 'cudnn': choose from native, fa4", lambda: plan(attention="cudnn"))

    def test_of_a_training_run(self):
        found = {name: run_arguments(SHORT, attention=name)["attention"] for name in (None, "auto", "cudnn", "fa4")}
        assert found == {None: "native", "auto": "native", "cudnn": "native", "fa4": "fa4"}


MILLISECONDS = {"native": 38.4, "cudnn": 38.0, "fa4": 31.6}


@pytest.fixture
def hopper(monkeypatch, tmp_path):
    """A GPU on which each kind takes so many milliseconds, and what was timed on it."""
    monkeypatch.setattr(fastest_attention, "FASTEST", tmp_path / "cache" / "attention.json")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    for module in (attention, fastest_attention):
        monkeypatch.setattr(module, "fa4_fault", lambda device: None)
    fastest_attention._log.setLevel(logging.INFO)
    timed = []

    def seconds(backend, shape, device, dtype, backward):
        timed.append((backend, shape, backward))
        kind = next(kind for kind, name in BACKENDS.items() if name == backend)
        if MILLISECONDS[kind] is None:
            raise RuntimeError("no such kernel")
        return MILLISECONDS[kind] / 1000

    monkeypatch.setattr(fastest_attention, "_seconds", seconds)
    yield timed
    fastest_attention._log.setLevel(logging.NOTSET)


def chosen(dtype=BF16, geometry=GEOMETRY, **more):
    return choose_attention("auto", GPU, dtype, CONFIG, geometry, **more)


class TestAuto:
    def test_the_fastest_is_taken_and_remembered(self, hopper, logged):
        assert chosen() == "fa4"
        assert hopper == [(name, (32760, 40, 128), False) for name in BACKENDS.values()]
        assert logged == ["attention: fa4 (native 38.4 ms, cudnn 38.0 ms, fa4 31.6 ms)"]
        assert chosen() == "fa4" and len(hopper) == 3
        ((about, known),) = json.loads(fastest_attention.FASTEST.read_text()).items()
        assert about == f"NVIDIA H200, torch {torch.__version__}, flash-attn-4 not installed"
        assert known == {
            "torch.bfloat16, 40 heads of 128, 32768 tokens, forward": {k: s / 1000 for k, s in MILLISECONDS.items()}
        }

    def test_what_else_is_measured_anew(self, hopper, monkeypatch):
        chosen()
        chosen(geometry=Geometry((4, 8, 8), 16, 21, (464, 832)))  # 31,668 tokens are as good as 32,768
        assert len(hopper) == 3
        chosen(geometry=Geometry((4, 8, 8), 16, 21, (720, 1280)))
        chosen(backward=True)
        chosen(torch.float16)
        monkeypatch.setattr(fastest_attention, "version", lambda name: "4.0.0b36")
        chosen()
        assert len(hopper) == 15 and hopper[3][1] == (75600, 40, 128) and hopper[6][2]
        chosen(backward=True)
        assert len(hopper) == 18

    def test_a_package_that_no_longer_works_is_not_taken(self, hopper, monkeypatch):
        assert chosen() == "fa4"
        monkeypatch.setattr(fastest_attention, "fa4_fault", lambda device: "it is broken")
        assert chosen() == "native" and len(hopper) == 3

    @pytest.mark.parametrize(
        ("milliseconds", "want"),
        [
            ({"cudnn": 37.4, "fa4": 37.3}, "native"),  # less than 3 % is chance
            ({"cudnn": 37.0, "fa4": 37.1}, "cudnn"),
            ({"fa4": None}, "native"),
            ({"native": None, "cudnn": None, "fa4": None}, "native"),
            ({"native": None}, "fa4"),
        ],
    )
    def test_pytorchs_own_is_left_only_for_what_is_faster(self, hopper, monkeypatch, milliseconds, want):
        for kind, each in milliseconds.items():
            monkeypatch.setitem(MILLISECONDS, kind, each)
        assert chosen() == want

    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: "",
            lambda text: text[: len(text) // 2],
            lambda text: "[1, 2]",
            lambda text: re.sub(r'"fa4": [\d.]+', '"fa4": "soon"', text),
            lambda text: re.sub(r'"fa4": [\d.]+', '"fa4": -1.0', text),
            lambda text: re.sub(r'"fa4": [\d.]+', '"fa4": NaN', text),
            lambda text: text.replace('"native"', '"own"'),
            lambda text: json.dumps({k: 3 for k in json.loads(text)}),
            lambda text: json.dumps({k: dict.fromkeys(v, 3) for k, v in json.loads(text).items()}),
        ],
    )
    def test_a_damaged_file_is_measured_anew(self, hopper, damage):
        chosen()
        whole = fastest_attention.FASTEST.read_text()
        fastest_attention.FASTEST.write_text(damage(whole))
        assert chosen() == "fa4" and len(hopper) == 6
        assert json.loads(fastest_attention.FASTEST.read_text()) == json.loads(whole)

    def test_where_nothing_can_be_written_it_is_measured_each_time(self, hopper, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("")
        monkeypatch.setattr(fastest_attention, "FASTEST", tmp_path / "file" / "attention.json")
        assert chosen() == chosen() == "fa4"
        assert len(hopper) == 6

    @pytest.mark.parametrize(
        ("device", "capability", "dtype"), [(CPU, (9, 0), BF16), (GPU, (8, 0), BF16), (GPU, (9, 0), torch.float32)]
    )
    def test_elsewhere_it_is_native_without_a_word(self, hopper, monkeypatch, capsys, device, capability, dtype):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        assert choose_attention("auto", device, dtype, CONFIG, GEOMETRY) == "native"
        assert not hopper and capsys.readouterr() == ("", "")

    def test_what_was_asked_for_is_not_measured(self, hopper):
        assert [choose_attention(name, GPU, BF16, CONFIG, GEOMETRY) for name in ("fa4", "cudnn", None)] == [
            "fa4",
            "cudnn",
            None,
        ]
        assert not hopper

    @pytest.mark.parametrize("backward", [False, True])
    def test_seconds_are_of_what_can_run_here(self, fake_fa4, backward):
        """The dice of the model's noise are left alone."""
        torch.manual_seed(3)
        before = torch.get_rng_state()
        found = attention_seconds((33, 2, 8), CPU, torch.float32, backward)
        assert found.keys() == {"native", "fa4"} and min(found.values()) > 0
        assert torch.equal(torch.get_rng_state(), before)
        calls = [name for name, *_ in fake_fa4]
        assert calls == ["forward", "backward"] * 5 if backward else calls == ["forward"] * 5
        with torch.no_grad():
            assert attention_seconds((33, 2, 8), CPU, torch.float32, backward).keys() == {"native", "fa4"}


def test_the_package_is_pinned():
    """The stand-in of the tests has its signatures."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert '"flash-attn-4[cu13]==4.0.0b36' in text
