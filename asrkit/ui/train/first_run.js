// What a page without runs offers: to start the demo, to record one's voice, or to add recordings.

import { isBusy, setBusy, showMessage } from "../common/dom.js";
import { call, warnNoAnswer } from "../common/server.js";
import { openTab } from "../common/tabs.js";
import { t } from "../common/strings.js";

/** onStarted is given the id of the demo's run. */
export class FirstRun {
  constructor(element, part, server, onStarted) {
    Object.assign(this, { part, server, onStarted });
    for (const button of element.querySelectorAll("[data-first]")) {
      const what = button.dataset.first, opens = `[data-source=${what}]`;
      button.addEventListener("click", () => (what === "demo" ? this.startDemo(button) : openTab("data", opens)));
    }
  }

  async startDemo(button) {
    if (isBusy(button)) return;
    setBusy(button, true);
    try {
      const reply = await call(this.server, "start_demo", {});
      showMessage(this.part("first-problem"), reply.notice);
      if (reply.run) this.onStarted(reply.run);
    } catch (error) {
      warnNoAnswer(error);
      showMessage(this.part("first-problem"), t("train.offline"));
    }
    setBusy(button, false);
  }
}
