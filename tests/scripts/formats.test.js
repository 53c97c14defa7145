import assert from "node:assert/strict";
import { test } from "node:test";

import {
  asSentence, formatClock, formatHours, formatPercent, formatSetting, formatWholePercent,
} from "../../asrkit/ui/common/formats.js";

test("percent", () => {
  assert.equal(formatPercent(0.1234), "12.3 %");
  assert.equal(formatPercent(null), "");
  assert.equal(formatPercent(0), "0.0 %");
});

test("100 percent is shown at the end only", () => assert.equal(formatWholePercent(0.999), "99 %"));

test("hours in the unit that fits", () => {
  assert.deepEqual([12.34, 1.26, 0.5, 0.001].map(formatHours), ["12 hours", "1.3 hours", "30 min", "4 s"]);
});

test("clock", () => {
  assert.deepEqual([0, 59.9, 61, 3600, 7325].map(formatClock), ["0:00", "0:59", "1:01", "1:00:00", "2:02:05"]);
});

test("settings", () => {
  assert.deepEqual([null, "", "words", true, 0, 0.5, 1e-5].map(formatSetting),
    ["", "none", "words", "true", "0", "0.5", "1e-5"]);
});

test("a message as a sentence", () => {
  assert.equal(asSentence("no microphone"), "No microphone.");
  assert.equal(asSentence("Done."), "Done.");
  assert.equal(asSentence(""), "");
});
