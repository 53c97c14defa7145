import assert from "node:assert/strict";
import { test } from "node:test";

import { encodeGif } from "../../asrkit/ui/common/gif.js";
import { Film, splitWords, spread, wrapWords } from "../../asrkit/ui/train/film.js";

/** The indices of the pixels of each picture of a GIF, and its palette: a decoder of its own. */
function decode(bytes) {
  const numColours = 2 << (bytes[10] & 7), palette = [];
  for (let index = 0; index < numColours; index++) palette.push([...bytes.slice(13 + 3 * index, 16 + 3 * index)]);
  const pictures = [], delays = [];
  let at = 13 + 3 * numColours;
  const readBlocks = () => {
    const data = [];
    for (let size = bytes[at++]; size; size = bytes[at++]) {
      data.push(...bytes.slice(at, at + size));
      at += size;
    }
    return data;
  };
  for (; bytes[at] !== 0x3b;) {
    const kind = bytes[at++];
    if (kind === 0x21) {
      const label = bytes[at++], data = readBlocks();
      if (label === 0xf9) delays.push(data[1] | data[2] << 8);
    } else {
      assert.equal(kind, 0x2c);
      at += 9;
      const codeBits = bytes[at++];
      pictures.push(decompress(readBlocks(), codeBits));
    }
  }
  return { palette, pictures, delays };
}

function decompress(data, codeBits) {
  const clear = 1 << codeBits, pixels = [];
  let table = [], width = codeBits + 1, before = null, bit = 0;
  for (;;) {
    let code = 0;
    for (let index = 0; index < width; index++, bit++) code |= (data[bit >> 3] >> (bit & 7) & 1) << index;
    if (code === clear + 1) return pixels;
    if (code === clear) {
      table = Array.from({ length: clear + 2 }, (_, index) => [index]);
      [width, before] = [codeBits + 1, null];
      continue;
    }
    const string = table[code] ?? [...before, before[0]];
    if (before && table.length < 4096) table.push([...before, string[0]]);
    pixels.push(...string);
    before = string;
    if (table.length === 1 << width && width < 12) width += 1;
  }
}

/** A picture of noise in a few greys, which needs more codes than a table of GIF has. */
function makeNoise(seed) {
  const width = 120, height = 100, data = new Uint8ClampedArray(4 * width * height);
  let state = seed;
  for (let at = 0; at < data.length; at += 4) {
    state = (state * 1103515245 + 12345) % 2147483648;
    data.fill(8 * (state >> 16 & 15), at, at + 3);
  }
  return { width, height, data };
}

test("every pixel of a GIF is that of its picture", () => {
  const pictures = [makeNoise(1), makeNoise(2)];
  const { palette, pictures: decoded, delays } = decode(encodeGif(pictures, [900, 2500]));
  assert.deepEqual(delays, [90, 250]);
  pictures.forEach(({ data }, index) => {
    const expected = Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]);
    assert.deepEqual(decoded[index].map((pixel) => palette[pixel][0]), expected);
  });
});

test("colours beyond 256 become the nearest of the palette", () => {
  const data = new Uint8ClampedArray(4 * 1024);
  for (let index = 0; index < 1024; index++) data.set([8 * (index % 32), 8 * (index >> 5), 0, 255], 4 * index);
  const { palette, pictures: [pixels] } = decode(encodeGif([{ width: 32, height: 32, data }], [100]));
  assert.equal(palette.length, 256);
  assert.ok(pixels.length === 1024 && pixels.every((pixel) => pixel < 256));
});

test("words are wrapped where the next does not fit", () => {
  const lines = wrapWords(splitWords("aa bb cccccc d"), 6, (text) => text.length);
  assert.deepEqual(lines.map((line) => line.map(({ text, left }) => [text, left])), [
    [["aa", 0], ["bb", 3]], [["cccccc", 0]], [["d", 0]],
  ]);
});

test("Chinese is wrapped between any two characters, without spaces, and not before a full stop", () => {
  const lines = wrapWords(splitWords("今天ok，很好。 去"), 5, (text) => text.length);
  assert.deepEqual(lines.map((line) => line.map(({ text, left }) => [text, left])), [
    [["今", 0], ["天", 1], ["ok，", 2]], [["很", 0], ["好。", 1], ["去", 4]],
  ]);
});

test("a long film has evenly spread evaluations, the first and the last among them", () => {
  assert.deepEqual(spread([1, 2, 3], 5), [1, 2, 3]);
  assert.deepEqual(spread(Array.from({ length: 101 }, (_, index) => index), 5), [0, 25, 50, 75, 100]);
});

test("a film that is stopped while it loads and played again shows each evaluation once", async () => {
  const parts = {}, shown = [];
  const part = (name) => parts[name] ??= { textContent: "", addEventListener() {} };
  const samples = { steps: [1, 2], evaluations: new Map(), showStepOf: (step) => shown.push(step) };
  const server = { poll: () => new Promise((resolve) => setImmediate(resolve, { evaluation: {} })) };
  const film = new Film({ part, samples, server, run: "run", known: { after: 0, signature: "" }, pageId: "page" });
  const first = film.togglePlay();
  await film.togglePlay(); // stops it
  await Promise.all([first, film.togglePlay()]);
  film.stop();
  assert.deepEqual(shown, [1]);
});
