// Chapter shared by the live panel and the Runs tab: loading Plotly, the look of a chart, axes, smoothing, and charts
// as files. `element` and `props` are the component's; nothing here knows what a run is.

const TOUCH = matchMedia("(pointer: coarse)").matches;
const plotly = (window.asrkitPlotly ??= new Promise((loaded, failed) => {
  const script = document.createElement("script");
  script.src = props.plotly_src;
  script.onload = () => loaded(window.Plotly);
  script.onerror = failed;
  document.head.append(script);
}));

const AXES = {
  x: { title: () => "step", of: (value) => value },
  e: { title: () => "epoch", of: (value) => value },
  t: { title: (most) => `${timeUnit(most).words} of work`, of: (value, most) => value / timeUnit(most).seconds },
};

function timeUnit(most) {
  if (most > 2 * 3600) return { words: "hours", seconds: 3600 };
  return most > 120 ? { words: "minutes", seconds: 60 } : { words: "seconds", seconds: 1 };
}

function colour(name) { return getComputedStyle(element.firstElementChild).getPropertyValue(name).trim(); }

// Exponential mean of what came before, corrected for its start (as Adam does it); a gap stays a gap.
function smoothed(values, weight) {
  let mean = 0, seen = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    seen += 1;
    return mean / (1 - weight ** seen);
  });
}

function baseLayout({ percent, log, title, height = 270 }) {
  const axis = { gridcolor: colour("--curve-grid"), linecolor: colour("--curve-grid"), zeroline: false };
  const figures = percent ? ".0%" : log ? "~g" : ""; // Plotly's own logarithmic ones write 0.3 as a small 3
  return { height, margin: { l: 52, r: 12, t: 34, b: 42 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
           font: { family: getComputedStyle(element).fontFamily, color: colour("--curve-text"), size: 12 },
           xaxis: { ...axis, title: { text: title, standoff: 6 }, rangemode: "tozero" },
           yaxis: { ...axis, type: log ? "log" : "linear", rangemode: log ? "normal" : "tozero", tickformat: figures,
                    exponentformat: "power", nticks: log ? 4 : undefined, automargin: log },
           legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, hovermode: "x unified", showlegend: true,
           hoverlabel: { bgcolor: colour("--curve-hover"), font: { color: colour("--curve-text") } },
           dragmode: TOUCH ? false : "zoom" };
}

const PLOT_CONFIG = { displaylogo: false, responsive: true, displayModeBar: TOUCH ? false : "hover",
                      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage"] };

// Draw a chart anew and keep what the visitor did to it: curves switched off, and the zoom while its axes mean the same.
function redraw(div, traces, layout, meaning) {
  const before = div.data ?? [], same = div.dataset.meaning === meaning;
  for (const trace of traces) {
    const old = before.find((one) => one.name === trace.name);
    if (old?.visible === "legendonly" && trace.visible !== false) trace.visible = "legendonly";
  }
  for (const axis of ["xaxis", "yaxis"]) {
    const old = div.layout?.[axis];
    if (same && old && !old.autorange && old.range && !layout[axis].range) layout[axis].range = [...old.range];
  }
  div.dataset.meaning = meaning;
  return Plotly.react(div, traces, layout, PLOT_CONFIG);
}

// All charts side by side on one picture, twice as fine as the screen.
async function asPicture(charts, heading, name) {
  const scale = 2, width = 640, height = 320, columns = Math.min(2, charts.length), top = 48;
  const canvas = document.createElement("canvas"), rows = Math.ceil(charts.length / columns);
  canvas.width = columns * width * scale;
  canvas.height = (top + rows * (height + 24)) * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = getComputedStyle(document.body).backgroundColor;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = colour("--curve-text");
  pen.font = "600 18px system-ui, sans-serif";
  pen.fillText(heading, 16, 30);
  pen.font = "600 14px system-ui, sans-serif";
  for (const [place, chart] of charts.entries()) {
    const x = (place % columns) * width, y = top + Math.floor(place / columns) * (height + 24);
    const picture = new Image();
    picture.src = await Plotly.toImage(chart.div, { format: "png", width, height, scale });
    await picture.decode();
    pen.fillText(chart.title, x + 16, y + 14);
    pen.drawImage(picture, x, y + 20, width, height);
  }
  canvas.toBlob((blob) => saveAs(blob, "image/png", name), "image/png");
}

// The same charts as one page that needs no network: Plotly itself is in it.
async function asPage(charts, heading, name) {
  const library = await (await fetch(props.plotly_src)).text();
  const safe = (value) => JSON.stringify(value).replaceAll("<", "\\u003c");
  const quoted = Object.assign(document.createElement("i"), { textContent: heading }).innerHTML;
  const drawn = charts.map(({ div, title }) => ({ title, data: div.data, layout: { ...div.layout, width: undefined, height: 360 } }));
  saveAs(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${quoted}</title>
<style>body{font:16px system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;background:${getComputedStyle(document.body).backgroundColor};color:${colour("--curve-text")}}</style>
<h1>${quoted}</h1><main></main>
<script>${library}</script>
<script>
for (const chart of ${safe(drawn)}) {
  const heading = document.createElement("h2"), place = document.createElement("div");
  heading.textContent = chart.title;
  document.querySelector("main").append(heading, place);
  Plotly.newPlot(place, chart.data, chart.layout, { responsive: true, displaylogo: false });
}
</script></html>`, "text/html", name);
}
