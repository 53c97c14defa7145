// The queued runs. A run is moved to a position that is named, so pressing twice, or two visitors who press the same,
// move it once. What has the focus keeps it wherever its run goes.

import { make, makeInPageLink, setText } from "../common/dom.js";
import { t } from "../common/strings.js";

/** [name, sign, position (from 1) for a run at an index (from 0) of a queue of that length] */
export const MOVES = [
  ["first", "⤒", () => 1],
  ["up", "↑", (index) => index],
  ["down", "↓", (index) => index + 2],
  ["last", "⤓", (index, length) => length],
];

export class Queue {
  /** onOpen(run_id): show a run. onAction(run_id, action, position): move it, or take it out. */
  constructor(part, { onOpen, onAction }) {
    this.part = part;
    this.onOpen = onOpen;
    this.onAction = onAction;
    this.ids = [];
    this.rows = new Map(); // id -> <li>
  }

  /** queued: [{id, name}], the next run first. */
  show(queued) {
    const focused = document.activeElement, before = this.ids, list = this.part("queue");
    const ids = queued.map((run) => run.id);
    const wasReordered = before.length === ids.length && before.some((id, index) => id !== ids[index]);
    this.ids = ids;
    for (const [id, row] of this.rows) {
      if (ids.includes(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    queued.forEach(({ id, name }, index) => {
      if (!this.rows.has(id)) this.rows.set(id, this.makeRow(id));
      const row = this.rows.get(id);
      setText(row.firstChild, name);
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
      for (const button of row.querySelectorAll("[data-move]")) {
        const isAtEnd = ["first", "up"].includes(button.dataset.move) ? index === 0 : index === ids.length - 1;
        button.ariaDisabled = isAtEnd ? "true" : null; // a disabled one would lose the focus
      }
    });
    this.part("queue-section").hidden = !ids.length;
    const focusedId = focused?.closest?.("[data-queued]")?.dataset.queued;
    if (!focusedId) return;
    if (focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    if (!wasReordered) return;
    const position = ids.indexOf(focusedId) + 1;
    setText(this.part("moved"), t("queue.moved", { run: focusedId, position, length: ids.length }));
  }

  makeRow(id) {
    const link = makeInPageLink(`?run=${encodeURIComponent(id)}`, id, () => this.onOpen(id));
    const moves = MOVES.map(([name, sign, position]) => {
      const onPress = () => this.onAction(id, "move", position(this.ids.indexOf(id), this.ids.length));
      const button = makeButton(sign, t(`queue.move_${name}`, { run: id }), onPress);
      button.dataset.move = name;
      return button;
    });
    const remove = makeButton("✕", t("queue.remove", { run: id }), () => this.onAction(id, "dequeue"));
    const row = make("li", {}, link, make("span", {}, ...moves, remove));
    row.dataset.queued = id;
    return row;
  }
}

function makeButton(sign, label, onPress) {
  const button = make("button", { type: "button", className: "small", textContent: sign, title: label });
  button.setAttribute("aria-label", label);
  button.addEventListener("click", () => {
    if (!button.ariaDisabled) onPress();
  });
  return button;
}
