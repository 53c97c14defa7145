import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { EndNotification } from "../../asrkit/ui/train/end_notification.js";

const shown = [];
let parts, stored, answer;

class FakeNotification extends EventTarget {
  static permission = "default";

  static async requestPermission() {
    FakeNotification.permission = answer;
    return answer;
  }

  constructor(title, { body, tag }) {
    super();
    shown.push({ title, body, tag });
  }
}

class FakePart extends EventTarget {
  hidden = false;
  textContent = "";
  attributes = {};

  setAttribute(name, value) {
    this.attributes[name] = value;
  }
}

beforeEach(() => {
  shown.length = 0;
  parts = { notify: new FakePart(), notice: new FakePart() };
  stored = {};
  answer = "granted";
  FakeNotification.permission = "default";
  globalThis.window = { Notification: FakeNotification };
  globalThis.Notification = FakeNotification;
  globalThis.isSecureContext = true;
  globalThis.document = { hidden: true };
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    value: { getItem: (key) => stored[key] ?? null, setItem: (key, value) => { stored[key] = value; } },
  });
});

const running = { run: "one", ended: false, status_word: "Running", outcome: "", error: null };
const finished = { run: "one", ended: true, status_word: "Finished", outcome: "96 of 100 words", error: null };

function make() {
  const notification = new EndNotification((name) => parts[name]);
  notification.show(running);
  return notification;
}

test("users who asked for it and look elsewhere are notified of the end", async () => {
  const notification = make();
  await notification.toggle();
  notification.show(finished);
  notification.show(finished);
  assert.deepEqual(shown, [{ title: "Run one: Finished", body: "96 of 100 words", tag: "one" }]);
});

test("the notification of a failure has its cause", async () => {
  const notification = make();
  await notification.toggle();
  notification.show({ ...finished, error: { message: "The GPU is out of memory." } });
  assert.equal(shown[0].body, "The GPU is out of memory.");
});

test("nobody is notified unasked, on the page itself, or of a run that had ended before", async () => {
  const notification = make();
  notification.show(finished);
  await notification.toggle();
  notification.show(finished);
  notification.show({ ...finished, run: "two" });
  globalThis.document.hidden = false;
  notification.show(running);
  notification.show(finished);
  assert.deepEqual(shown, []);
});

test("the wish is remembered, and can be taken back", async () => {
  await make().toggle();
  const again = make();
  assert.equal(parts.notify.attributes["aria-pressed"], "true");
  await again.toggle();
  assert.equal(make().isWanted, false);
});

test("a refusal is said", async () => {
  answer = "denied";
  await make().toggle();
  assert.match(parts.notice.textContent, /refuses notifications/);
  assert.equal(parts.notify.attributes["aria-pressed"], "false");
});

test("nothing is offered where browsers do not allow it, or after the end", () => {
  globalThis.isSecureContext = false;
  make();
  assert.equal(parts.notify.hidden, true);
  globalThis.isSecureContext = true;
  make().show(finished);
  assert.equal(parts.notify.hidden, true);
});
