// The page: microphone and files to the worker, its words to the screen.

import { takeFinished } from "./live.js";

const LIVE_INTERVAL_MS = 1000;
const find = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
const pending = new Map();
let requests = 0;
let recording = null;

worker.onmessage = ({ data }) => {
  if (data.loaded) return onLoaded(data.loaded);
  if (data.id === undefined) return showStatus(data.error);
  const request = pending.get(data.id);
  if (data.progress !== undefined) return request.onProgress(data);
  pending.delete(data.id);
  if (data.error) return request.reject(new Error(data.error));
  request.resolve(data);
};
worker.onerror = () => showStatus("This browser cannot run the model; use a current Chrome, Edge, Firefox or Safari.");

function onLoaded(model) {
  find("title").textContent = document.title = model.title;
  find("footer").textContent = model.about;
  find("record").disabled = find("file").disabled = false;
  showStatus("Ready. Press Record and speak, or choose a file.");
}

function showStatus(text) {
  find("status").textContent = text;
}

function transcribe(samples, rate, onProgress = () => {}) {
  requests += 1;
  const id = requests;
  return new Promise((resolve, reject) => {
    pending.set(id, { resolve, reject, onProgress });
    worker.postMessage({ id, samples, rate }, [samples.buffer]);
  });
}

function showWords(words, isDraft = false) {
  const text = document.createElement("span");
  text.className = isDraft ? "draft" : "";
  text.textContent = words.map(({ word }) => word).join(" ");
  find("transcript").replaceChildren(text);
  find("details").hidden = !words.length;
  find("words").replaceChildren(...words.map(makeRow));
}

function makeRow({ word, start, end }) {
  const row = document.createElement("tr");
  for (const text of [word, `${start.toFixed(2)} s`, `${end.toFixed(2)} s`]) {
    row.appendChild(document.createElement("td")).textContent = text;
  }
  return row;
}

async function showResult(samples, rate) {
  showStatus("Transcribing …");
  try {
    const result = await transcribe(samples, rate, ({ words, progress }) => {
      showWords(words, true);
      showStatus(`Transcribing: ${Math.round(100 * progress)} %`);
    });
    showWords(result.words);
    const seconds = `${result.duration.toFixed(1)} s of audio in ${result.elapsed.toFixed(1)} s`;
    showStatus(result.words.length ? `Done: ${seconds}.` : `No words were recognised: ${seconds}.`);
  } catch (error) {
    showStatus(`It cannot be transcribed: ${error.message}`);
  }
}

async function startRecording() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  const context = new AudioContext();
  await context.audioWorklet.addModule("recorder.js");
  const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
  node.port.onmessage = ({ data }) => recording?.chunks.push(data);
  context.createMediaStreamSource(stream).connect(node);
  recording = { stream, context, chunks: [], words: [], start: 0, timer: 0, step: Promise.resolve(), isBusy: false };
  recording.timer = setInterval(showLive, LIVE_INTERVAL_MS);
  find("record").textContent = "Stop";
  find("record").classList.add("recording");
  find("file").disabled = true;
  showWords([]);
  showStatus("Listening …");
}

/** Show what was said so far. Words that a pause follows are final; the audio before the pause is dropped. */
function showLive() {
  const current = recording;
  if (!current || current.isBusy || !current.chunks.length) return;
  current.isBusy = true;
  current.step = recogniseOpenPart(current, false).catch((error) => showStatus(error.message)).finally(() => {
    current.isBusy = false;
  });
}

async function recogniseOpenPart(current, isLast) {
  const rate = current.context.sampleRate;
  const open = join(current.chunks);
  const { words } = await transcribe(open.slice(), rate);
  const { finished, cut } = takeFinished(words, open.length / rate, isLast);
  const shifted = words.map(({ word, start, end }) => ({
    word, start: start + current.start, end: end + current.start,
  }));
  showWords([...current.words, ...shifted], !isLast);
  current.words.push(...shifted.slice(0, finished));
  current.chunks = [join(current.chunks).subarray(Math.round(cut * rate))];
  current.start += cut;
}

async function stopRecording() {
  const current = recording;
  recording = null;
  clearInterval(current.timer);
  current.stream.getTracks().forEach((track) => track.stop());
  find("record").textContent = "Record";
  find("record").classList.remove("recording");
  find("file").disabled = false;
  showStatus("Transcribing …");
  await current.step;
  if (current.chunks.length) await recogniseOpenPart(current, true);
  await current.context.close();
  showStatus(current.words.length ? `Done: ${current.start.toFixed(1)} s of audio.` : "No words were recognised.");
}

function join(chunks) {
  const joined = new Float32Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let position = 0;
  for (const chunk of chunks) {
    joined.set(chunk, position);
    position += chunk.length;
  }
  return joined;
}

find("record").onclick = async () => {
  find("record").disabled = true;
  try {
    await (recording ? stopRecording() : startRecording());
  } catch (error) {
    showStatus(`The microphone cannot be used (${error.message}); allow it in the browser's settings.`);
  } finally {
    find("record").disabled = false;
  }
};

find("file").onchange = async () => {
  const [file] = find("file").files;
  if (!file) return;
  find("file").value = "";
  try {
    const decoded = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(await file.arrayBuffer());
    const mono = new Float32Array(decoded.length);
    for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
      decoded.getChannelData(channel).forEach((value, index) => { mono[index] += value / decoded.numberOfChannels; });
    }
    await showResult(mono, decoded.sampleRate);
  } catch {
    showStatus(`${file.name} is no audio that this browser can read; try WAV, MP3 or M4A.`);
  }
};

if ("serviceWorker" in navigator) navigator.serviceWorker.register("service-worker.js");
