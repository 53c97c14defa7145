// A tour of the panel over the first run: three hints, each beside what it explains and never over it.

import { setText } from "../common/dom.js";
import { readStored, store } from "../common/storage.js";
import { t } from "../common/strings.js";

const STORAGE_KEY = "asrkit-tour"; // how many hints have been read, in this browser
const HINTS = [
  { text: "tour.progress", explains: "[data-part=progress]", put: "after", beside: "[data-part=progress]" },
  { text: "tour.curves", explains: "[data-part=charts]", put: "before", beside: "[data-part=charts]" },
  { text: "tour.stop", explains: "[data-action=stop]", put: "after", beside: ".live-head" },
];

export class Tour {
  constructor(element, part) {
    Object.assign(this, { element, part });
    this.numRead = Number(readStored(STORAGE_KEY)) || 0;
    this.isShown = false;
    part("tour-next").addEventListener("click", () => this.goTo(this.numRead + 1));
    part("tour-end").addEventListener("click", () => this.goTo(HINTS.length));
  }

  /** Show the next hint while the only run can be stopped by whoever looks at it. */
  show({ can }) {
    const isDue = this.numRead < HINTS.length && can.includes("stop") && this.part("runs").options.length === 1;
    if (isDue === this.isShown) return;
    this.isShown = isDue;
    this.draw();
  }

  goTo(index) {
    this.numRead = index;
    this.isShown = index < HINTS.length;
    store(STORAGE_KEY, String(index));
    this.draw();
    if (!this.isShown) return;
    this.part("tour-next").focus({ preventScroll: true });
    this.part("tour").scrollIntoView({ block: "center" });
  }

  draw() {
    const { element, part } = this, tour = part("tour"), hadFocus = tour.contains(document.activeElement);
    element.querySelector(".explained")?.classList.remove("explained");
    tour.hidden = !this.isShown;
    if (!this.isShown) {
      if (hadFocus) part("status").focus({ preventScroll: true });
      return;
    }
    const hint = HINTS[this.numRead], isLast = this.numRead === HINTS.length - 1;
    element.querySelector(hint.beside)[hint.put](tour);
    element.querySelector(hint.explains).classList.add("explained");
    setText(part("tour-count"), t("tour.count", { number: this.numRead + 1, total: HINTS.length }));
    setText(part("tour-text"), t(hint.text));
    setText(part("tour-next"), t(isLast ? "tour.done" : "tour.next"));
    part("tour-end").hidden = isLast;
  }
}
