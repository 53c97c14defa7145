// Third chapter of the Data tab: a small recording studio. One sentence at a time; what is kept is on disk at once, and what
// is not kept yet, and where one was, is in the browser, second by second, so that a reload loses nothing.

const KEPT_HERE = "asrkit-recorder";
const CLIP_AT = 0.985, QUIET_AT = 0.02; // of full scale
const LEAST_S = 0.4, MOST_S = 60;

let studio = { name: "", waiting: [], at: 0 };
let microphone = null;   // { stream, context, node }
let chunks = null;       // what is being recorded
let take_now = null;     // { id, wav (base64), text, seconds, peak, clipped }
let unwritten = [];      // of what is being recorded, not in the browser's database yet

function remembered(key) { try { return JSON.parse(localStorage.getItem(key)) || {}; } catch { return {}; } }
function remember(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* this browser keeps nothing: one begins where the dataset is */ }
}

// ---- the take in the browser's database: who and what it is, and its samples in pieces

let holds = true; // whether this browser keeps takes at all
const database = new Promise((ready, fail) => {
  const asked = indexedDB.open("asrkit-recorder", 1);
  asked.onupgradeneeded = () => { asked.result.createObjectStore("take"); asked.result.createObjectStore("pieces", { autoIncrement: true }); };
  asked.onsuccess = () => ready(asked.result);
  asked.onerror = () => fail(asked.error);
});
database.catch((error) => { holds = false; console.warn("asrkit: takes are not kept in this browser", error); });

async function in_database(work) {
  try {
    const change = (await database).transaction(["take", "pieces"], "readwrite");
    const asked = work(change.objectStore("take"), change.objectStore("pieces"));
    await new Promise((done, fail) => { change.oncomplete = done; change.onabort = change.onerror = () => fail(change.error); });
    return asked && asked.map((each) => each.result);
  } catch (error) {
    if (holds) console.warn("asrkit: the take could not be kept in this browser", error);
    holds = false;
    return null;
  }
}

function begin_take(told) { unwritten = []; return in_database((take, pieces) => { pieces.clear(); take.put(told, "now"); }); }
function forget_take() { unwritten = []; in_database((take, pieces) => { pieces.clear(); take.clear(); }); }
function write_pieces() {
  if (!unwritten.length) return;
  const piece = joined(unwritten);
  unwritten = [];
  in_database((take, pieces) => { pieces.add(piece); });
}

function joined(parts) {
  const samples = new Float32Array(parts.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of parts) { samples.set(each, at); at += each.length; }
  return samples;
}

function record_note(words, style = "quiet") {
  part("record-note").textContent = words;
  part("record-note").className = `record-note ${style}`;
}

// ---- setting up

async function list_prompts() {
  const told = await ask("lists", {}), before = remembered(KEPT_HERE);
  if (!told) return;
  options(part("record-list"), [...told.lists, ["own", "My own sentences"], ["", "Those of this dataset, as they are"]], before.list ?? "en");
  part("collections").replaceChildren(...told.collections.map((name) => make("option", { value: name })));
  if (before.name) part("record-name").value = before.name;
  if (before.speaker) part("record-speaker").value = before.speaker;
  own_prompts();
  if (before.name && before.open && told.collections.includes(before.name)) {
    choose_way("record");
    enter(await ask("progress", { name: before.name }));
  }
}

function own_prompts() {
  const own = part("record-list").value === "own";
  part("own-prompts").hidden = part("own-file").hidden = !own;
}
part("record-list").addEventListener("change", own_prompts);
part("record-file").addEventListener("change", async (event) => { part("record-text").value = await event.target.files[0].text(); });

async function begin(replace) {
  notice("");
  stop_recording(); // it belongs to the sentence that is shown now
  const list = part("record-list").value;
  if (list === "own" && !part("record-text").value.trim()) { notice("Write the sentences to read, one a line."); return; }
  enter(await ask("begin", { name: part("record-name").value, list: list === "own" ? "" : list, text: list === "own" ? part("record-text").value : "", replace }));
}
part("record-setup").addEventListener("submit", (event) => { event.preventDefault(); begin(false); });
part("record-replace").addEventListener("click", () => begin(true));

