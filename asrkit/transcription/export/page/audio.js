// Audio at 16 kHz: resampling, normalisation, and cuts of long recordings at quiet places.

export const RATE = 16000;
const TAPS = 24; // on each side of a sample, at the lower of the two rates
export const MAX_SEGMENT_S = 20;
const SEARCH_S = 6;
const QUIET_S = 0.1;

/** Resample by a windowed sinc with its cut-off just below half of the lower rate. */
export function resample(samples, from) {
  if (from === RATE) return samples;
  const cutoff = 0.96 * Math.min(1, RATE / from);
  const reach = Math.ceil(TAPS / cutoff);
  const result = new Float32Array(Math.floor((samples.length * RATE) / from));
  for (let index = 0; index < result.length; index += 1) {
    const centre = (index * from) / RATE;
    const first = Math.max(0, Math.ceil(centre - reach));
    const last = Math.min(samples.length - 1, Math.floor(centre + reach));
    let sum = 0;
    for (let near = first; near <= last; near += 1) {
      const offset = near - centre;
      const angle = Math.PI * offset * cutoff;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      sum += samples[near] * sinc * (0.5 + 0.5 * Math.cos((Math.PI * offset) / (reach + 1)));
    }
    result[index] = cutoff * sum;
  }
  return result;
}

/** Give samples zero mean and unit variance, as the model was trained; epsilon null: leave them. */
export function normalise(samples, epsilon) {
  if (epsilon === null) return samples;
  const mean = samples.reduce((sum, one) => sum + one, 0) / samples.length;
  const variance = samples.reduce((sum, one) => sum + (one - mean) ** 2, 0) / samples.length;
  const scale = 1 / Math.sqrt(variance + epsilon);
  return samples.map((one) => (one - mean) * scale);
}

/** The sample at which a long recording is best cut: in the middle of its quietest tenth of a second near the end. */
export function findCut(samples) {
  const limit = Math.min(samples.length, MAX_SEGMENT_S * RATE);
  const size = QUIET_S * RATE;
  let best = limit;
  let lowest = Infinity;
  for (let start = limit - size; start >= limit - SEARCH_S * RATE; start -= size / 2) {
    let energy = 0;
    for (let index = start; index < start + size; index += 1) energy += samples[index] ** 2;
    if (energy < lowest) {
      lowest = energy;
      best = start + size / 2;
    }
  }
  return best;
}
