// Notifies users who are looking elsewhere, through the browser, that the run of the panel has ended.

import { setText, showMessage } from "../common/dom.js";
import { readStored, store } from "../common/storage.js";
import { t } from "../common/strings.js";

const STORAGE_KEY = "asrkit-notifications"; // whether they are wanted, in this browser

export class EndNotification {
  constructor(part) {
    this.part = part;
    this.followed = ""; // the run that has been seen under way
    // Browsers offer them to https pages and to those of this machine only.
    this.isOffered = "Notification" in window && isSecureContext;
    this.isWanted = this.isOffered && Notification.permission === "granted" && readStored(STORAGE_KEY) === "1";
    part("notify").addEventListener("click", () => this.toggle());
  }

  show({ run, ended, status_word: word, outcome, error }) {
    this.part("notify").hidden = !this.isOffered || ended;
    this.showButton();
    const hasEndedNow = ended && this.followed === run;
    if (hasEndedNow && this.isWanted && document.hidden) this.notify(run, word, error?.message || outcome);
    this.followed = ended ? "" : run;
  }

  showButton() {
    this.part("notify").setAttribute("aria-pressed", String(this.isWanted));
    setText(this.part("notify"), t(this.isWanted ? "train.notify_on" : "train.notify"));
  }

  async toggle() {
    if (this.isWanted) this.isWanted = false;
    else this.isWanted = (await Notification.requestPermission()) === "granted";
    store(STORAGE_KEY, this.isWanted ? "1" : "0");
    const isRefused = Notification.permission === "denied";
    showMessage(this.part("notice"), isRefused ? t("train.notify_refused") : "");
    this.showButton();
  }

  notify(run, word, text) {
    const notification = new Notification(t("train.notification", { run, status: word }), { body: text, tag: run });
    notification.addEventListener("click", () => {
      window.focus();
      notification.close();
    });
  }
}
