// Writes an animated GIF (GIF89a) of pictures with few colours, such as text. The browser has no encoder of its own.

const MAX_COLOURS = 256;
const BITS = 5; // of each channel that colours are compared by
const MAX_CODES = 4096;
const MAX_BLOCK = 255;
const END = 0x3b;

/** What pixels of nearly the same colour have in common. */
const keyOf = (r, g, b) => (r >> (8 - BITS) << (2 * BITS)) | (g >> (8 - BITS) << BITS) | (b >> (8 - BITS));

/** -> {palette: [[r, g, b]], indexOf: key of a colour -> index}: the commonest colours of all pictures. */
function makePalette(pictures) {
  const counts = new Map(), examples = new Map();
  for (const { data } of pictures) {
    for (let at = 0; at < data.length; at += 4) {
      const key = keyOf(data[at], data[at + 1], data[at + 2]);
      if (!counts.has(key)) examples.set(key, [data[at], data[at + 1], data[at + 2]]);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  const keys = [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one));
  const palette = keys.slice(0, MAX_COLOURS).map((key) => examples.get(key));
  const place = (key, index) => (index < MAX_COLOURS ? index : nearest(palette, examples.get(key)));
  return { palette, indexOf: new Map(keys.map((key, index) => [key, place(key, index)])) };
}

function nearest(palette, colour) {
  const distances = palette.map((each) => each.reduce((sum, value, at) => sum + (value - colour[at]) ** 2, 0));
  return distances.indexOf(Math.min(...distances));
}

/** Compress indices of colours, each below 2 ** codeBits, as GIF does (LZW with codes of growing length). */
function compress(indices, codeBits) {
  const clear = 1 << codeBits, bytes = [];
  let codes = new Map(), next = clear + 2, width = codeBits + 1, pending = 0, numPending = 0;
  const write = (code) => {
    pending |= code << numPending;
    numPending += width;
    for (; numPending >= 8; numPending -= 8, pending >>>= 8) bytes.push(pending & 0xff);
  };
  write(clear);
  let prefix = indices[0];
  for (let at = 1; at < indices.length; at++) {
    const key = prefix << 8 | indices[at], known = codes.get(key);
    if (known !== undefined) {
      prefix = known;
      continue;
    }
    write(prefix);
    prefix = indices[at];
    if (next === MAX_CODES) {
      write(clear);
      [codes, next, width] = [new Map(), clear + 2, codeBits + 1];
      continue;
    }
    if (next === 1 << width) width += 1;
    codes.set(key, next++);
  }
  write(prefix);
  write(clear + 1);
  if (numPending) bytes.push(pending & 0xff);
  return bytes;
}

const asBlocks = (bytes) => {
  const blocks = [];
  for (let at = 0; at < bytes.length; at += MAX_BLOCK) {
    const block = bytes.slice(at, at + MAX_BLOCK);
    blocks.push(block.length, ...block);
  }
  return [...blocks, 0];
};

const word = (value) => [value & 0xff, value >> 8];
const text = (characters) => [...characters].map((character) => character.charCodeAt(0));

/**
 * -> the bytes of an animation that runs forever. pictures: as of getImageData, all of the same size. delaysMs: how
 * long each is shown.
 */
export function encodeGif(pictures, delaysMs) {
  const [{ width, height }] = pictures, { palette, indexOf } = makePalette(pictures);
  const codeBits = Math.max(2, Math.ceil(Math.log2(palette.length))), numColours = 1 << codeBits;
  const colours = Array.from({ length: numColours }, (_, index) => palette[index] ?? [0, 0, 0]).flat();
  const parts = [
    text("GIF89a"), word(width), word(height), [0xf0 | (codeBits - 1), 0, 0], colours,
    [0x21, 0xff, 11], text("NETSCAPE2.0"), [3, 1, 0, 0, 0],
  ];
  pictures.forEach(({ data }, index) => {
    const indices = new Uint8Array(width * height);
    for (let at = 0; at < indices.length; at++) {
      indices[at] = indexOf.get(keyOf(data[4 * at], data[4 * at + 1], data[4 * at + 2]));
    }
    parts.push([0x21, 0xf9, 4, 0, ...word(Math.round(delaysMs[index] / 10)), 0, 0]);
    parts.push([0x2c, 0, 0, 0, 0, ...word(width), ...word(height), 0, codeBits]);
    parts.push(asBlocks(compress(indices, codeBits)));
  });
  return Uint8Array.from([...parts, END].flat());
}
