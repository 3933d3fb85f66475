// What shall move: a scene of the world in words and as its first picture, to pick, to place, or to draw by hand.
import { canvasOf, make, strokes } from "../../pusa_lab/studio/static/studio.js";
import { tokenize } from "../engine/words.js";
import { caption as told, fromBytes, parse, render, toBytes } from "../engine/world.js";
import { paintFrame } from "./draw.js";
import { tables } from "./model.js";

const { world, text } = tables, DOT = 15, SIDE = DOT * world.size, plane = world.size ** 2;
const of = (shape, colour, direction, speed, x, y) => ({ shape, colour, direction, speed, x, y });
export const PICKS = [
  { level: 0.12, objects: [of("circle", "red", "down and right", "quickly", 0.28, 0.3)] },
  { level: 0.05, objects: [of("square", "cyan", "right", "", 0.25, 0.5), of("triangle", "yellow", "left", "", 0.75, 0.5)] },
  { level: 0.3, objects: [of("triangle", "purple", "up", "quickly", 0.5, 0.7)] },
  { level: 0.2, objects: [of("circle", "green", "up and left", "slowly", 0.7, 0.65), of("square", "red", "right", "quickly", 0.3, 0.25)] },
  { level: 0.0, objects: [of("square", "blue", "down and left", "quickly", 0.7, 0.3)] },
];

const TASKS = [
  "Text to video: nothing is given but the caption.",
  "Image to video: the model keeps the first picture and makes the seven frames that follow.",
  "The end is given: the model makes the seven frames that lead there.",
  "Start and end: the model makes the six frames between two given pictures.",
];

/** The words that the model reads. */
export const captionOf = (state) => state.caption ?? told(state.scene);

/** Every frame of the true clip; null if words or picture are not of the world. */
export const truthOf = (state) => (state.pixels === null && state.caption === null ? render(state.scene, world) : null);

/** The first picture as bytes (3, h * w), as Python is given it. */
export function firstBytes(state) {
  if (state.pixels === null) return toBytes(render(state.scene, world)[0]);
  return Uint8Array.from(atob(state.pixels), (c) => c.charCodeAt(0));
}

/** The last picture of the scene as bytes. */
export const lastBytes = (state) => toBytes(render(state.scene, world)[world.frames - 1]);

const select = (label, values, onchange, words = (v) => v) => make("select", { "aria-label": label, onchange }, ...values.map((v) => make("option", { value: v }, words(v))));

