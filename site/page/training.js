// A network of a thousand numbers learns the velocity of two frames, beside the exact one.
import { canvasOf, make } from "../../pusa_lab/studio/static/studio.js";
import { Network, exactVelocity, examples } from "../engine/gaussian.js";

const GRID = 25, SIDE = 150, REACH = 3, BATCH = 128, EACH = 12, STEPS = 3000;
const point = (k) => [(((k % GRID) + 0.5) / GRID) * 2 * REACH - REACH, REACH - ((Math.floor(k / GRID) + 0.5) / GRID) * 2 * REACH];

/** Velocities of frame 1 over the plane, from a function of (x, y); blue is falling, yellow rising. */
function paint(context, values, ink) {
  const size = SIDE / GRID;
  values.forEach((v, k) => {
    const part = Math.min(Math.abs(v) / 4, 1), [r, g, b] = v < 0 ? [0, 82, 165] : [230, 159, 0];
    context.fillStyle = `rgba(${r},${g},${b},${part})`;
    context.clearRect((k % GRID) * size, Math.floor(k / GRID) * size, size, size);
    context.fillRect((k % GRID) * size, Math.floor(k / GRID) * size, size + 0.5, size + 0.5);
  });
  context.strokeStyle = ink;
  context.strokeRect(0.5, 0.5, SIDE - 1, SIDE - 1);
}

/** Mean square difference of a network from the exact velocity, with frame 0 at s and frame 1 at t. */
export function offBy(network, s, t) {
  const at = Array.from({ length: GRID * GRID }, (_, k) => point(k)), weight = at.map(([x, y]) => Math.exp(-(x * x + y * y) / 2));
  const learned = network.velocity(Float64Array.from(at.flatMap(([x, y]) => [x, y, s, t])), at.length);
  const total = weight.reduce((sum, w) => sum + w, 0);
  return { learned, error: at.reduce((sum, p, k) => sum + (weight[k] / total) * (learned[2 * k + 1] - exactVelocity(p, [s, t])[1]) ** 2, 0) };
}

export function trainingStage(stage, tell, alive) {
  const kinds = [["one timestep for both", true], ["one per frame", false]].map(([name, shared]) => {
    const [canvas, context] = canvasOf(SIDE, SIDE, `velocity of frame 1 that was learned with ${name}`), said = make("span", { class: "soft" });
    return { name, shared, network: new Network(), canvas, context, said };
  });
  const [exactCanvas, exact] = canvasOf(SIDE, SIDE, "exact velocity of frame 1");
  const level = (label, value) => { const input = make("input", { type: "range", min: 0, max: 1, step: 0.05, value, "aria-label": label }), output = make("output", {}, String(value)); input.addEventListener("input", () => { output.textContent = input.value; show(); }); return [make("label", {}, `${label} `, input, output), input]; };
  const [firstBox, first] = level("τ of frame 0", 0), [secondBox, second] = level("τ of frame 1", 0.7);
  const box = (title, canvas, said) => make("figure", {}, make("figcaption", {}, title), canvas, said);
  stage.replaceChildren(make("div", { class: "bar" }, firstBox, secondBox),
    make("div", { class: "fields" }, box("exact", exactCanvas, make("span", { class: "soft" }, "across: frame 0, up: frame 1", make("br"), "yellow: v > 0, blue: v < 0")), ...kinds.map((kind) => box(`learned: ${kind.name}`, kind.canvas, kind.said))));
  function show() {
    const [s, t] = [+first.value, Math.max(+second.value, +first.value === 0 ? 0.05 : 0)], ink = getComputedStyle(stage).color;
    paint(exact, Array.from({ length: GRID * GRID }, (_, k) => exactVelocity(point(k), [s, t])[1]), ink);
    for (const kind of kinds) {
      const { learned, error } = offBy(kind.network, s, t);
      paint(kind.context, Array.from({ length: GRID * GRID }, (_, k) => learned[2 * k + 1]), ink);
      kind.said.textContent = `off by ${error.toFixed(3)}`;
    }
  }
  show();
  return new Promise((done) => {
    function some() {
      if (!alive() || !stage.isConnected || kinds[0].network.steps >= STEPS) { done(); return; }
      for (const kind of kinds) for (let n = 0; n < EACH; n++) kind.network.train(examples(BATCH, kind.shared), kind.network.steps < STEPS / 2 ? 0.004 : 0.001);
      show();
      tell(`${kinds[0].network.steps} of ${STEPS} steps on ${BATCH} fresh examples each; mean square error from the exact field below the pictures.`);
      setTimeout(some, 0);
    }
    some();
  });
}
