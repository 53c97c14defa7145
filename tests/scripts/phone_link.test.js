import assert from "node:assert/strict";
import { test } from "node:test";

import { describeAddress } from "../../asrkit/ui/export/phone_link.js";

const describe = (address) => describeAddress(new URL(address));

test("an address of this machine is of no use on a phone", () => {
  for (const host of ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"]) {
    assert.equal(describe(`http://${host}:7860/`), "phone.this_machine");
  }
});

test("a phone's microphone needs https", () => {
  assert.equal(describe("https://me-asrkit.hf.space/"), "phone.help");
  assert.equal(describe("http://192.168.1.5:7860/"), "phone.no_microphone");
  assert.equal(describe("http://127.0.0.1.example.org/"), "phone.no_microphone");
});
