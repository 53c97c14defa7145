import assert from "node:assert/strict";
import { test } from "node:test";

import { formatNumber, t } from "../../asrkit/ui/common/strings.js";

test("values are filled in", () => {
  assert.equal(t("runs.steps", { step: "3", total: "12" }), "3 of 12");
});

test("a count chooses the plural, with thousands separated", () => {
  assert.equal(t("common.clips", { count: 1 }), "1 clip");
  assert.equal(t("common.clips", { count: 0 }), "0 clips");
  assert.equal(t("common.clips", { count: 12345 }), "12,345 clips");
});

test("an unknown key is shown as it is", (context) => {
  context.mock.method(console, "error", () => {});
  assert.equal(t("no.such_key"), "no.such_key");
});

test("numbers are grouped", () => assert.equal(formatNumber(1234567), "1,234,567"));
