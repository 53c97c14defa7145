// The rules for transcripts, with a preview of what they change and of the vocabulary that they leave.

import { fillOptions, make } from "../common/dom.js";
import { formatNumber, t } from "../common/strings.js";

const RULES = ["normaliser", "spell_numbers", "markup", "character_map"];
const TYPING_MS = 350; // after the last key, before a preview is asked for

export class Transcripts {
  constructor(tab) {
    this.tab = tab;
    this.part = tab.part;
    this.timer = null;
    this.numRequests = 0; // so that a late reply to an old request is dropped
    this.language = ""; // of the transcripts, if it is recognised
    this.isLanguageChosen = false; // the visitor chose that of the numbers
    const { normalisers, numbers, markup } = tab.props;
    fillOptions(this.part("normaliser"), normalisers.map(([name]) => [name, name]), "basic");
    fillOptions(this.part("spell_numbers"), numbers, "");
    fillOptions(this.part("markup"), markup, "keep");
    this.part("spell_numbers").addEventListener("change", () => {
      this.isLanguageChosen = true;
    });
    for (const name of RULES) {
      const event = name === "character_map" ? "input" : "change";
      this.part(name).addEventListener(event, () => this.previewSoon());
    }
  }

  request() {
    const rules = Object.fromEntries(RULES.map((name) => [name, this.part(name).value]));
    return this.language ? { ...rules, language: this.language } : rules;
  }

  /** Choose the language that the texts of a dataset seem to be in, and say so. */
  propose({ language = "", spell_numbers: numbers = "" }) {
    const { part, tab } = this;
    const [, name] = tab.props.numbers.find(([code]) => code && code === language) ?? [];
    this.language = language;
    if (!this.isLanguageChosen) part("spell_numbers").value = name ? numbers : "";
    const key = part("spell_numbers").value === language ? "data.language_and_numbers" : "data.language_guess";
    part("language-note").hidden = !language;
    part("language-note").textContent = language ? t(key, { language: name ?? language }) : "";
  }

  previewSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.preview(), TYPING_MS);
    this.tab.audit.forget();
  }

  async preview() {
    const { part, tab } = this, request = ++this.numRequests;
    part("normaliser-help").textContent = this.describeRules();
    const reply = await tab.post("preview", tab.request());
    if (!reply || request !== this.numRequests) return;
    tab.showNotice("");
    part("changed").textContent = describeChanges(reply);
    part("pairs").replaceChildren(...reply.pairs.map(makePair));
    this.showCharacters(reply.characters);
  }

  describeRules() {
    const { normaliser, spell_numbers: spellNumbers } = this.request();
    const [, summary] = this.tab.props.normalisers.find(([name]) => name === normaliser) ?? ["", ""];
    return spellNumbers ? `${summary} ${t("data.number_rule")}` : summary;
  }

  showCharacters(characters) {
    const { part } = this, numUnknown = characters.filter((each) => each.unknown).length;
    const count = t("data.characters", { count: characters.length });
    part("vocabulary-count").textContent = numUnknown
      ? t("data.characters_unknown", { characters: count, unknown: numUnknown }) : count;
    part("characters").replaceChildren(...characters.map(makeCharacter));
  }
}

function describeChanges({ read, of, changed }) {
  if (read < of) return t("data.first_of", { read, total: of });
  return changed ? t("data.changed", { count: changed }) : t("data.unchanged");
}

function makePair([before, after]) {
  const className = after ? "" : "bad-text";
  return make("tr", {},
    make("td", {}, make("div", { textContent: before, dir: "auto" })),
    make("td", {}, make("div", { textContent: after || t("data.nothing_left"), className, dir: "auto" })));
}

function makeCharacter({ character, count, rare, unknown }) {
  const className = ["chip", rare && "rare", unknown && "unknown"].filter(Boolean).join(" ");
  const title = t("data.character_title", { times: count, code: formatCodePoint(character) });
  return make("span", { className, title }, make("b", { textContent: character }), ` ${formatNumber(count)}`);
}

/** "é" -> "U+00E9". */
export const formatCodePoint = (character) =>
  `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
