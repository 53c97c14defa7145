// Second chapter of the Data tab: check the dataset, hear what was found, accept fixes, train on the rest.

const POLL_MS = 500;
const KINDS = { drop: "left out", suspect: "doubtful", advice: "to know" };
let checking = 0;      // counts audits, so that an old one stops polling
let checked = null;    // the report that is shown
let fixes = {};        // settings of a run that findings proposed and somebody accepted
let form_settings = null, followed = null;

options(part("model"), props.models.map(([words, value]) => [value, words]), "starter");
options(part("vocabulary-mode"), props.vocabularies.map((name) => [name, { keep: "keep the model's", extend: "extend it", fresh: "from this data" }[name] || name]), "keep");
for (const name of ["model", "vocabulary-mode"]) part(name).addEventListener("change", preview_soon);
part("align").addEventListener("change", forget_audit);

function forget_audit() {
  if (checked) part("train-note").textContent = "Something was changed since it was checked.";
  checking += 1;
  checked = null;
  part("report").hidden = true;
  part("checking").hidden = true;
  part("check").disabled = false;
  part("check").textContent = "Check";
}

function audit_settings() { return { ...all_settings(), align: part("align").checked, fixes }; }

// What the form of Train holds: an audit is for a run with these settings.
function follow_form() {
  try { form_settings = JSON.parse(props.value || "null"); } catch { form_settings = null; }
  if (!form_settings) return;
  if (checked) refresh_estimate();
  if (form_settings.model === followed) return;
  followed = form_settings.model;
  if (![...part("model").options].some((option) => option.value === followed)) part("model").append(make("option", { value: followed, textContent: followed }));
  part("model").value = followed;
  if (data.name) preview_soon();
}
watch("value", follow_form);

async function refresh_estimate() {
  const mine = checking, told = await ask("check", { ...audit_settings(), again: false });
  if (mine !== checking || !told) return;
  if (told.state === "done") part("estimate").textContent = told.estimate;
  else forget_audit(); // settings that decide what can be used, or what is held out
}

