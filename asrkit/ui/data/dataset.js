// Adding a dataset: by its name or path, from the Hub, or by uploading files.

import { acceptDrops, fillOptions, make, onFilesChosen, setText, sleep } from "../common/dom.js";
import { formatHours } from "../common/formats.js";
import { formatNumber, t } from "../common/strings.js";
import { ClipActions } from "./clip_actions.js";
import { makeClipTable } from "./clip_table.js";

const COLUMN_NAMES = ["text_column", "audio_column", "speaker_column"];
const MAX_BUTTONS = 12; // datasets offered as buttons; the field offers them all
const POLL_MS = 350;
const HUB_PREFIX = "hub:";

export class Dataset {
  constructor(tab) {
    this.tab = tab;
    this.part = tab.part;
    this.name = "";
    this.columns = {};
    this.collection = ""; // its name, where it was recorded here, so that its clips can be changed
    this.isRead = false; // it is not before its columns are known
    this.numRequests = 0; // so that a late reply to an old request is dropped
    this.wireControls();
  }

  wireControls() {
    const { part } = this;
    const onSubmit = (form, action) => part(form).addEventListener("submit", (event) => {
      event.preventDefault();
      action();
    });
    onSubmit("source-form", () => this.load(part("path").value));
    onSubmit("offer", () => this.open(part("split").value, true));
    for (const name of ["config", "sheet"]) part(name).addEventListener("change", () => this.open(part(name).value));
    for (const name of COLUMN_NAMES) {
      part(name).addEventListener("change", () => {
        const columns = Object.fromEntries(COLUMN_NAMES.map((each) => [each, part(each).value]));
        this.load(this.name, columns, true);
      });
    }
    onFilesChosen(part("files"), (files) => this.sendFiles(files));
    acceptDrops(part("add"), part("add"), (files) => this.sendFiles(files));
  }

  /** What names the dataset in a request. */
  request() {
    return { data: this.name, ...this.columns };
  }

  async listKnown() {
    const { part, tab } = this, reply = await tab.post("list_datasets", {});
    if (!reply) return;
    tab.audit.offerModels(reply.models);
    part("known").replaceChildren(...reply.known.map(({ value, label }) => make("option", { value, label })));
    part("known-buttons").replaceChildren(...reply.known.slice(0, MAX_BUTTONS).map(({ value, label }) => {
      const button = make("button", { type: "button", textContent: label });
      button.addEventListener("click", () => this.open(value));
      return button;
    }));
  }

  /** Write a name into the field and load what it names. */
  open(name, isChosen = false) {
    this.part("path").value = name;
    return this.load(name, {}, isChosen);
  }

  /** Load a dataset. Of one on the Hub its configurations and splits are offered first, unless one `isChosen`. */
  async load(path, columns = {}, isChosen = false) {
    const { part, tab } = this, name = path.trim();
    tab.showNotice("");
    tab.showDataset(false);
    if (!name) {
      tab.showNotice(t("data.no_name"));
      return;
    }
    const request = ++this.numRequests, isOnHub = name.startsWith(HUB_PREFIX), isOffer = isOnHub && !isChosen;
    part("offer").hidden = !(isOnHub && isChosen);
    tab.showBusy(t(isOffer ? "data.asking_hub" : "data.loading"));
    part("load").disabled = true;
    const reply = isOffer ? await this.offer(name, request) : await this.loaded(name, columns, request);
    if (request !== this.numRequests) return;
    part("load").disabled = false;
    tab.showBusy("");
    if (!reply) return;
    this.name = reply.name;
    this.columns = columns;
    this.isRead = reply.state !== "columns";
    if (!this.isRead) {
      this.askColumns(reply);
      return;
    }
    this.show(reply);
    tab.audit.clear();
    tab.timeline.showDataset();
    tab.transcripts.propose(reply.proposed);
    await tab.transcripts.preview();
  }

  /** What is in the dataset; while it is downloaded, how far that is. */
  async loaded(name, columns, request) {
    for (let again = true; request === this.numRequests; again = false) {
      const reply = await this.tab.post("load", { data: name, ...columns, again });
      if (!reply || reply.state !== "running" || request !== this.numRequests) return reply;
      this.tab.showBusy(`${reply.what}…`);
      await sleep(POLL_MS);
    }
    return null;
  }

