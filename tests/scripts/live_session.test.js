// A live recording over a microphone and a server that are faked.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LiveSession } from "../../asrkit/ui/transcribe/live_session.js";

let node = null, isStopped = false;

globalThis.AudioContext = class {
  state = "running";
  sampleRate = 48000;
  audioWorklet = { addModule: async () => {} };
  resume = async () => {};
  close = () => {};
  addEventListener = () => {};
  createMediaStreamSource = () => ({ connect: () => {} });
};
globalThis.AudioWorkletNode = class {
  constructor(_context, _name, { processorOptions }) {
    this.chunkFrames = processorOptions.chunkFrames;
    this.port = { postMessage: () => this.port.onmessage({ data: null }) };
    node = this;
  }
};
const track = { stop: () => { isStopped = true; }, addEventListener: () => {} };
const stream = { active: true, getTracks: () => [track], getAudioTracks: () => [track] };
Object.defineProperty(globalThis, "navigator", {
  value: { mediaDevices: { getUserMedia: async () => stream } }, configurable: true,
});

/** Push a chunk of one sample. */
const push = (value) => node.port.onmessage({ data: Float32Array.of(value) });
const decode = (pcm) => [...new Int16Array(Uint8Array.from(atob(pcm), (letter) => letter.charCodeAt(0)).buffer)];

async function until(condition) {
  for (let tries = 0; !condition() && tries < 500; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition());
}

/** A session over a server; `log` holds what was called. reply: gives the reply to a chunk. */
function makeSession({ ready = () => ({ waits: "" }), reply = ({ last }) => ({ state: last ? "done" : "working" }) }) {
  const log = { sent: [], waiting: [], updates: [], connection: [], failures: [] };
  const server = {
    check_model: async () => ready(),
    push_chunk: async (request) => {
      log.sent.push(request);
      return reply(request);
    },
  };
  const session = new LiveSession(server, {
    open: async () => "id",
    numWords: () => 3,
    onWaiting: (text) => log.waiting.push(text),
    onUpdate: (update) => log.updates.push(update),
    onLevel: () => {},
    onConnection: (isLost) => log.connection.push(isLost),
    onFailure: (message) => log.failures.push(message),
  });
  return { session, log };
}

beforeEach(() => { isStopped = false; });

test("chunks are sent in order, and the last one ends the recording", async () => {
  const { session, log } = makeSession({});
  assert.equal(await session.start(), "id");
  assert.equal(node.chunkFrames, 14400);
  for (const value of [0.5, -0.5, 1]) push(value);
  session.stop();
  await until(() => log.updates.at(-1)?.state === "done");
  assert.deepEqual(log.sent.flatMap(({ pcm }) => decode(pcm)), [16384, -16383, 32767]);
  assert.deepEqual(log.sent.map(({ number }) => number), log.sent.map((_, index) => index));
  assert.deepEqual(log.sent.map(({ last }) => last), [...log.sent.slice(1).map(() => false), true]);
  assert.ok(isStopped);
});

test("nothing is sent before the model is ready", async () => {
  let numAsked = 0;
  const { session, log } = makeSession({ ready: () => ({ waits: ++numAsked < 3 ? "Loading" : "" }) });
  await session.start();
  push(0.5);
  assert.equal(log.sent.length, 0);
  await until(() => log.sent.length === 1);
  assert.deepEqual(log.waiting, ["Loading", "Loading", ""]);
  session.end();
});

test("a chunk whose request is lost is sent again under its number", async () => {
  let isLost = true;
  const { session, log } = makeSession({
    reply: () => {
      if (!isLost) return { state: "working" };
      isLost = false;
      throw new Error("lost");
    },
  });
  await session.start();
  push(0.5);
  await until(() => log.sent.length === 2);
  assert.deepEqual(log.sent[0], log.sent[1]);
  await until(() => log.connection.at(-1) === false);
  assert.ok(log.connection.includes(true));
  session.end();
});

test("a failure ends the recording and closes the microphone", async () => {
  const { session, log } = makeSession({ reply: () => ({ error: "It failed." }) });
  await session.start();
  push(0.5);
  await until(() => log.failures.length === 1);
  push(0.5);
  assert.deepEqual([log.failures, log.sent.length, isStopped], [["It failed."], 1, true]);
});

test("a model that cannot be loaded is a failure", async () => {
  const { session, log } = makeSession({ ready: () => ({ error: "There is no such model." }) });
  await session.start();
  await until(() => log.failures.length === 1);
  assert.deepEqual([log.failures[0], isStopped], ["There is no such model.", true]);
});