async function enter(told) {
  if (!told) return;
  studio = { ...told, at: 0 };
  remember(KEPT_HERE, { name: told.name, list: part("record-list").value, speaker: part("record-speaker").value, open: true });
  part("studio").hidden = false;
  part("others").hidden = !told.others;
  take_now = null;
  const [pending, pieces] = await in_database((take, kept) => [take.get("now"), kept.getAll()]) || [];
  if (pending && pieces.length && !chunks && pending.name === told.name && told.waiting.includes(pending.text)) {
    studio.at = told.waiting.indexOf(pending.text);
    take_now = measured(pending, joined(pieces));
  }
  show_prompt();
}

// ---- one prompt

function show_prompt() {
  const all = studio.prompts, prompt = studio.waiting[studio.at];
  part("record-count").textContent = `${plural(studio.kept, "clip")} kept, ${studio.minutes.toFixed(1)} min · ${plural(studio.to_go, "sentence")} to go`;
  part("record-bar").style.width = all ? `${100 * (all - studio.to_go) / all}%` : "0";
  part("prompt").textContent = prompt ?? (all ? "All sentences are recorded." : "This dataset has no sentences yet: choose some above.");
  part("prompt").dir = "auto";
  part("record-done").disabled = !studio.kept;
  const ready = prompt !== undefined;
  part("record-start").hidden = !ready || take_now !== null || chunks !== null;
  part("record-stop").hidden = chunks === null;
  part("record-skip").hidden = !ready || chunks !== null;
  for (const name of ["record-play", "record-keep", "record-again"]) part(name).hidden = take_now === null || chunks !== null;
  if (!take_now && !chunks) record_note(!ready ? "" : holds ? "Press Record and read it aloud."
    : "Press Record and read it aloud. This browser keeps nothing for a page: what is not kept here before a reload is lost.");
  if (take_now) judge();
}

function judge() {
  if (take_now.seconds < LEAST_S) record_note("That was very short. Did you press Stop too early?", "warn-text");
  else if (take_now.clipped) record_note("Too loud: the recording is clipped. Move away a little and try again.", "warn-text");
  else if (take_now.peak < QUIET_AT) record_note("Very quiet. Come closer, or check which microphone is used.", "warn-text");
  else record_note(`${take_now.seconds.toFixed(1)} s. Hear it, or keep it.`);
}

part("record-skip").addEventListener("click", () => {
  drop_take();
  studio.at = (studio.at + 1) % Math.max(1, studio.waiting.length);
  show_prompt();
});

function drop_take() { take_now = null; forget_take(); hush(); }

// ---- recording

const WORKLET = `registerProcessor("asrkit-tap", class extends AudioWorkletProcessor {
  process(inputs) { if (inputs[0][0]) this.port.postMessage(inputs[0][0].slice()); return true; }
});`;

let opening = null; // who presses twice before it is open has one microphone all the same
function open_microphone() { return opening ??= opened_microphone().finally(() => { opening = null; }); }

async function opened_microphone() {
  if (microphone && microphone.stream.active) { await wake(microphone.context); return microphone; }
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 } });
  const context = new AudioContext();
  microphone = { stream, context };
  try {
    const source = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
    await context.audioWorklet.addModule(source);
    URL.revokeObjectURL(source);
    const node = new AudioWorkletNode(context, "asrkit-tap");
    context.createMediaStreamSource(stream).connect(node);
    node.port.onmessage = (event) => hear_chunk(event.data);
    await wake(context);
  } catch (error) {
    close_microphone(); // or its light stays on
    throw error;
  }
  if (part("record").hidden) { close_microphone(); return null; } // left while the browser asked
  return microphone;
}

function close_microphone() {
  stop_recording();
  if (!microphone) return;
  microphone.stream.getTracks().forEach((track) => track.stop());
  microphone.context.close();
  microphone = null;
  show_level(0);
}

