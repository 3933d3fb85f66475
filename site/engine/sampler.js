// The sampling loop with one timestep per frame; pusa_lab/samplers.py, solvers, guidance and conditions are its truth.
// A clip is {data: Float32Array, channels, frames, pixels}, in the order of torch's (c, f, h * w).
import { ROUNDING, snapped, validate } from "./checks.js";
import { fault, short } from "./faults.js";
import { FRESH, noiseOf } from "./noise.js";

/** change(value, at, frame) for every number of a clip. */
export function map(x, change) {
  const out = new Float32Array(x.data.length);
  for (let k = 0; k < out.length; k++) out[k] = change(x.data[k], k, Math.floor(k / x.pixels) % x.frames);
  return { ...x, data: out };
}

/** x0_i = x_i - tau_i v_i. */
export const cleanEstimate = (x, v, tau) => map(x, (value, k, i) => value - tau[i] * v.data[k]);

/** x_i + (tau_next_i - tau_i) v_i; a frame whose timestep stays is kept bit for bit. */
const eulerStep = (x, v, tau, next) => map(x, (value, k, i) => (next[i] === tau[i] ? value : value + (next[i] - tau[i]) * v.data[k]));

async function euler(denoiser, x, tau, next) {
  const v = await denoiser(x, tau);
  return [eulerStep(x, v, tau, next), v];
}

/** Heun: the mean of two velocities, but the first for a frame that reaches 0; no second call if no other moves. */
async function heun(denoiser, x, tau, next) {
  const [ahead, first] = await euler(denoiser, x, tau, next);
  if (!next.some((level, i) => level !== tau[i] && level > 0)) return [ahead, first];
  const second = await denoiser(ahead, next);
  const v = map(first, (value, k, i) => (next[i] > 0 ? (value + second.data[k]) / 2 : value));
  return [eulerStep(x, v, tau, next), v];
}

export const SOLVERS = { euler, heun };

/** x noised on from tau to a higher level; a frame that is there, or above, stays. */
export function noiseFurther(x, eps, tau, level) {
  return map(x, (value, k, i) => {
    if (level[i] <= tau[i]) return value;
    const r = Math.min((1 - level[i]) / Math.max(1 - tau[i], 1e-12), 1);
    return r * value + Math.sqrt((1 - r) * (1 - r + 2 * r * tau[i])) * eps.data[k];
  });
}

/** Guidance on the caption: v_null + s (v - v_null); ask(x, tau, null?) is the model. */
export function textGuidance(ask, scale) {
  if (!(Math.abs(scale) <= 1e6)) fault(`guidance=${scale}: give a number from -1,000,000 to 1,000,000; 1 is none.`);
  return async (x, tau) => {
    const v = await ask(x, tau, false);
    if (scale === 1) return v;
    const empty = await ask(x, tau, true);
    return map(v, (value, k) => empty.data[k] + scale * (value - empty.data[k]));
  };
}

/** How a known frame is kept: its levels for the schedule's column and m, and what its latents are. */
export const MODES = {
  freeze: { levels: (column, m) => column.map((x) => Math.fround(m * x)) },
  denoise: { levels: (column, m) => column.map((x) => Math.fround(m * x)) },
  hold: { levels: (column, m) => column.map((_, r) => (r === column.length - 1 ? 0 : m)), replaced: true },
  replacement: { levels: (column, m) => column.map((x) => Math.fround(m * x)), replaced: true },
  label: { levels: (column, m) => column.map((_, r) => (r === column.length - 1 ? 0 : m)), replaced: true, clean: true },
};

/** Levels whose columns of known frames are those that their task gives them; the levels may have faults. */
export function knownColumns(S, known) {
  const out = S.map((row) => [...row]);
  for (const { at, noise, mode } of known) {
    const column = S.map((row) => row[at]);
    if (!MODES[mode].replaced) for (let r = 1; r < column.length; r++) column[r] = Math.min(column[r], column[r - 1]);
    MODES[mode].levels(column, noise).forEach((level, r) => (out[r][at] = level));
  }
  return out;
}

