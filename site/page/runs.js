// Runs: the engine's loop with a toy, drawn on lanes, several side by side from the same noise.
import { toldOf } from "../engine/faults.js";
import { sampleSteps, textGuidance } from "../engine/sampler.js";
import { fromBytes } from "../engine/world.js";
import { SHAPE, load } from "./model.js";
import { called, knownOf, levelsOf, planned } from "./panel.js";
import { captionOf, firstBytes, lastBytes, truthOf } from "./scene.js";

const breathe = () => new Promise((done) => setTimeout(done, 0));

/** The frames that are given, with their pixels. */
export function givenClips(state) {
  return knownOf(state).map((one) => ({ ...one, clip: fromBytes(one.at === 0 ? firstBytes(state) : lastBytes(state)) }));
}

/** Everything that is refused is refused here, before anything is loaded. */
function plan(state, which) {
  const schedule = planned(state, which);
  return { levels: levelsOf(which), schedule, about: called(which) };
}

/**
 * Run states on lanes, a row of each in turn. jobs: [{lane, state, which, what}], of which which is a schedule, and
 * what, if given, says whose faults are told.
 * alive() says whether the run is still wanted; seen(job, row) is told of every row. Resolves to whether it ended.
 */
export async function runAll(jobs, alive, waiting = () => {}, seen = () => {}) {
  const ready = jobs.map((job) => ({ ...job, ...(job.what ? toldOf(job.what, () => plan(job.state, job.which)) : plan(job.state, job.which)) }));
  for (const { lane, schedule, about, state, title } of ready) lane.begin(schedule, title ?? `${about}${state.model === "nano-base" ? ", nano-base" : ""}`);
  waiting("The model is being loaded …");
  for (const job of ready) {
    const model = await load(job.state.model);
    if (!alive()) return false;
    let calls = 0;
    const ask = model.denoiser(captionOf(job.state)), counted = (...given) => { calls++; return ask(...given); };
    job.calls = () => calls;
    job.known = givenClips(job.state);
    job.steps = sampleSteps({ denoiser: textGuidance(counted, job.state.guidance), shape: SHAPE, schedule: job.levels, solver: job.state.solver, seed: job.state.seed, known: job.known });
    job.lane.state.started = performance.now();
  }
  waiting("");
  let open = ready;
  while (open.length) {
    for (const job of open) {
      const { value, done } = await job.steps.next();
      if (!alive()) return false;
      if (done) { job.lane.end(job.last, { calls: job.calls(), truth: truthOf(job.state), known: job.known.map((one) => one.at) }); job.over = true; continue; }
      job.last = value;
      job.lane.row(value);
      seen(job, value.row);
      await breathe();
    }
    open = open.filter((job) => !job.over);
  }
  return true;
}