let level = 0, loud_until = 0;
function hear_chunk(samples) {
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  level = Math.max(peak, level * 0.92);
  if (peak >= CLIP_AT) loud_until = performance.now() + 1500;
  show_level(level);
  if (!chunks) return;
  chunks.push(samples);
  unwritten.push(samples);
  if (unwritten.length * samples.length > microphone.context.sampleRate) write_pieces();
  if (chunks.length * samples.length > MOST_S * microphone.context.sampleRate) stop_recording();
}

function show_level(peak) {
  const share = peak > 0 ? Math.max(0, 1 + Math.log10(peak) / 2.5) : 0; // -50 dB to 0 dB
  const meter = part("meter");
  meter.firstElementChild.style.width = `${100 * share}%`;
  meter.setAttribute("aria-valuenow", Math.round(100 * share));
  meter.classList.toggle("clipping", performance.now() < loud_until);
}

async function start_recording() {
  hush();
  try { if (!await open_microphone() || chunks) return; } catch (error) {
    const why = navigator.mediaDevices ? error instanceof DOMException ? `the browser says ${error.name}` : error.message : "a page that is not on this machine needs https for it";
    notice(`The microphone cannot be used (${why}); allow it for this page, or plug one in.`);
    return;
  }
  notice("");
  take_now = null; // only now: a microphone that does not open costs no take
  recording = { id: [...crypto.getRandomValues(new Uint8Array(8))].map((each) => each.toString(16).padStart(2, "0")).join(""),
    name: studio.name, text: studio.waiting[studio.at], rate: microphone.context.sampleRate };
  begin_take(recording);
  chunks = [];
  show_prompt();
  record_note("Listening…");
  part("record-stop").focus({ preventScroll: true });
}

let recording = null; // { id, name, text, rate } of what is being recorded

function stop_recording() {
  if (!chunks) return;
  write_pieces();
  take_now = measured(recording, joined(chunks));
  chunks = null;
  show_prompt();
  part("record-keep").focus({ preventScroll: true });
}

// A take as it is judged, heard and sent.
function measured({ id, text, rate }, samples) {
  let peak = 0, run = 0, clipped = false;
  for (const sample of samples) {
    peak = Math.max(peak, Math.abs(sample));
    run = Math.abs(sample) >= CLIP_AT ? run + 1 : 0;
    clipped ||= run >= 3;
  }
  return { id, wav: to_base64(to_wav(samples, rate)), text, seconds: samples.length / rate, peak, clipped };
}

// Mono, 16 bit, at the microphone's own rate: the server resamples.
function to_wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const words = (at, text) => [...text].forEach((letter, place) => view.setUint8(at + place, letter.charCodeAt(0)));
  words(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); words(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  words(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, place) => view.setInt16(44 + 2 * place, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Uint8Array(view.buffer);
}

function to_base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}

async function keep_take() {
  if (!take_now) return;
  hush();
  part("record-keep").disabled = true;
  const told = await ask("keep", { name: studio.name, text: take_now.text, speaker: part("record-speaker").value, wav: take_now.wav, take: take_now.id });
  part("record-keep").disabled = false;
  if (!told) return; // the take stays, here and in the browser
  drop_take();
  const next = Math.min(studio.at, Math.max(0, told.waiting.length - 1));
  studio = { ...told, at: next };
  notice("");
  show_prompt();
  part("record-start").focus({ preventScroll: true });
}

part("record-start").addEventListener("click", start_recording);
part("record-stop").addEventListener("click", stop_recording);
part("record-again").addEventListener("click", start_recording);
part("record-keep").addEventListener("click", keep_take);
part("record-play").addEventListener("click", () => { hush(); player.src = `data:audio/wav;base64,${take_now.wav}`; player.play().catch(hush); });
part("record-done").addEventListener("click", () => { hush(); close_microphone(); part("path").value = studio.data; look(studio.data); });
list_prompts();
