import assert from "node:assert/strict";
import { test } from "node:test";

import { makeIcon } from "../../asrkit/ui/common/tab_icon.js";

const dashesOf = (icon) => decodeURIComponent(icon).match(/stroke-dasharray="([\d.]+) ([\d.]+)"/)?.slice(1).map(Number);

test("the icon's ring is filled as far as the run has come", () => {
  for (const progress of [0, 0.25, 1]) {
    const [done, all] = dashesOf(makeIcon(progress));
    assert.ok(Math.abs(done / all - progress) < 0.002);
  }
});

test("the icon is the app's mark where no run is under way", () => {
  assert.equal(dashesOf(makeIcon(null)), undefined);
  assert.match(makeIcon(null), /^data:image\/svg\+xml,/);
});
