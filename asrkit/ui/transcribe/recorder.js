// Body of the function that Gradio calls once the recorder is in the page, behind the other chapters (`talk.py`).
// What was heard is shown through textContent only; the one piece of ready HTML (compare) was escaped by the server.

const TIMELINE_S = 60, PIXELS_A_SECOND = 110, PARAGRAPH_S = 2.0, DOUBLE_CLICK_MS = 400;

let shown = null;            // the recording on view: { id, words, peaks, duration_s, ... }
let mine = null;             // the one that the microphone fills, on view or not
let recorder = null, clockTimer = null, begunAt = 0, spoken = 0;
let playhead = null;

// ---- recording

async function record() {
  if (held(part("record"))) return;
  if (recorder) { stopRecording(); return; }
  complain("");
  const model = props.value, name = `Recording ${spoken + 1}`;
  let waiting = "", offline = false;
  const taken = mine = { id: null, state: "working", words: [], partial: "", duration_s: 0 };
  recorder = microphone({
    begun: async (rate) => {
      const answer = await answered("start", { model, name, rate: Math.round(rate), ...expected() });
      if (answer.error) throw new Error(answer.error);
      return answer.id;
    },
    waits: (words) => { waiting = words; if (shown === taken) note(words || "Listening…"); },
    told: { seen: () => taken.words.length, show: showLive },
    lost: (now) => {
      if (now || offline) complain(now ? "The app does not answer; what you say is kept and sent when it does." : "");
      offline = now;
    },
    failed: (words) => { complain(words); finished(); },
    level: drawLevel,
  });
  fresh(taken);
  part("expectation").open = false; // the words appear below it
  hold(part("record"), true);
  try { taken.id = await recorder.start(); } catch (error) {
    complain(sentence(error.message) || "The recording could not be begun.");
    finished();
    if (shown === taken) { part("result").hidden = true; shown = null; }
    return;
  }
  spoken += 1;
  listed.push(taken.id);
  poll();
  if (mine !== taken) return; // it failed at once
  begunAt = performance.now();
  hold(part("record"), false);
  part("record").textContent = "Stop";
  part("record").classList.add("on");
  part("clock").hidden = part("level").hidden = false;
  if (shown === taken) note(waiting || "Listening…");
  clockTimer = setInterval(() => { part("clock").textContent = clock((performance.now() - begunAt) / 1000); }, 200);
}

function stopRecording() {
  recorder.stop();
  clearInterval(clockTimer);
  hold(part("record"), true);
  part("record").textContent = "Finishing…";
}

// What the microphone says goes to its own recording, whatever is on view.
function showLive(answer) {
  const taken = mine, onView = shown === taken;
  Object.assign(taken, { partial: answer.partial, state: answer.state });
  if (onView) { addWords(answer.words); part("partial").textContent = answer.partial; } else taken.words.push(...answer.words);
  if (answer.state === "working") return;
  finished();
  if (answer.state === "failed") complain(answer.notice); else if (onView) view(taken.id);
}

function viewMine() {
  const words = mine.words.splice(0);
  fresh(mine, "Listening…");
  addWords(words);
  part("partial").textContent = mine.partial;
  markRow();
}

function finished() {
  clearInterval(clockTimer);
  if (shown === mine) note("");
  recorder = mine = null;
  poll();
  hold(part("record"), false);
  part("record").textContent = "Record";
  part("record").classList.remove("on");
  part("clock").hidden = part("level").hidden = true;
}

const levels = [];
function drawLevel(samples) {
  let most = 0;
  for (const value of samples) most = Math.max(most, Math.abs(value));
  levels.push(most / 32768);
  if (levels.length > 40) levels.shift();
  const canvas = part("level"), pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = colour("--good");
  levels.forEach((one, place) => {
    const tall = Math.max(2, one * canvas.height);
    pen.fillRect(place * 4, (canvas.height - tall) / 2, 3, tall);
  });
}

// ---- the result

function fresh(recording, words = "") {
  shown = null;
  sound.stop();
  shown = recording;
  part("result").hidden = false;
  part("done").hidden = part("doubt").hidden = part("kept").hidden = true;
  part("words").replaceChildren();
  part("partial").textContent = part("compared").textContent = "";
  note(words);
}

async function view(id) {
  const told = await ask("show", { id });
  if (!told) return;
  fresh({ id, words: [], state: told.state, duration_s: told.duration_s, peaks: told.peaks });
  addWords(told.words);
  showDone(told);
}

function showDone(told) {
  const seconds = told.seconds < 60 ? `${told.seconds.toFixed(1)} s` : clock(told.seconds);
  note(`${told.name} · ${told.model} · ${told.duration_s.toFixed(1)} s of sound · transcribed in ${seconds}`);
  part("doubt").hidden = !told.notice;
  part("doubt").textContent = told.notice;
  part("done").hidden = !told.duration_s;
  part("corrected").value = textOf(shown.words);
  drawTimeline();
  markRow();
}

function markRow() {
  [...part("rows").children].forEach((row, place) => row.setAttribute("aria-current", String(listed[place] === shown?.id)));
}

const sound = player((at) => {
  playhead = at;
  part("play").textContent = at === null ? "Play" : "Stop";
  if (!shown) return;
  drawWave();
  for (const button of element.querySelectorAll(".word.playing")) button.classList.remove("playing");
  const place = at === null ? -1 : shown.words.findIndex((one) => one.start_s - EDGE_S <= at && at < one.end_s + EDGE_S);
  if (place >= 0) for (const button of element.querySelectorAll(`.word[data-place="${place}"]`)) button.classList.add("playing");
});

