// Body of the function that Gradio calls once the panel is in the page; element, props, server, trigger and watch are
// its arguments. The panel asks the server for news and changes the page in place. It shows text from a run through
// textContent only; the one piece of ready HTML (evaluation.html) was escaped by the server.

const part = (name) => element.querySelector(`[data-part="${name}"]`);
const SERIES = ["train/loss", "eval/loss", "eval/wer", "eval/cer", "eval/mer", "eval/greedy_wer"];
const OPTIONAL = ["eval/mer", "eval/greedy_wer"]; // drawn only where a run tells them
const LIVE_MS = 1000, ENDED_MS = 5000, OFFLINE_MS = 2000;
const SURE_MS = 4000;     // how long "Cancel" waits for the second click
const SURE = { cancel: "Cancel for good?", delete: "Delete it for good?" };
const DOUBLE_MS = 400;    // two clicks within are one
const PATIENCE_MS = 15000; // how long a cancelled worker may go on before it can be ended by force

let run = new URLSearchParams(location.search).get("run") || "";
let shown = { after: 0, evaluation: null, atStep: null, signature: null, models: false };
let timer = null, asking = false, again = false, pace = LIVE_MS;
let cancelledAt = null, armed = null;

// ---- asking

async function ask() {
  clearTimeout(timer);
  if (!element.isConnected) return;
  if (document.hidden) return;            // visibilitychange asks again
  if (asking) { again = true; return; }
  asking = true; again = false;
  const asked = { run, after: shown.after, evaluation: shown.evaluation, at_step: shown.atStep,
                  signature: shown.signature, log: part("log").open };
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
  timer = setTimeout(ask, again ? 0 : pace);
}

function choose(id, kept) {
  calm();
  run = id;
  shown = { after: 0, evaluation: null, atStep: null, signature: shown.signature, models: shown.models };
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
  calm();
  part("more").open = false;
  for (const button of element.querySelectorAll("[data-action]")) button.disabled = true;
  try {
    const told = await server.act({ action, run });
    if (action === "delete" && !told.notice) { choose("", true); return; }
    notice(told.notice);
  } catch { part("offline").hidden = false; }
  ask();
}

// What throws something away takes a second click, later than a double click and while the same run is shown.
function makeSure(button, question) {
  calm();
  armed = { button, words: button.textContent, at: Date.now(), timer: setTimeout(calm, SURE_MS) };
  button.classList.add("sure");
  button.textContent = question;
  button.disabled = true;
  setTimeout(() => { button.disabled = false; }, DOUBLE_MS);
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
  if (told.runs) listRuns(told.runs);
  // Something else on the page may have to change: what can be started, and which models there are.
  const models = told.run === run ? Boolean(told.has_model) : shown.models;
  if (told.runs || models !== shown.models) trigger("change");
  shown.models = models;
  if (told.notice) { notice(told.notice); part("body").hidden = false; part("empty").hidden = true; }
  pace = told.run && !told.ended ? LIVE_MS : ENDED_MS;
  if (!told.run) { part("empty").hidden = Boolean(told.notice); part("body").hidden = !told.notice; return; }
  run = told.run;
  shown.after = told.offset;
  part("empty").hidden = true;
  part("body").hidden = false;
  part("runs").value = run;
  showState(told);
  showError(told.error);
  showFindings(told.findings);
  charts.add(told.points, told.reset, told.entropy);
  showEvaluation(told);
  if (told.log !== null) showLog(told.log);
}

function showState(told) {
  text("status", told.status_word);
  part("status").dataset.status = told.status;
  cancelledAt = told.can.includes("kill") ? cancelledAt ?? Date.now() : null;
  for (const button of element.querySelectorAll("[data-action]")) {
    const early = button.dataset.action === "kill" && Date.now() - cancelledAt < PATIENCE_MS;
    button.hidden = early || !told.can.includes(button.dataset.action);
    button.disabled = armed?.button === button && Date.now() - armed.at < DOUBLE_MS;
  }
  text("activity", told.activity);
  text("line", told.line);
  const percent = Math.floor(100 * told.progress);
  const waiting = !told.ended && !told.total_steps;
  text("percent", waiting ? "" : `${percent} %`);
  part("progress").hidden = told.ended;
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
  part("findings").replaceChildren(...findings.map((finding) => {
    const box = document.createElement("div");
    box.className = "callout warn";
    for (const words of [finding.cause, finding.remedy].filter(Boolean)) {
      box.append(Object.assign(document.createElement("p"), { textContent: words }));
    }
    return box;
  }));
}

