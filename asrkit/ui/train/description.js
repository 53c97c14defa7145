// What people call the run that the panel shows, its tags and notes, and the form that changes them.

import { make, setText, showMessage } from "../common/dom.js";

/** "a, b,, a" -> ["a", "b"] */
export function splitTags(text) {
  return [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
}

export const makeTags = (tags) => tags.map((tag) => make("span", { className: "tag", textContent: tag }));

export class Description {
  /** onSave({run, name, tags, notes}) sends a description -> the server's reply, or null where the app is gone. */
  constructor(part, onSave) {
    this.part = part;
    this.onSave = onSave;
    this.run = "";
    this.shown = { name: "", tags: [], notes: "" };
    part("describe").addEventListener("click", () => this.open());
    part("describe-close").addEventListener("click", () => this.close());
    part("description-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    part("description-form").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  show(reply) {
    const { part } = this, { run, description } = reply, { name, tags, notes } = description;
    if (run !== this.run) part("description-form").hidden = true;
    this.run = run;
    this.shown = description;
    setText(part("run-id"), name && run);
    if (part("tags").dataset.key !== JSON.stringify(tags)) {
      part("tags").dataset.key = JSON.stringify(tags);
      part("tags").replaceChildren(...makeTags(tags));
    }
    showMessage(part("notes"), notes);
    part("description").hidden = !name && !tags.length && !notes;
    part("describe").hidden = !reply.can_describe;
  }

  open() {
    const { part, shown } = this;
    part("more").open = false;
    part("edit-name").value = shown.name;
    part("edit-tags").value = shown.tags.join(", ");
    part("edit-notes").value = shown.notes;
    part("description-form").hidden = false;
    part("edit-name").focus();
  }

  close() {
    this.part("description-form").hidden = true;
    this.part("more").querySelector("summary").focus();
  }

  async save() {
    const { part, run } = this;
    const values = { name: part("edit-name").value, notes: part("edit-notes").value };
    const reply = await this.onSave({ run, ...values, tags: splitTags(part("edit-tags").value) });
    if (reply && !reply.notice) this.close();
  }
}
