// Last chapter of the body of the function that Gradio calls once the panel is in the page; element, props, server,
// trigger and watch are its arguments. The panel asks the server for news and changes the page in place. It shows text
// from a run through textContent only; the one piece of ready HTML (evaluation.html) was escaped by the server.

const OFFLINE_MS = 2000;
const PAGE = Math.random().toString(36).slice(2); // so that the server can count who looks
const HIDDEN_MS = 15000;  // between two looks while nobody sees the page: its title says how far the run is
const AWAY_MS = 5000;     // and while they see another tab of it
const SURE_MS = 10000;    // how long "Cancel" waits for the second click
const SURE = { cancel: "Cancel for good?", delete: "Delete it for good?" };
const DOUBLE_MS = 400;    // two clicks within are one
const PATIENCE_MS = 15000; // how long a cancelled worker may go on before it can be ended by force

let run = new URLSearchParams(location.search).get("run") || "";
let shown = { after: 0, signature: null, models: false };
let timer = null, asking = false, again = false, pace = 1000;
let cancelledAt = null, armed = null, due = performance.now() + AWAY_MS, wasThere = true;
let elsewhere = /[?&]compare=/.test(location.search); // such an address is about to open another tab

// ---- asking

async function ask() {
  clearTimeout(timer);
  if (!element.isConnected) return;
  if (asking) { again = true; return; }
  if (!seen() && performance.now() < due) { timer = setTimeout(ask, due - performance.now()); return; }
  asking = true; again = false;
  const asked = { run, after: charts.tooLong() ? 0 : shown.after, ...hearing.asked(), signature: shown.signature,
                  log: part("log").open, page: PAGE };
  try {
    const told = await server.poll(asked);
    part("offline").hidden = true;
    if (asked.run === run) show(told);
  } catch (error) {
    console.warn("asrkit: no answer", error);
    part("offline").hidden = false;
    pace = OFFLINE_MS;
  }
  asking = false;
  due = performance.now() + (document.hidden ? HIDDEN_MS : AWAY_MS);
  timer = setTimeout(ask, again ? 0 : seen() ? pace : Math.max(pace, due - performance.now()));
}

function seen() { return !document.hidden && element.offsetParent && !elsewhere; }

// The panel is shown, hidden or of another size now.
function placed() {
  charts.fit();
  const there = Boolean(element.offsetParent);
  if (there && !wasThere) ask();
  if (!there) elsewhere = false;
  wasThere = there;
}

function choose(id, kept) {
  calm();
  run = id;
  shown = { after: 0, signature: shown.signature, models: shown.models };
  hearing.forget();
  notice("");
  if (kept) {
    const address = new URL(location.href);
    if (id) address.searchParams.set("run", id); else address.searchParams.delete("run");
    history.replaceState(history.state, "", address);
  }
  ask();
}

async function act(action, clicked) {
  if (SURE[action] && armed?.button !== clicked) { makeSure(clicked, SURE[action]); return; }
  if (clicked.ariaDisabled) return;
  calm();
  fold();
  try {
    const told = await server.act(action === "next" ? { action: "move", run, position: 1 } : { action, run });
    if (action === "delete" && !told.notice) { part("runs").focus(); choose("", true); return; }
    notice(told.notice);
  } catch { part("offline").hidden = false; }
  ask();
}

// Close the menu. Who was in it is at its button then, not nowhere.
function fold() {
  if (part("more").querySelector("div").contains(document.activeElement)) part("more").querySelector("summary").focus();
  part("more").open = false;
}

// What throws something away takes a second click, later than a double click and while the same run is shown.
function makeSure(button, question) {
  calm();
  armed = { button, words: button.textContent, timer: setTimeout(calm, SURE_MS) };
  button.classList.add("sure");
  button.textContent = question;
  button.ariaDisabled = "true"; // one that is disabled would lose the focus
  setTimeout(() => { button.ariaDisabled = null; }, DOUBLE_MS);
}

function calm() {
  if (!armed) return;
  clearTimeout(armed.timer);
  armed.button.classList.remove("sure");
  armed.button.textContent = armed.words;
  armed = null;
}

// ---- showing

function show(told) {
  shown.signature = told.signature;
  if (told.runs) { listRuns(told.runs); queue.show(told.queue); }
  // Something else on the page may have to change: what can be started, and which models there are.
  const models = told.run === run ? Boolean(told.has_model) : shown.models;
  if (told.runs || models !== shown.models) trigger("change");
  shown.models = models;
  if (told.notice) { notice(told.notice); part("body").hidden = false; part("empty").hidden = true; }
  pace = told.read < 1 ? 0 : told.pace_ms;
  part("body").classList.toggle("gone", !told.run);
  if (!told.run) { showNone(told.notice); return; }
  run = told.run;
  shown.after = told.offset;
  part("empty").hidden = true;
  part("body").hidden = false;
  part("runs").value = run;
  showState(told);
  showError(told.error);
  showFindings(told.findings);
  if (told.read === 1) {
    charts.add(told);
    hearing.add(told);
  }
  if (told.log !== null) showLog(told.log);
}

// There is no run, or none of the name in the address: nothing of another run may stand here as if it were this one.
function showNone(told) {
  part("empty").hidden = Boolean(told);
  part("body").hidden = !told;
  document.title = "asrkit";
  const choice = part("runs");
  if (choice.selectedIndex < 0) choice.prepend(Object.assign(new Option("choose a run", "", true, true), { disabled: true }));
}

