// The waveform of a recording with its words below, each under its place in time.

import { cssVariable } from "../common/dom.js";
import { makeWordButton } from "./words.js";

const MAX_STRIP_S = 60; // up to which the waveform scrolls, with its words below it
const MIN_PIXELS_PER_SECOND = 25; // where a strip would be denser it scrolls
const HEIGHT = 72, GAP = 4; // pixels
const LANE_REM = 1.9;

/** The lane of each of these boxes [{left, width}], sorted by `left`: the first lane in which it overlaps none. */
export function assignLanes(boxes) {
  const ends = [];
  return boxes.map(({ left, width }) => {
    const free = ends.findIndex((end) => end <= left), lane = free < 0 ? ends.length : free;
    ends[lane] = left + width + GAP;
    return lane;
  });
}

export class Timeline {
  /** element: where the colours come from. canvas: of the waveform; lanes: of the words. */
  constructor(element, { frame, canvas, lanes }) {
    Object.assign(this, { element, frame, canvas, lanes });
    this.recording = null;
    this.width = 0;
    this.playheadS = null;
  }

  /** Draw a recording {words, peaks, duration_s}; to be called again when the frame has another width. */
  draw(recording) {
    const { frame, lanes } = this, width = frame.clientWidth;
    const isStrip = recording.duration_s <= MAX_STRIP_S;
    this.recording = recording;
    this.width = isStrip ? Math.max(width, Math.round(recording.duration_s * MIN_PIXELS_PER_SECOND)) : width;
    this.drawWave();
    lanes.replaceChildren();
    lanes.style.width = `${this.width}px`;
    if (isStrip) this.drawWords();
    else lanes.style.height = 0;
  }

  drawWords() {
    const { words, duration_s: durationS } = this.recording;
    const buttons = words.map((word, index) => makeWordButton(word, index));
    for (const button of buttons) button.tabIndex = -1; // the same words stand above
    this.lanes.append(...buttons);
    const lefts = words.map((word) => word.start_s / durationS * this.width);
    const lanes = assignLanes(buttons.map((button, index) => ({ left: lefts[index], width: button.offsetWidth })));
    buttons.forEach((button, index) => {
      button.style.left = `${lefts[index]}px`;
      button.style.top = `${lanes[index] * LANE_REM}rem`;
    });
    this.lanes.style.height = `${(Math.max(-1, ...lanes) + 1) * LANE_REM}rem`;
  }

  movePlayhead(timeS) {
    this.playheadS = timeS;
    this.drawWave();
  }

  clear() {
    this.recording = null;
  }

  drawWave() {
    if (!this.recording) return;
    const { canvas, playheadS } = this, { peaks, duration_s: durationS } = this.recording;
    const density = window.devicePixelRatio || 1;
    canvas.width = this.width * density;
    canvas.height = HEIGHT * density;
    canvas.style.width = `${this.width}px`;
    const context = canvas.getContext("2d"), step = canvas.width / Math.max(1, peaks.length);
    context.fillStyle = cssVariable(this.element, "--curve-eval-loss");
    peaks.forEach((peak, index) => {
      const height = Math.max(1, peak / 100 * canvas.height);
      context.fillRect(index * step, (canvas.height - height) / 2, Math.max(1, step - 1), height);
    });
    if (playheadS === null) return;
    context.fillStyle = cssVariable(this.element, "--curve-eval-wer");
    context.fillRect(playheadS / durationS * canvas.width, 0, 2 * density, canvas.height);
  }

  /** The time under a place of the waveform. */
  timeAt(offsetX) {
    return offsetX / this.canvas.clientWidth * this.recording.duration_s;
  }
}
