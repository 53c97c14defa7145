// The best metric over a run's evaluations as a small curve, its lowest point marked.

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 90, HEIGHT = 22, MARGIN = 3;

/** Points [x, y] of a curve that fills the picture; the lowest value lies at its bottom. */
export function trendPoints(values) {
  const low = Math.min(...values), span = Math.max(...values) - low || 1;
  const width = WIDTH - 2 * MARGIN, height = HEIGHT - 2 * MARGIN;
  return values.map((value, index) => [
    MARGIN + width * index / (values.length - 1), MARGIN + height * (1 - (value - low) / span),
  ]);
}

export function makeTrend(values, title) {
  const svg = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "spark" });
  if (values.length < 2) return svg;
  const points = trendPoints(values);
  const [cx, cy] = points[values.indexOf(Math.min(...values))];
  const path = points.map((point) => point.map((number) => number.toFixed(1)).join(",")).join(" ");
  svg.append(makeSvg("polyline", { points: path }), makeSvg("circle", { cx, cy, r: 2.2 }));
  const label = makeSvg("title", {});
  label.textContent = title;
  svg.append(label);
  return svg;
}

function makeSvg(tag, attributes) {
  const node = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
