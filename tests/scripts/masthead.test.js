import assert from "node:assert/strict";
import { test } from "node:test";

import { makeCookie } from "../../asrkit/ui/common/masthead.js";

test("the language is kept for a year, for this app alone", () => {
  const cookie = makeCookie("de", new URL("http://127.0.0.1:7860/user/me/"));
  assert.equal(cookie, "asrkit-language=de; Path=/user/me/; Max-Age=31536000; SameSite=Strict");
});

test("in the frame of a Space the cookie is partitioned", () => {
  assert.match(makeCookie("hi", new URL("https://me.hf.space/")), /; SameSite=None; Secure; Partitioned$/);
});
