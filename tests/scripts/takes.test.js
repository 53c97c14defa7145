import assert from "node:assert/strict";
import { test } from "node:test";

import { meterShare } from "../../asrkit/ui/data/meter.js";
import { encodeWav, findFault, joinChunks, measureTake, peakOf } from "../../asrkit/ui/data/take.js";

const RATE = 48000;
const constant = (value, seconds = 1) => new Float32Array(seconds * RATE).fill(value);

test("chunks are joined in order", () => {
  assert.deepEqual([...joinChunks([Float32Array.of(1, 2), Float32Array.of(), Float32Array.of(3)])], [1, 2, 3]);
});

test("the peak counts negative samples", () => {
  assert.equal(peakOf(Float32Array.of(0.25, -0.5)), 0.5);
  assert.equal(peakOf(Float32Array.of()), 0);
});

test("a take is measured", () => {
  assert.deepEqual(measureTake(constant(0.5), RATE), { seconds: 1, peak: 0.5, isClipped: false });
});

test("three samples at full scale are clipped, two are not", () => {
  const isClipped = (...samples) => measureTake(Float32Array.from(samples), RATE).isClipped;
  assert.ok(isClipped(0, 1, -1, 1, 0));
  assert.ok(!isClipped(1, 1, 0, 1, 1));
});

test("faults of a take", () => {
  const fault = (value, seconds) => findFault(measureTake(constant(value, seconds), RATE));
  assert.equal(fault(0.5, 0.3), "recorder.too_short");
  assert.equal(fault(1), "recorder.too_loud");
  assert.equal(fault(0.01), "recorder.too_quiet");
  assert.equal(fault(0.5), "");
});

test("a WAV file of 16 bit", () => {
  const bytes = encodeWav(Float32Array.of(0, 1, -1, 2), RATE), view = new DataView(bytes.buffer);
  const text = (offset) => String.fromCharCode(...bytes.subarray(offset, offset + 4));
  assert.deepEqual([0, 8, 12, 36].map(text), ["RIFF", "WAVE", "fmt ", "data"]);
  assert.equal(bytes.length, 44 + 8);
  assert.equal(view.getUint32(4, true), bytes.length - 8);
  assert.equal(view.getUint32(24, true), RATE);
  assert.equal(view.getUint32(40, true), 8);
  assert.deepEqual([44, 46, 48, 50].map((offset) => view.getInt16(offset, true)), [0, 32767, -32767, 32767]);
});

test("the meter shows 50 dB", () => {
  assert.equal(meterShare(1), 1);
  assert.equal(meterShare(0), 0);
  assert.ok(Math.abs(meterShare(10 ** -1.25) - 0.5) < 1e-9);
  assert.equal(meterShare(1e-4), 0);
});
