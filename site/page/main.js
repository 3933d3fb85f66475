// The page: what a person chose (state.js), three panels that change it, and runs that show it.
import { make } from "../../pusa_lab/studio/static/studio.js";
import { Fault, toldOf } from "../engine/faults.js";
import { keepAddress, readAddress } from "./address.js";
import { paintFrame } from "./draw.js";
import { explainers } from "./explain.js";
import { lane, player } from "./lane.js";
import { tables } from "./model.js";
import { matrixPanel, sound, zooControls } from "./panel.js";
import { pythonLine } from "./python.js";
import { runAll } from "./runs.js";
import { scenePanel, truthOf } from "./scene.js";
import { starter } from "./starter.js";
import { MODELS, decode, encode, fresh } from "./state.js";
import { canvasOf } from "../../pusa_lab/studio/static/studio.js";

const $ = (id) => document.getElementById(id), times = { opened: performance.timeOrigin, first: null, finished: null };
let state = fresh();

/** One sentence for the person; a fault of the page itself says so. A refused caption is told again until it is mended. */
function tell(error) {
  error ??= scene.refused();
  const box = $("alert");
  box.hidden = !error;
  box.textContent = !error ? "" : error instanceof Fault ? error.message : `The page failed (${error.message ?? error}): reload it; the address holds what you chose.`;
}

function change(edit) {
  const next = structuredClone(state);
  edit(next);
  state = next;
  keepAddress(encode(state));
  changed();
  show();
  tell(null);
}

/** Compare with the schedule that is drawn, if it is one. */
function compare() {
  try { toldOf("Mend this schedule before it is compared with", () => sound(state.schedule)); } catch (error) { tell(error); return; }
  change((s) => { s.versus = structuredClone(s.schedule); });
}

/** What the lanes show is of what was chosen before. */
function changed() {
  if (!go.running) status.textContent = "changed: press Run";
}

const scene = scenePanel($("scene"), change, tell), panel = matrixPanel($("matrix"), change, tell);

// ------------------------------------------------------------------------------------------------ the run
const lanes = { A: lane("Yours"), B: lane("To compare") };
const truth = make("section", { class: "lane truth", "aria-label": "The truth" });
const go = starter("Run", sample, () => { status.textContent = "stopped: what was made so far is below; Run begins again"; }, { id: "go" }), status = make("p", { class: "soft", role: "status", id: "status" });
const seed = make("input", { type: "number", step: 1, "aria-label": "seed", onchange: takeSeed });
const dice = make("button", { type: "button", title: "Other noise", "aria-label": "other noise", onclick: () => { change((s) => { s.seed = (s.seed + 1) % 10000; }); go.start(); } }, "⚄");
const guidance = make("input", { type: "range", min: 1, max: 6, step: 0.5, "aria-label": "text guidance", oninput: () => change((s) => { s.guidance = +guidance.value; }) }), strength = make("output");
const solver = make("select", { "aria-label": "solver", onchange: () => change((s) => { s.solver = solver.value; }) }, ...["euler", "heun"].map((name) => make("option", { value: name }, name)));
const model = make("select", { "aria-label": "model", onchange: () => change((s) => { s.model = model.value; }) }, ...Object.entries(MODELS).map(([name, words]) => make("option", { value: name }, words)));
const versus = zooControls((name, options) => change((s) => { s.versus = { name, options }; }), "schedule to compare with");
const keep = make("button", { type: "button", onclick: compare }, "Compare with this one");
const copied = (button, text) => async () => {
  const words = button.textContent;
  try { await navigator.clipboard.writeText(await text()); button.textContent = "Copied"; } catch { tell(new Fault("The browser lets no page copy here: take the link from the address bar, and the line of Python from the field below.")); }
  setTimeout(() => { button.textContent = words; }, 1500);
};
const link = make("button", { type: "button" }, "Copy link"), copyPython = make("button", { type: "button" }, "Copy Python");
link.addEventListener("click", copied(link, () => new URL(encode(state), location.href).href));
copyPython.addEventListener("click", copied(copyPython, () => pythonLine(state)));
const python = make("textarea", { readonly: true, rows: 4, "aria-label": "line of Python", spellcheck: "false" });
$("run").append(
  make("div", { class: "bar" }, go.button, dice, make("label", {}, "seed ", seed), make("label", {}, "guidance ", guidance, strength), make("label", {}, "solver ", solver), make("label", {}, "model ", model)), status,
  make("div", { class: "bar" }, make("label", {}, "compare with ", versus.menu), keep), versus.sliders,
  make("div", { class: "lanes" }, lanes.A.box, lanes.B.box, truth),
  make("details", { class: "python" }, make("summary", {}, "Take it with you: a link, or a line of Python"), make("div", { class: "bar" }, link, copyPython), python,
    make("p", { class: "soft" }, "Where the toolkit is installed (make demo installs it), these two lines make the video of “Yours”: ", make("code", {}, "video"), " is an array of 8 frames, uint8.")));

