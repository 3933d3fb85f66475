// Edits of a matrix: functions from a matrix to a new one; pusa_lab/studio/edits.py is their truth.
import { fault, short } from "./faults.js";

const copyOf = (S) => S.map((row) => [...row]);
const clip = (x, low, high) => Math.min(Math.max(x, low), high);

/** Drag one level of a column: earlier levels are kept above it, later ones below. */
export function drag(S, { frame, row, level }) {
  return S.map((levels, r) => levels.map((x, i) => (i !== frame ? x : r < row ? Math.max(x, level) : r > row ? Math.min(x, level) : level)));
}

/** Set cells to one level without regard to their neighbours. */
export function paint(S, { frames, rows, level }) {
  const out = copyOf(S);
  for (const r of rows) for (const i of frames) out[r][i] = level;
  return out;
}

/** Make a frame clean from the start. */
export const freeze = (S, { frame }) => S.map((row) => row.map((x, i) => (i === frame ? 0 : x)));

/** Shift a column in time; rows are added where it would leave the matrix, and idle rows at the ends are dropped. */
export function delay(S, { frame, by }) {
  const n = Math.abs(by);
  const wide = [...Array.from({ length: n }, () => [...S[0]]), ...copyOf(S), ...Array.from({ length: n }, () => [...S[S.length - 1]])];
  const column = wide.map((row) => row[frame]);
  wide.forEach((row, r) => (row[frame] = column[clip(r - by, 0, wide.length - 1)]));
  const moving = wide.slice(1).map((row, r) => (row.some((x, i) => x !== wide[r][i]) ? r : -1)).filter((r) => r >= 0);
  const [first, last] = moving.length ? [moving[0], moving[moving.length - 1]] : [0, 0];
  return wide.slice(first, last + 2);
}

/** Copy the levels of one frame to others, named as text such as "0, 4-6". */
export function copy(S, { frame, to }) {
  const columns = columnsOf(to, S[0].length);
  return S.map((row) => row.map((x, i) => (columns.includes(i) ? row[frame] : x)));
}

export const EDITS = { drag, paint, freeze, delay, copy };

/** Frames from text such as "2", "3-5", "0, 4-6" or "-1". */
export function columnsOf(text, frames) {
  const found = [];
  for (const part of String(text).replaceAll(" ", "").split(",")) {
    const read = /^(-?\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (!read) fault(`frames '${text}': give numbers and ranges, such as 0, 4-6.`);
    for (let i = +read[1]; i <= +(read[2] || read[1]); i++) {
      if (!(i >= -frames && i < frames)) fault(`frame ${i} is outside the video of ${frames} latent frames: give 0..${frames - 1}, or -${frames}..-1 to count from the end.`);
      found.push((i + frames) % frames);
    }
  }
  return found;
}

/** A matrix without the fault of one cell, and a phrase that says what changed. */
export function fix(S, row, frame) {
  const out = copyOf(S), level = S[row][frame], before = row ? S[row - 1][frame] : 1;
  if (!(level >= 0 && level <= 1)) {
    out[row][frame] = Number.isNaN(level) ? before : clip(level, 0, 1);
    return [out, `frame ${frame}, row ${row}: ${short(level)} becomes ${short(out[row][frame])}`];
  }
  if (level > before) {
    for (let r = row; r < S.length; r++) out[r][frame] = Math.min(out[r][frame], before);
    const rows = out.filter((levels, r) => levels[frame] !== S[r][frame]).length;
    return [out, `frame ${frame}, ${rows === 1 ? `row ${row}` : `${rows} rows from row ${row} on`}: no higher than ${short(before)}, as in row ${row - 1}`];
  }
  out[row][frame] = 0;
  return [out, `frame ${frame}, row ${row}: ${short(level)} becomes 0`];
}