/** The panel; `change(edit)` changes the state and shows it again. */
export function scenePanel(box, change, tell) {
  const [canvas, context] = canvasOf(SIDE, SIDE, "first picture: arrows move the chosen shape, or with the pencil the pen, which space sets down", true);
  canvas.classList.add("first");
  let state = null, refusal = null, said = "", chosen = 0, pen = false, spot = { x: 8, y: 8 };
  const rows = make("div", { class: "objects" }), hint = make("p", { class: "soft" }), task = make("p", { class: "soft" });
  const words = make("input", { type: "text", class: "words", "aria-label": "caption", spellcheck: "false" });
  const ink = select("colour of the pencil", [...Object.keys(world.colours), "ground"], () => {});
  const pencil = make("button", { type: "button", "aria-pressed": "false", onclick: () => { pen = !pen; show(state); } }, "✎ Pencil");
  const undraw = make("button", { type: "button", onclick: () => change((s) => { s.pixels = null; }) }, "Clear drawing");
  const level = make("input", { type: "range", min: 0, max: 0.4, step: 0.02, "aria-label": "grey of the ground" });
  const first = make("input", { type: "checkbox" }), last = make("input", { type: "checkbox" });
  const noise = make("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "noise kept on the given frames" }), kept = make("output");
  const [ending, endingContext] = canvasOf(76, 76, ""), endingSaid = make("p", { class: "soft" });
  const end = make("div", { class: "ending" }, ending, endingSaid);
  const picks = make("div", { class: "picks", role: "group", "aria-label": "pick a scene" });
  for (const pick of PICKS) {
    const [small, paper] = canvasOf(38, 38, told(pick));
    paintFrame(paper, render(pick, world)[0], 0, 0, 38);
    picks.append(make("button", { type: "button", title: told(pick), "aria-label": told(pick), onclick: () => change((s) => { s.scene = structuredClone(pick); s.pixels = s.caption = null; chosen = 0; }) }, small));
  }
  box.append(
    make("div", { class: "scene" },
      make("div", {}, canvas, make("div", { class: "bar" }, pencil, ink, undraw)),
      make("div", { class: "grow" }, picks, rows, make("label", { class: "line" }, "ground ", level), hint)),
    make("label", { class: "block" }, "Caption ", words),
    make("div", { class: "bar given" }, make("label", {}, first, " first frame given"), make("label", {}, last, " last frame given"), make("label", {}, "its noise ", noise, kept)), end, task);

  const limit = (x) => Math.min(Math.max(x, world.radius), 1 - world.radius);
  function place(x, y) {
    change((s) => { Object.assign(s.scene.objects[chosen], { x: +limit(x).toFixed(3), y: +limit(y).toFixed(3) }); });
  }
  /** A line of dots from one cell to another, both included; what is drawn is given. */
  function draw(from, to) {
    change((s) => {
      const bytes = firstBytes(s), colour = ink.value === "ground" ? [s.scene.level, s.scene.level, s.scene.level] : world.colours[ink.value];
      const length = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y)), at = (a, b, k) => Math.round(a + (k / Math.max(length, 1)) * (b - a));
      for (let k = 0; k <= length; k++) for (let c = 0; c < 3; c++) bytes[c * plane + at(from.y, to.y, k) * world.size + at(from.x, to.x, k)] = Math.round(255 * colour[c]);
      if (s.pixels === null) s.given.first = true;
      s.pixels = btoa(String.fromCharCode(...bytes));
    });
  }
  const where = (e) => { const r = canvas.getBoundingClientRect(); return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height]; };
  function touch(e, begins) {
    const [x, y] = where(e), cell = (u) => Math.min(Math.max(Math.floor(u * world.size), 0), world.size - 1);
    if (pen) { const from = spot; spot = { x: cell(x), y: cell(y) }; draw(begins ? spot : from, spot); return; }
    if (state.pixels !== null) return;
    const far = (o) => Math.hypot(o.x - x, o.y - y);
    if (begins) chosen = state.scene.objects.reduce((best, o, i) => (far(o) < far(state.scene.objects[best]) ? i : best), 0);
    place(x, y);
  }
  strokes(canvas, (e) => touch(e, true), (e) => touch(e, false), () => {}, () => pen);
  canvas.addEventListener("keydown", (e) => {
    const move = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[e.key];
    const o = state.scene.objects[chosen];
    if (move && pen) { spot = { x: (spot.x + move[0] + 16) % 16, y: (spot.y + move[1] + 16) % 16 }; show(state); }
    else if (move && state.pixels === null) place(o.x + 0.03 * move[0], o.y + 0.03 * move[1]);
    else if (e.key === " " && pen) draw(spot, spot);
    else return;
    e.preventDefault();
  });
  level.addEventListener("input", () => change((s) => { s.scene.level = +level.value; }));
  first.addEventListener("change", () => change((s) => { s.given.first = first.checked; }));
  last.addEventListener("change", () => change((s) => { s.given.last = last.checked; }));
  noise.addEventListener("input", () => change((s) => { s.given.noise = +noise.value; }));
  words.addEventListener("change", () => {
    try { check(); } catch (error) { refusal = error; words.setAttribute("aria-invalid", "true"); tell(error); return; }
    mended();
    const typed = words.value.split(/\s+/).filter(Boolean).join(" ");
    const objects = parse(typed, world);
    change((s) => {
      const fits = objects && objects.length <= 2;
      if (fits) s.scene.objects = objects.map((o, i) => ({ ...o, x: s.scene.objects[i]?.x ?? 0.7, y: s.scene.objects[i]?.y ?? 0.7 }));
      s.caption = fits ? null : typed;
    });
  });

  function mended() {
    refusal = null;
    words.removeAttribute("aria-invalid");
  }

  /** Another caption takes the place of a refused one. */
  function drop() {
    if (!refusal) return;
    words.value = captionOf(state);
    mended();
  }

  /** Refuse the words in the field that the model does not know. */
  function check() {
    tokenize(words.value, text);
  }

  function object(one, i, count) {
    const set = (part) => (e) => change((s) => { s.scene.objects[i][part] = e.target.value; s.caption = null; chosen = i; });
    const parts = [["colour", Object.keys(world.colours)], ["shape", world.nouns], ["speed", Object.keys(world.speeds)], ["direction", Object.keys(world.directions)]];
    const menus = parts.map(([part, values]) => {
      const menu = select(`${part} of shape ${i + 1}`, values, set(part), (v) => v || "at ease");
      menu.value = one[part];
      return menu;
    });
    const remove = make("button", { type: "button", class: "small", "aria-label": `remove shape ${i + 1}`, onclick: () => change((s) => { s.scene.objects.splice(i, 1); s.caption = null; chosen = 0; }) }, "✕");
    return make("div", { class: "object" }, "a ", menus[0], menus[1], " moves ", menus[2], menus[3], count > 1 ? remove : "");
  }
  function show(next) {
    state = next;
    chosen = Math.min(chosen, state.scene.objects.length - 1);
    const at = document.activeElement?.getAttribute("aria-label"), inside = rows.contains(document.activeElement);
    const add = make("button", { type: "button", class: "small", onclick: () => change((s) => {
      s.scene.objects.push(of("square", s.scene.objects[0].colour === "blue" ? "yellow" : "blue", "left", "", 0.75, 0.3)); s.caption = null; chosen = 1;
    }) }, "+ a second shape");
    rows.replaceChildren(...state.scene.objects.map((o, i, all) => object(o, i, all.length)), state.scene.objects.length < 2 ? add : "");
    if (inside) [...rows.querySelectorAll("[aria-label]")].find((node) => node.getAttribute("aria-label") === at)?.focus();
    paintFrame(context, fromBytes(firstBytes(state)), 0, 0, SIDE);
    if (pen) { context.strokeStyle = "#e69f00"; context.lineWidth = 2; context.strokeRect(spot.x * DOT + 1, spot.y * DOT + 1, DOT - 2, DOT - 2); }
    pencil.setAttribute("aria-pressed", String(pen));
    canvas.classList.toggle("drawn-on", pen);
    end.hidden = !state.given.last;
    paintFrame(endingContext, fromBytes(lastBytes(state)), 0, 0, 76);
    ending.setAttribute("aria-label", `last picture: the end of ${told(state.scene)}`);
    endingSaid.textContent = `The last picture that is given: where “${told(state.scene)}” ends. ${state.pixels === null && state.caption === null ? "" : `It follows from the words chosen above, not from your own ${state.pixels === null ? "words" : state.caption === null ? "drawing" : "words or drawing"}.`}`;
    ink.hidden = !pen;
    undraw.hidden = state.pixels === null;
    if (captionOf(state) !== said) drop();
    said = captionOf(state);
    if (!refusal && document.activeElement !== words) words.value = said;
    [level.value, level.disabled] = [state.scene.level, state.pixels !== null];
    [first.checked, last.checked, noise.value] = [state.given.first, state.given.last, state.given.noise];
    kept.textContent = state.given.noise.toFixed(2);
    noise.disabled = !state.given.first && !state.given.last;
    task.textContent = TASKS[+state.given.first + 2 * +state.given.last] + (state.given.noise && (state.given.first || state.given.last) ? " With noise, the model may redraw what is given." : "");
    hint.textContent = pen ? "Draw with the mouse or a finger, or move with the arrows and set a dot with space." : state.pixels !== null ? "A picture of your own: what would truly follow, nobody knows. Clear the drawing to move the shape again." : truthOf(state) ? `Drag the shape, or move it with the arrow keys.${navigator.maxTouchPoints ? " With a finger: tap, go sideways, or rest until it is held." : ""}` : "Words of your own: what would truly follow, nobody knows.";
  }
  return { show, check, drop, refused: () => refusal };
}
