// The page's tabs: the address names the one that is shown, arrow keys go from one to the next, and the focus follows
// to a tab that a button opens.

import { setInAddress } from "./dom.js";

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

class Tabs {
  constructor() {
    this.root = document.querySelector("#tabs");
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    new MutationObserver(() => this.onShown()).observe(this.root.querySelector("[role=tablist]"), {
      subtree: true,
      attributeFilter: ["aria-selected"],
    });
  }

  list() {
    return [...this.root.querySelectorAll("[role=tab]")].filter((tab) => tab.offsetParent);
  }

  onKey(event) {
    const tabs = this.list(), index = tabs.indexOf(event.target);
    if (index < 0) return;
    const next = { Home: 0, End: tabs.length - 1 }[event.key] ?? index + (STEPS[event.key] ?? 0);
    const tab = tabs[(next + tabs.length) % tabs.length];
    if (tab === event.target) return;
    event.preventDefault();
    tab.click();
    tab.focus();
  }

  onShown() {
    const shown = this.root.querySelector("[role=tab][aria-selected=true]");
    if (!shown) return;
    setInAddress("tab", shown.dataset.tabId);
    requestAnimationFrame(() => {
      // A hidden element keeps the focus until the page is drawn anew.
      const { activeElement } = document, isLost = this.root.contains(activeElement) && !activeElement.offsetParent;
      if (isLost) shown.focus();
    });
  }
}

/** Show a tab, and press a toggle button of it, which answers as soon as the tab's script has begun; until then, for as
 *  long as the tab is shown. */
export function openTab(id, selector) {
  const find = () => document.querySelector(`#tabs [role=tab][data-tab-id=${id}]`);
  let wasShown = false;
  find().click();
  const press = () => {
    const isShown = find()?.getAttribute("aria-selected") === "true";
    if (wasShown && !isShown) return;
    wasShown ||= isShown;
    const button = document.querySelector(selector);
    if (button?.offsetParent) button.click();
    if (button?.getAttribute("aria-pressed") === "true") button.focus();
    else requestAnimationFrame(press);
  };
  press();
}

export function mount() {
  const wait = () => {
    if (document.querySelector("#tabs [role=tablist]")) new Tabs();
    else requestAnimationFrame(wait);
  };
  wait();
}
