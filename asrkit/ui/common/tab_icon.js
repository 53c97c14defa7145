// The icon of the browser's tab: the app's mark, or how far the run that is shown has come.

import { make } from "./dom.js";

const ACCENT = "#0d9488", TRACK = "#94a3b8"; // both can be seen on a light and on a dark row of tabs
const RADIUS = 12, CIRCUMFERENCE = 2 * Math.PI * RADIUS;
const BARS = [[2, 14], [12, 30], [22, 20]]; // of a waveform: place and height

const makeBar = ([x, height]) => `<rect x="${x}" y="${16 - height / 2}" width="8" height="${height}" rx="4"/>`;
const MARK = `<g fill="${ACCENT}">${BARS.map(makeBar).join("")}</g>`;

function makeRing(progress) {
  const circle = `<circle cx="16" cy="16" r="${RADIUS}" fill="none" stroke-width="7"`;
  const done = (progress * CIRCUMFERENCE).toFixed(1);
  return `${circle} stroke="${TRACK}"/>${circle} stroke="${ACCENT}" transform="rotate(-90 16 16)"
    stroke-dasharray="${done} ${CIRCUMFERENCE.toFixed(1)}"/>`;
}

/** -> the address of an icon: a ring of which a share (0 to 1) is filled, or the app's mark if `progress` is null. */
export function makeIcon(progress) {
  const shapes = progress === null ? MARK : makeRing(progress);
  const image = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${shapes}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(image)}`;
}

export function showIcon(progress) {
  const href = makeIcon(progress), shown = [...document.querySelectorAll("link[rel~=icon]")];
  if (shown.length === 1 && shown[0].href === href) return;
  shown.forEach((link) => link.remove()); // some browsers do not look again at an element that they know
  document.head.append(make("link", { rel: "icon", type: "image/svg+xml", href }));
}
