// Samples as they are sent to the server. Pure: nothing here knows the page.

const BLOCK = 8192; // bytes a call of fromCharCode: its arguments lie on the stack

/** float32 samples as 16 bit. */
export const toInt16 = (samples) =>
  Int16Array.from(samples, (sample) => Math.round(32767 * Math.max(-1, Math.min(1, sample))));

/** Chunks of 16-bit samples behind one another, in base64. */
export function encodeChunks(chunks) {
  let text = "";
  for (const chunk of chunks) {
    const bytes = new Uint8Array(chunk.buffer);
    for (let offset = 0; offset < bytes.length; offset += BLOCK) {
      text += String.fromCharCode(...bytes.subarray(offset, offset + BLOCK));
    }
  }
  return btoa(text);
}
