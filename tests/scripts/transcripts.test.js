import assert from "node:assert/strict";
import { test } from "node:test";

import { describeSize } from "../../asrkit/ui/data/dataset.js";
import { formatCodePoint } from "../../asrkit/ui/data/transcripts.js";
import { encodeChunks, toInt16 } from "../../asrkit/ui/transcribe/pcm.js";
import { assignLanes } from "../../asrkit/ui/transcribe/timeline.js";
import { findWordAt, joinWords, startsParagraph, titleOf } from "../../asrkit/ui/transcribe/words.js";

const word = (text, start, end, joined = false) => ({ word: text, start_s: start, end_s: end, joined });
const WORDS = [word("ab", 0.5, 1), word("c", 1, 1.4, true), word("de", 3, 3.5)];

test("joined words have no space before them", () => {
  assert.equal(joinWords(WORDS), "abc de");
  assert.equal(joinWords([]), "");
  assert.equal(joinWords([word("a", 0, 1, true)]), "a");
});

test("the word at a time, with a margin", () => {
  assert.deepEqual([0.4, 0.46, 1.2, 2, 3.52, 4].map((time) => findWordAt(WORDS, time)), [-1, 0, 1, -1, 2, -1]);
});

test("a word that is not in the model's list says so", () => {
  const known = { ...WORDS[0], confidence: 0.5 };
  assert.equal(titleOf(known), "0.50 to 1.00 s · confidence 50 %");
  assert.match(titleOf({ ...known, not_in_word_list: true }), /^not in the word list · 0.50 to/);
});

test("a paragraph begins after a long pause of a long recording", () => {
  assert.ok(startsParagraph(WORDS[0], undefined, 100));
  assert.ok(!startsParagraph(WORDS[0], undefined, 10));
  assert.ok(!startsParagraph(WORDS[2], WORDS[1], 100));
  assert.ok(startsParagraph(word("f", 5.6, 6), WORDS[2], 100));
});

test("words that would overlap take another lane", () => {
  const boxes = [{ left: 0, width: 50 }, { left: 20, width: 10 }, { left: 40, width: 30 }, { left: 60, width: 10 }];
  assert.deepEqual(assignLanes(boxes), [0, 1, 1, 0]);
  assert.deepEqual(assignLanes([]), []);
});

test("samples become 16 bit and are clipped", () => {
  assert.deepEqual([...toInt16(Float32Array.of(0, 0.5, 1, -2))], [0, 16384, 32767, -32767]);
});

test("chunks are encoded behind one another", () => {
  const chunks = [Int16Array.of(1, -2), Int16Array.of(), new Int16Array(20000).fill(3)];
  const bytes = Buffer.from(encodeChunks(chunks), "base64");
  assert.equal(bytes.length, 4 + 40000);
  assert.deepEqual([bytes.readInt16LE(0), bytes.readInt16LE(2), bytes.readInt16LE(40002)], [1, -2, 3]);
});

test("the size of a dataset", () => {
  const size = { train: 1000, eval: 100, test: 0, hours: 2, speakers: 3 };
  assert.equal(describeSize(size), "1,100 clips · 2.0 hours · 3 speakers · 1,000 to train on, 100 to evaluate on");
  assert.match(describeSize({ ...size, test: 5 }), /5 to test on$/);
  assert.match(describeSize({ ...size, eval: 0 }), /some speakers will be held out/);
  assert.match(describeSize({ ...size, eval: 0, speakers: 1 }), /a tenth will be held out/);
});

test("code points", () => {
  assert.equal(formatCodePoint("é"), "U+00E9");
  assert.equal(formatCodePoint("😀"), "U+1F600");
});
