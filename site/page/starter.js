// Buttons that start something and stop it while it runs; Escape stops everything that runs.
import { make } from "../../pusa_lab/studio/static/studio.js";

const running = new Set();
addEventListener("keydown", (e) => { if (e.key === "Escape" && !e.defaultPrevented) for (const stop of [...running]) stop(); });

/**
 * A button for work(alive), which asks alive() whether it is still wanted: not once it was stopped or started again.
 * stopped() is told of a person's stop at once.
 */
export function starter(words, work, stopped, attributes = {}) {
  const button = make("button", { type: "button", class: "go", ...attributes, onclick: () => (running.has(stop) ? stop() : start()) }, words);
  let run = 0;
  function rest() {
    run++;
    running.delete(stop);
    button.textContent = words;
  }
  function stop() {
    rest();
    stopped();
  }
  async function start() {
    const mine = ++run;
    running.add(stop);
    button.textContent = "Stop";
    try { await work(() => mine === run); } finally { if (mine === run) rest(); }
  }
  return { button, start, get running() { return running.has(stop); } };
}
