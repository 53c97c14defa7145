import assert from "node:assert/strict";
import { test } from "node:test";

import {
  chooseLevel, chooseTick, composeChoice, formatTime, indexTier, lowerBound, spanAt, spansWithin,
} from "../../asrkit/ui/data/span_search.js";
import { WaveformTiles } from "../../asrkit/ui/data/waveform_tiles.js";

const tier = indexTier({ start: [0, 1, 2, 3, 10], end: [0.5, 9, 2.5, 3.5, 11] });

test("the first value that is large enough", () => {
  assert.deepEqual([0, 1, 1.5, 12].map((value) => lowerBound(tier.start, value)), [0, 1, 2, 5]);
});

test("a long span is found where it reaches", () => {
  const [first, stop] = spansWithin(tier, 5, 6);
  assert.ok(first <= 1 && stop === 4);
});

test("of several spans at a time the one that begins last is taken", () => {
  assert.deepEqual([0.2, 2.2, 5, 9.5, 10.5].map((timeS) => spanAt(tier, timeS)), [0, 2, 1, -1, 4]);
});

test("a span that is near is taken where none is at the time", () => {
  assert.equal(spanAt(tier, 9.4, 0.7), 1);
  assert.equal(spanAt(tier, 9.8, 0.3), 4);
  assert.equal(spanAt(tier, 9.5, 0.1), -1);
  assert.equal(spanAt(tier, 100, Infinity), 4);
});

test("the coarsest level with a bin for each pixel", () => {
  assert.deepEqual([0.001, 0.01, 0.039, 0.04, 1e9].map((each) => chooseLevel(0.01, each)), [0, 0, 1, 2, 16]);
});

test("ticks have room for their text", () => {
  assert.deepEqual([0.002, 0.05, 3.6, 1000].map(chooseTick), [0.2, 5, 300, 18000]);
});

test("times have tenths", () => {
  assert.deepEqual([0, 59.97, 3599.94, 3600].map(formatTime), ["0:00.0", "1:00.0", "59:59.9", "1:00:00.0"]);
});

test("names of tiers and speakers are quoted", () => {
  assert.equal(composeChoice(["tx, old", 'a "b"'], ["Ana"]), '"tx, old", "a ""b""", "speaker:Ana"');
  assert.equal(composeChoice(["tx"], null), '"tx"');
});

const view = { fromS: 0, secondsPerPixel: 0.01, width: 2048 };
const settle = () => new Promise((resolve) => { setImmediate(resolve); });

function makeTiles(reply) {
  const asked = [], tiles = new WaveformTiles(async (level, tile) => {
    asked.push(`${level}:${tile}`);
    return reply(level, tile);
  }, () => {});
  tiles.durationS = 20.48;
  return { asked, tiles };
}

const constant = (high, isComplete = true) =>
  ({ bin_s: 0.01, is_complete: isComplete, low: Array(1024).fill(-high), high: Array(1024).fill(high) });

test("tiles on view are fetched once", async () => {
  const { asked, tiles } = makeTiles(() => constant(5));
  assert.deepEqual(tiles.columns(view), []);
  tiles.columns(view);
  await settle();
  assert.equal(tiles.columns(view).length, 2048);
  assert.deepEqual(asked, ["0:0", "0:1"]);
});

test("coarser tiles stand in for those on their way", async () => {
  const { tiles } = makeTiles((level) => (level ? constant(7) : new Promise(() => {})));
  tiles.columns({ ...view, secondsPerPixel: 0.02, width: 1024 });
  await settle();
  const columns = tiles.columns({ ...view, fromS: 5, width: 100 });
  assert.ok(columns.length >= 50 && columns.every(({ high }) => high === 7));
});

test("a failure is not asked for again", async () => {
  const { asked, tiles } = makeTiles(() => null);
  tiles.columns(view);
  await settle();
  tiles.columns(view);
  assert.equal(asked.length, 2);
});

test("a reply about the recording before is dropped", async () => {
  const { tiles } = makeTiles(() => constant(5));
  tiles.columns(view);
  tiles.clear();
  await settle();
  assert.equal(tiles.tiles.size, 0);
});
