import assert from "node:assert/strict";
import { test } from "node:test";

import {
  describeDifferences, differingFields, matchesFilter, rowsAround, sortRows,
} from "../../asrkit/ui/runs/sorting.js";
import { splitTags } from "../../asrkit/ui/train/description.js";
import { matches } from "../../asrkit/ui/train/settings.js";
import { MOVES } from "../../asrkit/ui/train/queue.js";

const FIELDS = [{ name: "seed" }, { name: "learning_rate" }];
const makeRow = (id, seed, wer) => ({
  id, name: `Try ${id}`, tags: ["paper"], notes: "Windy day", status_word: "Finished", findings: ["stuck"],
  settings: { seed, learning_rate: 0.001 }, wer,
});
const ROWS = [makeRow("a", 7, 0.2), makeRow("b", 71, null), makeRow("c", 8, 0.1)];

test("every word of a filter must occur", () => {
  assert.ok(matchesFilter(ROWS[0], "A finished", FIELDS));
  assert.ok(matchesFilter(ROWS[0], "stu", FIELDS));
  assert.ok(matchesFilter(ROWS[0], "try paper windy", FIELDS));
  assert.ok(!matchesFilter(ROWS[0], "a failed", FIELDS));
  assert.ok(matchesFilter(ROWS[0], "", FIELDS));
});

test("name=value filters by the beginning of a setting", () => {
  assert.deepEqual(ROWS.filter((row) => matchesFilter(row, "seed=7", FIELDS)).map((row) => row.id), ["a", "b"]);
  assert.ok(!matchesFilter(ROWS[0], "other=7", FIELDS));
});

test("rows without a value come last in both directions", () => {
  const ids = (isDescending) => sortRows(ROWS, (row) => row.wer, isDescending).map((row) => row.id);
  assert.deepEqual(ids(false), ["c", "a", "b"]);
  assert.deepEqual(ids(true), ["a", "c", "b"]);
});

test("sorting leaves the given rows in their order", () => {
  sortRows(ROWS, (row) => row.id, true);
  assert.deepEqual(ROWS.map((row) => row.id), ["a", "b", "c"]);
});

test("fields in which rows differ", () => {
  assert.deepEqual(differingFields(ROWS, FIELDS), [FIELDS[0]]);
  assert.deepEqual(differingFields(ROWS.slice(0, 1), FIELDS), []);
});

test("a run is named by the settings in which it differs from the others", () => {
  const fields = [{ name: "seed", short: "seed" }, { name: "learning_rate", short: "lr" }];
  assert.equal(describeDifferences(ROWS[0], ROWS, fields), "seed 7");
  assert.equal(describeDifferences(ROWS[0], ROWS.slice(0, 1), fields), "");
});

test("tags are separated by commas and named once", () => {
  assert.deepEqual(splitTags(" a, two words ,,a"), ["a", "two words"]);
  assert.deepEqual(splitTags(""), []);
});

test("a setting is found by all words of a query", () => {
  assert.ok(matches("field-warmup_steps Warm-up share", "SHARE warmup"));
  assert.ok(!matches("field-warmup_steps Warm-up share", "share rate"));
  assert.ok(matches("anything", " "));
});

test("queue positions count from 1", () => {
  const positions = Object.fromEntries(MOVES.map(([name, , position]) => [name, position(2, 5)]));
  assert.deepEqual(positions, { first: 1, up: 2, down: 4, last: 5 });
});

test("the rows in sight are drawn with some around them", () => {
  assert.deepEqual(rowsAround(0, 2000), { first: 0, last: 140 });
  assert.deepEqual(rowsAround(700.5, 2000), { first: 650, last: 790 });
  assert.deepEqual(rowsAround(1990, 2000), { first: 1860, last: 2000 });
  assert.deepEqual(rowsAround(5, 3), { first: 0, last: 3 });
  assert.deepEqual(rowsAround(0, 0), { first: 0, last: 0 });
});
