"""Files and folders that the text of a call names."""

import functools

import torch

from .basics import *  # noqa: F403
from .basics import film, folder, new, picture
from .models import *  # noqa: F403
from .models import nano, transformer, wan_folder


def _clips(folder):
    from pusa_lab import media

    for i in range(3):
        media.write_clip(folder / f"{i}.mp4", film(16, 16, 16), 16)
        (folder / f"{i}.txt").write_text("a red circle moves right slowly")


@functools.cache
def clips():
    """A folder of clips with captions."""
    at = folder() / "clips"
    at.mkdir()
    _clips(at)
    return at


@functools.cache
def cache_folder():
    """A latent cache of three clips."""
    from pusa_lab.data.encode import encode_folder

    at = folder() / "cache"
    encode_folder(clips(), nano(), at, "nano-vta", num_frames=8)
    return at


def cache():
    from pusa_lab.data import LatentCache

    return LatentCache(cache_folder())


def settings():
    from pusa_lab.data.manifest import CacheSettings

    return CacheSettings("m", (16, 16), 8, 8, 3, 16.0, 0.0, "c", "t", 4)


@functools.cache
def picture_file():
    from pusa_lab import media

    at = folder() / "picture.png"
    media.write_picture(at, picture())
    return at


@functools.cache
def clip_file():
    return clips() / "0.mp4"


@functools.cache
def told_file():
    """A video whose file says how it was made."""
    from pusa_lab import media

    at = folder() / "told.mp4"
    media.write_clip(at, film(2), 8, metadata={"prompt": "a"})
    return at


@functools.cache
def lora_file():
    """A LoRA for `transformer()`."""
    from safetensors.torch import save_file

    at = folder() / "lora.safetensors"
    down, up = torch.zeros(2, 24), torch.zeros(24, 2)
    save_file({"blocks.0.attn1.to_q.lora_A.weight": down, "blocks.0.attn1.to_q.lora_B.weight": up}, at)
    return at


def lora_tensors():
    from safetensors.torch import load_file

    return load_file(lora_file())


def statement():
    """What a file says of its scale."""
    from pusa_lab.wan.lora.scale import Statement

    return Statement("the file's header", 4.0)


def adapted():
    """`transformer()` with that LoRA on it."""
    from pusa_lab.wan.lora import load_lora

    model = transformer()
    load_lora(model, lora_file(), name="lora")
    return model


def wan_weights():
    return next((wan_folder() / "transformer").glob("*.safetensors"))


def wan_header():
    from pusa_lab.wan.headers import read_header

    return read_header(wan_weights())


@functools.cache
def matrix_file():
    """A schedule of two steps for eight frames."""
    at = folder() / "matrix.csv"
    at.write_text("\n".join(",".join([level] * 8) for level in ("1", "0.5", "0")))
    return at


@functools.cache
def config_file():
    """Options in YAML."""
    at = folder() / "config.yaml"
    at.write_text("steps: 1\nguidance: 2.0\n")
    return at


def json_file():
    at = folder() / "some.json"
    at.write_text('{"a": 1}')
    return at


def checkpoint():
    """A copy of a shipped toy, with its card."""
    import shutil

    from small_models.models.zoo import find_checkpoint

    at = new("copy.safetensors")
    shutil.copy(find_checkpoint("nano-base"), at)
    shutil.copy(find_checkpoint("nano-base").with_suffix(".json"), at.with_suffix(".json"))
    return at


@functools.cache
def kept_checkpoint():
    return checkpoint()


def shown():
    """The first frame of a clip."""
    from pusa_lab.data.decode import decoded

    return next(decoded(clip_file()))


__all__ = [name for name in dir() if not name.startswith("_")]
