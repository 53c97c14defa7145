import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Tour } from "../../asrkit/ui/train/tour.js";

let parts, stored, explained, beside;

class FakePart extends EventTarget {
  hidden = true;
  textContent = "";

  contains() { return false; }
  focus() {}
  scrollIntoView() {}
}

const element = {
  querySelector: (selector) => {
    if (selector === ".explained") return explained;
    const place = (where) => () => { beside = `${where} ${selector}`; };
    const classList = { add: () => { explained = { selector, classList: { remove: () => { explained = null; } } }; } };
    return { classList, before: place("before"), after: place("after") };
  },
};

beforeEach(() => {
  const names = ["tour", "tour-count", "tour-text", "tour-next", "tour-end", "status"];
  parts = Object.fromEntries(names.map((name) => [name, new FakePart()]));
  parts.runs = { options: [{}] };
  stored = {};
  explained = null;
  globalThis.document = { activeElement: null };
  globalThis.localStorage = {
    getItem: (key) => stored[key] ?? null,
    setItem: (key, text) => { stored[key] = text; },
  };
});

const makeTour = () => new Tour(element, (name) => parts[name]);
const press = (name) => parts[name].dispatchEvent(new Event("click"));

test("each hint stands beside what it explains", () => {
  makeTour().show({ can: ["stop"] });
  const seen = [];
  while (!parts.tour.hidden) {
    seen.push([explained.selector, beside]);
    press("tour-next");
  }
  assert.deepEqual(seen, [
    ["[data-part=progress]", "after [data-part=progress]"],
    ["[data-part=charts]", "before [data-part=charts]"],
    ["[data-action=stop]", "after .live-head"],
  ]);
  assert.equal(explained, null);
});

test("a skipped tour is not shown again", () => {
  makeTour().show({ can: ["stop"] });
  press("tour-end");
  const again = makeTour();
  again.show({ can: ["stop"] });
  assert.ok(parts.tour.hidden);
});

test("hints are not shown where the run cannot be stopped, nor among several runs", () => {
  const tour = makeTour();
  tour.show({ can: ["resume", "delete"] });
  assert.ok(parts.tour.hidden);
  parts.runs.options.push({});
  tour.show({ can: ["stop"] });
  assert.ok(parts.tour.hidden);
});

test("the tour ends with the run, and goes on with the next hint over another", () => {
  const tour = makeTour();
  tour.show({ can: ["stop"] });
  press("tour-next");
  tour.show({ can: ["delete"] });
  assert.ok(parts.tour.hidden && explained === null);
  tour.show({ can: ["stop"] });
  assert.equal(explained.selector, "[data-part=charts]");
});
