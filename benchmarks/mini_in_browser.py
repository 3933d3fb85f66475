"""How soon `mini` would show a frame in the page, if it were there: measured by benchmarks/playground.py."""

import base64
import gzip
import importlib.util
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from playwright.sync_api import Browser

import small_models

SITE = Path(__file__).resolve().parents[1] / "site"
NAME, NETWORK, DECODER = "mini-vta", "network.onnx", "decoder.onnx"
CAPTION = "a red circle moves right"
PAGE = """<!doctype html><link rel="icon" href="data:,"><canvas width="64" height="64"></canvas>
<script src="ort.wasm.min.js"></script>
<script>
(async () => {
  const { shape, tokens } = SHAPES, threads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 4) : 1;
  ort.env.wasm.numThreads = threads;
  const open = (name) => ort.InferenceSession.create(name, { executionProviders: ["wasm"] });
  const [network, decoder] = [await open("network.onnx"), await open("decoder.onnx")], opened = performance.now();
  const size = shape.reduce((a, b) => a * b), x = Float32Array.from({ length: size }, () => 4 * Math.random() - 2);
  const tau = new ort.Tensor("float32", new Float32Array(shape[2]).fill(1), [1, shape[2]]);
  const ask = async (words) => {
    const tokens = new ort.Tensor("int32", words, [1, words.length]);
    return (await network.run({ x: new ort.Tensor("float32", x, shape), tau, tokens })).v.data;
  };
  const [told, empty] = [await ask(tokens[0]), await ask(tokens[1])], called = performance.now();
  const next = x.map((value, k) => value - 0.1 * (empty[k] + 2 * (told[k] - empty[k])));
  const { pixels } = await decoder.run({ x: new ort.Tensor("float32", next, shape) });
  const [, , frames, height, width] = pixels.dims, plane = frames * height * width;
  const image = new ImageData(width, height);
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = (pixels.data[c * plane + p] + 1) * 127.5;
    image.data[4 * p + 3] = 255;
  }
  document.querySelector("canvas").getContext("2d").putImageData(image, 0, 0);
  const first = performance.now();
  globalThis.seen = { opened, calls: called - opened, decoding: first - called, first, threads };
})();
</script>
"""
"""Two calls, with the caption and without, a step, and the pictures of the row: what the page does until its first."""


def export_of_the_site() -> Any:
    """The module site/export.py, which is no package."""
    spec = importlib.util.spec_from_file_location("site_export", SITE / "export.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_page(folder: Path) -> dict[str, Any]:
    """Write a page that makes one row with `mini`, its model and its runtime; return how large and how near they are.

    Args:
        folder: empty.
    """
    export, model = export_of_the_site(), small_models.load(NAME, device="cpu")
    onnx.save(export.export(NAME), folder / NETWORK)
    onnx.save(export.export_decoder(NAME), folder / DECODER)
    for name in ("ort.wasm.min.js", "ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs"):
        shutil.copy(SITE / "node_modules" / "onnxruntime-web" / "dist" / name, folder)
    shape, tokens = list(model.geometry.latent_shape(1, model.geometry.frames)), model.text.tokenize([CAPTION, ""])
    (folder / "index.html").write_text(PAGE.replace("SHAPES", f"{{ shape: {shape}, tokens: {tokens.tolist()} }}"))
    packed = sum(len(base64.b64encode(gzip.compress((folder / name).read_bytes()))) for name in (NETWORK, DECODER))
    x, tau = torch.randn(*shape, generator=torch.Generator().manual_seed(0)), torch.linspace(0, 1, shape[2])[None]
    with torch.no_grad():
        want = model(x, tau, **model.encode_text([CAPTION])), model.decode(x)
    (v,) = answer(folder / NETWORK, x=x, tau=tau, tokens=tokens[:1].int())
    (pixels,) = answer(folder / DECODER, x=x)
    off = max(float(np.abs(got - one.numpy()).max()) for got, one in zip((v, pixels), want, strict=True))
    return {
        "MiB, packed as the page packs it": round(packed / 2**20, 1),
        "largest difference from PyTorch": float(f"{off:.1e}"),
    }


def answer(path: Path, **inputs: torch.Tensor) -> list[Any]:
    """What a model as ONNX gives on this machine's processor."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(None, {name: one.numpy() for name, one in inputs.items()}))


def measured(browser: Browser, address: str, runs: int) -> dict[str, Any]:
    """Medians of several visits, in seconds from opening the page, and the shortest time to the first frame.

    Args:
        browser: which visits.
        address: of the host of `write_page`'s folder.
        runs: how often.
    """
    seen = []
    for _ in range(runs):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{address}/index.html")
        seen.append(page.wait_for_function("globalThis.seen", timeout=120_000).json_value())
        context.close()
    parts = {"model opened": "opened", "two calls": "calls", "decoding a row": "decoding", "first frame": "first"}
    found: dict[str, Any] = {
        words: round(statistics.median(one[name] for one in seen) / 1000, 2) for words, name in parts.items()
    }
    least = round(min(one["first"] for one in seen) / 1000, 2)
    return found | {"first frame, least of all visits": least, "threads": seen[0]["threads"]}
