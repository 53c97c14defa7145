// What the live panel shows of a run besides charts, samples and queue. Text from a run goes through textContent only.

import { make, setText, showMessage } from "../common/dom.js";
import { formatWholePercent } from "../common/formats.js";
import { t } from "../common/strings.js";
import { showIcon } from "../common/tab_icon.js";
import { EndNotification } from "./end_notification.js";

const FORCE_STOP_AFTER_MS = 15000; // a cancelled worker has that long to end by itself
const LOG_END_PX = 40; // who is that near to the end of the log follows it

export class RunDetails {
  constructor(element, part) {
    this.element = element;
    this.part = part;
    this.notification = new EndNotification(part);
    this.cancelledAt = null;
  }

  /** No run is shown: none exists, or none of the name in the address (then `isNotice`). */
  showNone(isNotice) {
    this.part("empty").hidden = isNotice;
    this.part("body").hidden = !isNotice;
    showInTab(null);
    const choice = this.part("runs");
    if (choice.selectedIndex >= 0) return;
    choice.prepend(make("option", { textContent: t("train.choose_run"), value: "", selected: true, disabled: true }));
  }

  show(reply) {
    setText(this.part("settings-line"), reply.settings);
    this.showStatus(reply);
    this.notification.show(reply);
    this.showProgress(reply);
    this.showError(reply.error);
    this.showFindings(reply.findings);
    if (reply.log !== null) this.showLog(reply.log);
  }

  showStatus(reply) {
    const { part } = this;
    setText(part("status"), reply.status_word);
    part("status").dataset.status = reply.status;
    this.showActions(reply.can);
    setText(part("announcement"), reply.announcement);
    showMessage(part("silence"), reply.silence);
    setText(part("machine"), reply.machine);
    setText(part("line"), reply.line);
    showMessage(part("visibility"), reply.visibility);
    for (const node of this.element.querySelectorAll("[data-reads-files]")) node.hidden = !reply.has_files;
    part("samples").classList.toggle("without-clips", !reply.has_files);
    part("outcome").hidden = !reply.outcome;
    setText(part("outcome-text"), reply.outcome);
    for (const name of ["outcome-next", "error-next"]) setText(part(name), reply.next_step);
    part("start-again").hidden = reply.has_improved;
    part("outcome").classList.toggle("good", reply.has_improved);
    part("outcome").classList.toggle("warn", !reply.has_improved);
    for (const name of ["open-transcribe", "download-model", "open-export"]) part(name).hidden = !reply.has_model;
    setText(part("download-model"), t("train.download.model", { size: reply.model_size }));
  }

  showActions(allowed) {
    this.cancelledAt = allowed.includes("force_stop") ? this.cancelledAt ?? performance.now() : null;
    const focused = document.activeElement;
    for (const button of this.element.querySelectorAll("[data-action]")) {
      const { action } = button.dataset;
      const isEarly = action === "force_stop" && performance.now() - this.cancelledAt < FORCE_STOP_AFTER_MS;
      button.hidden = isEarly || !allowed.includes(action);
    }
    // What was pressed may be gone. Not to the next button: a second, accidental press would press that.
    if (focused.dataset?.action && focused.hidden) this.part("status").focus({ preventScroll: true });
  }

  showProgress(reply) {
    const { part } = this, percent = Math.floor(100 * reply.progress);
    const isReading = reply.read < 1, isUnknown = !reply.ended && !reply.total_steps;
    const reading = isReading && t("train.reading_history", { percent: formatWholePercent(reply.read) });
    setText(part("activity"), reading || reply.activity);
    setText(part("percent"), isUnknown ? "" : `${percent} %`);
    part("progress").hidden = reply.ended && !isReading;
    part("track").hidden = reply.status === "queued";
    part("track").classList.toggle("waiting", isUnknown);
    part("track").setAttribute("aria-valuenow", percent);
    part("bar").style.width = isUnknown ? "" : `${100 * reply.progress}%`;
    showInTab(reply.ended || isUnknown ? null : percent);
  }

  showError(error) {
    const { part } = this;
    part("error").hidden = !error;
    if (!error) return;
    for (const name of ["message", "remedy", "traceback"]) setText(part(name), error[name]);
    part("trace-fold").hidden = !error.traceback;
  }

  showFindings(findings) {
    const box = this.part("findings"), key = JSON.stringify(findings);
    if (box.dataset.key === key) return; // a selection in it survives
    box.dataset.key = key;
    box.replaceChildren(...findings.map(({ cause, remedy }) => {
      const paragraphs = [cause, remedy].filter(Boolean).map((text) => make("p", { textContent: text }));
      return make("div", { className: "callout warn" }, ...paragraphs);
    }));
  }

  showLog(log) {
    const tail = this.part("tail"), isAtEnd = tail.scrollHeight - tail.scrollTop - tail.clientHeight < LOG_END_PX;
    tail.textContent = log || t("train.log_empty");
    if (isAtEnd) tail.scrollTop = tail.scrollHeight;
  }
}

/** Show in the browser's tab how many percent are done, or that no run is under way. */
function showInTab(percent) {
  document.title = percent === null ? "asrkit" : `${percent} % · asrkit`;
  showIcon(percent === null ? null : percent / 100);
}
