import assert from "node:assert/strict";
import { test } from "node:test";

import { openTab } from "../../asrkit/ui/common/tabs.js";

/** A page with the tabs `data` and `train`, whose button appears later; `nextFrame` runs what waits for a frame. */
function makePage() {
  const waiting = [], page = { shown: "train", button: null };
  const makeTab = (id) => ({ click: () => { page.shown = id; }, getAttribute: () => String(page.shown === id) });
  globalThis.requestAnimationFrame = (callback) => waiting.push(callback);
  globalThis.document = { querySelector: (selector) => selector === "#button" ? page.button : makeTab("data") };
  page.nextFrame = () => waiting.splice(0).forEach((callback) => callback());
  page.isWaiting = () => waiting.length > 0;
  return page;
}

test("a button is pressed once the script of its tab has begun", () => {
  const page = makePage();
  openTab("data", "#button");
  assert.equal(page.shown, "data");
  page.nextFrame();
  let pressed = "false", focused = false;
  page.button = {
    offsetParent: {},
    click: () => { pressed = "true"; },
    getAttribute: () => pressed,
    focus: () => { focused = true; },
  };
  page.nextFrame();
  assert.ok(focused && !page.isWaiting());
});

test("nothing waits for the button of a tab that was left", () => {
  const page = makePage();
  openTab("data", "#button");
  page.nextFrame();
  assert.ok(page.isWaiting());
  page.shown = "train";
  page.nextFrame();
  assert.ok(!page.isWaiting());
});
