// Playing stretches of a recording, over sounds and frames that are faked.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Playback } from "../../asrkit/ui/transcribe/playback.js";

let frames = [], sounds = [], moves = [], errors = [];

globalThis.requestAnimationFrame = (callback) => frames.push(callback);
globalThis.Audio = class {
  constructor(src) {
    Object.assign(this, { src, currentTime: 0, paused: true, ended: false, starting: null });
    sounds.push(this);
  }

  play() {
    this.paused = false;
    return new Promise((resolve, reject) => { this.starting = { resolve, reject }; });
  }

  pause() {
    this.paused = true;
    this.starting?.reject(new Error("interrupted by pause")); // nothing where it had started
  }
};

function drawFrame() {
  for (const callback of frames.splice(0)) callback();
}

/** Let what was played last begin. */
async function begin() {
  sounds.at(-1).starting.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

function makePlayback() {
  return new Playback({ onMove: (timeS) => moves.push(timeS), onError: (message) => errors.push(message) });
}

beforeEach(() => {
  [frames, sounds, moves, errors] = [[], [], [], []];
});

test("a stretch is followed until its end", async () => {
  const playback = makePlayback();
  playback.play("one", 0.4, 0.9);
  assert.equal(moves.at(-1), 0.4);
  await begin();
  sounds[0].currentTime = 0.7;
  drawFrame();
  assert.equal(moves.at(-1), 0.7);
  sounds[0].currentTime = 0.9;
  drawFrame();
  assert.ok(sounds[0].paused && !playback.isPlaying());
  assert.equal(moves.at(-1), null);
});

test("a recording that is played after a word of it plays beyond the word's end", async () => {
  const playback = makePlayback();
  playback.play("one", 0.4, 0.9);
  await begin();
  playback.stop();
  playback.play("one", 0, 8); // before the next frame
  await begin();
  sounds[0].currentTime = 1.5;
  drawFrame();
  assert.ok(playback.isPlaying() && !sounds[0].paused);
  assert.equal(moves.at(-1), 1.5);
  assert.equal(sounds.length, 1, "its sound is fetched once");
});

test("what is stopped before it begins does not fail what is played next", async () => {
  const playback = makePlayback();
  playback.play("one", 0.4, 0.9);
  playback.play("one", 0, 8); // interrupts the first, of which the browser tells later
  await begin();
  drawFrame();
  assert.ok(playback.isPlaying() && !sounds[0].paused);
  assert.deepEqual(errors, []);
});