function playWord(place) {
  const one = shown.words[place];
  if (one && shown.id && !mine) sound.play(shown.id, Math.max(0, one.start_s - EDGE_S), one.end_s + EDGE_S);
}

function askAnew(name, asked) { complain(""); return ask(name, asked); }
function sentence(words) { return words && words[0].toUpperCase() + words.slice(1) + (words.endsWith(".") ? "" : "."); }
function note(words) { part("note").textContent = words; }
function make(tag, style, about = {}) { return Object.assign(document.createElement(tag), { className: style }, about); }
function colour(name) { return getComputedStyle(element.querySelector(".talk")).getPropertyValue(name).trim(); }
function clock(seconds) {
  const whole = Math.floor(seconds), pad = (value) => String(value).padStart(2, "0");
  const rest = `${Math.floor(whole / 60) % 60}:${pad(whole % 60)}`;
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}` : rest;
}

// ---- wiring

part("record").addEventListener("click", record);
part("pick").addEventListener("click", () => part("files").click());
part("files").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
element.addEventListener("dragover", (event) => { event.preventDefault(); part("drop").classList.add("over"); });
element.addEventListener("dragleave", () => part("drop").classList.remove("over"));
element.addEventListener("drop", (event) => {
  event.preventDefault();
  part("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
element.addEventListener("click", (event) => {
  const place = event.target.closest(".word")?.dataset.place;
  if (place !== undefined) playWord(Number(place));
});
// Arrow keys go from word to word; Enter, on a button, is a click.
part("words").addEventListener("keydown", (event) => {
  const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key], place = Number(event.target.dataset?.place);
  const next = way && part("words").querySelector(`[data-place="${place + way}"]`);
  if (!next) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
part("wave").addEventListener("click", (event) => {
  if (shown?.id) sound.play(shown.id, event.offsetX / part("wave").clientWidth * shown.duration_s, shown.duration_s);
});
part("timeline").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target === part("timeline")) part("play").click();
});
// Play becomes Stop; the second half of a double click is meant for neither.
let playedAt = -Infinity;
part("play").addEventListener("click", (event) => {
  if (!sound.playing()) { playedAt = event.timeStamp; sound.play(shown.id, 0, shown.duration_s); }
  else if (event.timeStamp - playedAt > DOUBLE_CLICK_MS) sound.stop();
});
part("copy").addEventListener("click", async () => {
  note(await copied(textOf(shown.words)) ? "Copied." : "The browser does not let this page copy; select the words instead.");
});
// Pages without https have no clipboard of their own.
async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const held = element.appendChild(make("textarea", "", { value: text }));
  held.select();
  const worked = document.execCommand("copy");
  held.remove();
  return worked;
}
for (const button of element.querySelectorAll("[data-format]")) {
  button.addEventListener("click", async () => {
    const told = await askAnew("text", { id: shown.id, format: button.dataset.format });
    if (told) saveAs(told.text, "text/plain;charset=utf-8", told.name);
  });
}
part("bundle").addEventListener("click", async () => {
  const told = await askAnew("bundle", { ids: listed });
  if (told) saveAs(Uint8Array.from(atob(told.zip), (letter) => letter.charCodeAt(0)), "application/zip", told.name);
});
part("cancel").addEventListener("click", () => { cancels += 1; askAnew("cancel", { ids: listed.filter((id) => id !== mine?.id) }); });
part("align").addEventListener("click", async () => {
  const told = await askAnew("correct", { id: shown.id, text: part("corrected").value });
  if (!told) return;
  const text = part("corrected").value;
  await view(shown.id);
  part("corrected").value = text;
  if (told.notice) complain(told.notice);
});
part("keep").addEventListener("click", async () => {
  const told = await askAnew("keep", { id: shown.id, text: part("corrected").value, dataset: part("dataset").value,
                                   speaker: part("speaker").value });
  part("kept").hidden = !told;
  if (told) part("kept").textContent = told.done;
});
part("versus").addEventListener("toggle", async () => {
  const told = part("versus").open && await askAnew("rivals", {});
  if (!told) return;
  const chosen = part("other").value;
  part("other").replaceChildren(...told.rivals.map((one) => new Option(one.label, one.value)));
  if (told.rivals.some((one) => one.value === chosen)) part("other").value = chosen;
});
part("compare").addEventListener("click", async () => {
  if (held(part("compare"))) return;
  hold(part("compare"), true);
  part("compared").textContent = "Listening…";
  const told = await askAnew("compare", { id: shown.id, other: part("other").value, reference: part("reference").value });
  hold(part("compare"), false);
  part("compared").innerHTML = told ? told.html : ""; // escaped by the server
});
// The model on choice is loaded once the tab is on view, before anybody has spoken.
let onView = false;
const ahead = () => { if (onView) server.ahead({ model: props.value }).catch((error) => console.warn("asrkit:", error)); };
const choose = () => { element.querySelector(".talk").dataset.model = props.value; ahead(); };
watch("value", choose);
choose();
new IntersectionObserver((seen) => { onView = seen.at(-1).isIntersecting; ahead(); }).observe(element);
new MutationObserver(drawWave).observe(document.body, { attributes: true, attributeFilter: ["class"] });
new ResizeObserver(() => { if (shown?.peaks && !part("done").hidden) drawTimeline(); }).observe(element);
