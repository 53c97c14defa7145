// Audio and live words of the exported web page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { findCut, normalise, RATE, resample } from "../../asrkit/transcription/export/page/audio.js";
import { takeFinished } from "../../asrkit/transcription/export/page/live.js";

const makeSine = (rate, hertz) =>
  Float32Array.from({ length: rate }, (_, index) => Math.sin((2 * Math.PI * hertz * index) / rate));

test("resampling keeps tones below half of the rate, and removes those above", () => {
  for (const rate of [48000, 44100, 8000]) {
    const inner = (samples) => samples.subarray(800, 15200);
    const kept = inner(resample(makeSine(rate, 1000), rate));
    const wanted = inner(makeSine(RATE, 1000));
    kept.forEach((value, index) => assert.ok(Math.abs(value - wanted[index]) < 0.02, `${rate}: ${index}`));
    if (rate > 20000) {
      const removed = inner(resample(makeSine(rate, 9500), rate));
      assert.ok(removed.every((value) => Math.abs(value) < 0.02));
    }
  }
});

test("normalised samples have zero mean and unit variance", () => {
  const samples = normalise(Float32Array.from({ length: 1000 }, (_, index) => 3 + (index % 7)), 1e-7);
  const mean = samples.reduce((sum, one) => sum + one, 0) / samples.length;
  const variance = samples.reduce((sum, one) => sum + one * one, 0) / samples.length;
  assert.ok(Math.abs(mean) < 1e-4 && Math.abs(variance - 1) < 1e-3);
  assert.equal(normalise(samples, null), samples);
});

test("long recordings are cut where they are quiet", () => {
  const samples = new Float32Array(30 * RATE).fill(0.5);
  samples.fill(0, 17 * RATE, 17.2 * RATE);
  const cut = findCut(samples) / RATE;
  assert.ok(cut >= 17 && cut <= 17.2, String(cut));
});

test("words are final after a pause, in a long sentence all but the last, and at the end all", () => {
  const words = [{ start: 0, end: 1 }, { start: 2, end: 3 }];
  assert.deepEqual(takeFinished(words, 4, false), { finished: 0, cut: 0 });
  assert.deepEqual(takeFinished(words, 4.5, false), { finished: 2, cut: 3.4 });
  assert.deepEqual(takeFinished(words, 4, true), { finished: 2, cut: 4 });
  assert.deepEqual(takeFinished([{ start: 0, end: 9 }, { start: 10, end: 15 }], 16, false), { finished: 1, cut: 9.5 });
});

test("silence without words is dropped", () => {
  assert.deepEqual(takeFinished([], 2, false), { finished: 0, cut: 0 });
  assert.deepEqual(takeFinished([], 8, false), { finished: 0, cut: 7 });
});
