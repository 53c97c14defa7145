// The level of the microphone while a dataset is recorded.

import { CLIPPED_AT } from "./take.js";

const DECAY = 0.72; // of the level, from one chunk to the next
const CLIPPING_SHOWN_MS = 1500;

/** The filled part of the meter for a peak: -50 dB to 0 dB as 0 to 1. */
export const meterShare = (peak) => (peak > 0 ? Math.max(0, 1 + Math.log10(peak) / 2.5) : 0);

export class Meter {
  constructor(element) {
    this.element = element;
    this.level = 0;
    this.clippingUntil = 0;
  }

  add(peak) {
    this.level = Math.max(peak, this.level * DECAY);
    if (peak >= CLIPPED_AT) this.clippingUntil = performance.now() + CLIPPING_SHOWN_MS;
    this.show();
  }

  clear() {
    this.level = 0;
    this.show();
  }

  show() {
    const { element } = this, percent = 100 * meterShare(this.level);
    element.firstElementChild.style.width = `${percent}%`;
    element.setAttribute("aria-valuenow", Math.round(percent));
    element.classList.toggle("clipping", performance.now() < this.clippingUntil);
  }
}
