// Two frames of one number each, jointly normal: the exact velocity, and a small network that learns it.
// pusa_lab.analytic.GaussianDenoiser is the truth of the first.

/** Correlated frames: x0 ~ N(0, [[1, rho], [rho, 1]]). */
export const RHO = 0.9;

/** E[eps - x0 | x] = (B - C A) (A C A + B^2)^-1 x, A = diag(1 - tau), B = diag(tau). */
export function exactVelocity([x, y], [s, t], rho = RHO) {
  const [a, b] = [1 - s, 1 - t];
  const [m, n, o] = [a * a + s * s, b * b + t * t, rho * a * b], det = m * n - o * o;
  const [p, q] = [(n * x - o * y) / det, (m * y - o * x) / det];
  return [(s - a) * p - rho * b * q, (t - b) * q - rho * a * p];
}

/** Standard normal numbers from uniform ones. */
export function normals(random = Math.random) {
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A batch of training examples: inputs (x, y, s, t) and targets eps - x0; shared gives both frames one timestep. */
export function examples(count, shared, random = Math.random, rho = RHO) {
  const normal = normals(random), inputs = new Float64Array(4 * count), targets = new Float64Array(2 * count);
  for (let k = 0; k < count; k++) {
    const z = normal(), first = z, second = rho * z + Math.sqrt(1 - rho * rho) * normal();
    const s = random(), t = shared ? s : random(), [e, f] = [normal(), normal()];
    inputs.set([(1 - s) * first + s * e, (1 - t) * second + t * f, s, t], 4 * k);
    targets.set([e - first, f - second], 2 * k);
  }
  return { inputs, targets, count };
}

/** A network 4 -> hidden -> hidden -> 2 with SiLU, trained by Adam on the mean square error. */
export class Network {
  constructor(hidden = 32, random = Math.random) {
    const normal = normals(random);
    this.sizes = [4, hidden, hidden, 2];
    this.layers = [0, 1, 2].map((l) => {
      const [n, m] = [this.sizes[l], this.sizes[l + 1]];
      const of = (size, scale) => ({ now: Float64Array.from({ length: size }, () => scale * normal()), slope: new Float64Array(size), mean: new Float64Array(size), square: new Float64Array(size) });
      return { weight: of(n * m, Math.sqrt((l < 2 ? 2 : 0.1) / n)), bias: of(m, 0) };
    });
    this.steps = 0;
  }

  /** Every layer's values for a batch: `before` the SiLU and `after` it; the last is the velocity. */
  forward(inputs, count) {
    const seen = [{ after: inputs }];
    this.layers.forEach(({ weight, bias }, l) => {
      const [n, m] = [this.sizes[l], this.sizes[l + 1]], x = seen[l].after, before = new Float64Array(m * count), after = new Float64Array(m * count);
      for (let k = 0; k < count; k++) {
        for (let j = 0; j < m; j++) {
          let sum = bias.now[j];
          for (let i = 0; i < n; i++) sum += weight.now[j * n + i] * x[k * n + i];
          before[k * m + j] = sum;
          after[k * m + j] = l < 2 ? sum / (1 + Math.exp(-sum)) : sum;
        }
      }
      seen.push({ before, after });
    });
    return seen;
  }

  velocity(inputs, count) {
    return this.forward(inputs, count)[3].after;
  }

  /** The loss of a batch, whose slopes are left in the layers. */
  slopes({ inputs, targets, count }) {
    const seen = this.forward(inputs, count), out = seen[3].after;
    let loss = 0, slope = out.map((v, k) => { loss += (v - targets[k]) ** 2 / out.length; return (2 * (v - targets[k])) / out.length; });
    for (let l = 2; l >= 0; l--) {
      const [n, m] = [this.sizes[l], this.sizes[l + 1]], { weight, bias } = this.layers[l], x = seen[l].after, back = new Float64Array(n * count);
      weight.slope.fill(0);
      bias.slope.fill(0);
      for (let k = 0; k < count; k++) {
        for (let j = 0; j < m; j++) {
          const g = slope[k * m + j];
          bias.slope[j] += g;
          for (let i = 0; i < n; i++) { weight.slope[j * n + i] += g * x[k * n + i]; back[k * n + i] += g * weight.now[j * n + i]; }
        }
      }
      if (l) slope = back.map((g, k) => { const b = seen[l].before[k], s = 1 / (1 + Math.exp(-b)); return g * (s + b * s * (1 - s)); });
    }
    return loss;
  }

  /** One step of Adam; returns the loss before it. */
  train(batch, rate = 0.003) {
    const loss = this.slopes(batch);
    this.steps++;
    const [first, second] = [1 - 0.9 ** this.steps, 1 - 0.999 ** this.steps];
    for (const { weight, bias } of this.layers) {
      for (const { now, slope, mean, square } of [weight, bias]) {
        for (let i = 0; i < now.length; i++) {
          mean[i] = 0.9 * mean[i] + 0.1 * slope[i];
          square[i] = 0.999 * square[i] + 0.001 * slope[i] ** 2;
          now[i] -= (rate * (mean[i] / first)) / (Math.sqrt(square[i] / second) + 1e-8);
        }
      }
    }
    return loss;
  }
}
