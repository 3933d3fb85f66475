// When each frame becomes clean: the studio's own canvas, with the edits, checks and zoo of the engine as its kernel.
import { TOOLS, make, matrix } from "../../pusa_lab/studio/static/studio.js";
import { describe, marks, validate } from "../engine/checks.js";
import { EDITS, columnsOf, fix } from "../engine/edits.js";
import { Fault, fault, short } from "../engine/faults.js";
import { schedule as build } from "../engine/schedules.js";
import { knownColumns, withKnown } from "../engine/sampler.js";
import { tables } from "./model.js";
import { defaults } from "./state.js";

const PICTURES = { synchronous: "all frames together", hold: "frame 0 clean from the start", pyramid: "each a little later", autoregressive: "one after the other", trapezoid: "from both ends", two_sided: "between known ends", rolling: "a moving window", blockwise: "in blocks", staircase: "in long chunks" };

const ENDS = { 0: "first", [tables.world.frames - 1]: "last" };
const tick = (frame) => `“${ENDS[frame]} frame given”`;

/** The levels of a schedule in a state. */
export const levelsOf = (one) => one.rows ?? build(one.name, { frames: tables.world.frames, ...one.options });

/** The levels of a schedule in a state, if they are a schedule. */
export function sound(one) {
  const S = levelsOf(one);
  validate(S, true, one.rows ? "" : `the schedule ${one.name}`);
  return S;
}

/** The frames of a state that are given, with the level and the way in which they are kept. */
export function knownOf({ given }) {
  const at = [...(given.first ? [0] : []), ...(given.last ? [tables.world.frames - 1] : [])];
  return at.map((frame) => ({ at: frame, noise: given.noise, mode: "denoise" }));
}

/** The levels that the model will be given, and what is wrong with them, if anything. */
export function planned(state, one = state.schedule) {
  const S = sound(one);
  const known = knownOf(state), odd = S[0].findIndex((level, i) => level < 0.999 && !known.some(({ at }) => at === i));
  if (odd >= 0) fault(`frame ${odd} starts at ${short(S[0][odd])}, but nothing is known of it: let it start at 1${ENDS[odd] ? `, or tick ${tick(odd)}` : "; here only the first and the last frame can be given"}.`);
  return withKnown(S, known);
}

/** A matrix after an edit of what is seen. The columns of given frames are their task's, and are not drawn. */
function edited(state, kind, given) {
  const known = knownOf(state), locked = known.map(({ at }) => at), S = levelsOf(state.schedule).map((row) => [...row]);
  const meant = kind === "copy" ? columnsOf(given.to, S[0].length) : given.frames ?? [given.frame];
  if (meant.every((frame) => locked.includes(frame))) fault(`frame ${meant[0]} is given, which sets its column: untick ${tick(meant[0])} to draw it.`);
  const from = kind === "copy" ? knownColumns(S, known) : S, out = EDITS[kind](from, given);
  return kind === "copy" ? out.map((row, r) => row.map((level, i) => (locked.includes(i) ? S[r][i] : level))) : out;
}

/** "pyramid(steps=10, lag=1)", without what is as it always is. */
export function called(one) {
  if (one.rows) return `a matrix of your own, ${one.rows.length} rows`;
  const usual = { shift: 1, sigmas: "linear" }, told = Object.entries(one.options).filter(([key, value]) => value !== usual[key]);
  return `${one.name}(${told.map(([key, value]) => `${key}=${typeof value === "boolean" ? (value ? "True" : "False") : typeof value === "string" ? `"${value}"` : value}`).join(", ")})`;
}

/** Menu and sliders of the zoo; `set(name, options)`. */
function zooControls(set, label) {
  const menu = make("select", { "aria-label": label, onchange: () => set(menu.value, defaults(menu.value)) },
    ...Object.keys(tables.zoo).map((name) => make("option", { value: name }, `${name}: ${PICTURES[name] ?? ""}`)), make("option", { value: "", disabled: true }, "drawn by hand"));
  const sliders = make("div", { class: "sliders" });
  let shown = null;
  function slider(p, options) {
    const now = () => ({ ...shown.options });
    const send = (value) => set(shown.name, { ...now(), [p.name]: value });
    if (p.choices.length) {
      const choose = make("select", { "aria-label": p.name, onchange: () => send(choose.value) }, ...p.choices.map((word) => make("option", { value: word }, word)));
      choose.value = options[p.name];
      return make("label", {}, `${p.name} `, choose);
    }
    if (typeof p.start === "boolean") {
      const box = make("input", { type: "checkbox", "aria-label": p.name, onchange: () => send(box.checked) });
      box.checked = options[p.name];
      return make("label", {}, box, ` ${p.name.replaceAll("_", " ")}`);
    }
    const output = make("output", {}, String(options[p.name]));
    const range = make("input", { type: "range", min: p.low, max: p.name === "steps" ? 30 : p.high, step: p.step, "aria-label": p.name, oninput: () => { output.textContent = range.value; send(+range.value); } });
    range.value = options[p.name];
    return make("label", {}, `${p.name} `, range, output);
  }
  function show(one) {
    const same = shown && shown.name === one.name && sliders.contains(document.activeElement);
    shown = one.rows ? one : { ...one, options: { ...defaults(one.name), ...one.options } };
    menu.value = one.rows ? "" : one.name;
    if (one.rows) { // what is below stays where it is, under the hand that draws
      sliders.style.minHeight = `${sliders.offsetHeight}px`;
      sliders.replaceChildren(make("span", { class: "soft" }, "A schedule from the list has sliders here."));
    } else if (!same) {
      sliders.style.minHeight = "";
      sliders.replaceChildren(...tables.zoo[one.name].map((p) => slider(p, shown.options)));
    }
  }
  return { menu, sliders, show };
}

