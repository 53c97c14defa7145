// Every module can be imported: its syntax is right, and what it imports exists.

import { readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const UI = new URL("../../asrkit/ui/", import.meta.url);

// The worklet is no module of the page: it finds these in the audio thread.
globalThis.AudioWorkletProcessor = class {};
globalThis.registerProcessor = () => {};

for (const name of readdirSync(fileURLToPath(UI), { recursive: true })) {
  if (name.endsWith(".js")) test(name, () => import(new URL(name, UI)));
}
