// A recorded take: its samples, what is wrong with it, and a WAV file of it. Pure: nothing here knows the page.

const CLIPPED_AT = 0.985, QUIET_BELOW = 0.02; // of full scale
const CLIPPED_RUN = 3; // samples at full scale behind one another are clipped, one may be chance
const MIN_S = 0.4;
const WAV_HEADER_BYTES = 44;

export { CLIPPED_AT };

/** Chunks of samples as one. */
export function joinChunks(chunks) {
  const samples = new Float32Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    samples.set(chunk, offset);
    offset += chunk.length;
  }
  return samples;
}

/** The largest absolute value of a chunk. */
export const peakOf = (samples) => samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);

/** {seconds, peak, isClipped} */
export function measureTake(samples, sampleRate) {
  let run = 0, longestRun = 0;
  for (const sample of samples) {
    run = Math.abs(sample) >= CLIPPED_AT ? run + 1 : 0;
    longestRun = Math.max(longestRun, run);
  }
  return { seconds: samples.length / sampleRate, peak: peakOf(samples), isClipped: longestRun >= CLIPPED_RUN };
}

/** The key of a warning about a take, or "" for a good one. */
export function findFault({ seconds, peak, isClipped }) {
  if (seconds < MIN_S) return "recorder.too_short";
  if (isClipped) return "recorder.too_loud";
  return peak < QUIET_BELOW ? "recorder.too_quiet" : "";
}

/** Mono samples as the bytes of a WAV file, 16 bit, at their own rate: the server resamples. */
export function encodeWav(samples, sampleRate) {
  const view = new DataView(new ArrayBuffer(WAV_HEADER_BYTES + 2 * samples.length));
  const writeText = (offset, text) => {
    [...text].forEach((letter, index) => view.setUint8(offset + index, letter.charCodeAt(0)));
  };
  writeText(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  writeText(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of this part
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true); // bytes a second
  view.setUint16(32, 2, true); // bytes a frame
  view.setUint16(34, 16, true); // bits a sample
  writeText(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, index) => {
    view.setInt16(WAV_HEADER_BYTES + 2 * index, Math.max(-1, Math.min(1, sample)) * 32767, true);
  });
  return new Uint8Array(view.buffer);
}

/** 16 random hexadecimal digits. */
export const createTakeId = () =>
  [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
