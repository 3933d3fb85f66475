"""A whole image-to-video at 14B: text encoder, codec and transformer of true size, random weights.

pusa-lab bench wan_end_to_end              # one H200, about 7 minutes
pusa-lab bench wan_end_to_end --part fast  # the compiled ways alone, about 4 minutes
pusa-lab bench wan_end_to_end --tiny       # the same code on a CPU, in seconds; its times mean nothing
"""

import gc
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from jsonargparse.typing import PositiveInt
from transformers import UMT5Config, UMT5EncoderModel
from wan_random import Log, measured, transformer

import pusa_lab as pl
from pusa_lab import cli
from pusa_lab.files import check_writable
from pusa_lab.pixels import to_uint8
from pusa_lab.types import Geometry
from pusa_lab.wan.attention import set_attention
from pusa_lab.wan.fastest_attention import choose_attention
from pusa_lab.wan.lora import load_lora, merge
from pusa_lab.wan.model import WanModel
from pusa_lab.wan.precision import use_float8
from pusa_lab.wan.prompts import PromptEncoder

PROMPT = "a cat bakes a cake in a kitchen full of light"
LINEARS = [(f"{a}.{p}", 0, 0) for a in ("self_attn", "cross_attn") for p in "qkvo"] + [("ffn.0", 0, 1), ("ffn.2", 1, 0)]


class Letters:
    """A tokenizer of single letters: ids in range, as many as there are letters."""

    def __call__(self, texts: Any, **options: Any) -> Any:
        """One text to its ids, or several to padded ids and their mask."""
        if isinstance(texts, str):
            return SimpleNamespace(input_ids=[ord(c) % 30 + 2 for c in texts] + [1])
        ids, mask = torch.zeros(2, len(texts), options["max_length"], dtype=torch.long)
        for row, text in enumerate(texts):
            found = self(text).input_ids[: options["max_length"]]
            ids[row, : len(found)], mask[row, : len(found)] = torch.tensor(found), 1
        return SimpleNamespace(input_ids=ids, attention_mask=mask)


