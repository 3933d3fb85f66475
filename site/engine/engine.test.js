// node --test site/engine: the engine computes what Python does, on the vectors that site/vectors.py wrote.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { describe, faults, validate } from "./checks.js";
import { EDITS, fix } from "./edits.js";
import { Network, exactVelocity, examples } from "./gaussian.js";
import { noiseOf } from "./noise.js";
import { sampleSteps, textGuidance, map } from "./sampler.js";
import { RISING, schedule } from "./schedules.js";
import { levels } from "./sigmas.js";
import { splitWords, tokenize } from "./words.js";
import { caption, parse, render, toBytes } from "./world.js";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url)));
const vectors = read("./vectors.json"), { world, text } = read("../models/tables.json");

/** The largest difference of two arrays, in units of 1 or of the number, whichever is larger. */
function gap(got, want) {
  const [a, b] = [Array.from(got).flat(Infinity), want.flat(Infinity)];
  assert.equal(a.length, b.length);
  return a.reduce((most, x, k) => Math.max(most, Math.abs(x - b[k]) / Math.max(1, Math.abs(b[k]))), 0);
}
const close = (got, want, within, what) => assert.ok(gap(got, want) <= within, `${what}: off by ${gap(got, want)}`);

test("sigmas", () => {
  assert.ok(vectors.sigmas.length >= 40);
  for (const { name, steps, shift, levels: want } of vectors.sigmas) close(levels(name, steps, shift), want, 1e-6, `${name} ${steps} ${shift}`);
});

test("every member of the zoo", () => {
  assert.equal(new Set(vectors.zoo.map((row) => row.name)).size, 11);
  for (const { name, options, levels: want, rising, calls, order, clean } of vectors.zoo) {
    const S = schedule(name, options);
    close(S, want, 1e-6, `${name} ${JSON.stringify(options)}`);
    assert.equal(RISING.has(name), rising);
    validate(S, true, name, rising);
    const told = describe(S);
    assert.deepEqual([told.calls, told.order, told.clean], [calls, order, clean], `${name} ${JSON.stringify(options)}`);
  }
});

test("faults are told as Python tells them", () => {
  assert.ok(vectors.faults.some((row) => row.faults.length > 3));
  for (const { matrix, faults: want } of vectors.faults) assert.deepEqual(faults(matrix), want);
});

test("edits and fixes", () => {
  for (const { kind, given, from, to } of vectors.edits) close(EDITS[kind](from, given), to, 1e-6, kind);
  for (const { from, row, frame, to, said } of vectors.fixes) {
    const [mended, phrase] = fix(from, row, frame);
    close(mended, to, 1e-6, said);
    assert.equal(phrase, said);
  }
});

test("noise is torch's", () => {
  for (const { size, seed, row, first, last } of vectors.noise) {
    const x = noiseOf(size, seed, row);
    close(x.slice(0, first.length), first, 2e-6, `seed ${seed}`);
    close(x.slice(-last.length), last, 2e-6, `seed ${seed}`);
  }
});

/** v_i = (x_i - m) (1/2 + tau_i) + mean(x) / 10, the model of site/vectors.py. */
async function simple(x, tau, empty) {
  const m = empty ? -0.1 : 0.2, mean = x.data.reduce((sum, value) => sum + value, 0) / x.data.length;
  return map(x, (value, _, i) => (value - m) * (0.5 + tau[i]) + 0.1 * mean);
}

test("the sampling loop: solvers, guidance, known frames, schedules that rise", async () => {
  assert.ok(vectors.runs.length > 80);
  const shape = { channels: 3, frames: 4, pixels: 4 };
  for (const one of vectors.runs) {
    const bytes = one.picture.flat(2), clip = Float32Array.from({ length: 12 }, (_, k) => bytes[(k % 4) * 3 + Math.floor(k / 4)] / 127.5 - 1);
    const known = one.known.map((frame) => ({ ...frame, clip })), states = [];
    const S = schedule(one.schedule, { steps: one.steps, frames: 4 });
    const denoiser = textGuidance(simple, one.guidance);
    for await (const state of sampleSteps({ denoiser, shape, schedule: S, solver: one.solver, seed: one.seed, known, rising: RISING.has(one.schedule) })) states.push(state);
    const what = `${one.schedule} ${one.solver} ${one.guidance} ${JSON.stringify(one.known)}`;
    for (const [at, want] of [[states.length - 1, one.last], [Math.floor(states.length / 2), one.middle]]) {
      close(states[at].x.data, want[0], 1e-5, what);
      close(states[at].x0.data, want[1], 1e-5, what);
    }
  }
});

