// Aligning a long recording with its text: send both, follow the work, and show the dataset that it makes: the most
// doubtful clips first, and where the recording and its text differ.

import { fillOptions, isBusy, make, onFilesChosen, setBusy, setText, showMessage } from "../common/dom.js";
import { formatWholePercent } from "../common/formats.js";
import { followJob } from "../common/job.js";
import { audioUrl } from "../common/player.js";
import { t } from "../common/strings.js";
import { makeClipTable } from "./clip_table.js";

export class Align {
  constructor(tab) {
    this.tab = tab;
    this.part = tab.part;
    this.recording = null; // the file that was chosen
    this.id = null; // of the alignment on view
    this.data = ""; // the dataset that it made
    this.wireControls();
  }

  wireControls() {
    const { part, tab } = this;
    onFilesChosen(part("align-audio"), ([file]) => this.chooseRecording(file));
    onFilesChosen(part("align-file"), async ([file]) => {
      if (file) part("align-text").value = await file.text();
    });
    part("align-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    part("align-cancel").addEventListener("click", () => tab.post("cancel", { id: this.id }));
    part("align-open").addEventListener("click", () => {
      tab.chooseSource("add");
      tab.dataset.listKnown();
      tab.dataset.open(this.data);
    });
  }

  async loadModels() {
    const reply = await this.tab.post("list_models", {});
    if (reply) fillOptions(this.part("align-model"), reply.models.map(([label, value]) => [value, label]), reply.model);
  }

  chooseRecording(file) {
    this.recording = file ?? null;
    setText(this.part("align-chosen"), file ? file.name : "");
  }

  async start() {
    const { part, tab } = this, text = part("align-text").value;
    if (isBusy(part("align-start"))) return;
    tab.showNotice("");
    if (!this.recording || !text.trim()) {
      tab.showNotice(t(this.recording ? "align.no_text" : "align.no_recording"));
      return;
    }
    this.setWorking(true);
    this.showNews(t("data.uploading", { number: 1, total: 1, name: this.recording.name }));
    const last = await this.run(this.recording, text);
    this.setWorking(false);
    if (last?.failed) tab.showNotice(last.failed);
    if (last?.report) this.show(last.report);
  }

  /** -> the last news of the alignment; nothing where it did not begin. */
  async run(recording, text) {
    const { part, tab } = this;
    const uploaded = await tab.upload(recording).catch((error) => {
      tab.showNotice(t("data.upload_failed", { name: recording.name, reason: error.message || error }));
    });
    if (!uploaded) return null;
    const request = { path: uploaded.path, name: recording.name, text, model: part("align-model").value };
    const reply = await tab.post("align", request);
    if (!reply) return null;
    this.id = reply.id;
    part("align-cancel").hidden = false;
    return followJob(tab.post, reply.id, {
      isFollowed: () => tab.element.isConnected,
      isDone: ({ report }) => Boolean(report),
      onProgress: ({ waits, words, share }) => this.showNews(waits ? t("align.waiting") : words, share),
    });
  }

  setWorking(isWorking) {
    const { part } = this;
    setBusy(part("align-start"), isWorking);
    part("align-progress").hidden = !isWorking;
    part("align-cancel").hidden = true; // until there is something to cancel
    if (isWorking) part("align-report").hidden = true;
  }

  showNews(words, share = 0) {
    const { part } = this;
    setText(part("align-what"), words);
    setText(part("align-share"), share ? formatWholePercent(share) : "");
    part("align-bar").style.width = `${100 * share}%`;
  }

  show(report) {
    const { part, tab } = this;
    this.data = report.data;
    part("align-report").hidden = false;
    setText(part("align-summary"), report.summary);
    showMessage(part("align-warnings"), report.warnings.join(" "));
    part("align-clips").replaceChildren(makeClipTable(report.clips, tab.player, { data: report.data }, null));
    const { passages, num_passages: total } = report;
    part("align-passages-title").hidden = !total;
    setText(part("align-passages-title"), t("align.passages", { count: total }));
    part("align-passages").replaceChildren(...passages.map((passage) => this.makePassage(passage)));
    part("align-open").focus();
  }

  makePassage({ index, kind, time, seconds, text }) {
    const button = make("button", { type: "button", className: "play", textContent: "▶" });
    button.setAttribute("aria-label", t("align.play_passage", { time }));
    const url = audioUrl("passage", { id: this.id, index });
    button.addEventListener("click", () => this.tab.player.toggle(button, url));
    const length = seconds ? t("common.seconds", { value: seconds.toFixed(1) }) : "";
    return make("tr", {},
      make("td", {}, button),
      make("td", { textContent: kind }),
      make("td", { textContent: text, dir: "auto" }),
      make("td", { className: "quiet aside", textContent: [time, length].filter(Boolean).join(" · ") }));
  }
}
