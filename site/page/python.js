// The same video as a line of Python.
import { captionOf, firstBytes, lastBytes } from "./scene.js";
import { tables } from "./model.js";

const word = (value) => (typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value));

async function packed(bytes) {
  const plane = bytes.length / 3, pixels = Uint8Array.from({ length: bytes.length }, (_, k) => bytes[(k % 3) * plane + Math.floor(k / 3)]); // (h, w, 3)
  const stream = new Blob([pixels]).stream().pipeThrough(new CompressionStream("deflate"));
  const text = btoa(String.fromCharCode(...new Uint8Array(await new Response(stream).arrayBuffer())));
  const side = tables.world.size;
  return `np.frombuffer(zlib.decompress(base64.b64decode("${text}")), np.uint8).reshape(${side}, ${side}, 3)`;
}

function scheduleLine(one) {
  const { frames } = tables.world;
  if (one.rows) return `pl.schedules.from_columns([${one.rows[0].map((_, i) => `[${one.rows.map((row) => level(row[i])).join(", ")}]`).join(", ")}])`;
  return `pl.schedules.${one.name}(${Object.entries({ frames, ...one.options }).map(([key, value]) => `${key}=${word(value)}`).join(", ")})`;
}

/** A level as Python reads it as a float, exact in single precision. */
const level = (x) => (Number.isInteger(x) ? `${x}.0` : String(+x.toPrecision(9)));

/** Two lines: what to import, and the call that makes the video. */
export async function pythonLine(state) {
  const { given } = state, noise = given.noise ? `, noise=${given.noise}` : "";
  const [first, last] = [given.first ? await packed(firstBytes(state)) : "", given.last ? await packed(lastBytes(state)) : ""];
  const task = first && last ? `pl.tasks.start_end(${first}, ${last}${noise})` : first ? `pl.tasks.image_to_video(${first}${noise})` : last ? `pl.tasks.keyframes([${last}], at=[-1]${noise})` : "";
  const rest = `schedule=${scheduleLine(state.schedule)}, solver="${state.solver}", guidance=${state.guidance}, seed=${state.seed}`;
  return `import base64, zlib, numpy as np, pusa_lab as pl, small_models\nvideo = pl.generate(small_models.load("${state.model}"), ${JSON.stringify(captionOf(state))}, ${task ? `${task}, ` : ""}${rest}).video[0]`;
}