function showState(told) {
  text("status", told.status_word);
  part("status").dataset.status = told.status;
  cancelledAt = told.can.includes("kill") ? cancelledAt ?? performance.now() : null;
  const held = document.activeElement;
  for (const button of element.querySelectorAll("[data-action]")) {
    const early = button.dataset.action === "kill" && performance.now() - cancelledAt < PATIENCE_MS;
    button.hidden = early || !told.can.includes(button.dataset.action);
  }
  // What was pressed may be gone. Not to the next button: who presses twice by accident would press that.
  if (held.dataset?.action && held.hidden) part("status").focus({ preventScroll: true });
  text("said", told.said);
  text("activity", told.read < 1 ? `Reading its history, ${Math.floor(100 * told.read)} %…` : told.activity);
  text("silence", told.silence);
  part("silence").hidden = !told.silence;
  text("machine", told.machine);
  text("line", told.line);
  const percent = Math.floor(100 * told.progress);
  const waiting = !told.ended && !told.total_steps;
  text("percent", waiting ? "" : `${percent} %`);
  part("progress").hidden = told.ended && told.read === 1;
  part("track").hidden = told.status === "queued";
  part("track").classList.toggle("waiting", waiting);
  part("track").setAttribute("aria-valuenow", percent);
  part("bar").style.width = waiting ? "" : `${100 * told.progress}%`;
  part("outcome").hidden = !told.outcome;
  text("outcome-text", told.outcome);
  part("talk").hidden = !told.has_model;
  document.title = told.ended || waiting ? "asrkit" : `${percent} % · asrkit`;
}

function showError(error) {
  part("error").hidden = !error;
  if (!error) return;
  text("message", error.message);
  text("remedy", error.remedy);
  text("traceback", error.traceback);
  part("trace-fold").hidden = !error.traceback;
}

function showFindings(findings) {
  const told = JSON.stringify(findings);
  if (part("findings").dataset.told === told) return; // what somebody selects in it stays selected
  part("findings").dataset.told = told;
  part("findings").replaceChildren(...findings.map((finding) => {
    const box = document.createElement("div");
    box.className = "callout warn";
    for (const words of [finding.cause, finding.remedy].filter(Boolean)) {
      box.append(Object.assign(document.createElement("p"), { textContent: words }));
    }
    return box;
  }));
}

function showLog(log) {
  const tail = part("tail"), end = tail.scrollHeight - tail.scrollTop - tail.clientHeight < 40;
  tail.textContent = log || "Nothing has been written yet.";
  if (end) tail.scrollTop = tail.scrollHeight;
}

// What can be taken away: files of the server's, and what only the page can make.
const TAKEN = {
  figures: () => follow("figures.csv"), settings: () => follow("config.json"), archive: () => follow("run.zip"),
  picture: () => asPicture(charts.all(), run, `${run}.png`),
  page: () => asPage(charts.all(), run, `${run}.html`),
  command: copyCommand,
};

function follow(name) {
  const link = document.createElement("a");
  link.href = `download/${encodeURIComponent(run)}/${name}`;
  link.download = "";
  link.click();
}

async function copyCommand() {
  const told = await server.command({ run });
  notice(told.notice);
  if (told.notice) return;
  text("command-line", told.command);
  part("command-shown").hidden = false;
  try { await navigator.clipboard.writeText(told.command); text("copied", "Copied:"); } catch { text("copied", "Copy this:"); }
}

async function take(what) {
  fold();
  try { await TAKEN[what](); } catch (error) {
    console.warn("asrkit: not taken", error);
    part("offline").hidden = false;
  }
}

function listRuns(runs) {
  part("runs").replaceChildren(...runs.map((row) => new Option(row.label, row.id)));
  part("runs").value = run;
}

function notice(words) { text("notice", words); part("notice").hidden = !words; }
function text(name, words) { if (part(name).textContent !== words) part(name).textContent = words; }

// ---- wiring

part("runs").addEventListener("change", (event) => choose(event.target.value, true));
part("log").addEventListener("toggle", ask);
part("talk").addEventListener("click", () => trigger("select", { run, wanted: "talk" }));
part("reuse").addEventListener("click", () => { fold(); trigger("select", { run, wanted: "reuse" }); });
for (const button of element.querySelectorAll("[data-take]")) button.addEventListener("click", () => take(button.dataset.take));
part("command-close").addEventListener("click", () => { part("command-shown").hidden = true; });
charts.listen();
hearing.listen();
document.addEventListener("click", (event) => { if (!part("more").contains(event.target)) part("more").open = false; });
for (const button of element.querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => act(button.dataset.action, button));
}
document.addEventListener("visibilitychange", ask);
new MutationObserver(charts.recolour).observe(document.body, { attributes: true, attributeFilter: ["class"] });
new ResizeObserver(placed).observe(element);
watch("value", () => {
  if (!props.value) return;
  choose(props.value.split(" ")[0], true); // behind the id may stand what makes the value a new one
  if (element.getBoundingClientRect().top > innerHeight * 0.6) element.scrollIntoView({ behavior: "smooth" });
});
plotly.then(charts.draw, () => notice("The charts could not be loaded; reload the page to try again."));
ask();
