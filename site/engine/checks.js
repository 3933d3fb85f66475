// What is wrong with a matrix, and what it costs; as pusa_lab/schedules/checks.py says it.
import { fault, short } from "./faults.js";

export const ROUNDING = 1e-6;

/** Levels that miss 0 and 1 by rounding, set to them; levels near 0 in the last row too. */
export function snapped(S) {
  return S.map((row, r) => row.map((x) => (x < 0 && x > -ROUNDING) || (r === S.length - 1 && Math.abs(x) < ROUNDING) ? 0 : x > 1 && x < 1 + ROUNDING ? 1 : x));
}

/** Faults of single cells: {row, frame, what}, row by row. */
export function marks(matrix, whole = true, rising = false) {
  const S = snapped(matrix), found = [];
  S.forEach((row, r) => row.forEach((x, frame) => {
    const at = { row: r, frame, level: x };
    if (!(x >= 0 && x <= 1)) found.push({ ...at, what: `${short(x)} is outside [0, 1] or not a number` });
    if (!rising && r && x > S[r - 1][frame]) found.push({ ...at, what: `${short(x)} rises above the row before` });
    if (whole && r === S.length - 1 && x !== 0) found.push({ ...at, what: `${short(x)} should be 0: every frame ends clean` });
  }));
  return found;
}

function names(frames) {
  const run = frames.length > 2 && frames[frames.length - 1] - frames[0] === frames.length - 1;
  return run ? `${frames[0]}-${frames[frames.length - 1]}` : frames.join("+");
}

/** One phrase for each fault, which names all frames of a row that have the same. */
export function faults(S, whole = true, rising = false) {
  if (!Array.isArray(S) || S.length < 2 || !S[0].length || S.some((row) => row.length !== S[0].length)) return ["a schedule is (rows, frames) with at least 2 rows and 1 frame"];
  const frames = new Map(), order = ["outside", "rises", "should"];
  const found = marks(S, whole, rising).sort((a, b) => order.findIndex((w) => a.what.includes(w)) - order.findIndex((w) => b.what.includes(w)));
  for (const { row, frame, what } of found) {
    const key = `${row}|${what}`;
    frames.set(key, [...(frames.get(key) || []), frame]);
  }
  return [...frames].map(([key, at]) => {
    const [row, what] = key.split("|");
    return `row ${row}, frame${at.length > 1 ? "s" : ""} ${names(at)}: ${what}`;
  });
}

/** One sentence if a matrix is no schedule: the first five faults and the number of the others. */
export function validate(S, whole = true, name = "", rising = false) {
  const found = faults(S, whole, rising);
  if (!found.length) return;
  const more = found.length > 5 ? `; and ${found.length - 5} more` : "";
  fault(`${name ? `${name} is not valid` : "not a schedule"}: ${found.slice(0, 5).join("; ")}${more}.`);
}

/** Rows, calls of a first-order solver, and the order in which frames become final. */
export function describe(S) {
  const calls = S.slice(1).filter((row, r) => row.some((x, i) => x < S[r][i])).length;
  const groups = new Map();
  S[0].forEach((_, i) => {
    const end = S.reduce((last, row, r) => (row[i] > 0 ? r + 1 : last), 0);
    groups.set(end, [...(groups.get(end) || []), i]);
  });
  const clean = groups.get(0) || [];
  groups.delete(0);
  const order = [...groups].sort((a, b) => a[0] - b[0]).map(([, frames]) => frames);
  return { rows: S.length, frames: S[0].length, calls, order, clean };
}