def text_encoder(device: str, tiny: bool) -> UMT5EncoderModel:
    """UMT5-XXL's encoder, or a tiny one, in bf16."""
    sizes: dict[str, Any] = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    if tiny:
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    config = UMT5Config(vocab_size=64 if tiny else 256384, feed_forward_proj="gated-gelu", **sizes)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return UMT5EncoderModel(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def update(model: Any, rank: int, device: str) -> dict[str, torch.Tensor]:
    """A random LoRA in the official file's naming, small enough not to blow anything up."""
    width, hidden = model.transformer.proj_out.in_features, model.transformer.config.ffn_dim
    found = {}
    for block in range(model.transformer.config.num_layers):
        for name, wide_in, wide_out in LINEARS:
            inside, outside = (hidden if wide else width for wide in (wide_in, wide_out))
            key = f"blocks.{block}.{name}"
            options = {"device": device, "dtype": torch.bfloat16}
            found[f"{key}.lora_A.default.weight"] = torch.randn(rank, inside, **options) / inside**0.5
            found[f"{key}.lora_B.default.weight"] = torch.randn(outside, rank, **options) * 1e-4
    return found


def run(model: WanModel, picture: np.ndarray, steps: int, guidance: float = 3.0) -> dict[str, Any]:
    """One image-to-video, phase by phase."""
    forwards = steps * (1 if guidance == 1 else 2)
    found: dict[str, Any] = {}
    model.prompts.known.clear()
    with measured(found, "captions"):
        model.encode_text([PROMPT, ""])
    task = pl.tasks.image_to_video(picture)
    with measured(found, "first frame through the codec"):
        request = pl.prepare(model, PROMPT, task, steps=steps, guidance=guidance)
    with measured(found, f"{steps} steps, {forwards} forwards"):
        for state in request.states():
            last = state
    with measured(found, "decoding"):
        video = to_uint8(model.decode(last.x))
    held = torch.equal(last.x[:, :, :1], request.conditions.latents.to(last.x))
    return found | {"video": list(video.shape), "finite": bool(last.x.isfinite().all()), "frame 0 exact": held}


def compiled(log: Log, name: str, model: WanModel, picture: np.ndarray, steps: int) -> None:
    """Compiled, with the fastest attention that is installed; the first call compiles."""
    dit = model.transformer
    log["attention"] = choose_attention("auto", model.device, dit.dtype, dit.config, model.geometry)
    set_attention(dit, log.found["attention"])
    if model.device.type == "cuda":
        torch.compiler.reset()
        dit.compile_repeated_blocks(fullgraph=True, dynamic=False)
    log[f"{name}, first call"] = run(model, picture, 1)
    log[name] = run(model, picture, steps)
    log[f"{name}, without guidance"] = run(model, picture, max(1, steps * 2 // 5), guidance=1)


def main(
    *,
    out: Path | None = None,
    part: Literal["all", "fast"] = "all",
    tiny: bool = False,
    lora_rank: PositiveInt = 512,
    steps: PositiveInt = 10,
) -> None:
    """Seconds and memory of a whole image-to-video at 14B, phase by phase.

    Measured plain, with a LoRA attached, with it merged, and then compiled, in bf16 and in float8, each of these with
    two fifths of the steps without guidance too, as distilled models are used. The pictures are noise: only time,
    memory and the way through the code are real.

    Args:
        out: file of the results (default: benchmarks/results/wan_end_to_end.json, of the compiled ways alone
            wan_end_to_end_fast.json).
        part: all, or the compiled ways alone.
        tiny: take tiny models and a tiny clip.
        lora_rank: rank of the LoRA.
        steps: sampling steps.

    Raises:
        ValueError: the file cannot be written.
    """
    name = "wan_end_to_end.json" if part == "all" else "wan_end_to_end_fast.json"
    out = check_writable(out or Path(__file__).parent / "results" / name, "--out")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    log = Log(out)
    torch.manual_seed(0)
    model = built(log, device, tiny)
    picture = np.random.default_rng(0).integers(0, 256, (*model.geometry.size, 3), dtype=np.uint8)
    if part == "all":
        eager(log, model, picture, steps, 4 if tiny else lora_rank)
    compiled(log, "compiled", model, picture, steps)
    del model  # before the next one is made
    gc.collect()
    model = built(log, device, tiny)
    use_float8(model.transformer)
    compiled(log, "compiled, float8", model, picture, steps)
    log["done"] = True


def built(log: Log, device: str, tiny: bool) -> WanModel:
    """All parts at true size, or tiny ones, as one model."""
    loading: dict[str, Any] = {}
    with measured(loading, "transformer"):
        dit = transformer(device, tiny=tiny)
    with measured(loading, "text encoder"):
        encoder = text_encoder(device, tiny)
    with measured(loading, "codec"):
        codec = AutoencoderKLWan(**({"base_dim": 4} if tiny else {})).eval().requires_grad_(False).to(device)
    log["built"] = loading | {
        f"{name} parameters": sum(p.numel() for p in part.parameters())
        for name, part in (("transformer", dit), ("text encoder", encoder), ("codec", codec))
    }
    size, frames = ((32, 64), 3) if tiny else ((480, 832), 21)
    prompts = PromptEncoder(lambda: (Letters(), encoder), "random", cache=None)
    geometry = Geometry((4, 8, 8), 16, frames, size, fps=16, shift=5.0)
    return WanModel(dit, codec, prompts, geometry=geometry, device=device)


def eager(log: Log, model: WanModel, picture: np.ndarray, steps: int, rank: int) -> None:
    """Without compiling: plain, with a LoRA attached, and with it merged."""
    log["plain"] = run(model, picture, steps)
    began = time.perf_counter()
    report = load_lora(model.transformer, update(model, rank, str(model.device)), strength=1.4, name="random")
    log["lora"] = {"rank": rank, "matched": len(report.matched), "attach_seconds": time.perf_counter() - began}
    log["with the LoRA attached"] = run(model, picture, steps)
    began = time.perf_counter()
    merge(model.transformer)
    log["lora"] = log.found["lora"] | {"merge_seconds": time.perf_counter() - began}
    log["with the LoRA merged"] = run(model, picture, steps)


if __name__ == "__main__":
    sys.exit(cli.main(script=main))
