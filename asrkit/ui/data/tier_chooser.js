// Which tiers and speakers of annotated recordings are read.

import { make } from "../common/dom.js";
import { formatHours } from "../common/formats.js";
import { t } from "../common/strings.js";
import { composeChoice } from "./span_search.js";

const MAX_SHOWN = 200;

export class TierChooser {
  constructor(tab) {
    this.tab = tab;
    this.part = tab.part;
    this.dataset = ""; // whose speakers are known
    this.speakers = new Set(); // also those that are left out now
    this.chosenSpeakers = null; // null for all
    this.part("tiers-apply").addEventListener("click", () => this.apply());
    this.part("tiers-reset").addEventListener("click", () => {
      this.chosenSpeakers = null;
      this.read("");
    });
  }

  /** Offer the tiers of a dataset; nothing for one without. */
  show({ name, tiers }) {
    const { part } = this;
    part("tiers").hidden = !tiers.length;
    if (this.dataset !== name) Object.assign(this, { dataset: name, speakers: new Set(), chosenSpeakers: null });
    part("tiers-list").replaceChildren(...tiers.slice(0, MAX_SHOWN).map((tier) => this.makeTier(tier)));
    part("tiers-more").hidden = tiers.length <= MAX_SHOWN;
    part("tiers-reset").hidden = !this.tab.dataset.columns.tiers;
    for (const { speaker } of tiers) if (speaker) this.speakers.add(speaker);
    this.offerSpeakers([]);
  }

  makeTier({ name, type, speaker, num_texts: numTexts, duration_s: durationS, texts, is_chosen: checked }) {
    const box = make("input", { type: "checkbox", checked, value: name });
    box.addEventListener("change", () => {
      for (const other of this.boxes("tiers-list")) if (other.value === name) other.checked = box.checked;
    });
    const kinds = [type, speaker].filter(Boolean).join(" · ");
    const amount = `${t("timeline.texts", { count: numTexts })} · ${formatHours(durationS / 3600)}`;
    return make("label", { className: "tick tier" }, box,
      make("span", { className: "grow" }, make("b", { textContent: name }), " ",
        make("span", { className: "quiet", textContent: kinds }),
        make("span", { className: "quiet small preview", dir: "auto", textContent: texts.join(" · ") })),
      make("span", { className: "quiet small nowrap", textContent: amount }));
  }

  /** Offer these speakers too, where there are several. */
  offerSpeakers(names) {
    const { part } = this;
    for (const name of names) this.speakers.add(name);
    const listed = [...this.speakers].sort((one, other) => one.localeCompare(other));
    part("tier-speakers").hidden = listed.length < 2;
    part("tier-speakers-list").replaceChildren(...listed.map((name) => {
      const checked = this.chosenSpeakers === null || this.chosenSpeakers.includes(name);
      return make("label", { className: "tick" }, make("input", { type: "checkbox", checked, value: name }), name);
    }));
  }

  boxes(name) {
    return [...this.part(name).querySelectorAll("input")];
  }

  apply() {
    const checked = (name) => [...new Set(this.boxes(name).filter((box) => box.checked).map((box) => box.value))];
    const tiers = checked("tiers-list"), speakers = checked("tier-speakers-list");
    const numSpeakers = this.boxes("tier-speakers-list").length;
    if (!tiers.length || (numSpeakers && !speakers.length)) {
      this.tab.showNotice(t(tiers.length ? "timeline.no_speaker" : "timeline.no_tier"));
      return;
    }
    this.chosenSpeakers = speakers.length < numSpeakers ? speakers : null;
    this.read(composeChoice(tiers, this.chosenSpeakers));
  }

  async read(tiers) {
    const { dataset } = this.tab, columns = { ...dataset.columns };
    delete columns.tiers;
    await dataset.load(dataset.name, tiers ? { ...columns, tiers } : columns, true);
    this.part("tiers-apply").focus({ preventScroll: true });
  }
}