  /** Offer what is on the Hub under that name; nothing is fetched yet. */
  async offer(name, request) {
    const { part } = this, reply = await this.tab.post("list_hub_splits", { data: name });
    if (!reply || request !== this.numRequests) return null;
    const configs = reply.config ? reply.configs : [["", t("data.choose_config")], ...reply.configs];
    fillOptions(part("config"), configs, reply.config);
    fillOptions(part("split"), reply.splits, reply.split);
    part("fetch").disabled = !reply.split;
    part("offer").hidden = false;
    return null;
  }

  /** Let the visitor say which column is which; the dataset is read as soon as both are known. */
  askColumns(reply) {
    const { part, tab } = this;
    this.offerColumns(reply, [["", t("data.choose_column")]]);
    part("columns").hidden = false;
    for (const name of ["sheet-label", "tiers", "timeline"]) part(name).hidden = true;
    this.showName();
    for (const name of ["layout", "assumed", "clips"]) part(name).replaceChildren();
    part("facts").textContent = t("data.ask_columns");
    tab.showDataset(true);
    part("text_column").focus();
  }

  /** Offer the columns; those of a text and of a recording after `before`, [value, label]. */
  offerColumns(reply, before = []) {
    const pairs = reply.column_names.map((column) => [column, column]);
    for (const name of COLUMN_NAMES) {
      const others = name === "speaker_column" ? [["-", t("common.none")]] : before;
      fillOptions(this.part(name), [...others, ...pairs], reply.columns[name]);
    }
  }

  showName() {
    this.part("name").textContent = this.name.replace(/^my-data:/, "").split("/").filter(Boolean).pop() || this.name;
    this.part("name").title = this.name;
  }

  show(reply) {
    const { part, tab } = this;
    this.showName();
    part("layout").textContent = reply.layout;
    part("facts").textContent = describeSize(reply);
    part("assumed").replaceChildren(...reply.assumed.map((textContent) => make("li", { textContent })));
    part("columns").hidden = !Object.keys(reply.columns).length;
    this.offerColumns(reply);
    tab.tiers.show(reply);
    part("sheet-label").hidden = reply.sheets.length < 2;
    fillOptions(part("sheet"), reply.sheets, reply.sheet);
    this.collection = reply.collection;
    const actions = this.makeClipActions((clip) => this.reload(clip));
    part("clips").replaceChildren(makeClipTable(reply.clips, tab.player, this.request(), actions));
    tab.showDataset(true);
    setText(part("train-note"), t("data.not_checked"));
  }

  /** What can be done with clips of this dataset; null where they cannot be changed. */
  makeClipActions(onChanged) {
    return this.collection ? new ClipActions(this.tab, { onChanged }) : null;
  }

  /** Show the dataset anew after a clip in the list was changed. */
  async reload(clip) {
    await this.load(this.name, this.columns, true);
    const rows = this.part("clips").querySelectorAll("tr");
    (rows[Math.min(clip.index, rows.length - 1)]?.querySelector("button") ?? this.part("path")).focus();
  }

  async sendFiles(files) {
    const { tab } = this;
    if (!files.length) return;
    tab.showNotice("");
    const sent = [];
    for (const file of files) {
      tab.showBusy(t("data.uploading", { number: sent.length + 1, total: files.length, name: file.name }));
      try {
        sent.push({ path: (await tab.upload(file)).path, name: file.name });
      } catch (error) {
        tab.showBusy("");
        tab.showNotice(t("data.upload_failed", { name: file.name, reason: error.message || error }));
        return;
      }
    }
    tab.showBusy(t("data.unpacking"));
    const reply = await tab.post("add_upload", { files: sent });
    tab.showBusy("");
    if (!reply) return;
    this.listKnown();
    this.open(reply.data);
  }
}

/** How much there is of a dataset, and what it is used for. */
export function describeSize({ train, eval: evaluate, test, hours, speakers }) {
  const facts = [t("common.clips", { count: train + evaluate + test }), formatHours(hours)];
  if (speakers) facts.push(t("common.speakers", { count: speakers }));
  const counts = { train: formatNumber(train), evaluate: formatNumber(evaluate), test: formatNumber(test) };
  if (evaluate) facts.push(t(test ? "data.splits_with_test" : "data.splits", counts));
  else facts.push(t(speakers > 1 ? "data.speakers_held_out" : "data.tenth_held_out"));
  return facts.join(" · ");
}
