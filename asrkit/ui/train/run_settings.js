// All settings of the run that the panel shows, those that differ from the preset first, where they are unfolded.

import { make } from "../common/dom.js";

export class RunSettings {
  /** list(run_id): ask for the settings of a run -> {settings: [{label, value, preset}]}, or null. */
  constructor(part, list) {
    this.part = part;
    this.list = list;
    this.run = "";
    part("settings").addEventListener("toggle", () => this.load());
  }

  show({ run }) {
    if (run === this.run) return;
    this.run = run;
    this.load();
  }

  async load() {
    const { part, run } = this, reply = part("settings").open && await this.list(run);
    if (!reply || run !== this.run) return;
    part("settings-rows").replaceChildren(...reply.settings.map(({ label, value, preset }) =>
      make("tr", { className: preset ? "differs" : "" },
        ...[label, value, preset].map((textContent) => make("td", { textContent })))));
  }
}
