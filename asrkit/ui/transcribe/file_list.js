// The list of recordings and files: sending files, how far each is, and opening one.

import { createConfirmation } from "../common/confirm.js";
import { acceptDrops, make, onFilesChosen } from "../common/dom.js";
import { formatClock, formatWholePercent } from "../common/formats.js";
import { call, warnNoAnswer } from "../common/server.js";
import { t } from "../common/strings.js";

const POLL_MS = 500;
const KEEP_MS = 300000; // what no page asks for is deleted after an hour
const STORAGE_KEY = "asrkit-recordings"; // of this window, as the ids are
const OPEN_STATES = ["waiting", "working"];
const ROW_STATUS = { working: "running", done: "finished", failed: "failed" };

const isOpen = (row) => OPEN_STATES.includes(row.state);

export class FileList {
  constructor(panel) {
    this.panel = panel;
    this.part = panel.part;
    this.ids = []; // of recordings and files, in order
    this.numRecordings = 0; // from the microphone, of this window
    this.timer = null;
    this.numSends = 0; // that are under way
    this.numCancels = 0; // how often Cancel was pressed: files that are still to be sent are not sent then
    const { part } = this;
    part("pick").addEventListener("click", () => part("files").click());
    onFilesChosen(part("files"), (files) => this.send(files));
    acceptDrops(panel.element, part("drop"), (files) => this.send(files));
    part("cancel").addEventListener("click", () => this.cancel());
    this.confirmation = createConfirmation();
    this.isRestored = false; // what the server has deleted of a restored list is not missed
    this.restore();
  }

  addRecording(id) {
    this.numRecordings += 1;
    this.setIds([...this.ids, id]);
    this.poll();
  }