export function matrixPanel(box, change, tell) {
  let state = null, number = 0, undone = [], done = [], last = null;
  let painted = "0.5";
  const level = make("input", { type: "number", min: 0, max: 1, step: 0.05, value: painted, "aria-label": "level to paint", onchange: () => {
    if (level.value !== "" && +level.value >= 0 && +level.value <= 1) { painted = level.value; return; }
    tell(new Fault(`${level.value ? `level=${level.value}` : "The level to paint is not a number"}: give a number from 0, clean, to 1, noise. The level is still ${painted}.`));
    level.value = painted;
  } });
  const copyTo = make("input", { type: "text", size: 5, value: "1-3", "aria-label": "frames to copy to" });
  const grid = matrix(send, level, copyTo);
  const zoo = zooControls((name, options) => set({ name, options }), "schedule");
  const tools = Object.entries(TOOLS).map(([name, [words, title]]) => make("button", { type: "button", title, "data-tool": name, "aria-pressed": "false", onclick: () => choose(name) }, words));
  const levelBox = make("label", {}, "level ", level), copyBox = make("label", {}, "to ", copyTo), hint = make("p", { class: "soft" });
  const undo = make("button", { type: "button", "aria-label": "undo", title: "Undo (Ctrl+Z)", onclick: () => send({ do: "undo" }) }, "↶");
  const redo = make("button", { type: "button", "aria-label": "redo", title: "Redo (Ctrl+Y)", onclick: () => send({ do: "redo" }) }, "↷");
  const facts = make("p", { class: "facts", "aria-live": "polite" }), faults = make("div", { class: "faults", "aria-live": "polite" });
  box.append(make("div", { class: "bar" }, zoo.menu), zoo.sliders, make("div", { class: "bar", role: "toolbar", "aria-label": "tools" }, ...tools, undo, redo, levelBox, copyBox),
    make("div", { class: "matrix" }, grid.canvas), make("p", { class: "axes soft" }, "frames →, rows ↓ · yellow: noise, τ = 1 · dark blue: clean, τ = 0"), hint,
    make("p", { class: "soft", hidden: !navigator.maxTouchPoints }, "With a finger: tap, go sideways, or rest until it is held; up and down scrolls the page."), facts, faults);

  function choose(name) {
    grid.use(name);
    for (const tool of tools) tool.setAttribute("aria-pressed", String(tool.dataset.tool === name));
    hint.textContent = `${TOOLS[name][1]}. Keys: arrows, + and −, F freezes, [ and ] shift.`;
    levelBox.hidden = name !== "paint";
    copyBox.hidden = name !== "copy";
  }
  function set(one, gesture = null) {
    if (gesture === null || gesture !== last) done.push(structuredClone(state.schedule));
    [last, undone, done] = [gesture, [], done.slice(-200)];
    change((s) => { s.schedule = one; });
  }
  /** What the studio's canvas asks of its kernel. */
  function send(message) {
    number++;
    try {
      if (message.do === "edit") {
        const { kind, gesture, do: _, ...given } = message;
        set({ rows: edited(state, kind, given) }, gesture ?? null);
      } else {
        const [from, to] = message.do === "undo" ? [done, undone] : [undone, done];
        if (from.length) { to.push(structuredClone(state.schedule)); const one = from.pop(); last = null; change((s) => { s.schedule = one; }); }
      }
    } catch (error) { tell(error); }
    queueMicrotask(() => show(state));
    return number;
  }
  function show(next) {
    state = next;
    zoo.show(state.schedule);
    [undo.disabled, redo.disabled] = [!done.length, !undone.length];
    const known = knownOf(state);
    let S, wrong = [], odd = "";
    try {
      const own = levelsOf(state.schedule);
      wrong = marks(own);
      S = knownColumns(own, known); // sound or not: what is given looks the same
      planned(state);
    } catch (error) { odd = error.message; }
    if (!S) { facts.textContent = odd; return; }
    grid.show({ matrix: S.map((row) => row.map((x) => (Number.isFinite(x) ? x : null))), frames: S[0].length, faults: wrong }, number);
    faults.replaceChildren(...wrong.slice(0, 4).map(({ row, frame, what }) => make("div", { class: "fault" }, `row ${row}, frame ${frame}: ${what} `,
      make("button", { type: "button", class: "small", onclick: () => { set({ rows: fix(levelsOf(state.schedule), row, frame)[0] }); } }, "Fix"))), wrong.length > 4 ? `and ${wrong.length - 4} more` : "");
    const told = wrong.length || odd ? null : describe(S), end = /[.!?]$/.test(odd) ? "" : ".";
    const first = told ? `${told.rows} rows, ${told.calls} steps.` : wrong.length ? "This is no schedule yet: levels may only fall, and must end at 0." : `${odd}${end}`;
    const at = known.map((one) => one.at), given = ["No frame is given.", `Frame ${at[0]} is given, which sets its column.`, `Frames ${at.join(" and ")} are given, which sets their columns.`];
    facts.textContent = `${first} ${given[at.length]}`;
  }
  choose("drag");
  return { show };
}

export { zooControls };
