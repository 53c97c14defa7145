// Charts as files: one picture, or one page that needs no network. A chart is {plot, title}.

import { cssVariable, saveFile } from "./dom.js";

const SCALE = 2, WIDTH = 640, HEIGHT = 320, TITLE_HEIGHT = 24, HEADING_HEIGHT = 48; // pixels, before the scale

/** Save all charts side by side as a PNG, twice as fine as the screen. */
export async function saveAsPicture(charts, heading, name, textColour) {
  const columns = Math.min(2, charts.length), rows = Math.ceil(charts.length / columns);
  const canvas = document.createElement("canvas");
  canvas.width = columns * WIDTH * SCALE;
  canvas.height = (HEADING_HEIGHT + rows * (HEIGHT + TITLE_HEIGHT)) * SCALE;
  const context = canvas.getContext("2d");
  context.scale(SCALE, SCALE);
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = textColour;
  context.font = "600 18px system-ui, sans-serif";
  context.fillText(heading, 16, 30);
  context.font = "600 14px system-ui, sans-serif";
  for (const [index, { plot, title }] of charts.entries()) {
    const x = (index % columns) * WIDTH;
    const y = HEADING_HEIGHT + Math.floor(index / columns) * (HEIGHT + TITLE_HEIGHT);
    const picture = new Image();
    picture.src = await window.Plotly.toImage(plot, { format: "png", width: WIDTH, height: HEIGHT, scale: SCALE });
    await picture.decode();
    context.fillText(title, x + 16, y + 14);
    context.drawImage(picture, x, y + 20, WIDTH, HEIGHT);
  }
  canvas.toBlob((blob) => saveFile(blob, "image/png", name), "image/png");
}

/** Save the charts as one HTML page with Plotly itself in it. */
export async function saveAsPage(charts, heading, name, plotlyUrl) {
  const library = await (await fetch(plotlyUrl)).text();
  const body = getComputedStyle(document.body);
  const style = { background: body.backgroundColor, text: cssVariable(document.body, "--curve-text") };
  saveFile(buildPage(charts, heading, library, style), "text/html", name);
}

/** The page's HTML. */
export function buildPage(charts, heading, library, { background, text }) {
  const drawn = charts.map(({ plot, title }) => ({
    title,
    data: plot.data,
    layout: { ...plot.layout, width: undefined, height: 360 },
  }));
  const title = escapeHtml(heading);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<style>
body { font: 16px system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
  background: ${background}; color: ${text}; }
</style>
<h1>${title}</h1><main></main>
<script>${library}</script>
<script>
for (const chart of ${JSON.stringify(drawn).replaceAll("<", "\\u003c")}) {
  const heading = document.createElement("h2"), plot = document.createElement("div");
  heading.textContent = chart.title;
  document.querySelector("main").append(heading, plot);
  Plotly.newPlot(plot, chart.data, chart.layout, { responsive: true, displayModeBar: false });
}
</script></html>`;
}

export function escapeHtml(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
