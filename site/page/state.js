// Everything that a person chose, as plain data: in the address, so that a link holds it and a reload keeps it.
import { Fault, fault } from "../engine/faults.js";
import { tables } from "./model.js";

export const VERSION = 1;
const { world, zoo } = tables;
export const MODELS = { "nano-vta": "nano-vta: one timestep per frame", "nano-base": "nano-base: one timestep for all" };

export const fresh = () => ({
  scene: { level: 0.12, objects: [{ shape: "circle", colour: "red", direction: "down and right", speed: "quickly", x: 0.28, y: 0.3 }] },
  pixels: null, // a picture drawn by hand, in base64
  caption: null, // words of one's own; null says what the scene is
  given: { first: true, last: false, noise: 0 },
  schedule: { name: "pyramid", options: defaults("pyramid") },
  versus: { name: "synchronous", options: defaults("synchronous") },
  model: "nano-vta",
  solver: "euler",
  seed: 0,
  guidance: 2,
});

/** The sliders' first values, with steps that suit a page. */
export function defaults(name) {
  return { ...Object.fromEntries(zoo[name].map((p) => [p.name, p.start])), steps: 10 };
}

const number = (x, low, high) => typeof x === "number" && x >= low && x <= high;
/** Whether a value suits a slider, a checkbox or a menu of the zoo; how large it may be, the schedule itself says. */
const suits = (p, value) => (p.choices.length ? p.choices.includes(value) : typeof value === typeof p.start && (typeof value === "boolean" || Number.isFinite(value)));
const isMember = ({ name, options }) => Object.hasOwn(zoo, name) && typeof options === "object" && options && Object.hasOwn(options, "steps") &&
  Object.entries(options).every(([key, value]) => zoo[name].some((p) => p.name === key && suits(p, value)));
const isSchedule = (one) => one && (Array.isArray(one.rows)
  ? one.rows.length >= 2 && one.rows.length <= 2000 && one.rows.every((row) => Array.isArray(row) && row.length === world.frames && row.every(Number.isFinite))
  : isMember(one));
const isObject = (one) => one && world.nouns.includes(one.shape) && Object.hasOwn(world.colours, one.colour) && Object.hasOwn(world.directions, one.direction) &&
  Object.hasOwn(world.speeds, one.speed) && number(one.x, 0, 1) && number(one.y, 0, 1);
/** What each part must be. */
const PARTS = {
  scene: (s) => s && number(s.level, 0, 1) && Array.isArray(s.objects) && s.objects.length >= 1 && s.objects.length <= 2 && s.objects.every(isObject),
  pixels: (p) => p === null || (typeof p === "string" && /^[A-Za-z0-9+/]{1024}$/.test(p)),
  caption: (c) => c === null || (typeof c === "string" && c.length <= 300),
  given: (g) => g && typeof g.first === "boolean" && typeof g.last === "boolean" && number(g.noise, 0, 1),
  schedule: isSchedule,
  versus: isSchedule,
  model: (m) => Object.hasOwn(MODELS, m),
  solver: (s) => s === "euler" || s === "heun",
  seed: (s) => Number.isSafeInteger(s) && Math.abs(s) < 2 ** 31,
  guidance: (g) => number(g, -100, 100),
};

/** The part of an address that holds a state. */
export function encode(state) {
  const text = new TextEncoder().encode(JSON.stringify(state));
  return `#v${VERSION}=${btoa(String.fromCharCode(...text)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

/** The state that an address holds; null if it holds none. */
export function decode(hash) {
  const found = /^#v(\d+)=(.*)$/.exec(hash);
  const kept = "What is in this page is kept";
  if (!found && hash) fault(`The address ends in “${hash.slice(0, 20)}”, which holds nothing for this page: a link from “Copy link” has #v${VERSION}= there. ${kept}.`);
  if (!found) return null;
  const [, version, text] = found;
  if (+version !== VERSION) fault(`This link was made by version ${version} of the page, and this is version ${VERSION}. ${kept}; open the link with the page that made it.`);
  let state;
  try {
    const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    state = JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0))));
  } catch {
    fault(`This link is damaged, or was cut off. ${kept}; copy the whole link again.`);
  }
  const odd = Object.keys(PARTS).find((part) => { try { return !PARTS[part](state[part]); } catch { return true; } });
  if (odd) fault(`This link holds an odd ${odd}. ${kept}; copy the whole link again.`);
  return Object.fromEntries(Object.keys(PARTS).map((part) => [part, state[part]]));
}

export { Fault };
