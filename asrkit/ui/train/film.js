// The samples as a film: the same clips through all evaluations, played in the page or saved as a GIF.

import { cssVariable, isBusy, make, saveFile, setBusy, setText } from "../common/dom.js";
import { encodeGif } from "../common/gif.js";
import { call } from "../common/server.js";
import { t } from "../common/strings.js";

const FRAME_MS = 900;
const LAST_MS = 2500;
const MAX_FRAMES = 40; // of a GIF
const MAX_ROWS = 8;
const WIDTH = 720, MARGIN = 20, LINE = 26, SMALL_LINE = 20, ROW_GAP = 10; // px of a frame
const FILLS = { MARK: "--wrong-fill", INS: "--extra-fill" };
const RIGHT_TO_LEFT = /[\u0590-\u08ff]/;
// A line may end after white space, and after a character of Chinese or Japanese with the punctuation that closes it.
const WIDE = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}";
const WORDS = new RegExp(`([${WIDE}][\\p{Po}\\p{Pe}\\p{Pf}ー]*|[^\\s${WIDE}]+)(\\s*)`, "gu");
const INKS = { MARK: "--wrong", INS: "--extra", DEL: "--missing" };

/** Some of these, evenly spread, the first and the last among them. */
export function spread(items, most) {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, index) => items[Math.round(index * (items.length - 1) / (most - 1))]);
}

/** -> [{text, hasSpace}]: what a line is filled with, and whether white space follows. */
export const splitWords = (text) =>
  [...text.matchAll(WORDS)].map(([, word, space]) => ({ text: word, hasSpace: space !== "" }));

/** The lines of words that fit in a width. words: [{text, hasSpace, kind}]. measure: text -> its width. */
export function wrapWords(words, width, measure) {
  const lines = [[]];
  let used = 0;
  for (const word of words) {
    const needed = measure(word.hasSpace ? `${word.text} ` : word.text);
    if (used && used + needed > width) {
      lines.push([]);
      used = 0;
    }
    lines.at(-1).push({ ...word, left: used });
    used += needed;
  }
  return lines;
}

export class Film {
  constructor(panel) {
    Object.assign(this, { panel, part: panel.part, samples: panel.samples, playing: null });
    this.part("film-play").addEventListener("click", () => this.togglePlay());
    this.part("film-save").addEventListener("click", () => this.save());
  }

  /** There is a film from the second evaluation on. */
  show() {
    this.part("film").hidden = this.samples.steps.length < 2;
  }

  async togglePlay() {
    if (this.playing) {
      this.stop();
      return;
    }
    const playing = this.playing = { run: this.panel.run, steps: [...this.samples.steps], timer: null };
    setText(this.part("film-play"), t("samples.film_stop"));
    await this.load(playing.steps);
    this.showFrame(playing, 0);
  }

  showFrame(playing, index) {
    const { run, steps } = playing;
    if (this.playing !== playing) return; // stopped, and perhaps played again
    if (index === steps.length || this.panel.run !== run) {
      this.stop();
      return;
    }
    this.samples.showStepOf(steps[index]);
    playing.timer = setTimeout(() => this.showFrame(playing, index + 1), FRAME_MS);
  }

  stop() {
    clearTimeout(this.playing?.timer);
    this.playing = null;
    setText(this.part("film-play"), t("samples.film_play"));
  }

  /** Fetch the evaluations that the page does not have. -> those of these steps. */
  async load(steps) {
    const { panel, samples: { evaluations } } = this, { run, known: { after, signature }, pageId: page } = panel;
    for (const step of steps) {
      if (evaluations.has(step)) continue;
      try {
        const reply = await call(panel.server, "poll", { run, after, signature, page, at_step: step });
        if (reply.evaluation) evaluations.set(step, reply.evaluation);
      } catch (error) {
        panel.showOffline(error);
        break;
      }
    }
    return steps.map((step) => evaluations.get(step)).filter(Boolean);
  }

  async save() {
    const { panel, part } = this, { run } = panel;
    if (isBusy(part("film-save"))) return;
    setBusy(part("film-save"), true);
    const evaluations = await this.load(spread(this.samples.steps, MAX_FRAMES));
    if (evaluations.length) {
      const delaysMs = evaluations.map((_, index) => (index === evaluations.length - 1 ? LAST_MS : FRAME_MS));
      const frames = drawFrames(run, evaluations, panel.element.firstElementChild);
      saveFile(encodeGif(frames, delaysMs), "image/gif", `${run}.gif`);
    }
    setBusy(part("film-save"), false);
  }
}

