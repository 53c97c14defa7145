// Last chapter of the Runs tab: the table. Everything from a run is shown through textContent.

const PAGE = Math.random().toString(36).slice(2), OFFLINE_MS = 3000;
const MOST_SETTINGS = 8; // settings that get a column of their own
let timer = null, asking = false, again = false, known = { life: "", version: -1 };

const table = (() => {
  const rows = new Map(), lines = new Map();  // id -> what is known of a run; id -> its line, and what it was made of
  let ids = [], fields = [], sort = { by: "id", down: true };
  const shownFields = () => fields.slice(0, MOST_SETTINGS);
  const percent = (value) => (value === null || value === undefined ? "" : `${(100 * value).toFixed(1)} %`);
  const COLUMNS = [
    { key: "tick", label: "", sortable: false },
    { key: "id", label: "Run", of: (row) => row.id },
    { key: "status", label: "Status", of: (row) => row.status_word },
    { key: "trend", label: "Trend", sortable: false },
    { key: "wer", label: "Best WER", of: (row) => row.wer, words: (row) => percent(row.wer), number: true },
    { key: "cer", label: "CER", of: (row) => row.cer, words: (row) => percent(row.cer), number: true },
    { key: "loss", label: "Loss", of: (row) => row.loss, words: (row) => row.loss?.toFixed(3) ?? "", number: true },
    { key: "step", label: "Steps", of: (row) => row.step, words: (row) => row.total_steps ? `${row.step} of ${row.total_steps}` : "", number: true },
    { key: "duration", label: "Duration", of: (row) => row.duration_s, words: (row) => row.duration, number: true },
    { key: "disk", label: "Disk", of: (row) => row.disk_bytes, words: (row) => row.disk, number: true },
  ];

  function columns() {
    return [...COLUMNS, ...shownFields().map((field) => ({
      key: `set-${field.name}`, label: field.label, title: field.name, of: (row) => row.settings[field.name],
      words: (row) => setting(row.settings[field.name]), number: false }))];
  }

  function setting(value) {
    if (value === undefined || value === null) return "";
    if (typeof value !== "number") return value === "" ? "none" : String(value);
    return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential().replace("e-", "e-") : String(value);
  }

  function add(told) {
    for (const row of told.rows) rows.set(row.id, row);
    if (told.ids) { ids = told.ids; for (const id of rows.keys()) if (!ids.includes(id)) { rows.delete(id); lines.delete(id); } }
    if (told.fields) fields = told.fields;
    part("empty").hidden = ids.length > 0;
    part("body").hidden = ids.length === 0;
    if (told.rows.length || told.ids) draw();
  }

  // Words that all must be found somewhere in a row; name=value looks at one setting.
  function matches(row) {
    return part("filter").value.toLowerCase().split(/\s+/).filter(Boolean).every((word) => {
      const [name, value] = word.split("=");
      if (value !== undefined && fields.some((field) => field.name === name)) return setting(row.settings[name]).toLowerCase().startsWith(value);
      return [row.id, row.status_word, ...row.findings, ...Object.values(row.settings).map(setting)].some((has) => has.toLowerCase().includes(word));
    });
  }

  function sorted() {
    const column = columns().find((one) => one.key === sort.by) ?? COLUMNS[1], sign = sort.down ? -1 : 1;
    return ids.map((id) => rows.get(id)).filter((row) => row && matches(row)).sort((a, b) => {
      const [x, y] = [column.of(a), column.of(b)];
      const [noX, noY] = [x === null || x === undefined || x === "", y === null || y === undefined || y === ""];
      if (noX || noY) return noX - noY;  // what is not known comes last either way
      return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
    });
  }

  function draw() {
    const chosen = columns(), listed = sorted(), focused = document.activeElement?.dataset?.focus;
    drawHeads(chosen);
    const look = `${chosen.map((column) => column.key)} ${document.body.className}`;
    put(part("rows"), listed.map((row) => kept(row, chosen, look)));
    const all = ids.length === 1 ? "1 run" : `${ids.length} runs`;
    text("count", listed.length === ids.length ? all : `${listed.length} of ${all}`);
    const rest = fields.slice(MOST_SETTINGS);
    part("more-settings").hidden = !rest.length;
    text("more-settings", rest.length ? `The runs also differ in ${rest.map((field) => field.label).join(", ")}.` : "");
    if (focused) element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  // What is pressed must still be there when it is let go: nothing is taken out of the page that stays in it.
  function drawHeads(chosen) {
    const told = JSON.stringify([chosen.map((column) => [column.key, column.label]), sort]);
    if (part("heads").dataset.told === told) return;
    part("heads").dataset.told = told;
    part("heads").replaceChildren(...chosen.map(head));
  }

  function put(place, nodes) {
    const stay = new Set(nodes);
    for (const node of [...place.children]) if (!stay.has(node)) node.remove();
    nodes.forEach((node, index) => { if (place.children[index] !== node) place.insertBefore(node, place.children[index] ?? null); });
  }

  function head(column) {
    const cell = Object.assign(document.createElement("th"), { scope: "col", title: column.title ?? "" });
    if (column.sortable === false) { cell.textContent = column.label; return cell; }
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: column.label });
    button.dataset.focus = `head-${column.key}`;
    if (sort.by === column.key) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
    button.addEventListener("click", () => { sort = { by: column.key, down: sort.by === column.key ? !sort.down : column.key === "id" }; draw(); });
    if (column.number) cell.className = "number";
    cell.append(button);
    return cell;
  }

  // Of hundreds of lines a tick changes one, and of the line of a run under way most cells stay.
  function kept(row, chosen, look) {
    const before = lines.get(row.id), made = `${look} ${compare.has(row.id) && compare.tint(row.id)}`;
    if (before?.row === row && before.made === made) return before.line;
    const fresh = line(row, chosen);
    if (before?.made === made) {
      [...fresh.cells].forEach((cell, index) => { const old = before.line.cells[index]; if (old.outerHTML !== cell.outerHTML) old.replaceWith(cell); });
      before.row = row;
      return before.line;
    }
    lines.set(row.id, { row, made, line: fresh });
    return fresh;
  }

  function line(row, chosen) {
    const made = document.createElement("tr");
    made.dataset.run = row.id;
    for (const column of chosen) {
      const cell = document.createElement("td");
      if (column.number) cell.className = "number";
      if (column.key === "tick") cell.append(tickBox(row));
      else if (column.key === "id") cell.append(opener(row));
      else if (column.key === "status") cell.append(pill(row));
      else if (column.key === "trend") cell.append(spark(row));
      else cell.textContent = column.words ? column.words(row) : column.of(row);
      made.append(cell);
    }
    return made;
  }

  function tickBox(row) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: compare.has(row.id) });
    box.setAttribute("aria-label", `Compare ${row.id}`);
    box.dataset.focus = `tick-${row.id}`;
    if (box.checked) box.style.accentColor = compare.tint(row.id);
    box.addEventListener("change", () => { compare.tick(row.id, box.checked); draw(); });
    return box;
  }

  function opener(row) {
    const link = Object.assign(document.createElement("a"), { href: `?run=${encodeURIComponent(row.id)}`, textContent: row.id });
    link.dataset.focus = `open-${row.id}`;
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      trigger("select", { run: row.id });
    });
    return link;
  }

  function pill(row) {
    const made = Object.assign(document.createElement("span"), { className: "pill", textContent: row.status_word });
    made.dataset.status = row.status;
    if (row.findings.length) made.title = row.findings.join(", ");
    if (row.findings.length) made.textContent += " ⚠";
    return made;
  }

  // The best metric over the evaluations, small; its lowest point marked.
  function spark(row) {
    const ns = "http://www.w3.org/2000/svg", made = document.createElementNS(ns, "svg"), values = row.trend;
    made.setAttribute("viewBox", "0 0 90 22");
    made.setAttribute("class", "spark");
    if (values.length < 2) return made;
    const [low, high] = [Math.min(...values), Math.max(...values)], span = high - low || 1;
    const at = values.map((value, index) => [3 + 84 * index / (values.length - 1), 3 + 16 * (1 - (value - low) / span)]);
    const path = document.createElementNS(ns, "polyline"), dot = document.createElementNS(ns, "circle");
    path.setAttribute("points", at.map((point) => point.map((number) => number.toFixed(1)).join(",")).join(" "));
    const [x, y] = at[values.indexOf(low)];
    for (const [name, value] of Object.entries({ cx: x, cy: y, r: 2.2 })) dot.setAttribute(name, value);
    made.append(path, dot);
    made.append(Object.assign(document.createElementNS(ns, "title"), { textContent: `${row.metric.toUpperCase()} from ${values[0].toFixed(3)} to ${values.at(-1).toFixed(3)}` }));
    return made;
  }

  // In what the ticked runs differ, side by side.
  function differences(ticked) {
    const chosen = ticked.map((id) => rows.get(id)).filter(Boolean), place = part("differences");
    const differing = fields.filter((field) => new Set(chosen.map((row) => row.settings[field.name])).size > 1);
    place.hidden = chosen.length < 2;
    if (place.hidden) return;
    const cells = (kind, values) => values.map((value) => Object.assign(document.createElement(kind), { textContent: value }));
    const tr = (items) => { const made = document.createElement("tr"); made.append(...items); return made; };
    const heads = cells("th", ["", ...chosen.map((row) => row.id)]);
    chosen.forEach((row, index) => { heads[index + 1].style.borderBottomColor = compare.tint(row.id); });
    place.replaceChildren(tr(heads), tr(cells("td", ["Best WER", ...chosen.map((row) => percent(row.wer))])),
      tr(cells("td", ["CER", ...chosen.map((row) => percent(row.cer))])), tr(cells("td", ["Duration", ...chosen.map((row) => row.duration)])),
      ...differing.map((field) => tr(cells("td", [field.label, ...chosen.map((row) => setting(row.settings[field.name]))]))));
  }

  return { add, draw, differences };
})();