  /** Show the list that this window had before it was reloaded. */
  restore() {
    const { ids = [], numRecordings = 0 } = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "{}");
    Object.assign(this, { ids, numRecordings, isRestored: ids.length > 0 });
    this.poll();
  }

  setIds(ids) {
    this.ids = ids;
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify({ ids, numRecordings: this.numRecordings }));
  }

  async remove(button, id) {
    if (!this.confirmation.isArmed(button)) {
      this.confirmation.arm(button, t("transcribe.confirm_remove"));
      return;
    }
    if (button.ariaDisabled) return;
    this.confirmation.reset();
    const { panel, part } = this, index = this.ids.indexOf(id);
    if (!await panel.request("delete_recording", { id })) return;
    this.setIds(this.ids.filter((each) => each !== id));
    if (panel.result.shown?.id === id) panel.result.close();
    part("rows").children[index]?.remove();
    part("listed").hidden = !this.ids.length;
    const next = part("rows").children[Math.min(index, this.ids.length - 1)];
    (next?.querySelector(".remove") ?? part("record")).focus();
    this.poll();
  }

  cancel() {
    this.numCancels += 1;
    this.panel.request("cancel", { ids: this.ids.filter((id) => !this.panel.isLive(id)) });
  }

  // ---- sending

  async send(files) {
    if (!files.length) return;
    this.numSends += 1;
    try {
      await this.sendAll(files);
    } finally {
      this.numSends -= 1;
      this.poll();
    }
  }

  async sendAll(files) {
    const { panel } = this, numCancels = this.numCancels;
    panel.showError("");
    // One file is put on view while it is sent.
    const shown = files.length === 1 && !panel.live ? { id: null, words: [], state: "", duration_s: 0 } : null;
    if (shown) panel.result.open(shown, t("transcribe.sending", { name: files[0].name }));
    for (const [index, file] of files.entries()) {
      if (this.numCancels > numCancels) {
        panel.showError(t("transcribe.not_all_sent", { rest: files.length - index, total: files.length }));
        return;
      }
      const id = await this.sendFile(file);
      if (id && shown) shown.id = id;
      if (id && this.numCancels > numCancels) await panel.request("cancel", { ids: [id] });
      this.poll();
    }
  }

  /** -> the id of the recording, or null after an error was shown. */
  async sendFile(file) {
    const { panel } = this;
    try {
      const { path } = await panel.upload(file);
      const request = { path, name: file.name, model: panel.props.value, ...panel.expectedWords() };
      const reply = await call(panel.server, "open_file", request);
      if (!reply.error) {
        this.setIds([...this.ids, reply.id]);
        return reply.id;
      }
      panel.showError(reply.error);
    } catch (error) {
      panel.showError(t("transcribe.not_sent", { name: file.name, reason: error.message ?? error }));
    }
    return null;
  }

  // ---- polling

  async poll() {
    clearTimeout(this.timer);
    if (!this.ids.length || !this.panel.element.isConnected) return;
    let hasOpen = true;
    try {
      const reply = await call(this.panel.server, "poll", { ids: this.ids });
      if (reply.error) {
        this.panel.showError(reply.error);
        return;
      }
      this.dropDeleted(reply.rows);
      this.show(reply.rows.filter((row) => this.ids.includes(row.id)));
      hasOpen = reply.rows.some((row) => this.isBusy(row));
      const { shown } = this.panel.result;
      const row = reply.rows.find((each) => each.id === shown?.id && shown !== this.panel.live);
      if (row) await this.panel.showProgress(row, isOpen(row));
    } catch (error) {
      warnNoAnswer(error);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), hasOpen ? POLL_MS : KEEP_MS);
  }

  isBusy(row) {
    return isOpen(row) && !this.panel.isLive(row.id);
  }

  /** Forget what the server has deleted. */
  dropDeleted(rows) {
    const gone = rows.filter((row) => row.state === "gone").map((row) => row.id);
    const isMissed = !this.isRestored && gone.some((id) => this.ids.includes(id));
    this.isRestored = false;
    this.setIds(this.ids.filter((id) => !gone.includes(id)));
    if (isMissed) this.panel.showError(t("transcribe.deleted"));
  }

  // ---- showing

  show(rows) {
    const { part, panel } = this, into = part("rows");
    part("listed").hidden = !rows.length;
    part("cancel").hidden = !this.numSends && !rows.some((row) => this.isBusy(row));
    part("download-all").hidden = !rows.some((row) => row.state === "done");
    rows.forEach((row, index) => {
      const key = JSON.stringify([row, panel.isLive(row.id)]), before = into.children[index];
      if (before?.dataset.key === key) return; // what has the focus keeps it
      const line = this.makeLine(row), focused = before?.contains(document.activeElement) && document.activeElement;
      line.dataset.key = key;
      if (before) before.replaceWith(line);
      else into.append(line);
      if (focused) line.querySelector(focused.matches(".remove") ? ".remove" : ".row").focus();
    });
    while (into.children.length > rows.length) into.lastChild.remove();
    this.markShown();
  }

  /** A row to press, and beside it what removes it. */
  makeLine(row) {
    const remove = make("button", { className: "remove small", type: "button", textContent: "✕" });
    remove.title = remove.ariaLabel = t("transcribe.remove", { name: row.name });
    remove.hidden = this.panel.isLive(row.id);
    remove.addEventListener("click", () => this.remove(remove, row.id));
    return make("div", { className: "line" }, this.makeRow(row), remove);
  }

  makeRow(row) {
    const isLive = this.panel.isLive(row.id), isFailed = row.state === "failed";
    const pill = make("span", { className: "pill", textContent: describeState(row) });
    pill.dataset.status = ROW_STATUS[row.state] ?? "";
    const text = row.text || row.notice || row.waits;
    const line = make("button", { className: "row", type: "button", disabled: row.state !== "done" && !isLive },
      make("b", { textContent: row.name }),
      pill,
      make("span", { className: "quiet", textContent: row.duration_s ? formatClock(row.duration_s) : "" }),
      make("span", { className: isFailed ? "row-text bad" : "row-text quiet", textContent: text }));
    line.addEventListener("click", () => {
      if (this.panel.isLive(row.id)) this.panel.showLive();
      else this.panel.open(row.id);
    });
    return line;
  }

  /** Mark the row of the recording on view. */
  markShown() {
    const id = this.panel.result.shown?.id;
    [...this.part("rows").children].forEach((line, index) => {
      line.firstChild.setAttribute("aria-current", String(this.ids[index] === id));
    });
  }
}

function describeState({ state, waits, share }) {
  if (waits) return t("transcribe.state.loading");
  return state === "working" && share ? formatWholePercent(share) : t(`transcribe.state.${state}`);
}
