// One video being made: every row of its schedule as a row of pictures, and the finished clip in motion.
import { describe } from "../engine/checks.js";
import { canvasOf, make } from "../../pusa_lab/studio/static/studio.js";
import { frameOf, paintFrame, paintLevel } from "./draw.js";
import { tables } from "./model.js";

const CELL = 40, BAR = 4, MOST = 20, { frames } = tables.world, still = matchMedia("(prefers-reduced-motion: reduce)");

/** Rows that are drawn: all, or as many as fit, evenly, with the first and the last. */
export function drawn(rows, most = MOST) {
  if (rows <= most) return Array.from({ length: rows }, (_, r) => r);
  return Array.from({ length: most }, (_, k) => Math.round((k * (rows - 1)) / (most - 1)));
}

/** How near a clip is to the truth: the PSNR in dB over the frames that were not given; null if no truth is known. */
export function psnr(x, truth, known) {
  if (!truth) return null;
  let sum = 0, count = 0;
  for (let i = 0; i < frames; i++) {
    if (known.includes(i)) continue;
    frameOf(x, i).forEach((value, k) => { sum += ((Math.min(Math.max(value, -1), 1) - truth[i][k]) / 2) ** 2; count++; });
  }
  return count ? -10 * Math.log10(Math.max(sum / count, 1e-10)) : null;
}

/** A clip in motion, with a button. */
export function player(label, size = 120) {
  const [canvas, context] = canvasOf(size, size, label);
  const button = make("button", { type: "button", class: "small", "aria-label": `${label}: play or pause`, onclick: () => (timer ? stop() : play()) }, "▶ Play");
  let clip = null, timer = null;
  const show = (pixels) => { context.clearRect(0, 0, size, size); paintFrame(context, pixels, 0, 0, size); };
  function stop() { clearInterval(timer); timer = null; button.textContent = "▶ Play"; }
  function play() {
    stop();
    if (!clip) return;
    // One clock for all: what plays side by side shows the same frame.
    timer = setInterval(() => show(clip[Math.floor((performance.now() / 1000) * tables.fps) % frames]), 500 / tables.fps);
    button.textContent = "❚❚ Pause";
  }
  button.disabled = true;
  return {
    box: make("div", { class: "player" }, canvas, button),
    show,
    start(next) { clip = next; button.disabled = false; show(clip[0]); if (!still.matches) play(); },
    clear() { stop(); clip = null; button.disabled = true; },
  };
}

export function lane(title, more = {}) {
  const W = frames * CELL + 26;
  let [canvas, context] = canvasOf(W, CELL, "");
  const holder = make("div", { class: "film" }, canvas);
  const name = make("code"), said = make("p", { class: "said" }), film = player(`${title}: the finished clip`);
  const box = make("section", { class: "lane", "aria-label": title },
    make("h3", {}, title), name, make("div", { class: "lane-head" }, film.box, said), holder);
  let state = { schedule: [], rows: [] };
  /** The grid for a schedule, empty: each picture is drawn when its row is reached. */
  function begin(schedule, about) {
    const rows = drawn(schedule.length, more.most);
    const height = rows.length * (CELL + BAR + 1) + 2;
    [canvas, context] = canvasOf(W, height, `${title}: row by row, noise becomes clean`);
    holder.replaceChildren(canvas);
    state = { schedule, rows, clip: null, started: performance.now(), first: null };
    name.textContent = about;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    rows.forEach((r, k) => {
      const y = k * (CELL + BAR + 1);
      context.fillStyle = getComputedStyle(box).getPropertyValue("--soft");
      context.fillText(r, 20, y + CELL / 2);
      schedule[r].forEach((level, i) => {
        context.globalAlpha = 0.18;
        paintLevel(context, level, 26 + i * CELL, y, CELL - 1, CELL);
        context.globalAlpha = 1;
        paintLevel(context, level, 26 + i * CELL, y + CELL, CELL - 1, BAR);
      });
    });
    film.clear();
    said.textContent = "";
  }
  function row({ row: r, x }) {
    state.first ??= r ? performance.now() - state.started : null;
    const k = state.rows.indexOf(r);
    if (k >= 0) for (let i = 0; i < frames; i++) paintFrame(context, frameOf(x, i), 26 + i * CELL, k * (CELL + BAR + 1), CELL - 1);
    film.show(frameOf(x, Math.min(Math.floor((r / Math.max(state.schedule.length - 1, 1)) * frames), frames - 1)));
    said.textContent = `row ${r} of ${state.schedule.length - 1}`;
  }
  function end({ x }, { calls, truth, known }) {
    state.clip = x;
    state.seconds = (performance.now() - state.started) / 1000;
    const score = psnr(x, truth, known), order = describe(state.schedule).order.map((group) => (group.length > 2 ? `${group[0]}–${group[group.length - 1]}` : group.join("+")));
    said.replaceChildren(make("b", {}, score === null ? "The truth is not known." : `PSNR ${score.toFixed(1)} dB`), make("br"),
      ...(score === null ? [] : ["to the truth; more is nearer", make("br")]),
      `${calls} calls, ${state.seconds.toFixed(1)} s`, make("br"), `frames finish: ${order.join(", ") || "at the start"}`);
    state.score = score;
    canvas.setAttribute("aria-label", `${title}: ${state.schedule.length} rows; ${said.textContent}`);
    film.start(Array.from({ length: frames }, (_, i) => frameOf(x, i)));
  }
  return { box, begin, row, end, say: (text) => { said.textContent = text; }, get state() { return state; } };
}
