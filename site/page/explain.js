// Four ideas, each with its own small experiment by the same engine.
import { canvasOf, make } from "../../pusa_lab/studio/static/studio.js";
import { cleanEstimate, map } from "../engine/sampler.js";
import { noiseOf } from "../engine/noise.js";
import { caption as told, render } from "../engine/world.js";
import { frameOf, paintFrame, paintLevel } from "./draw.js";
import { lane } from "./lane.js";
import { SHAPE, load, tables } from "./model.js";
import { runAll } from "./runs.js";
import { PICKS } from "./scene.js";
import { starter } from "./starter.js";
import { fresh } from "./state.js";
import { trainingStage } from "./training.js";

const { world, steps } = tables, { frames } = world;
const state = (more) => ({ ...fresh(), ...more, given: { first: false, last: false, noise: 0, ...more.given } });
const sync = { name: "synchronous", options: { steps: 10 } };

/** A card: words, a button, and what the experiment shows. */
function card(title, words, button, tell, begin) {
  const stage = make("div", { class: "stage" }), said = make("p", { class: "soft", role: "status" }), say = (text) => { said.textContent = text; };
  const go = starter(button, async (alive) => {
    tell(null);
    try { await begin(stage, say, alive); } catch (error) { if (alive()) { say(""); tell(error); } }
  }, () => say("Stopped: what was made so far stays."));
  return make("article", { class: "card explainer" }, make("div", { class: "words-side" }, make("h3", {}, title), ...words.map((one) => make("p", {}, one)), make("div", { class: "bar" }, go.button), said), stage);
}

/** Lanes side by side: [title, state, schedule]. */
async function sideBySide(stage, tell, alive, jobs) {
  const rows = jobs.map(([title, state, which]) => ({ lane: lane(title, { most: 11 }), state, which }));
  stage.replaceChildren(make("div", { class: "lanes" }, ...rows.map((row) => row.lane.box)));
  if (await runAll(rows, alive, tell)) tell("The same noise in each.");
}

// ------------------------------------------------------------------------------------------------ the loss
const VECTORS = {
  "all frames at 0.8": () => Array(frames).fill(0.8),
  "frame 0 clean": () => [0, ...Array(frames - 1).fill(0.8)],
  "both ends clean": () => [0, ...Array(frames - 2).fill(0.8), 0],
  "rising from 0 to 1": () => Array.from({ length: frames }, (_, i) => i / (frames - 1)),
};

function lossStage() {
  const draws = PICKS.map((scene, n) => {
    const x0 = { ...SHAPE, data: new Float32Array(3 * frames * SHAPE.pixels) };
    render(scene, world).forEach((pixels, i) => { for (let c = 0; c < 3; c++) x0.data.set(pixels.subarray(c * SHAPE.pixels, (c + 1) * SHAPE.pixels), (c * frames + i) * SHAPE.pixels); });
    return { words: told(scene), x0, eps: { ...SHAPE, data: noiseOf(x0.data.length, n + 1) } };
  });
  /** The first noised clip and its clean estimate, and each frame's mean square error over all clips. */
  return async (tau) => {
    const { denoiser } = await load("nano-vta"), loss = Array(frames).fill(0), seen = [];
    for (const { words, x0, eps } of draws) {
      const x = map(x0, (value, k, i) => (1 - tau[i]) * value + tau[i] * eps.data[k]), v = await denoiser(words)(x, tau, false);
      v.data.forEach((value, k) => { loss[Math.floor(k / SHAPE.pixels) % frames] += (value - (eps.data[k] - x0.data[k])) ** 2 / (3 * SHAPE.pixels * draws.length); });
      seen.push({ x, clean: cleanEstimate(x, v, tau) });
    }
    return { ...seen[0], loss };
  };
}

