// What a person is told: one sentence, which the page shows.
export class Fault extends Error {}

export function fault(sentence) {
  throw new Fault(sentence);
}

/** What act() returns; its fault is told with words before it. */
export function toldOf(words, act) {
  try { return act(); } catch (error) { throw error instanceof Fault ? new Fault(`${words}: ${error.message}`) : error; }
}

/** As Python's format :.4g writes a number. */
export const short = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(4))) : Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf");

/** "1 frame", "3 frames". */
export const counted = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
