// Captions to indices, as small_models/models/text.py does it.
import { counted, fault } from "./faults.js";

/** Words and commas, in lower case, without a full stop. */
export const splitWords = (caption) => caption.toLowerCase().replace(/[. \n]+$/, "").match(/[^\s,]+|,/g) || [];

/** Indices of a caption's words, filled up with <empty>; "" is the null prompt. */
export function tokenize(caption, { words, longest }) {
  const index = new Map(words.map((word, i) => [word, i])), found = splitWords(caption);
  const unknown = [...new Set(found.filter((word) => !index.get(word)))];
  if (unknown.length) fault(`unknown words in '${caption.slice(0, 60)}': ${unknown.join(", ").slice(0, 80)}. The toy knows: ${words.slice(1).filter((word) => word !== ",").join(", ")}.`);
  if (found.length > longest) fault(`a caption of ${counted(found.length, "word")}: the toy reads at most ${longest}.`);
  return Int32Array.from({ length: longest }, (_, i) => (i < found.length ? index.get(found[i]) : 0));
}
