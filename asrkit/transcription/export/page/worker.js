// Runs the model: messages { id, samples, rate } -> { id, words, progress } for each segment, then
// { id, words, duration, elapsed }, or { id, error }.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";
import { findCut, MAX_SEGMENT_S, normalise, RATE, resample } from "./audio.js";
import { buildLexicon, decodeGreedily, decodeWithWords, logSoftmax } from "./decoding.js";

ort.env.wasm.wasmPaths = { wasm: new URL("./runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;

const loading = load();
let queue = loading;

async function load() {
  const model = await (await fetch("model.json")).json();
  const session = await ort.InferenceSession.create("model.int8.onnx", { executionProviders: ["wasm"] });
  return { model, session, lexicon: model.words && buildLexicon(model) };
}

loading.then(
  ({ model }) => self.postMessage({ loaded: model }),
  (error) => self.postMessage({ error: `The model cannot be loaded: ${error.message}` }),
);

self.onmessage = ({ data }) => {
  queue = queue.then(() => transcribe(data)).catch((error) => self.postMessage({ id: data.id, error: error.message }));
};

async function transcribe({ id, samples, rate }) {
  const { model, session, lexicon } = await loading;
  const started = performance.now();
  const words = [];
  let rest = resample(samples, rate);
  const duration = rest.length / RATE;
  let offset = 0;
  while (rest.length >= model.min_samples) {
    const cut = rest.length > MAX_SEGMENT_S * RATE ? findCut(rest) : rest.length;
    words.push(...(await recognise(rest.subarray(0, cut), offset, model, session, lexicon)));
    offset += cut / RATE;
    rest = rest.subarray(cut);
    self.postMessage({ id, words, progress: offset / duration });
  }
  self.postMessage({ id, words, duration, elapsed: (performance.now() - started) / 1000 });
}

async function recognise(samples, offset, model, session, lexicon) {
  const input = new ort.Tensor("float32", normalise(samples, model.epsilon), [1, samples.length]);
  const { logits } = await session.run({ [session.inputNames[0]]: input });
  const tokens = model.spellings.length;
  const scores = logSoftmax(Float32Array.from(logits.data), tokens);
  const found = lexicon ? decodeWithWords(scores, model, lexicon) : decodeGreedily(scores, model);
  const frame = samples.length / RATE / (scores.length / tokens);
  return found.map(({ word, start, end }) => ({ word, start: offset + start * frame, end: offset + end * frame }));
}
