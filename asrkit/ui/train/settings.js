// The settings of the form: finds them by a word, and marks those that are wrong or differ from the preset. The value
// of the component is what the server says of them: {problems: {name: sentence}, changes: {name: preset's value}}.
//
// Gradio makes the fields of a folded section when it is opened, so marks are made again when something is added.

import { partsOf } from "../common/dom.js";
import { asSentence } from "../common/formats.js";
import { t } from "../common/strings.js";

const SECTIONS = ["advanced", "all-settings"];

const findField = (form, name) => form.querySelector(`#field-${name}`);

/** Whether each word of a query is in a text. */
export function matches(text, query) {
  const known = text.toLowerCase();
  return query.toLowerCase().split(/\s+/).filter(Boolean).every((word) => known.includes(word));
}

class Settings {
  constructor({ element, props, watch }) {
    this.props = props;
    this.part = partsOf(element);
    this.form = element.closest("#form");
    this.opened = new Set(); // the sections that a search has opened
    this.part("query").addEventListener("input", () => this.search());
    watch("value", () => this.mark());
    new MutationObserver(() => this.update()).observe(this.form, { childList: true, subtree: true });
    this.mark();
  }

  update() {
    this.mark();
    this.filter();
  }

  // ---- marks

  mark() {
    const { problems = {}, changes = {} } = JSON.parse(this.props.value || "{}");
    for (const field of this.form.querySelectorAll("[id^='field-']")) {
      const name = field.id.slice("field-".length), problem = problems[name] ?? "";
      setData(field, "problem", asSentence(problem.split("; ").at(-1))); // the field itself says which one it is
      setData(field, "preset", !problem && name in changes ? t("train.preset_value", { value: changes[name] }) : "");
      const input = field.querySelector("input, textarea");
      if (input && input.ariaInvalid !== String(Boolean(problem))) input.ariaInvalid = String(Boolean(problem));
    }
    for (const id of SECTIONS) {
      const names = this.props.sections[id], head = this.form.querySelector(`#${id} > .label-wrap > span`);
      const numProblems = names.filter((name) => name in problems).length;
      const numChanges = names.filter((name) => name in changes).length;
      const counts = [
        numChanges && t("train.settings_changed", { count: numChanges }),
        numProblems && t("train.settings_wrong", { count: numProblems }),
      ];
      if (head) setData(head, "counts", counts.filter(Boolean).join(" · "));
    }
  }

  // ---- search

  search() {
    const query = this.part("query").value.trim();
    for (const id of SECTIONS) {
      const section = this.form.querySelector(`#${id}`);
      const isOpen = section.querySelector("[data-testid='accordion-content']").style.display !== "none";
      if (query ? !isOpen : isOpen && this.opened.has(id)) section.querySelector(".label-wrap").click();
      if (!query) this.opened.delete(id);
      else if (!isOpen) this.opened.add(id);
    }
    this.filter();
  }

  filter() {
    const query = this.part("query").value.trim(), names = SECTIONS.flatMap((id) => this.props.sections[id]);
    const fields = names.map((name) => findField(this.form, name)).filter(Boolean);
    const found = fields.filter((field) => matches(`${field.id} ${field.textContent}`, query));
    for (const field of fields) field.classList.toggle("not-found", !found.includes(field));
    for (const section of this.form.querySelectorAll(SECTIONS.map((id) => `#${id}`).join())) {
      const isEmpty = !found.some((field) => section.contains(field));
      section.classList.toggle("nothing-found", isEmpty && fields.length > 0);
    }
    this.form.classList.toggle("searching", Boolean(query));
    this.part("none").hidden = !query || !fields.length || found.length > 0;
  }
}

/** Set a data attribute, or remove it if it is empty, without touching what is right already. */
function setData(node, name, value) {
  if ((node.dataset[name] ?? "") === value) return;
  if (value) node.dataset[name] = value;
  else delete node.dataset[name];
}

export const mount = (component) => new Settings(component);