async function ask() {
  clearTimeout(timer);
  if (!element.isConnected) return;
  // Nobody sees it: a listener asks again. Of a tab that is not chosen, nothing is asked either.
  if (document.hidden || !element.offsetParent) { timer = setTimeout(ask, 1000); return; }
  if (asking) { again = true; return; }
  asking = true; again = false;
  let pace = OFFLINE_MS;
  try {
    const told = await server.poll({ ...known, page: PAGE, compare: compare.asked(), series: part("series").value });
    part("offline").hidden = true;
    known = { life: told.life, version: told.version };
    pace = told.pace_ms;
    table.add(told);
    compare.add(told.curves, told.ids);
  } catch (error) {
    console.warn("asrkit: no answer", error);
    part("offline").hidden = false;
  }
  asking = false;
  timer = setTimeout(ask, again ? 0 : pace);
}

function notice(words) { text("notice", words); part("notice").hidden = !words; }
function text(name, words) { if (part(name).textContent !== words) part(name).textContent = words; }

for (const [value, label] of Object.entries(props.series)) part("series").append(new Option(label, value));
part("card").append(new Option("none", ""), ...Object.entries(props.cards).map(([name, title]) => new Option(title, name)), new Option("paste a card…", "paste"));
part("filter").addEventListener("input", table.draw);
compare.from(location.href);
compare.listen();
document.addEventListener("visibilitychange", ask);
new MutationObserver(() => { table.draw(); compare.draw(); }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
new ResizeObserver(() => { if (part("plot").data && part("plot").offsetWidth) Plotly.Plots.resize(part("plot")); else compare.draw(); }).observe(element);
plotly.then(compare.draw, () => notice("The charts could not be loaded; reload the page to try again."));
ask();