function lossCard(tell) {
  const measure = lossStage(), CELL = 44, [canvas, context] = canvasOf(frames * CELL + 64, 3 * CELL + 108, "noised frames, the model's estimates, and the loss of every frame");
  const sliders = Array.from({ length: frames }, (_, i) => make("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": `timestep of frame ${i}`, oninput: () => show() }));
  const presets = Object.entries(VECTORS).map(([name, make_]) => make("button", { type: "button", class: "small", onclick: () => set(make_()) }, name));
  let base = null, busy = false, again = false, say = () => {};
  const set = (tau) => { sliders.forEach((one, i) => { one.value = tau[i]; }); return show(); };
  async function show() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      base ??= (await measure(VECTORS["all frames at 0.8"]())).loss;
      const tau = sliders.map((one) => +one.value), found = await measure(tau), ink = getComputedStyle(canvas).color;
      context.clearRect(0, 0, 1000, 1000);
      context.font = "11px system-ui, sans-serif";
      const clean = (i) => tau[i] < 0.05, most = Math.max(...base, ...found.loss.filter((_, i) => !clean(i)), 0.001);
      ["noised", "cleaned", "loss"].forEach((word, k) => { context.fillStyle = ink; context.fillText(word, 0, [24, 74, 150][k]); });
      for (let i = 0; i < frames; i++) {
        const left = 60 + i * CELL;
        paintFrame(context, frameOf(found.x, i), left, 0, CELL - 2);
        paintLevel(context, tau[i], left, CELL - 1, CELL - 2, 4);
        paintFrame(context, frameOf(found.clean, i), left, CELL + 8, CELL - 2);
        const [height, was] = [100 * found.loss[i] / most, 100 * base[i] / most];
        context.strokeStyle = ink; context.strokeRect(left + 6.5, 205 - was + 0.5, CELL - 15, was);
        context.fillStyle = "#56b4e9"; if (!clean(i)) context.fillRect(left + 10, 205 - height, CELL - 22, height);
        context.fillStyle = ink; context.fillText(clean(i) ? "clean" : found.loss[i].toFixed(3), left + 6, 220);
      }
      const others = tau.map((t, i) => [t, i]).filter(([t]) => Math.abs(t - 0.8) < 0.01).map(([, i]) => i), mean = (list) => others.reduce((sum, i) => sum + list[i], 0) / others.length;
      const named = Object.entries(VECTORS).find(([, vector]) => vector().every((t, i) => Math.abs(t - tau[i]) < 0.026));
      canvas.setAttribute("aria-label", `${named ? named[0] : "timesteps of your own"}: noised frames, the model's estimates, and the loss of every frame: ${found.loss.map((x, i) => (clean(i) ? "clean" : x.toFixed(4))).join(", ")}`);
      say(others.length && others.length < frames ? `Mean loss of the frames still at 0.8: ${mean(base).toFixed(4)} when all are there, ${mean(found.loss).toFixed(4)} now.` : "Outlined: the loss with all frames at 0.8.");
    } catch (error) { tell(error); } finally { busy = false; }
    if (again) { again = false; show(); }
  }
  return card("What a timestep per frame does to the loss",
    [`Training noises each frame to its own level τ and asks for the velocity back; the loss is the mean square error. Here: the loss of each frame over the ${PICKS.length} scenes to pick above, each with its own noise; the first is shown.`,
      "Make frame 0 clean: the frames beside it become easier, though their own noise is the same. The model reads from the clean one. With both ends clean they are easier still. That is the whole idea: a frame's τ says how far it is to be trusted."],
    "Measure", tell, async (stage, told_) => {
      say = told_;
      if (!stage.children.length) stage.append(make("div", { class: "bar" }, ...presets), make("div", { class: "taus" }, ...sliders), make("div", { class: "film" }, canvas));
      await set(VECTORS["frame 0 clean"]());
    });
}

export function explainers(box, tell) {
  const { scene } = fresh(), first = { first: true };
  box.append(
    lossCard(tell),
    card("Image-to-video is a column of zeros",
      ["Nothing in the model says “image-to-video”. Give the picture to frame 0 and set its column in the matrix to 0: it is clean from the first row, and never moves.",
        "The other frames start from the same noise in both runs. With the column of zeros they continue the picture; without it the caption alone decides."],
      "Run both", tell, (stage, say, alive) => sideBySide(stage, say, alive, [["Frame 0 given: its column is 0", state({ scene, given: first, seed: 5 }), sync], ["Nothing given", state({ scene, seed: 5 }), sync]])),
    card("Why a model with one timestep cannot do it",
      ["The base was trained with one τ for the whole clip. Handed a clean frame beside noisy ones it has never seen such a thing, and does not know which frame to trust.",
        `The adapted model is that base, trained on with a τ of its own for every frame: ${steps["nano-vta"].toLocaleString("en")} steps after the base's ${steps["nano-base"].toLocaleString("en")}, and not one parameter more. Same picture, same caption, same noise.`],
      "Run both", tell, (stage, say, alive) => sideBySide(stage, say, alive, [["nano-base: one timestep", state({ scene, given: first, seed: 5, model: "nano-base" }), sync], ["nano-vta: one per frame", state({ scene, given: first, seed: 5 }), sync]])),
    card("Asynchronous schedules",
      ["Once each frame has its own τ, a schedule is a drawing. Early frames may finish first and lead the others, which is how long videos are made piece by piece.",
        "More rows mean more calls: compare what each drawing costs with how near its clip is to the truth."],
      "Run three", tell, (stage, say, alive) => sideBySide(stage, say, alive, [
        ["All together", state({ scene, given: first, seed: 5 }), sync],
        ["Each a row later", state({ scene, given: first, seed: 5 }), { name: "pyramid", options: { steps: 10, lag: 1 } }],
        ["One after the other", state({ scene, given: first, seed: 5 }), { name: "autoregressive", options: { steps: 10 } }]])),
    card("Train one here",
      ["Two frames of one number each, correlated by 0.9. Two networks of 1,300 numbers learn the velocity, live in this page: one sees a single τ for both frames, the other one per frame. The exact velocity is known.",
        "Frame 0 is clean (τ = 0), frame 1 is noisy: only the second network has met this. Move the sliders to where both τ are equal, and the first one is right as well."],
      "Train", tell, (stage, say, alive) => trainingStage(stage, say, alive)));
}
