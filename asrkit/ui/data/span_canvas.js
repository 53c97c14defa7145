// Draws the part of a recording on view: a ruler, its waveform, and a lane of spans for each tier.

import { cssVariable } from "../common/dom.js";
import { formatClock } from "../common/formats.js";
import { chooseTick, spansWithin } from "./span_search.js";

export const RULER_PX = 20, WAVE_PX = 84, LANE_PX = 30;
const NAME_PX = 13; // of a lane's name, above its spans
const MIN_TEXT_PX = 24;
const FONT = "12px system-ui, sans-serif";

/** The lane at a height; -1 for the ruler and the waveform. */
export const laneAt = (y) => (y < RULER_PX + WAVE_PX ? -1 : Math.floor((y - RULER_PX - WAVE_PX) / LANE_PX));

export const heightOf = (numLanes) => RULER_PX + WAVE_PX + numLanes * LANE_PX;

/** The colours of the page, for states of spans: fill, line and text. */
export function readColours(element) {
  const read = (name) => cssVariable(element, name);
  return {
    back: read("--block-background-fill"), text: read("--body-text-color"), quiet: read("--body-text-color-subdued"),
    grid: read("--border-color-primary"), wave: read("--curve-train-loss"), head: read("--bad"),
    used: { fill: read("--good-fill"), line: read("--good") },
    doubtful: { fill: read("--warn-fill"), line: read("--warn") },
    out: { fill: read("--note-fill"), line: read("--body-text-color-subdued") },
  };
}

/**
 * view: {fromS, secondsPerPixel, width}. scene: {durationS, tiers, states, selected: {lane, index} or null, playheadS,
 * peaksAt(view): [{x, width, low, high}]}.
 */
export function draw(canvas, colours, view, scene) {
  const density = window.devicePixelRatio || 1, height = heightOf(scene.tiers.length);
  const width = Math.round(view.width * density), tall = Math.round(height * density);
  if (canvas.width !== width || canvas.height !== tall) Object.assign(canvas, { width, height: tall });
  canvas.style.width = `${view.width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.fillStyle = colours.back;
  context.fillRect(0, 0, view.width, height);
  context.font = FONT;
  drawRuler(context, colours, view, scene, height);
  drawWave(context, colours, scene.peaksAt(view));
  scene.tiers.forEach((tier, lane) => drawLane(context, colours, view, scene, tier, lane));
  if (scene.playheadS !== null) {
    context.fillStyle = colours.head;
    context.fillRect((scene.playheadS - view.fromS) / view.secondsPerPixel - 1, 0, 2, height);
  }
}

function drawRuler(context, colours, view, scene, height) {
  const tickS = chooseTick(view.secondsPerPixel), endS = view.fromS + view.width * view.secondsPerPixel;
  context.textBaseline = "top";
  for (let n = Math.max(0, Math.floor(view.fromS / tickS)); n * tickS <= Math.min(endS, scene.durationS); n++) {
    const x = (n * tickS - view.fromS) / view.secondsPerPixel;
    context.fillStyle = colours.grid;
    context.fillRect(x, 0, 1, height);
    context.fillStyle = colours.quiet;
    const text = tickS < 1 ? `${formatClock(n * tickS)}.${Math.round(n * tickS * 10) % 10}` : formatClock(n * tickS);
    context.fillText(text, x + 4, 4);
  }
}

function drawWave(context, colours, columns) {
  const middle = RULER_PX + WAVE_PX / 2, scale = (WAVE_PX / 2 - 3) / 127;
  context.fillStyle = colours.wave;
  for (const { x, width, low, high } of columns) {
    context.fillRect(x, middle - high * scale, width, Math.max(1, (high - low) * scale));
  }
}

function drawLane(context, colours, view, scene, tier, lane) {
  const top = RULER_PX + WAVE_PX + lane * LANE_PX, bodyTop = top + NAME_PX, bodyPx = LANE_PX - NAME_PX - 2;
  const endS = view.fromS + view.width * view.secondsPerPixel;
  const [first, stop] = spansWithin(tier, view.fromS, endS);
  let lastX = -1;
  for (let index = first; index < stop; index++) {
    const x = (tier.start[index] - view.fromS) / view.secondsPerPixel;
    const right = (tier.end[index] - view.fromS) / view.secondsPerPixel, width = Math.max(1, right - x);
    if (right < 0 || (width <= 1 && Math.floor(x) === lastX)) continue; // out of view, or on the pixel of the last one
    lastX = Math.floor(x);
    drawSpan(context, colours[scene.states[tier.state[index]].kind], x, bodyTop, width, bodyPx,
      scene.states[tier.state[index]].kind === "out");
    if (width >= MIN_TEXT_PX && tier.text[index]) {
      const end = Math.min(right, view.width) - 4;
      drawText(context, colours.text, tier.text[index], Math.max(x, 0) + 4, bodyTop + 2, end);
    }
  }
  drawName(context, colours, tier, top);
  const { selected } = scene;
  if (selected?.lane !== lane) return;
  const x = (tier.start[selected.index] - view.fromS) / view.secondsPerPixel;
  const width = Math.max(3, (tier.end[selected.index] - tier.start[selected.index]) / view.secondsPerPixel);
  context.strokeStyle = colours.text;
  context.lineWidth = 2;
  context.strokeRect(x, bodyTop, width, bodyPx);
}

function drawSpan(context, { fill, line }, x, y, width, height, isOut) {
  context.fillStyle = width < 4 ? line : fill;
  context.fillRect(x, y, width, height);
  if (width < 4) return;
  context.strokeStyle = line;
  context.lineWidth = 1;
  context.setLineDash(isOut ? [3, 3] : []); // so that colour is not the only difference
  context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
  context.setLineDash([]);
}

function drawText(context, colour, text, x, y, right) {
  if (right - x < MIN_TEXT_PX - 8) return;
  context.save();
  context.beginPath();
  context.rect(x, y - 2, right - x, LANE_PX);
  context.clip();
  context.fillStyle = colour;
  context.fillText(text, x, y);
  context.restore();
}

function drawName(context, colours, tier, top) {
  const name = tier.label;
  context.fillStyle = colours.back;
  context.globalAlpha = 0.75;
  context.fillRect(0, top + 1, context.measureText(name).width + 6, NAME_PX - 1);
  context.globalAlpha = 1;
  context.fillStyle = tier.is_chosen ? colours.text : colours.quiet;
  context.fillText(name, 3, top + 1);
}