async function check(again) {
  notice("");
  forget_audit();
  const mine = checking, given = audit_settings();
  part("check").disabled = true;
  part("checking").hidden = false;
  part("what").textContent = "Beginning";
  for (let first = again; mine === checking && element.isConnected; first = false) {
    const told = await ask("check", { ...given, again: first });
    if (mine !== checking) return;
    if (!told || told.state === "done") {
      part("checking").hidden = true;
      part("check").disabled = false;
      if (told) show_report(told);
      return;
    }
    part("what").textContent = `${told.what}…`;
    part("how-far").textContent = told.of ? `${told.done.toLocaleString("en")} of ${told.of.toLocaleString("en")}` : "";
    part("check-bar").style.width = told.of ? `${100 * told.done / told.of}%` : "0";
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}
part("check").addEventListener("click", () => check(Boolean(checked)));

function show_report(told) {
  checked = told;
  part("check").textContent = "Check again";
  part("verdict").className = `callout ${{ ready: "good", "ready-with-drops": "warn", "not-ready": "bad" }[told.verdict]}`;
  part("verdict").textContent = told.dropped ? `${told.sentence} ${plural(told.dropped, "clip")} cannot be used.` : told.sentence;
  const figures = [[told.utterances.toLocaleString("en"), "clips"], [length(told.hours), "of speech"],
    [told.distinct_words.toLocaleString("en"), "different words"], [told.characters.length, "characters"]];
  if (told.speaker_count) figures.push([told.speaker_count.toLocaleString("en"), told.speaker_count === 1 ? "speaker" : "speakers"]);
  if (told.rates.length) figures.push([told.rates.map(([rate]) => `${rate / 1000}`).join(", "), "kHz"]);
  part("figures").replaceChildren(...figures.map(([number, words]) => make("div", {}, make("b", { textContent: number }), make("span", { className: "quiet", textContent: words }))));
  part("estimate").textContent = told.estimate;
  part("held-out").textContent = told.held_out;
  show_histogram(told.durations);
  show_speakers(told.speakers, told.speaker_count);
  part("findings").replaceChildren(...(told.findings.length ? told.findings.map(finding) : [make("p", { className: "quiet", textContent: "Nothing else was found." })]));
  part("report").hidden = false;
  if (told.characters.length) show_characters(told.characters);
  note_choice();
}

function show_histogram(bins) {
  const most = Math.max(1, ...bins.map(([, , count]) => count));
  const bars = bins.map(([from, to, count]) => make("i", { title: `${from} to ${to} s: ${plural(count, "clip")}`, style: `height:${count ? Math.max(2, 100 * count / most) : 0}%` }));
  const last = bins.length ? bins[bins.length - 1][1] : 0;
  part("histogram").replaceChildren(make("div", { className: "bars" }, ...bars),
    make("div", { className: "axis quiet" }, make("span", { textContent: "0 s" }), make("span", { textContent: `${+(last / 2).toFixed(2)} s` }), make("span", { textContent: `${+last.toFixed(2)} s` })));
}

function show_speakers(speakers, count) {
  part("speakers-figure").hidden = !speakers.length;
  const most = Math.max(1e-9, ...speakers.map(([, , hours]) => hours));
  const rows = speakers.map(([name, clips, hours]) => make("div", { className: "share" }, make("span", { className: "share-name", textContent: name, title: name }),
    make("span", { className: "bar" }, make("i", { style: `width:${100 * hours / most}%` })), make("span", { className: "quiet nowrap", textContent: `${length(hours)}, ${plural(clips, "clip")}` })));
  if (count > speakers.length) rows.push(make("p", { className: "quiet small", textContent: `and ${count - speakers.length} more` }));
  part("speakers").replaceChildren(...rows);
}

function finding(found) {
  const inside = [make("p", { textContent: found.effect }), make("p", { className: "quiet", textContent: found.fix })];
  if (found.can_leave_out) {
    const tick = make("input", { type: "checkbox", checked: found.leave_out });
    tick.dataset.code = found.code;
    tick.addEventListener("change", note_choice);
    inside.push(make("label", { className: "tick" }, tick, ` Leave out ${found.count === 1 ? "this clip" : `these ${found.count.toLocaleString("en")} clips`}`));
  }
  const settings = Object.entries(found.settings);
  if (settings.length) {
    const button = make("button", { type: "button", textContent: `Do it: ${settings.filter(([, value]) => value !== 0).map(([name, value]) => `${setting_words(name)} ${value}`).join(", ")}` });
    button.addEventListener("click", () => accept(settings));
    inside.push(button);
  }
  for (const example of found.examples) inside.push(make("p", { className: "quiet small", textContent: example }));
  if (found.clips.length) {
    inside.push(clip_table(found.clips));
    if (found.count > found.clips.length) inside.push(make("p", { className: "quiet small", textContent: `The first ${found.clips.length} of ${found.count.toLocaleString("en")}.` }));
  }
  const count = found.clips.length ? make("span", { className: "pill", textContent: plural(found.count, "clip") }) : null;
  const summary = make("summary", {}, make("span", { className: "dot" }), make("b", { textContent: found.title }), count, make("span", { className: "quiet kind", textContent: KINDS[found.kind] }));
  const made = make("details", { className: "finding" }, summary, make("div", { className: "inside" }, ...inside));
  made.dataset.kind = found.kind;
  made.dataset.finding = found.code;
  return made;
}

function setting_words(name) { return { normaliser: "normaliser", spell_numbers: "numbers in", vocabulary: "vocabulary", character_map: "map", split_by: "held out by", eval_count: "held-out clips" }[name] || name; }

async function accept(settings) {
  for (const [name, value] of settings) {
    const field = part(name === "vocabulary" ? "vocabulary-mode" : name);
    if (field) field.value = value; else fixes[name] = value; // what the form of Train will get
  }
  await preview();
  check(false);
}

function without() { return [...element.querySelectorAll("input[data-code]:checked")].map((tick) => tick.dataset.code); }

function note_choice() {
  if (!checked) return;
  const left = checked.findings.filter((found) => without().includes(found.code)).reduce((sum, found) => sum + found.count, 0);
  const gone = checked.dropped + left;
  part("train-note").textContent = gone ? `Without ${plural(gone, "clip")}; what is left out, and why, is recorded with the run.` : "All of it can be used.";
  part("train-on").disabled = checked.verdict === "not-ready" && !checked.utterances;
}

part("train-on").addEventListener("click", async () => {
  part("train-on").disabled = true;
  const told = await ask("choose", { ...audit_settings(), checked: Boolean(checked), without: checked ? without() : [] });
  part("train-on").disabled = false;
  if (!told) return;
  hush();
  trigger("select", { settings: { ...told.settings, model: part("model").value } });
});