test("a schedule that contradicts what is known is refused as in Python", async () => {
  assert.equal(vectors.refused.length, 4);
  for (const { schedule: name, steps, known, fault } of vectors.refused) {
    const clip = new Float32Array(12), given = known.map((frame) => ({ ...frame, clip }));
    const S = schedule(name, { steps, frames: 4 }), shape = { channels: 3, frames: 4, pixels: 4 };
    await assert.rejects(sampleSteps({ denoiser: simple, shape, schedule: S, known: given }).next(), { message: fault });
  }
});

test("scenes are drawn, told and read as in Python", () => {
  for (const { scene, caption: said, clip } of vectors.scenes) {
    assert.equal(caption(scene), said);
    assert.deepEqual(parse(said, world), scene.objects.map(({ shape, colour, direction, speed }) => ({ colour, shape, speed, direction })));
    const plane = world.size ** 2, bytes = render(scene, world).map(toBytes);
    const got = clip.map((_, k) => bytes[Math.floor(k / (3 * plane))][(k % 3) * plane + (Math.floor(k / 3) % plane)]);
    assert.ok(Math.max(...got.map((x, k) => Math.abs(x - clip[k]))) <= 1, said);
  }
  assert.equal(parse("a red circle sleeps", world), null);
  assert.equal(parse("A red circle  moves up ,a blue square moves left.", world).length, 2);
});

test("captions become the same indices, and the same sentence where a word is unknown", () => {
  for (const { caption: one, words, tokens, fault } of vectors.words) {
    assert.deepEqual(splitWords(one), words);
    if (tokens) assert.deepEqual([...tokenize(one, text)], tokens);
    else assert.throws(() => tokenize(one, text), (error) => error.message.slice(0, 40) === fault.slice(0, 40));
  }
});

test("what is no schedule is refused in one sentence", async () => {
  assert.throws(() => validate([[1], [0.5], [0.6], [0]]), /row 2, frame 0: 0.6 rises above the row before\./);
  assert.throws(() => schedule("pyramid", { steps: 0, frames: 4 }), /steps=0: give a whole number/);
  assert.throws(() => schedule("staircase", { steps: 3, frames: 4, chunk: 2, overlap: 2 }), /overlap=2 for chunks of 2/);
  assert.throws(() => schedule("nothing", {}), /choose one of synchronous/);
  assert.throws(() => levels("linear", 4, -1), /the shift must be positive/);
  assert.throws(() => EDITS.copy([[1, 1], [0, 0]], { frame: 0, to: "9" }), /frame 9 is outside/);
  const S = schedule("hold", { steps: 4, frames: 4 });
  const run = sampleSteps({ denoiser: simple, shape: { channels: 3, frames: 4, pixels: 4 }, schedule: S });
  await assert.rejects(run.next(), /frame 0 starts at 0 but nothing is known of it/);
});

test("the exact velocity of two frames is Python's", () => {
  for (const { rho, x, tau, v } of vectors.gaussian) close(exactVelocity(x, tau, rho), v, 1e-5, JSON.stringify({ x, tau }));
});

/** Numbers in [0, 1) that are the same at every run. */
function counted() {
  let state = 7;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

test("the network's slopes are those of its loss, and training comes near the exact velocity", () => {
  const random = counted(), network = new Network(8, random), batch = examples(16, false, random);
  network.slopes(batch);
  for (const { weight, bias } of network.layers) {
    for (const { now, slope } of [weight, bias]) {
      const [want, step] = [slope[1], 1e-5], loss = [1, -1].map((sign) => { now[1] += sign * step; const found = network.slopes(batch); now[1] -= sign * step; return found; });
      network.slopes(batch);
      assert.ok(Math.abs((loss[0] - loss[1]) / (2 * step) - want) < 1e-6 * Math.max(1, Math.abs(want)));
    }
  }
  const off = ({ shared }) => {
    const learner = new Network(32, random);
    for (let n = 0; n < 1500; n++) learner.train(examples(64, shared, random), n < 750 ? 0.004 : 0.001);
    const at = [[1, 1], [1, 0], [-1, 0.5], [0.5, -0.5]];
    const found = learner.velocity(Float64Array.from(at.flatMap((p) => [...p, 0, 0.7])), at.length);
    return at.reduce((sum, p, k) => sum + (found[2 * k + 1] - exactVelocity(p, [0, 0.7])[1]) ** 2, 0) / at.length;
  };
  const [one, each] = [off({ shared: true }), off({ shared: false })];
  assert.ok(each < 0.1, `off by ${each}, of a mean square of 1.66`);
  assert.ok(one > 4 * each, `a single timestep is off by ${one}, one per frame by ${each}`);
});