function showEvaluation(told) {
  part("evaluation").hidden = !told.evaluations.length;
  const steps = part("steps");
  if (steps.options.length !== told.evaluations.length + 1 || told.reset) {
    const options = told.evaluations.map((step) => new Option(`at step ${step}`, step)).reverse();
    steps.replaceChildren(new Option("latest", ""), ...options);
    steps.value = shown.atStep ?? "";
  }
  if (!told.evaluation) return;
  shown.evaluation = told.evaluation.key;
  text("caption", told.evaluation.caption);
  part("samples").innerHTML = told.evaluation.html;
}

function showLog(log) {
  const tail = part("tail"), end = tail.scrollHeight - tail.scrollTop - tail.clientHeight < 40;
  tail.textContent = log || "Nothing has been written yet.";
  if (end) tail.scrollTop = tail.scrollHeight;
}

async function download() {
  part("more").open = false;
  let told;
  try { told = await server.figures({ run }); } catch { part("offline").hidden = false; return; }
  notice(told.notice);
  if (told.notice) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([told.csv], { type: "text/csv" }));
  link.download = `${run}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function listRuns(runs) {
  part("runs").replaceChildren(...runs.map((row) => new Option(row.label, row.id)));
  part("runs").value = run;
}

function notice(words) { text("notice", words); part("notice").hidden = !words; }
function text(name, words) { if (part(name).textContent !== words) part(name).textContent = words; }

// ---- charts

const charts = (() => {
  const PLOTS = { loss: ["train/loss", "eval/loss"], rates: ["eval/wer", "eval/cer", "eval/mer", "eval/greedy_wer"] };
  const NAMES = { "train/loss": "Training", "eval/loss": "Evaluation", "eval/wer": "WER", "eval/cer": "CER",
                  "eval/mer": "MER (Chinese by character)", "eval/greedy_wer": "WER, no list" };
  const TOUCH = matchMedia("(pointer: coarse)").matches;
  let points = empty(), drawn = false, entropy = null;

  function empty() { return Object.fromEntries(SERIES.map((name) => [name, { x: [], y: [] }])); }
  function colour(name) { return getComputedStyle(element.querySelector(".live")).getPropertyValue(name).trim(); }

  function has(name) { return points[name].x.length > 0; }

  function trace(name) {
    const rate = !name.endsWith("loss"), tint = colour(`--curve-${name.replace("/", "-")}`);
    return { x: [...points[name].x], y: [...points[name].y], name: NAMES[name], type: "scatter",
             mode: name === "train/loss" ? "lines" : "lines+markers",
             connectgaps: false, cliponaxis: false, visible: !OPTIONAL.includes(name) || has(name),
             line: { color: tint, width: name === "train/loss" ? 1.5 : 2.5,
                     dash: name === "eval/greedy_wer" ? "dot" : "solid" }, marker: { color: tint, size: 7 },
             hovertemplate: rate ? "%{y:.1%}" : "%{y:.3f}" };
  }

  // What the loss comes to when only the letters' frequencies are known: a run that stays at this line hears nothing.
  function prior(plot) {
    if (plot !== "loss" || !entropy) return {};
    const line = { type: "line", xref: "paper", x0: 0, x1: 1, y0: entropy, y1: entropy,
                   line: { color: colour("--curve-text"), width: 1, dash: "dash" } };
    const words = { xref: "paper", x: 1, y: entropy, xanchor: "right", yanchor: "bottom", showarrow: false,
                    text: "knows only the letter frequencies", font: { size: 11, color: colour("--curve-text") } };
    return { shapes: [line], annotations: [words] };
  }

  function layout(plot) {
    const axis = { gridcolor: colour("--curve-grid"), linecolor: colour("--curve-grid"), zeroline: false };
    const rate = plot === "rates", nothing = !PLOTS[plot].some(has);
    const range = nothing ? [0, 1] : undefined; // until there is something to show, an axis that means something
    return { ...prior(plot), height: 270, margin: { l: 48, r: 10, t: 34, b: 42 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
             font: { family: getComputedStyle(element).fontFamily, color: colour("--curve-text"), size: 12 },
             xaxis: { ...axis, title: { text: "step", standoff: 6 }, rangemode: "tozero",
                      range: nothing ? [0, 10] : undefined },
             yaxis: { ...axis, range, rangemode: "tozero", tickformat: rate ? ".0%" : "" },
             legend: { orientation: "h", x: 0, y: 1.16 }, hovermode: "x unified", showlegend: true,
             hoverlabel: { bgcolor: colour("--curve-hover"), font: { color: colour("--curve-text") } },
             dragmode: TOUCH ? false : "zoom" };
  }

  function draw() {
    if (!window.Plotly || !SERIES.some(has)) return;
    Object.keys(PLOTS).forEach(drawOne);
    drawn = true;
  }

  function drawOne(plot) {
    Plotly.purge(part(plot));
    Plotly.newPlot(part(plot), PLOTS[plot].map(trace), layout(plot),
                   { displaylogo: false, responsive: true, displayModeBar: TOUCH ? false : "hover",
                     modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  }

  function add(fresh, reset, known) {
    if (reset) points = empty();
    entropy = known; // told when a worker begins, and then all is drawn anew
    const before = SERIES.filter(has);
    for (const name of SERIES) {
      points[name].x.push(...(fresh[name]?.x ?? []));
      points[name].y.push(...(fresh[name]?.y ?? []));
    }
    part("charts").hidden = !SERIES.some(has);
    if (reset || !drawn) { drawn = false; draw(); return; }
    for (const [plot, names] of Object.entries(PLOTS)) {
      if (names.some(has) && !names.some((name) => before.includes(name))) { drawOne(plot); continue; }
      const which = names.map((name, index) => [name, index]).filter(([name]) => fresh[name]?.x.length);
      if (which.length) {
        Plotly.extendTraces(part(plot), { x: which.map(([name]) => fresh[name].x), y: which.map(([name]) => fresh[name].y) },
                            which.map(([, index]) => index));
      }
    }
  }

  function recolour() {
    if (!drawn) return;
    for (const [plot, names] of Object.entries(PLOTS)) {
      const tints = names.map((name) => trace(name).line.color), look = layout(plot);
      Plotly.restyle(part(plot), { "line.color": tints, "marker.color": tints });
      Plotly.relayout(part(plot), { "font.color": look.font.color, "xaxis.gridcolor": look.xaxis.gridcolor,
        "yaxis.gridcolor": look.yaxis.gridcolor, "xaxis.linecolor": look.xaxis.linecolor,
        "yaxis.linecolor": look.yaxis.linecolor, "hoverlabel.bgcolor": look.hoverlabel.bgcolor,
        "hoverlabel.font.color": look.font.color, ...prior(plot) });
    }
  }

  function fit() {
    if (drawn) for (const plot of Object.keys(PLOTS)) if (part(plot).offsetWidth) Plotly.Plots.resize(part(plot));
  }

  return { add, draw, recolour, fit };
})();

function loadPlotly() {
  const script = document.createElement("script");
  script.src = props.plotly_src;
  script.onload = charts.draw;
  script.onerror = () => notice("The charts could not be loaded; reload the page to try again.");
  document.head.append(script);
}

// ---- wiring

part("runs").addEventListener("change", (event) => choose(event.target.value, true));
part("steps").addEventListener("change", (event) => {
  shown.atStep = event.target.value === "" ? null : Number(event.target.value);
  ask();
});
part("log").addEventListener("toggle", ask);
part("talk").addEventListener("click", () => trigger("select", { run, wanted: "talk" }));
part("reuse").addEventListener("click", () => { part("more").open = false; trigger("select", { run, wanted: "reuse" }); });
part("figures").addEventListener("click", download);
document.addEventListener("click", (event) => { if (!part("more").contains(event.target)) part("more").open = false; });
for (const button of element.querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => act(button.dataset.action, button));
}
document.addEventListener("visibilitychange", ask);
new MutationObserver(charts.recolour).observe(document.body, { attributes: true, attributeFilter: ["class"] });
new ResizeObserver(charts.fit).observe(element);
watch("value", () => {
  if (!props.value) return;
  choose(props.value, true);
  if (element.getBoundingClientRect().top > innerHeight * 0.6) element.scrollIntoView({ behavior: "smooth" });
});
loadPlotly();
ask();
