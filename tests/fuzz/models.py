"""Models, files and toys that the text of a call names."""

import functools
import json
import random
import sys
from functools import partial

import numpy as np
import torch

import pusa_lab
import small_models
from pusa_lab import schedules, tasks
from pusa_lab.types import Geometry

from .basics import *  # noqa: F403
from .basics import ROOT, clip, falling, film, folder, new, picture

# Models


def velocity(x, tau, **cond):
    """A denoiser."""
    return x * 0.5


def skipping():
    """A denoiser of three layers that can be skipped."""
    from pusa_lab.guidance import Guided

    return Guided(velocity, 1, 3)


class Stub:
    """The smallest VideoModel: pixels are latents, the caption is not read."""

    def __init__(self, frames=4, size=(8, 8), stride=(1, 1, 1)):
        self.geometry = Geometry(stride, 3, frames, size)
        self.device = torch.device("cpu")

    def encode_text(self, prompts):
        return {"words": torch.zeros(len(prompts), 2)}

    def encode_video(self, clip):
        return clip

    def decode(self, latents):
        return latents.clamp(-1, 1)

    def __call__(self, x, tau, words=None):
        return x * 0.5


@functools.cache
def nano():
    return small_models.load("nano-vta", device="cpu")


@functools.cache
def mini_codec():
    return small_models.load("mini-codec", device="cpu")


@functools.cache
def features():
    name = next(n for n in small_models.list_models() if "features" in n)
    return small_models.load(name, device="cpu")


@functools.cache
def _tiny():
    sys.path.insert(0, str(ROOT / "tests"))
    import wan_tiny

    return wan_tiny


def transformer():
    """A Wan of two layers."""
    from pusa_lab.wan.transformer import VTAWanTransformer3DModel

    model = _tiny().transformer()
    return VTAWanTransformer3DModel.from_config(model.config)


def skyreels():
    """A SkyReels-V2 of two layers."""
    _tiny()
    import bring_tiny

    return bring_tiny.skyreels_transformer()


def wan_config():
    return dict(_tiny().transformer().config)


@functools.cache
def wan_codec():
    return _tiny().codec()


@functools.cache
def wan_folder():
    """A tiny Wan in the published layout."""
    at = folder() / "wan"
    _tiny().pipeline().save_pretrained(at)
    return at


def wan():
    from pusa_lab.wan import folders

    return folders.check_wan_folder(wan_folder())


def linear():
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))


def updated():
    model = linear()
    pusa_lab.training.add_lora(model, 2)
    return model


def result():
    return pusa_lab.generate(Stub(), "a", steps=2, guidance=1.0)


@functools.cache
def result_folder():
    """A folder of a saved result."""
    result().save(folder() / "result")
    return folder() / "result"


def flow_scheduler():
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler()


@functools.cache
def wan_model():
    from pusa_lab.wan.model import WanModel

    return WanModel(transformer(), wan_codec(), lambda captions: torch.zeros(len(captions), 8, 16))


def states():
    from pusa_lab.samplers import sample_steps

    return list(sample_steps(velocity, torch.zeros(1, 3, 4, 8, 8), falling(3, 4)))


def prepared():
    from pusa_lab.generate import prepare

    return prepare(Stub(), "a", steps=2, guidance=1.0)


def conditions():
    from pusa_lab.conditions import place

    return place(tasks.image_to_video(picture(8, 8)), Stub().geometry, 4).encode(Stub())


def scenes(n=3, world="nano"):
    from small_models.world import WORLDS, draw_scenes

    return draw_scenes(n, 0, WORLDS[world])


def world(name="nano"):
    from small_models.world import WORLDS

    return WORLDS[name]


@functools.cache
def found(name):
    """A stored table of results."""
    from small_models.experiments import read_results

    return read_results(ROOT / "small_models" / "results" / "paper" / f"{name}.json")


