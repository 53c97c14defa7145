// Body of the function that Gradio calls once the evaluation section is in the page. The report is ready HTML, escaped
// by the server.

const POLL_MS = 500;
let job = null, playing = null;


function working(on) {
  hold(part("evaluate"), on);
  part("cancel").hidden = true; // until it is known what to cancel
  if (on) part("csv").hidden = true; else part("note").textContent = "";
}

async function evaluate() {
  if (held(part("evaluate"))) return;
  complain("");
  part("report").textContent = "";
  working(true);
  part("note").textContent = "Reading the dataset…";
  const told = await ask("evaluate", { dataset: part("dataset").value, model: props.value, normaliser: part("normaliser").value, ...expected() });
  if (!told) { working(false); return; }
  job = told.id;
  part("cancel").hidden = false;
  poll(job);
}

async function poll(mine) {
  if (mine !== job || !element.isConnected) return;
  const told = await ask("progress", { id: mine });
  if (!told || told.failed || told.html) {
    working(false);
    if (told?.failed) complain(told.failed);
    if (told?.html) { part("report").innerHTML = told.html; part("csv").hidden = false; }
    return;
  }
  part("note").textContent = told.waits ? "Waiting for another evaluation to end…"
    : told.share ? `Listening: ${Math.floor(100 * told.share)} %` : told.words || "Reading the dataset…";
  setTimeout(() => poll(mine), POLL_MS);
}

// Of two quick clicks the second is heard alone.
async function play(place) {
  playing?.pause();
  const mine = playing = new Audio();
  const told = await ask("clip", { id: job, place });
  if (!told || playing !== mine) return;
  mine.src = `data:audio/wav;base64,${told.wav}`;
  mine.play().catch((error) => { if (playing === mine) complain(`The browser does not play it (${error.message}).`); });
}

part("normaliser").replaceChildren(...props.normalisers.map((name) => new Option(name, name)));
part("normaliser").value = "basic";
part("evaluate").addEventListener("click", evaluate);
part("cancel").addEventListener("click", () => ask("abandon", { id: job }));
part("report").addEventListener("click", (event) => {
  const place = event.target.closest("[data-clip]")?.dataset.clip;
  if (place !== undefined) play(Number(place));
});
part("csv").addEventListener("click", async () => {
  const told = await ask("table", { id: job });
  if (told) saveAs(told.csv, "text/csv", "evaluation.csv");
});
