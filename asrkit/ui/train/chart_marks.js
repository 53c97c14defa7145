// What stands in a chart beside its curves: the loss of a model that knows only how often each letter occurs (a run
// that stays at this line has learned nothing else), the best evaluation, and the steps of findings.

import { t } from "../common/strings.js";
import { PLOTS } from "./chart_series.js";

const LABEL_ROWS = 5, LABEL_ROW_HEIGHT = 0.09; // of a chart's height: labels of neighbours stand below each other

/** -> Plotly's {shapes, annotations}. positionOfStep: step -> place on the axis, or null. colour: of a CSS variable. */
export function addMarks(plot, { entropy, best, findings }, positionOfStep, colour) {
  const shapes = [], annotations = [];
  if (plot === "loss" && entropy) {
    // Its caption stands under the chart: wherever it stood in it, a curve or a mark would run through it.
    const line = { color: colour("--curve-text"), width: 1, dash: "dash" };
    shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: entropy, y1: entropy, line });
  }
  if (!PLOTS[plot].marks) return { shapes, annotations };
  const marks = findings.map((finding) => ({
    step: finding.step ?? 0, label: finding.code, details: finding.cause, colour: colour("--warn"),
  }));
  if (best) marks.unshift({ step: best.step, label: t("charts.best"), details: best.text, colour: colour("--good") });
  marks.forEach((mark, index) => {
    const x = positionOfStep(mark.step);
    if (x === null) return;
    const line = { color: mark.colour, width: 1, dash: "dot" };
    shapes.push({ type: "line", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line });
    annotations.push({
      x,
      y: 1 - LABEL_ROW_HEIGHT * (index % LABEL_ROWS),
      yref: "paper",
      xanchor: "left",
      yanchor: "top",
      xshift: 3,
      showarrow: false,
      text: mark.label,
      hovertext: mark.details,
      font: { size: 11, color: mark.colour },
      captureevents: true,
      bgcolor: colour("--curve-hover"),
      borderpad: 1,
    });
  });
  return { shapes, annotations };
}
