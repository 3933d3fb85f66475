// node build.mjs: what the page in site/playground needs, in files that it can open without a network or a server.
// node build.mjs FOLDER: the same, for a copy of the page in that folder.
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = (path) => new URL(path, import.meta.url).pathname;
const runtime = here("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded");
const out = process.argv[2] ?? here("playground");
mkdirSync(out, { recursive: true });

const packed = (path) => gzipSync(readFileSync(path), { level: 9 });

/** A script that puts bytes into the page: a browser reads no other files from a folder on disk. */
function inlined(name, parts, notice = "") {
  const said = Object.entries(parts).map(([key, bytes]) => `${key}: "${bytes.toString("base64")}"`);
  writeFileSync(`${out}/${name}.js`, `${notice}(globalThis.PUSA_FILES ||= {})["${name}"] = { ${said.join(", ")} };\n`);
}

const { version, license } = JSON.parse(readFileSync(here("node_modules/onnxruntime-web/package.json")));
const notice = `/*! onnxruntime-web ${version}, Copyright (c) Microsoft Corporation, ${license} license, https://github.com/microsoft/onnxruntime */\n`;
inlined("runtime", { wasm: packed(`${runtime}.wasm`), glue: readFileSync(`${runtime}.mjs`) }, notice);
for (const name of ["nano-vta", "nano-base"]) inlined(name, { onnx: packed(here(`models/${name}.onnx`)) });
await build({
  entryPoints: [here("page/main.js")],
  outfile: `${out}/playground.js`,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  conditions: ["onnxruntime-web-use-extern-wasm"],
  define: { "import.meta.url": "document.baseURI" },
  loader: { ".svg": "text" },
  logLevel: "warning",
});
for (const name of ["runtime", "nano-vta", "nano-base", "playground"]) console.log(`${name}.js ${(statSync(`${out}/${name}.js`).size / 2 ** 20).toFixed(1)} MiB`);
