// torch.randn on a processor, bit for bit up to rounding: the page starts from the same noise as Python.

/** The Mersenne twister MT19937, seeded as torch.Generator().manual_seed seeds it: by the low 32 bits. */
function twister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let at = 624;
  return () => {
    if (at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = state[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/** Standard normal numbers, at least 16: Box and Muller's, eight pairs at a time, as torch.randn makes them. */
function normal(size, next) {
  const uniform = () => (next() & 0xffffff) / 2 ** 24, out = new Float32Array(size);
  for (let i = 0; i < size; i++) out[i] = uniform();
  const turn = (start) => {
    for (let j = start; j < start + 8; j++) {
      const radius = Math.sqrt(-2 * Math.log(1 - out[j])), angle = 2 * Math.PI * out[j + 8];
      out[j] = radius * Math.cos(angle);
      out[j + 8] = radius * Math.sin(angle);
    }
  };
  for (let i = 0; i + 16 <= size; i += 16) turn(i);
  if (size % 16) {
    for (let i = size - 16; i < size; i++) out[i] = uniform();
    turn(size - 16);
  }
  return out;
}

/** Noise of a row of the sampling loop, as pusa_lab.noise.noise_of draws it for one sample. */
export function noiseOf(size, seed, row = 0) {
  const low = BigInt.asUintN(32, BigInt(seed) * 100_003n + BigInt(row));
  return normal(size, twister(Number(low)));
}

/** Added to the row of frames that are noised on, as pusa_lab.noise does. */
export const FRESH = 0x85ebca6b;
