// Charts of the live panel and the Runs tab: Plotly, its layout, and redrawing.

import { cssVariable, make } from "./dom.js";
import { t } from "./strings.js";

const IS_TOUCH = globalThis.matchMedia?.("(pointer: coarse)").matches ?? false;
const PLOT_CONFIG = {
  responsive: true,
  displayModeBar: false, // its buttons cannot be seen with the keyboard, and one sends the chart to another company
};

let plotly = null;

/** Plotly, which is loaded once for the whole page. */
export function loadPlotly(url) {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return plotly;
}

/** A function that gives the component's CSS variables, such as the colour of a curve. */
export const createPalette = (element) => (name) => cssVariable(element.firstElementChild, name);

export function createLayout(element, { percent, log, title, height = 270 }) {
  const colour = createPalette(element);
  const axis = { gridcolor: colour("--curve-grid"), linecolor: colour("--curve-grid"), zeroline: false };
  axis.layer = "below traces"; // or the line of the axis would run through the point of step 0
  const tickformat = percent ? ".0%" : log ? "~g" : ""; // Plotly's own logarithmic ticks write 0.3 as a small 3
  return {
    height,
    margin: { l: 52, r: 12, t: 34, b: 42 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(element).fontFamily, color: colour("--curve-text"), size: 12 },
    xaxis: { ...axis, title: { text: title, standoff: 6 }, rangemode: "tozero" },
    yaxis: {
      ...axis,
      type: log ? "log" : "linear",
      rangemode: log ? "normal" : "tozero",
      tickformat,
      exponentformat: "power",
      nticks: log ? 4 : undefined,
      automargin: log,
    },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    hovermode: "x unified",
    showlegend: true,
    hoverlabel: { bgcolor: colour("--curve-hover"), font: { color: colour("--curve-text") } },
    dragmode: IS_TOUCH ? false : "zoom",
  };
}

/**
 * Draw a chart anew and keep what the visitor did to it: curves that are switched off, and the zoom while `axesKey`,
 * which names what the axes mean, is the same.
 */
export function redraw(plot, traces, layout, axesKey) {
  const before = plot.data ?? [], sameAxes = plot.dataset.axesKey === axesKey;
  for (const trace of traces) {
    const old = before.find((each) => each.name === trace.name);
    if (old?.visible === "legendonly" && trace.visible !== false) trace.visible = "legendonly";
  }
  for (const axis of ["xaxis", "yaxis"]) {
    const old = plot.layout?.[axis];
    if (sameAxes && old && !old.autorange && old.range && !layout[axis].range) layout[axis].range = [...old.range];
  }
  plot.dataset.axesKey = axesKey;
  const drawn = window.Plotly.react(plot, traces, layout, PLOT_CONFIG);
  if (!plot.dataset.hasReset) addZoomReset(plot);
  return drawn;
}

/** Add a button that shows the whole chart again, as a double click on it does; there while it is zoomed. */
function addZoomReset(plot) {
  plot.dataset.hasReset = "1";
  const button = make("button", { type: "button", className: "small reset-zoom", hidden: true });
  button.textContent = t("charts.reset_zoom");
  button.addEventListener("click", () => {
    window.Plotly.relayout(plot, { "xaxis.autorange": true, "yaxis.autorange": true });
  });
  plot.before(button);
  plot.on("plotly_relayout", (change) => {
    const axes = ["xaxis", "yaxis"];
    if (axes.some((axis) => `${axis}.range[0]` in change || `${axis}.range` in change)) button.hidden = false;
    else if (axes.some((axis) => change[`${axis}.autorange`])) button.hidden = true;
  });
  plot.on("plotly_afterplot", () => {
    if (plot.layout.xaxis.autorange && plot.layout.yaxis.autorange) button.hidden = true;
  });
}
