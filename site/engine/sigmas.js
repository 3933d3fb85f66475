// The noise levels of one frame, from noise (1) to clean (0); pusa_lab/schedules/sigmas.py is their truth.
import { fault } from "./faults.js";

const MOST_SHIFT = 1e6;

/** 1 - j / steps, j = 0..steps. */
function even(steps) {
  if (!Number.isInteger(steps) || steps < 1 || steps > 1e6) fault(`steps=${steps}: give a whole number of steps from 1 to 1,000,000.`);
  return Array.from({ length: steps + 1 }, (_, j) => 1 - j / steps);
}

function wan(steps) {
  const g = even(steps).map((u) => 1 - (1 - 1 / 1000) * (1 - u));
  g[steps] = 0;
  return g;
}

const cosine = (steps) => even(steps).map((u) => {
  const angle = (u * Math.PI) / 2;
  return Math.sin(angle) / (Math.sin(angle) + Math.cos(angle));
});

/** EDM's sigmas, tau = sigma / (1 + sigma), with rho = 7 from 80 down to 0.002. */
function karras(steps) {
  const [rho, low, high] = [7, 0.002, 80], fall = Math.log(low) - Math.log(high), g = even(steps);
  for (let j = 1; j < steps; j++) {
    const part = j / (steps - 1);
    const log = Math.log(high) + Math.max(rho * Math.log1p(part * Math.expm1(fall / rho)), fall);
    g[j] = 1 / (1 + Math.exp(-log));
  }
  return g;
}

const logitNormal = (steps) => even(steps).map((u) => 1 / (1 + Math.exp(-quantile(u))));

/** The standard normal quantile by Acklam's rational approximations, exact to 1.2e-9 of its value. */
function quantile(p) {
  const A = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
  const B = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1];
  const C = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
  const D = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1];
  const horner = (coefficients, x) => coefficients.reduce((sum, c) => sum * x + c, 0);
  if (p <= 0 || p >= 1) return p <= 0 ? -Infinity : Infinity;
  if (p > 1 - 0.02425) return -quantile(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return horner(C, q) / horner(D, q);
  }
  const q = p - 0.5;
  return (q * horner(A, q * q)) / horner(B, q * q);
}

export const SIGMAS = { linear: even, wan, cosine, karras, logit_normal: logitNormal };

/** g' = s g / (1 + (s - 1) g), in the form in which 0 and 1 stay exact. */
export function shiftLevels(levels, shift) {
  if (!(shift >= 1 / MOST_SHIFT && shift <= MOST_SHIFT)) fault(`shift=${shift}: the shift must be positive and finite, from 1e-06 to 1e+06 (1 leaves the levels as they are).`);
  return levels.map((g) => g / (g + (1 - g) / shift));
}

/** Levels (steps + 1) of a name, shifted once, in single precision and without a rise by rounding. */
export function levels(sigmas, steps, shift = 1) {
  const make = SIGMAS[sigmas];
  if (!make) fault(`there is no sigma function '${sigmas}': choose one of ${Object.keys(SIGMAS).join(", ")}.`);
  let low = Infinity;
  return shiftLevels(make(steps).map(Math.fround), shift).map((g) => (low = Math.min(low, Math.fround(g))));
}
