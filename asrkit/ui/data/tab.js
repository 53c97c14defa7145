// First chapter of the Data tab: bring a dataset, look at it, treat its transcripts. Text from a dataset becomes part of the
// page through textContent only.

const COLUMN_NAMES = ["text_column", "audio_column", "speaker_column"];
const TEXT_NAMES = ["normaliser", "spell_numbers", "character_map"];
const SHOWN_OF_A_DATASET = ["looked", "texts", "audit", "train"];
const NUMBER_RULE = "A number by itself is read as one; digits that touch letters (h323), leading zeros, telephone numbers and more than seven digits are read one by one.";
const MOST_BUTTONS = 12; // datasets offered as buttons; the field offers them all
const WAIT_MS = 350; // after the last key, before a preview is asked for

let data = { name: "", columns: {} };
let asked = 0; // counts questions, so that a late answer to an old one is passed over

function make(tag, given = {}, ...children) {
  const made = Object.assign(document.createElement(tag), given);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, words]) => make("option", { value, textContent: words })));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

function plural(count, word) { return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`; }

function length(hours) {
  if (hours >= 1) return `${hours.toFixed(hours < 10 ? 1 : 0)} hours`;
  return hours * 60 >= 1 ? `${(hours * 60).toFixed(0)} min` : `${(hours * 3600).toFixed(0)} s`;
}

function notice(words) {
  part("notice").textContent = words || "";
  part("notice").hidden = !words;
  if (words) part("notice").scrollIntoView({ block: "nearest" });
}

function busy(words) {
  part("busy").textContent = words || "";
  part("busy").hidden = !words;
}

// Ask the server; -> its answer, or null where something was wrong, which is said.
async function ask(question, given) {
  try {
    const told = await server[question](given);
    if (!told.error) return told;
    notice(told.error);
  } catch (error) {
    console.warn("asrkit: no answer", error);
    notice("The app does not answer. Is it still running?");
  }
  return null;
}

// ---- ways

function choose_way(way) {
  if (way !== "record") close_microphone();
  for (const button of element.querySelectorAll("[data-way]")) button.setAttribute("aria-pressed", button.dataset.way === way);
  part("bring").hidden = way !== "bring";
  part("record").hidden = way !== "record";
  for (const section of SHOWN_OF_A_DATASET) part(section).hidden = way === "record" || !data.name;
  notice("");
}
for (const button of element.querySelectorAll("[data-way]")) button.addEventListener("click", () => choose_way(button.dataset.way));

async function list_known() {
  const told = await ask("known", {});
  if (!told) return;
  part("known").replaceChildren(...told.known.map((each) => make("option", { value: each.value, label: each.label })));
  part("known-buttons").replaceChildren(...told.known.slice(0, MOST_BUTTONS).map((each) => {
    const button = make("button", { type: "button", textContent: each.label });
    button.addEventListener("click", () => { part("path").value = each.value; look(each.value); });
    return button;
  }));
}

// ---- look

function subject() { return { data: data.name, ...data.columns }; }

// Of a dataset on the Hub: its configurations and splits first, and then, if `chosen`, what is in it.
async function look(name, columns = {}, chosen = false) {
  notice("");
  for (const section of SHOWN_OF_A_DATASET) part(section).hidden = true;
  if (!name.trim()) { notice("Say where the dataset is, or upload one."); return; }
  const mine = ++asked, of_hub = name.trim().startsWith("hub:");
  part("offer").hidden = !(of_hub && chosen);
  busy(of_hub && !chosen ? "Asking the Hub…" : "Looking at it…");
  part("look").disabled = true;
  const told = of_hub && !chosen ? await offer(name.trim(), mine) : await looked(name.trim(), columns, mine);
  if (mine !== asked) return;
  part("look").disabled = false;
  busy("");
  if (!told) return;
  data = { name: told.name, columns };
  fixes = {};
  show_look(told);
  forget_audit();
  await preview();
}

// What is there; of a download, how far it is, until it is there.
async function looked(name, columns, mine) {
  for (let again = true; mine === asked; again = false) {
    const told = await ask("look", { data: name, ...columns, again });
    if (!told || told.state !== "running" || mine !== asked) return told;
    busy(told.of ? `${told.what}: ${(told.done / 1e6).toFixed(1)} of ${(told.of / 1e6).toFixed(1)} MB` : `${told.what}…`);
    await new Promise((wake) => setTimeout(wake, WAIT_MS));
  }
  return null;
}

// Lists to choose from; nothing is fetched yet.
async function offer(name, mine) {
  const told = await ask("offer", { data: name });
  if (!told || mine !== asked) return null;
  options(part("config"), told.config ? told.configs : [["", "choose one"], ...told.configs], told.config);
  options(part("split"), told.splits, told.split);
  part("fetch").disabled = !told.split;
  part("offer").hidden = false;
  return null;
}
part("config").addEventListener("change", () => { part("path").value = part("config").value; look(part("config").value); });
part("offer").addEventListener("submit", (event) => { event.preventDefault(); part("path").value = part("split").value; look(part("split").value, {}, true); });

function show_look(told) {
  part("name").textContent = told.name.split("/").filter(Boolean).pop() || told.name;
  part("name").title = told.name;
  part("layout").textContent = told.layout;
  const facts = [plural(told.train + told.eval + told.test, "clip"), length(told.hours)];
  if (told.speakers) facts.push(plural(told.speakers, "speaker"));
  const many = (count) => count.toLocaleString("en");
  facts.push(told.eval ? `${many(told.train)} to train on, ${many(told.eval)} to evaluate on`
    + (told.test ? `, ${many(told.test)} to test on afterwards` : "")
    : told.speakers > 1 ? "some speakers will be held out to evaluate on" : "a tenth will be held out to evaluate on");
  part("facts").textContent = facts.join(" · ");
  part("columns").hidden = !Object.keys(told.columns).length;
  for (const name of COLUMN_NAMES) {
    const pairs = told.found.map((found) => [found, found]);
    options(part(name), name === "speaker_column" ? [["-", "none"], ...pairs] : pairs, told.columns[name] || "-");
  }
  part("sheet-label").hidden = told.sheets.length < 2;
  options(part("sheet"), told.sheets, told.sheet);
  part("clips").replaceChildren(clip_table(told.clips));
  for (const section of SHOWN_OF_A_DATASET) part(section).hidden = false;
  part("train-note").textContent = "Nothing has been checked yet.";
}

for (const name of COLUMN_NAMES) {
  part(name).addEventListener("change", () => {
    look(data.name, Object.fromEntries(COLUMN_NAMES.map((each) => [each, part(each).value])), true);
  });
}
part("sheet").addEventListener("change", () => { part("path").value = part("sheet").value; look(part("sheet").value); });
part("place").addEventListener("submit", (event) => { event.preventDefault(); look(part("path").value); });

// ---- clips to hear

const player = new Audio();
let playing = null;

function clip_table(clips) {
  const rows = clips.map((clip) => make("tr", {},
    make("td", {}, play_button(clip)),
    make("td", { textContent: clip.text || "(no text)", className: clip.text ? "" : "quiet", dir: "auto" }),
    make("td", { className: "quiet aside", textContent: [clip.speaker, clip.seconds ? `${clip.seconds.toFixed(1)} s` : "", clip.detail]
      .filter(Boolean).join(" · "), title: `${clip.where} · ${clip.name}` })));
  return make("div", { className: "table" }, make("table", {}, make("tbody", {}, ...rows)));
}

function play_button(clip) {
  const button = make("button", { type: "button", className: "play", textContent: "▶", title: clip.name });
  button.setAttribute("aria-label", `Hear ${clip.name}`);
  button.addEventListener("click", () => hear(button, clip));
  return button;
}

function hush() {
  player.pause();
  if (playing) playing.textContent = "▶";
  playing = null;
}
player.addEventListener("ended", hush);

async function hear(button, clip) {
  const again = playing === button;
  hush();
  if (again) return;
  button.disabled = true;
  const told = await ask("hear", { ...subject(), place: clip.place, id: clip.id });
  button.disabled = false;
  if (!told) return;
  playing = button;
  button.textContent = "■";
  player.src = `data:audio/wav;base64,${told.wav}`;
  player.play().catch(hush);
}

// ---- transcripts

options(part("normaliser"), props.normalisers.map(([name]) => [name, name]), "basic");
options(part("spell_numbers"), props.numbers, "");

function text_settings() { return Object.fromEntries(TEXT_NAMES.map((name) => [name, part(name).value])); }

function all_settings() {
  return { ...subject(), ...text_settings(), model: part("model").value, vocabulary: part("vocabulary-mode").value, settings: form_settings };
}

let waiting = null, previewed = 0;
function preview_soon() {
  clearTimeout(waiting);
  waiting = setTimeout(preview, WAIT_MS);
  forget_audit();
}
for (const name of TEXT_NAMES) part(name).addEventListener(name === "character_map" ? "input" : "change", preview_soon);

async function preview() {
  const mine = ++previewed;
  const help = (props.normalisers.find(([name]) => name === part("normaliser").value) || ["", ""])[1];
  part("normaliser-help").textContent = part("spell_numbers").value ? `${help} ${NUMBER_RULE}` : help;
  const told = await ask("preview", all_settings());
  if (!told || mine !== previewed) return;
  notice("");
  part("changed").textContent = told.looked_at < told.of ? `the first ${told.looked_at.toLocaleString("en")} of ${told.of.toLocaleString("en")}`
    : told.changed ? `${plural(told.changed, "transcript")} changed` : "none is changed";
  part("pairs").replaceChildren(...told.pairs.map(([before, after]) => make("tr", {},
    make("td", {}, make("div", { textContent: before, dir: "auto" })),
    make("td", {}, make("div", { textContent: after || "(nothing is left)", className: after ? "" : "bad-text", dir: "auto" })))));
  show_characters(told.characters);
}

function show_characters(list) {
  const unknown = list.filter((each) => each.unknown).length;
  part("vocabulary-count").textContent = `${plural(list.length, "character")}${unknown ? `, ${unknown} that the base model cannot write` : ""}`;
  part("characters").replaceChildren(...list.map((each) => make("span", {
    className: `chip${each.rare ? " rare" : ""}${each.unknown ? " unknown" : ""}`, title: `${each.count.toLocaleString("en")} times, U+${each.character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`,
  }, make("b", { textContent: each.character }), ` ${each.count.toLocaleString("en")}`)));
}

// ---- upload

async function take(files) {
  if (!files.length) return;
  notice("");
  const sent = [];
  for (const file of files) {
    busy(`Uploading ${sent.length + 1} of ${files.length}: ${file.name}`);
    try { sent.push({ path: (await upload(file)).path, name: file.name }); } catch (error) {
      busy("");
      notice(`${file.name} could not be uploaded (${error.message || error}); it may be larger than the app takes.`);
      return;
    }
  }
  busy("Unpacking…");
  const told = await ask("take", { files: sent });
  busy("");
  if (!told) return;
  part("path").value = told.data;
  list_known();
  look(told.data);
}
part("files").addEventListener("change", (event) => { const files = [...event.target.files]; event.target.value = ""; take(files); });
part("bring").addEventListener("dragover", (event) => { event.preventDefault(); part("bring").classList.add("over"); });
part("bring").addEventListener("dragleave", () => part("bring").classList.remove("over"));
part("bring").addEventListener("drop", (event) => { event.preventDefault(); part("bring").classList.remove("over"); take([...event.dataTransfer.files]); });

list_known();
