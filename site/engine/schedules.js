// The zoo: levels as rows of frames; pusa_lab/schedules is the truth of every member.
import { fault } from "./faults.js";
import { levels } from "./sigmas.js";

const clip = (x, low, high) => Math.min(Math.max(x, low), high);
const range = (n) => Array.from({ length: n }, (_, i) => i);

function frameRange(frames, lag = 0) {
  if (!Number.isInteger(frames) || frames < 1) fault(`frames=${frames}: a schedule needs at least 1 frame and at most 1,000,000.`);
  if (!(lag >= 0 && lag < Infinity)) fault(`lag=${lag}: later frames cannot start before row 0; give a finite lag of 0 or more rows.`);
  return range(frames);
}

const wholeRows = (lag, ahead) => Math.floor(ahead * lag + 1e-9);

/** S[r, i] = g[clip(r - delays[i], 0, steps)]: all members of the zoo are made of this. */
function delayed(steps, delays, shift, sigmas) {
  const g = levels(sigmas, steps, shift), rows = steps + Math.max(...delays) + 1;
  if (rows * delays.length > 50_000) fault(`${rows} x ${delays.length} levels, but the page draws at most 50,000: give fewer steps or frames, or a smaller lag.`);
  return range(rows).map((r) => delays.map((d) => g[clip(r - d, 0, steps)]));
}

const synchronous = ({ steps, frames, shift, sigmas }) => delayed(steps, frameRange(frames).map(() => 0), shift, sigmas);
const pyramid = ({ steps, frames, lag = 1, shift, sigmas }) => delayed(steps, frameRange(frames, lag).map((i) => wholeRows(lag, i)), shift, sigmas);
const autoregressive = ({ steps, frames, shift, sigmas }) => delayed(steps, frameRange(frames).map((i) => i * steps), shift, sigmas);

function hold({ at = [0], ...rest }) {
  const n = rest.frames;
  for (const i of at) if (!(i >= -n && i < n)) fault(`frame ${i} is outside the video of ${n} latent frames: give 0..${n - 1}, or -${n}..-1 to count from the end.`);
  const known = new Set(at.map((i) => (i + n) % n));
  return synchronous(rest).map((row) => row.map((level, i) => (known.has(i) ? 0 : level)));
}

const trapezoid = ({ steps, frames, lag = 1, shift, sigmas }) =>
  delayed(steps, frameRange(frames, lag).map((i) => wholeRows(lag, Math.min(i, frames - 1 - i))), shift, sigmas);

function twoSided({ steps, frames, lag = 1, outward = false, shift, sigmas }) {
  const known = outward ? [Math.floor((frames - 1) / 2), Math.floor(frames / 2)] : [0, frames - 1];
  const away = frameRange(frames, lag).map((i) => Math.min(...known.map((k) => Math.abs(i - k))));
  return delayed(steps, away.map((d) => wholeRows(lag, Math.max(d - 1, 0))), shift, sigmas);
}

function rolling({ steps, frames, window = 4, shift, sigmas }) {
  if (window < 1) fault(`window=${window}: give the frames of a window, at least 1.`);
  const ahead = frameRange(frames).map((i) => i * steps);
  if (steps % window === 0 || sigmas !== "linear") return delayed(steps, ahead.map((n) => Math.floor(n / window)), shift, sigmas);
  const fine = levels("linear", steps * window, shift), rows = steps + Math.ceil(ahead[frames - 1] / window) + 1;
  return range(rows).map((r) => ahead.map((n) => fine[clip(r * window - n, 0, steps * window)]));
}

function blockwise({ steps, frames, block = 3, lag = 1, first_alone = false, shift, sigmas }) {
  if (block < 1) fault(`block=${block}: give the frames of a block, at least 1.`);
  const ahead = first_alone ? block - 1 : 0;
  return delayed(steps, frameRange(frames, lag).map((i) => wholeRows(Math.min(lag, steps), Math.floor((i + ahead) / block))), shift, sigmas);
}

function staircase({ steps, frames, chunk = 5, overlap = 2, shift, sigmas }) {
  if (!(overlap >= 0 && overlap < chunk)) fault(`overlap=${overlap} for chunks of ${chunk} frames: give 0 to chunk - 1, so that each chunk has new frames.`);
  const delays = frameRange(frames).map((i) => steps * Math.max(0, Math.ceil((i + 1 - chunk) / (chunk - overlap))));
  return delayed(steps, delays, shift, sigmas);
}

/** Rows in the order in which RePaint visits them. */
export function repaintRows(steps, jump, samples) {
  if (!(jump >= 1 && jump < steps && samples >= 1)) fault(`jump_length=${jump}, jump_n_sample=${samples}, steps=${steps}: give a jump_length from 1 to steps - 1, and 1 or more samples.`);
  const first = (steps - 1) % jump, rows = range(first + 1);
  for (let row = first; row < steps - 1; row += jump) {
    const part = range(jump + 1).map((k) => row + k);
    rows.push(...part.slice(1), ...range(samples - 1).flatMap(() => part));
  }
  return [...rows, steps];
}

function repaint({ jump_length = 2, jump_n_sample = 3, ...rest }) {
  const S = synchronous(rest);
  return repaintRows(rest.steps, jump_length, jump_n_sample).map((r) => S[r]);
}

function restart({ low = 0.1, high = 0.6, times = 2, restart_steps = 4, ...rest }) {
  if (!(low > 0 && low < high && high <= 1)) fault(`low=${low}, high=${high}: give numbers with 0 < low < high <= 1.`);
  if (times < 0 || restart_steps < 1) fault(`times=${times}, restart_steps=${restart_steps}: give at least 0 times and 1 step.`);
  const S = synchronous(rest), tooth = range(restart_steps + 1).map((k) => Math.fround(high + (k / restart_steps) * (low - high)));
  const column = [Math.fround(low), ...range(times).flatMap(() => tooth)];
  const part = column.map((level) => range(rest.frames).map(() => level));
  return [...S.filter((row) => row[0] > low + 1e-6), ...part, ...S.filter((row) => row[0] < low - 1e-6)];
}

export const SCHEDULES = { synchronous, hold, pyramid, autoregressive, trapezoid, two_sided: twoSided, rolling, blockwise, staircase, repaint, restart };
/** Members that go back up, as a `Rising` does. */
export const RISING = new Set(["repaint", "restart"]);

/** The levels of a member of the zoo. */
export function schedule(name, options) {
  const make = SCHEDULES[name];
  if (!make) fault(`there is no schedule '${name}': choose one of ${Object.keys(SCHEDULES).join(", ")}.`);
  return make({ shift: 1, sigmas: "linear", ...options });
}