/** The schedule with the known frames at the levels that their task gives them. known: [{at, noise, mode, clip}]. */
export function withKnown(S, known) {
  for (const { at, noise, mode } of known) {
    if (!MODES[mode]) fault(`there is no mode '${mode}': choose one of ${Object.keys(MODES).join(", ")}.`);
    if (!(noise >= 0 && noise <= 1)) fault(`noise level ${noise} is outside [0, 1]: 0 keeps a known frame clean, 1 leaves it free.`);
    if (mode === "freeze" && noise > 0) fault(`frame ${at} is in mode freeze, which keeps it exactly, but at noise ${noise}: give noise=0, or another mode.`);
  }
  const out = knownColumns(S, known);
  S[0].forEach((start, i) => {
    const own = known.find((one) => one.at === i);
    if (start >= 0.999 - 1e-6) return;
    if (!own) fault(`frame ${i} starts at ${short(start)} but nothing is known of it: start it at 1, or name it among the task's known frames.`);
    const off = (a, b) => Math.abs(a - b) > ROUNDING;
    if (off(start, own.noise) || S.some((row, r) => off(row[i], out[r][i]))) fault(`known frame ${i} starts at ${short(start)} in the schedule, but the task alone sets its level (noise=${short(own.noise)}): start the frame at 1, as in schedule='synchronous'.`);
  });
  return out;
}

/** x with known frames noised by eps to their level in tau, or clean if their mode says so. */
function put(x, eps, tau, known) {
  const of = new Map(known.map((one) => [one.at, one]));
  return map(x, (value, k, i) => {
    const own = of.get(i);
    if (!own) return value;
    const level = MODES[own.mode].clean ? 0 : tau[i];
    const c = Math.floor(k / (x.pixels * x.frames)), p = k % x.pixels;
    return (1 - level) * own.clip[c * x.pixels + p] + level * eps.data[k];
  });
}

/**
 * Yield {row, tau, x, x0} at every row; x of the last is the sample.
 * denoiser (x, tau) -> v, perhaps guided; known [{at, noise, mode, clip: Float32Array (c, h * w)}].
 */
export async function* sampleSteps({ denoiser, shape, schedule, solver = "euler", seed = 0, known = [], rising = false }) {
  validate(schedule, true, "the schedule", rising);
  const step = SOLVERS[solver];
  if (!step) fault(`there is no solver '${solver}': choose one of ${Object.keys(SOLVERS).join(", ")}.`);
  if (schedule[0].length !== shape.frames) fault(`schedule is a matrix of ${schedule[0].length} columns, but x has ${shape.frames} frames: give one column per frame.`);
  const S = withKnown(snapped(schedule), known), size = shape.channels * shape.frames * shape.pixels;
  const noise = (row) => ({ ...shape, data: noiseOf(size, seed, row) });
  const replaced = known.filter((one) => MODES[one.mode].replaced);
  const kept = (x, row, tau) => (x && replaced.length ? put(x, noise(row), tau, replaced) : x);
  const clean = S[0].map(() => 0), first = noise(0);
  let x = kept(put(first, first, S[0], known), 0, S[0]), x0 = null;
  yield { row: 0, tau: S[0], x, x0 };
  for (let row = 1; row < S.length; row++) {
    const [tau, next] = [S[row - 1], S[row]], low = tau.map((level, i) => Math.min(level, next[i]));
    if (low.some((level, i) => level !== tau[i])) {
      const [moved, v] = await step(denoiser, x, tau, low);
      [x, x0] = [moved, cleanEstimate(moved, v, low)];
    }
    if (low.some((level, i) => level !== next[i])) x = noiseFurther(x, noise(FRESH + row), low, next);
    [x, x0] = [kept(x, row, next), kept(x0, row, clean)];
    yield { row, tau: next, x, x0 };
  }
}