def damaged(name, seed):
    """A stored table as a plain dict, of which one entry, chosen by the seed, is missing or another value."""
    rng = random.Random(seed)
    table = json.loads((ROOT / "small_models" / "results" / "paper" / f"{name}.json").read_text())
    at = table
    while True:
        key = rng.choice(sorted(at, key=str) if isinstance(at, dict) else range(len(at)))
        inner = at[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.8:
            at = inner
            continue
        if rng.random() < 0.5:
            del at[key]
        else:
            at[key] = rng.choice([None, 0, -1, 1e300, "x", [], {}, [1, 2], {"a": 1}, True])
        return table


def config(**changes):
    from pusa_lab.training import TrainConfig

    return TrainConfig(**{"max_steps": 4, "global_batch_size": 2, "warmup": 1, **changes})


def figure():
    from matplotlib.figure import Figure

    return Figure()


def prompts():
    from pusa_lab.wan import loading
    from pusa_lab.wan.prompts import PromptEncoder

    return PromptEncoder(lambda: loading.read_text_encoder(wan(), torch.float32), "tiny", cache=None)


def pair():
    from pusa_lab.wan.lora.match import Pair

    return Pair(torch.zeros(2, 24), torch.zeros(24, 2), 2.0, 1.0)


def planned():
    from pusa_lab.planning import plan

    return plan(workload="lora", gpu="h100")


def phrase():
    from small_models.world.captions import Phrase

    return Phrase("red", "circle", "moves", "right", "slowly")


# Toys


def fresh_codec():
    from small_models.models.codec import Codec

    return Codec(mini_codec().config)


def i2v_preset():
    from small_models.models.i2v import ImageToVideo

    return ImageToVideo.from_base(small_models.load("nano-base", device="cpu")).preset


def mini_geometry():
    return Geometry((4, 8, 8), 8, 3, (64, 64))


def parts():
    return iter([(torch.zeros(3, 3, 8, 16, 16), ["a red circle moves right"] * 3)])


def pixel_dataset(parts, batch, seed):
    from small_models.training.data import pixel_dataset as make

    return make(parts, batch, seed, "cpu")


def small_clips():
    from small_models.models.features import reduced

    return reduced(clip(2, 3, 9, 64, 64))


def logits():
    return features()(clip(2, 3, 33, 64, 64))


def dataset():
    from small_models.training.data import pixel_dataset as make

    return make(parts(), 2, 0, "cpu")


def raw():
    from small_models.evaluation.evaluate import collect

    return collect(lambda prompts, truth, seed: (truth * 0.9).astype(np.uint8), nano(), 3)


def suite_raw(scale=1.0):
    from small_models.evaluation.suite import appearance
    from small_models.world import render

    clip = render(scenes(3))
    return appearance(clip * scale, scenes(3), clip[:, :, :1])


def suite_scale():
    from small_models.evaluation.suite import ranges

    return ranges([suite_raw()], [suite_raw(0.5)])


def kinds():
    from pusa_lab.metrics.inside import parameter_change

    return parameter_change(nano().dit, small_models.load("nano-base", device="cpu").dit)


def lane():
    from pusa_lab.studio.runs import Lane, sprite_sheet

    return Lane("a", falling(3, 4), {0: sprite_sheet(film()), 1: sprite_sheet(film()), 2: sprite_sheet(film())})


def trained_module(**changes):
    from pusa_lab.training.module import VTAModule

    return VTAModule(nano(), config(**changes))


def plan_settings():
    from dataclasses import asdict

    from pusa_lab.planning import plan

    found = asdict(plan().settings)
    return {k: v for k, v in found.items() if k != "prices"}


def trainable():
    from pusa_lab.wan.trainable import TrainableWan

    return TrainableWan(transformer(), Geometry((4, 8, 8), 4, 3, (16, 16)), {"": torch.zeros(4, 16)})


@functools.cache
def _swept():
    import pandas as pd

    lines = [
        {"a": a, "b": b, "prompt": p, "seed": s, "score": a + 0.1 * s, "other": float(b == "y"), "seconds": 0.1}
        for a in (0, 1, 2)
        for b in ("x", "y")
        for p in ("one", "two")
        for s in (0, 1)
    ]
    return pd.DataFrame(lines).assign(status="done", error="", clip=str(kept_clip()))


@functools.cache
def kept_clip():
    path = new("kept").with_suffix(".npz")
    np.savez_compressed(path, clip=np.zeros((3, 8, 8, 3), np.uint8), order=np.arange(4), key=path.stem)
    return path


def swept():
    """A table of `sweep`."""
    return _swept().copy()


__all__ = [name for name in dir() if not name.startswith("_")]
_ = (np, schedules, partial)
