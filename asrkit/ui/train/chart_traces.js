// How the curves of the live panel are drawn: Plotly's traces.

import { t } from "../common/strings.js";
import { BAND_OF, DATASET_CURVE, isOfDataset, OPTIONAL_SERIES } from "./chart_series.js";

const MAX_NAME_CHARS = 30;
const LEGEND_ROW_HEIGHT = 29, LEGEND_NAME_WIDTH = 190;

/** How the curves of datasets differ, also without colours. */
const DATASET_SYMBOLS = ["square", "diamond", "triangle-up", "cross", "x", "star"];

/** The name of a dataset as a legend has room for it: a long one without its middle. */
export function shortenName(name) {
  if (name.length <= MAX_NAME_CHARS) return name;
  const half = (MAX_NAME_CHARS - 1) / 2;
  return `${name.slice(0, Math.floor(half))}…${name.slice(-Math.ceil(half))}`;
}

/** What the legend's rows for these curves of datasets take of a chart of this width. */
export function legendHeight(count, width) {
  return LEGEND_ROW_HEIGHT * Math.ceil(count / Math.max(1, Math.floor(width / LEGEND_NAME_WIDTH)));
}

/**
 * A curve's trace. x, y: its points. percent: whether they are shares. colour: of a CSS variable. datasetIndex: of the
 * curve of a dataset among these.
 */
export function makeTrace(series, { x, y, percent, colour, datasetIndex }) {
  if (series in BAND_OF) return { x, y, ...bandEnd(series, colour), visible: x.length > 0 };
  if (isOfDataset(series)) return { x, y, ...datasetCurve(series, datasetIndex, colour) };
  const isTraining = series.startsWith("train/");
  const ownColour = colour(`--curve-${series.replace("/", "-")}`) || colour("--curve-train-loss");
  return {
    x,
    y,
    name: t(`charts.series.${series}`),
    type: "scatter",
    legendgroup: Object.values(BAND_OF).includes(series) ? series : "",
    mode: isTraining ? "lines" : "lines+markers",
    connectgaps: false,
    cliponaxis: isTraining,
    visible: !OPTIONAL_SERIES.includes(series) || x.length > 0,
    line: { color: ownColour, width: isTraining ? 1.5 : 2.5, dash: series === "eval/greedy_wer" ? "dot" : "solid" },
    marker: { color: ownColour, size: 7 },
    hovertemplate: percent ? "%{y:.1%}" : "%{y:.4~g}",
  };
}

/** The WER of one of several datasets, a thin line. */
function datasetCurve(series, index, colour) {
  const ownColour = colour(`--curve-dataset-${index}`);
  return {
    name: t("charts.series.dataset", { dataset: shortenName(series.slice(DATASET_CURVE.length)) }),
    type: "scatter",
    mode: "lines+markers",
    cliponaxis: false,
    line: { color: ownColour, width: 1.2 },
    marker: { color: ownColour, size: 6, symbol: DATASET_SYMBOLS[index] },
    hovertemplate: "%{y:.1%}",
  };
}

/** One end of a band; the upper one fills the space to the lower one, which is drawn before it. */
function bandEnd(series, colour) {
  const curve = BAND_OF[series];
  return {
    name: t(`charts.series.${series}`),
    type: "scatter",
    mode: "lines",
    line: { width: 0 },
    fill: series.endsWith("_high") ? "tonexty" : "none",
    fillcolor: `${colour(`--curve-${curve.replace("/", "-")}`)}26`,
    hoverinfo: "skip",
    showlegend: false,
    legendgroup: curve,
  };
}
