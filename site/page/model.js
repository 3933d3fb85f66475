// The toys, run by onnxruntime's WebAssembly, which lies in scripts beside the page.
import * as ort from "onnxruntime-web/wasm";
import { fault } from "../engine/faults.js";
import { tokenize } from "../engine/words.js";
import tables from "../models/tables.json";

export const SHAPE = { channels: 3, frames: tables.world.frames, pixels: tables.world.size ** 2 };
const opened = new Map();

/** The bytes in a script beside the page, by its name and the part's. */
async function bytesOf(name, part) {
  if (!globalThis.PUSA_FILES?.[name]) {
    await new Promise((done) => {
      const script = document.createElement("script");
      script.src = `${name}.js`;
      script.onload = script.onerror = done;
      document.head.append(script);
    });
  }
  const text = globalThis.PUSA_FILES?.[name]?.[part];
  if (!text) fault(`${name}.js does not lie beside this page, or is damaged: build the site again with make site.`);
  const plain = atob(text), bytes = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i++) bytes[i] = plain.charCodeAt(i);
  return bytes;
}

const unpacked = async (bytes) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());

async function start() {
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function") fault("This browser has no WebAssembly, which the model needs: use a recent Firefox, Chrome, Edge or Safari, or the toolkit in Python. Drawing and the links work all the same.");
  const [wasm, glue] = [await bytesOf("runtime", "wasm"), await bytesOf("runtime", "glue")];
  ort.env.wasm.wasmBinary = await unpacked(wasm);
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([glue], { type: "text/javascript" })) };
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 4) : 1;
}

async function session(name) {
  await (opened.get("runtime") || opened.set("runtime", start()).get("runtime"));
  return ort.InferenceSession.create(await unpacked(await bytesOf(name, "onnx")), { executionProviders: ["wasm"] });
}

/** A toy: denoiser(caption) -> (x, tau, empty) -> v. */
export async function load(name) {
  if (!opened.has(name)) opened.set(name, session(name));
  const net = await opened.get(name);
  const count = { calls: 0 };
  function denoiser(caption) {
    const words = [caption, ""].map((text) => new ort.Tensor("int32", tokenize(text, tables.text), [1, tables.text.longest]));
    const side = tables.world.size;
    return async (x, tau, empty) => {
      count.calls++;
      const given = new ort.Tensor("float32", x.data, [1, 3, x.frames, side, side]);
      const { v } = await net.run({ x: given, tau: new ort.Tensor("float32", Float32Array.from(tau), [1, x.frames]), tokens: words[+empty] });
      return { ...x, data: v.data };
    };
  }
  return { denoiser, count };
}

export { tables };
