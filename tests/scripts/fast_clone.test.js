// Copies are those of the browser's structuredClone.

import assert from "node:assert/strict";
import { test } from "node:test";

const original = globalThis.structuredClone;
await import("../../asrkit/ui/common/fast_clone.js");

test("values that cannot change are themselves", () => {
  assert.notEqual(structuredClone, original);
  for (const value of ["text", "", 0, -0, NaN, 7n, true, null, undefined]) {
    assert.ok(Object.is(structuredClone(value), value));
  }
});

test("objects are copied with all that they hold", () => {
  const made = { list: [1, { deep: new Date(0) }], map: new Map([["a", 1]]) };
  const copy = structuredClone(made);
  assert.deepEqual(copy, made);
  assert.notEqual(copy.list[1], made.list[1]);
});

test("what cannot be copied is refused, and buffers are transferred", () => {
  assert.throws(() => structuredClone(() => 1), { name: "DataCloneError" });
  assert.throws(() => structuredClone(Symbol("x")), { name: "DataCloneError" });
  const buffer = new ArrayBuffer(8);
  assert.equal(structuredClone(buffer, { transfer: [buffer] }).byteLength, 8);
  assert.equal(buffer.byteLength, 0);
});