/** What the table of an evaluation says: [{reference, words: [{text, hasSpace, kind}]}], the hardest clips left out. */
function readRows(html) {
  const table = make("template", { innerHTML: html }).content; // escaped by the server
  const rows = [...table.querySelectorAll("tbody tr")].filter((row) => !row.querySelector(".tag"));
  return rows.slice(0, MAX_ROWS).map((row) => {
    const words = [];
    for (const { textContent: text, nodeName: kind } of row.lastElementChild.childNodes) {
      if (words.length && /^\s/.test(text)) words.at(-1).hasSpace = true;
      words.push(...splitWords(text).map((word) => ({ ...word, kind })));
    }
    return { reference: row.cells[1].textContent.trim(), words };
  });
}

/** -> a picture of each evaluation, all of the same size. */
function drawFrames(title, evaluations, element) {
  const context = make("canvas", { width: WIDTH, height: 10 }).getContext("2d", { willReadFrequently: true });
  const family = getComputedStyle(element).fontFamily, colour = (name) => cssVariable(element, name);
  const fonts = { head: `700 20px ${family}`, small: `14px ${family}`, text: `18px ${family}` };
  const wrap = (words, font) => {
    context.font = font;
    return wrapWords(words, WIDTH - 2 * MARGIN, (text) => context.measureText(text).width);
  };
  const frames = evaluations.map(({ caption, html }) => ({
    caption,
    rows: readRows(html).map(({ reference, words }) => ({
      reference: wrap(splitWords(reference), fonts.small),
      lines: wrap(words.length ? words : [{ text: "…" }], fonts.text),
    })),
  }));
  const heightOf = ({ rows }) => rows.reduce(
    (height, { reference, lines }) => height + reference.length * SMALL_LINE + lines.length * LINE + ROW_GAP,
    2 * MARGIN + 2 * LINE + ROW_GAP,
  );
  context.canvas.height = Math.ceil(Math.max(...frames.map(heightOf)));
  return frames.map((frame) => {
    drawFrame(context, { ...frame, title, fonts, colour });
    return context.getImageData(0, 0, WIDTH, context.canvas.height);
  });
}

function drawFrame(context, { title, caption, rows, fonts, colour }) {
  let top = MARGIN;
  const drawLines = (lines, font, ink, height) => {
    for (const line of lines) {
      context.font = font;
      const isMirrored = line.some(({ text }) => RIGHT_TO_LEFT.test(text));
      context.direction = isMirrored ? "rtl" : "ltr"; // so that a full stop stands at the end of its word
      for (const { text, kind, left } of line) {
        const start = isMirrored ? WIDTH - MARGIN - left - context.measureText(text).width : MARGIN + left;
        drawWord(context, text, start, top, height, { kind, ink, colour });
      }
      top += height;
    }
  };
  context.fillStyle = colour("--block-background-fill");
  context.fillRect(0, 0, WIDTH, context.canvas.height);
  context.textBaseline = "middle";
  context.textAlign = "left";
  drawLines([[{ text: title, left: 0 }]], fonts.head, "--body-text-color", LINE);
  drawLines([[{ text: caption, left: 0 }]], fonts.small, "--body-text-color-subdued", LINE);
  top += ROW_GAP;
  for (const { reference, lines } of rows) {
    drawLines(reference, fonts.small, "--body-text-color-subdued", SMALL_LINE);
    drawLines(lines, fonts.text, "--body-text-color", LINE);
    top += ROW_GAP;
  }
}

/** Draw a word in a line, marked as in the page where it is wrong, extra or missing. */
function drawWord(context, text, left, top, height, { kind, ink, colour }) {
  const { width } = context.measureText(text), middle = top + height / 2;
  if (FILLS[kind]) {
    context.fillStyle = colour(FILLS[kind]);
    context.fillRect(left - 2, top + 2, width + 4, height - 4);
  }
  context.fillStyle = colour(INKS[kind] ?? ink);
  context.fillText(text, left, middle);
  if (kind === "DEL") context.fillRect(left, middle, width, 1.5);
  if (kind === "INS") context.fillRect(left, top + height - 5, width, 1.5);
}