function takeSeed() {
  const given = seed.value.trim(), number = Number(given);
  if (given && Number.isSafeInteger(number) && Math.abs(number) < 2 ** 31) { change((s) => { s.seed = number; }); return; }
  tell(new Fault(`${given ? `seed=${given}` : "The seed is not a number"}: give a whole number below 2,147,483,648. The seed is still ${state.seed}.`));
  seed.value = state.seed;
}

function showTruth() {
  const clip = truthOf(state), [canvas, context] = canvasOf(8 * 40 + 26, 40, "the true frames");
  const film = player("the truth");
  clip?.forEach((pixels, i) => paintFrame(context, pixels, 26 + i * 40, 0, 39));
  truthFilm?.clear();
  truthFilm = film;
  truth.replaceChildren(make("h3", {}, "The truth"), make("code", {}, clip ? "drawn, not made by the model" : "not known for words or a picture of your own"), ...(clip ? [make("div", { class: "lane-head" }, film.box, make("p", { class: "said" }, "Where the shape would be, by the law of its motion.")), make("div", { class: "film" }, canvas)] : []));
  if (clip) film.start(clip);
}
let truthFilm = null, truthShown = "";

async function sample(alive) {
  tell(null);
  const began = performance.now(), asked = state;
  try {
    scene.check();
    const jobs = [{ lane: lanes.A, state, which: state.schedule }, { lane: lanes.B, state, which: state.versus, what: "the schedule to compare with" }];
    if (await runAll(jobs, alive, (text) => { status.textContent = text; }, (job, row) => { if (row === 1) times.first ??= performance.now(); })) {
      times.finished ??= performance.now();
      status.textContent = `done in ${((performance.now() - began) / 1000).toFixed(1)} s${asked === state ? "" : "; changed meanwhile: press Run"}`;
    }
  } catch (error) {
    if (alive()) { status.textContent = ""; tell(error); }
  }
}

// ------------------------------------------------------------------------------------------------ all of it
function show() {
  scene.show(state);
  panel.show(state);
  versus.show(state.versus);
  if (document.activeElement !== seed) seed.value = state.seed;
  [guidance.value, strength.textContent, solver.value, model.value] = [state.guidance, String(state.guidance), state.solver, state.model];
  const key = JSON.stringify([state.scene, state.pixels, state.caption]);
  if (key !== truthShown) { truthShown = key; showTruth(); }
  if (typeof CompressionStream === "function") pythonLine(state).then((text) => { python.value = text; }, () => {});
}

/** Take the state that the address holds; whatever is wrong with it, what is in the page is kept, also in the address. */
function follow() {
  tell(null);
  try {
    const found = decode(readAddress());
    if (!found) return;
    const before = state;
    state = found;
    try { show(); } catch (error) { state = before; show(); throw error; }
    scene.drop();
    changed();
    tell(null);
  } catch (error) { keepAddress(encode(state)); tell(error instanceof Fault ? error : new Fault("This link cannot be read. What is in this page is kept; copy the whole link again.")); }
}
document.querySelector(".skip").addEventListener("click", (e) => { // the address holds the state, and no place in the page
  e.preventDefault();
  $("run").scrollIntoView();
  $("run").focus();
});
addEventListener("hashchange", follow);
addEventListener("theme", show); // the matrix is drawn in the colours of the page
explainers($("explainers"), tell);
show();
follow();
globalThis.playground = { lanes, times, get state() { return state; }, get python() { return python.value; } };
if ($("alert").hidden) go.start();
