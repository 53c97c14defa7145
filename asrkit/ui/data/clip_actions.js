// What can be done with a clip of a recorded dataset, wherever it is listed: correct its text, record it again, delete
// it.

import { createConfirmation } from "../common/confirm.js";
import { make } from "../common/dom.js";
import { t } from "../common/strings.js";

export class ClipActions {
  /** onChanged(clip): its dataset has another content now. */
  constructor(tab, { onChanged }) {
    this.tab = tab;
    this.onChanged = onChanged;
    this.confirmation = createConfirmation();
  }

  /** The buttons for a clip whose text stands in `cell`. */
  makeButtons(clip, cell) {
    const buttons = [
      makeButton("✎", t("data.correct_clip", { name: clip.name }), () => this.edit(clip, cell)),
      makeButton("●", t("data.record_clip", { name: clip.name }), () => this.tab.recorder.recordAgain(clip)),
      makeButton("✕", t("data.delete_clip", { name: clip.name }), (button) => this.delete(clip, button)),
    ];
    return make("td", { className: "clip-actions" }, ...buttons);
  }

  edit(clip, cell) {
    if (cell.querySelector("form")) return;
    const before = [...cell.childNodes], field = make("input", { value: clip.text, dir: "auto" });
    field.ariaLabel = t("data.text_of_clip", { name: clip.name });
    const close = () => cell.replaceChildren(...before);
    const cancel = make("button", { type: "button", textContent: t("common.cancel") });
    const form = make("form", { className: "line" }, field,
      make("button", { type: "submit", className: "strong", textContent: t("common.save") }), cancel);
    const leave = () => {
      close();
      cell.parentElement.querySelector(".clip-actions button").focus();
    };
    cancel.addEventListener("click", leave);
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") leave();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.change(clip, this.tab.post("correct_clip", { ...this.request(clip), text: field.value }));
    });
    cell.replaceChildren(form);
    field.focus();
  }

  delete(clip, button) {
    if (!this.confirmation.isArmed(button)) this.confirmation.arm(button, t("data.confirm_delete_clip"));
    else if (!button.ariaDisabled) this.change(clip, this.tab.post("delete_clip", this.request(clip)));
  }

  request(clip) {
    return { name: this.tab.dataset.collection, clip: clip.name };
  }

  async change(clip, replied) {
    this.tab.showNotice("");
    if (await replied) this.onChanged(clip);
  }
}

function makeButton(textContent, label, onPress) {
  const button = make("button", { type: "button", className: "small", textContent, title: label });
  button.ariaLabel = label;
  button.addEventListener("click", () => onPress(button));
  return button;
}
