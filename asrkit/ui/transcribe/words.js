// Words of a transcript: {word, start_s, end_s, confidence, joined}. `joined` stands behind the one before without a
// space.

import { make } from "../common/dom.js";
import { formatClock } from "../common/formats.js";
import { t } from "../common/strings.js";

const LONG_S = 60; // of a recording whose words stand in paragraphs
const PARAGRAPH_PAUSE_S = 2.0;
export const EDGE_S = 0.05; // played before and after a word

/** The text that the words make. */
export const joinWords = (words) =>
  words.map((each, index) => (each.joined || !index ? "" : " ") + each.word).join("");

/** Whether a word begins a paragraph, which long recordings do after a long pause. */
export const startsParagraph = (word, before, durationS) =>
  durationS > LONG_S && (!before || word.start_s - before.end_s > PARAGRAPH_PAUSE_S);

/** The index of the word that is spoken at a time, or -1. */
export const findWordAt = (words, timeS) =>
  words.findIndex((word) => word.start_s - EDGE_S <= timeS && timeS < word.end_s + EDGE_S);

/** Append words to `recording.words`, and show them in `into`. */
export function appendWords(recording, words, into) {
  for (const word of words) {
    const before = recording.words.at(-1);
    if (startsParagraph(word, before, recording.duration_s)) {
      into.append(make("span", { className: "at", textContent: formatClock(word.start_s) }));
    }
    recording.words.push(word);
    into.append(word.joined || !before ? "" : " ", makeWordButton(word, recording.words.length - 1));
  }
}

export function makeWordButton(word, index) {
  const button = make("button", {
    className: ["word", word.joined && "joined", word.not_in_word_list && "unlisted"].filter(Boolean).join(" "),
    type: "button",
    textContent: word.word,
    tabIndex: index ? -1 : 0,
    title: titleOf(word),
  });
  button.dataset.index = index;
  button.style.setProperty("--confidence", word.confidence);
  return button;
}

/** What a word's button says about it. */
export function titleOf(word) {
  const values = {
    start: word.start_s.toFixed(2), end: word.end_s.toFixed(2), percent: Math.round(100 * word.confidence),
  };
  return word.not_in_word_list ? t("transcribe.unlisted_title", values) : t("transcribe.word_title", values);
}

/** Arrow keys go from word to word; Enter, on a button, is a click. */
export function enableArrowKeys(container) {
  container.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], index = Number(event.target.dataset?.index);
    const next = step && container.querySelector(`[data-index="${index + step}"]`);
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
