// The transcript on view: its words, waveform and figures, and playing it.

import { cssVariable, make, setText, showMessage, watchColourScheme } from "../common/dom.js";
import { formatClock } from "../common/formats.js";
import { t } from "../common/strings.js";
import { Playback } from "./playback.js";
import { Timeline } from "./timeline.js";
import { EDGE_S, appendWords, enableArrowKeys, findWordAt, joinWords } from "./words.js";

export class Result {
  /** canPlay(): whether sound may be played now, which it may not while the microphone is open. */
  constructor(element, part, { canPlay, onError }) {
    this.element = element;
    this.part = part;
    this.canPlay = canPlay;
    this.shown = null; // the recording on view: {id, words, peaks, duration_s, state}
    this.timeline = new Timeline(element.querySelector(".recorder"), {
      frame: part("timeline"), canvas: part("wave"), lanes: part("lanes"),
    });
    this.playback = new Playback({ onMove: (timeS) => this.onMove(timeS), onError });
    this.wireControls();
  }

  wireControls() {
    const { element, part } = this;
    element.addEventListener("click", (event) => {
      const index = event.target.closest(".word")?.dataset.index;
      if (index !== undefined) this.playWord(Number(index));
    });
    enableArrowKeys(part("words"));
    part("wave").addEventListener("click", (event) => {
      if (this.shown?.id) this.play(this.timeline.timeAt(event.offsetX), this.shown.duration_s);
    });
    part("timeline").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === part("timeline")) part("play").click();
    });
    part("play").addEventListener("click", (event) => this.togglePlay(event.detail > 1));
    part("copy").addEventListener("click", async () => {
      const isCopied = await copyText(joinWords(this.shown.words), element);
      this.setNote(t(isCopied ? "transcribe.copied" : "transcribe.not_copied"));
    });
    watchColourScheme(() => this.timeline.drawWave());
    new ResizeObserver(() => {
      if (this.shown?.peaks && !part("done").hidden) this.timeline.draw(this.shown);
    }).observe(element);
  }

  setNote(text) {
    setText(this.part("note"), text);
  }

  setPartial(text) {
    this.part("partial").textContent = text;
  }

  isShown(recording) {
    return this.shown === recording;
  }

  /** Put an empty recording on view. */
  open(recording, note = "") {
    const { part } = this;
    this.shown = null;
    this.playback.stop();
    this.timeline.clear();
    this.shown = recording;
    part("result").hidden = false;
    for (const name of ["done", "warning", "kept", "train-on-it", "before-after"]) part(name).hidden = true;
    part("words").replaceChildren();
    part("compared").textContent = "";
    this.setPartial("");
    this.setNote(note);
  }

  close() {
    this.shown = null;
    this.part("result").hidden = true;
  }

  addWords(words) {
    appendWords(this.shown, words, this.part("words"));
  }

  /** Put a recording on view that is done, as the server describes it. */
  show(id, reply) {
    const { part } = this, { state, duration_s: durationS, peaks, seconds, name, model } = reply;
    if (this.shown?.id !== id) part("reference").value = ""; // what was said in another recording
    this.open({ id, words: [], state, duration_s: durationS, peaks });
    this.addWords(reply.words);
    const took = seconds < 60 ? t("common.seconds", { value: seconds.toFixed(1) }) : formatClock(seconds);
    const summary = t("transcribe.summary", { name, model, duration: durationS.toFixed(1), took });
    this.setNote(reply.decoding ? `${summary} · ${reply.decoding}` : summary);
    showMessage(part("warning"), reply.notice);
    part("done").hidden = !durationS;
    part("corrected").value = joinWords(this.shown.words);
    this.timeline.draw(this.shown);
  }

  // ---- playing

  play(startS, endS) {
    this.playback.play(this.shown.id, startS, endS);
  }

  playWord(index) {
    const word = this.shown.words[index];
    if (word && this.shown.id && this.canPlay()) this.play(Math.max(0, word.start_s - EDGE_S), word.end_s + EDGE_S);
  }

  /** Play becomes Stop; the second half of a double click is meant for neither. */
  togglePlay(isSecondOfDoubleClick) {
    if (!this.playback.isPlaying()) this.play(0, this.shown.duration_s);
    else if (!isSecondOfDoubleClick) this.playback.stop();
  }

  onMove(timeS) {
    const { element, part } = this, isPlaying = timeS !== null;
    setText(part("play"), t(isPlaying ? "transcribe.stop" : "transcribe.play"));
    this.timeline.movePlayhead(timeS);
    if (!this.shown) return;
    const index = isPlaying ? findWordAt(this.shown.words, timeS) : -1;
    for (const button of element.querySelectorAll(".word.playing")) {
      if (button.dataset.index !== String(index)) button.classList.remove("playing");
    }
    for (const button of element.querySelectorAll(`.word[data-index="${index}"]`)) button.classList.add("playing");
  }
}

/** -> whether it worked. Pages without https have no clipboard of their own. */
async function copyText(text, element) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const field = element.appendChild(make("textarea", { value: text }));
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}

/** Draw the last levels of the microphone, each 0 to 1. */
export function drawLevels(canvas, levels, element) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = cssVariable(element, "--good");
  levels.forEach((level, index) => {
    const height = Math.max(2, level * canvas.height);
    context.fillRect(index * 4, (canvas.height - height) / 2, 3, height);
  });
}
