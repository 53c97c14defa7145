// Files that are sent, and the list of them and of what was recorded; `shown` and `mine` are talk.js's.

const POLL_MS = 500, KEEP_MS = 300000;
const OPEN = ["waiting", "working"];
const STATES = { waiting: "Waiting", working: "Listening", done: "Done", failed: "Failed", cancelled: "Cancelled" };

let listed = [];  // ids of recordings and files, in order
let polling = null;
let cancels = 0;  // how often Cancel was pressed: whoever still sends looks

async function take(chosen) {
  const found = [...chosen];
  if (!found.length) return;
  complain("");
  const alone = found.length === 1 && !mine ? { id: null, words: [], state: "", duration_s: 0 } : null;
  if (alone) fresh(alone, `Sending ${found[0].name}…`);
  const asked = cancels;
  for (const [place, file] of found.entries()) {
    if (cancels > asked) {
      complain(`Cancelled; ${found.length - place} of ${found.length} files were not sent.`);
      return;
    }
    try {
      const sent = await upload(file);
      const answer = await answered("open", { path: sent.path, name: file.name, model: props.value, ...expected() });
      if (answer.error) { complain(answer.error); continue; }
      listed.push(answer.id);
      if (alone) alone.id = answer.id;
      if (cancels > asked) await server.cancel({ ids: [answer.id] });
    } catch (error) {
      complain(`${file.name} could not be sent (${error.message ?? error}).`);
    }
    poll();
  }
}

async function poll() {
  clearTimeout(polling);
  if (!listed.length || !element.isConnected) return;
  let open = true;
  try {
    const told = await server.poll({ ids: listed });
    if (told.error) { complain(told.error); return; }
    showRows(told.rows.filter((row) => !forgotten(row)));
    open = told.rows.some(busy);
    const viewed = told.rows.find((row) => row.id === shown?.id && shown !== mine);
    if (viewed) await showProgress(viewed);
  } catch (error) { console.warn("asrkit: no answer", error); }
  clearTimeout(polling);
  polling = setTimeout(poll, open ? POLL_MS : KEEP_MS); // what no page asks for goes after an hour
}

const busy = (row) => OPEN.includes(row.state) && row.id !== mine?.id;

function forgotten(row) {
  if (row.state !== "gone") return false;
  listed = listed.filter((id) => id !== row.id);
  complain("A recording is no longer held (the app was restarted, or an hour has gone by); record or open it again.");
  return true;
}

async function showProgress(row) {
  if (row.state === "gone") return;
  if (OPEN.includes(row.state)) {
    note(row.waits ? row.waits : row.share ? `Listening to ${row.name}: ${Math.floor(100 * row.share)} %` : `Opening ${row.name}…`);
    part("partial").textContent = row.text;
  } else if (row.state !== shown.state) {
    shown.state = row.state;
    if (row.state === "done") await view(row.id);
    else { complain(row.notice); note(row.state === "cancelled" ? "Cancelled." : ""); part("partial").textContent = ""; }
  }
}

function showRows(rows) {
  part("listed").hidden = !rows.length;
  part("cancel").hidden = !rows.some(busy);
  part("bundle").hidden = !rows.some((row) => row.state === "done");
  const into = part("rows");
  rows.forEach((row, place) => {
    const told = JSON.stringify([row, row.id === mine?.id]), before = into.children[place];
    if (before?.told === told) return; // who stands on it stays there
    const line = Object.assign(rowOf(row), { told });
    if (before) before.replaceWith(line); else into.append(line);
  });
  while (into.children.length > rows.length) into.lastChild.remove();
  markRow();
}

function rowOf(row) {
  const line = make("button", "row", { type: "button", disabled: row.state !== "done" && row.id !== mine?.id });
  const pill = row.waits ? "Loading" : row.state === "working" && row.share ? `${Math.floor(100 * row.share)} %` : STATES[row.state];
  const words = row.text || row.notice || row.waits;
  line.append(make("b", "", { textContent: row.name }),
              make("span", "pill", { textContent: pill }),
              make("span", "quiet", { textContent: row.duration_s ? clock(row.duration_s) : "" }),
              make("span", row.state === "failed" ? "said bad" : "said quiet", { textContent: words }));
  line.querySelector(".pill").dataset.status = { working: "running", done: "finished", failed: "failed" }[row.state] ?? "";
  line.addEventListener("click", () => { if (row.id === mine?.id) viewMine(); else view(row.id); });
  return line;
}
