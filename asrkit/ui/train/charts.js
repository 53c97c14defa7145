// The live panel's charts. New points are appended, so zoom, hidden curves and hover survive them; a chart is drawn
// anew only when its axes or its smoothing change, or when the server says so.

import { AXES, smoothValues, timeUnit } from "../common/axes.js";
import { createLayout, createPalette, redraw } from "../common/plots.js";
import { t } from "../common/strings.js";
import { addMarks } from "./chart_marks.js";
import { isOfDataset, MAX_POINTS, PLOTS, SERIES } from "./chart_series.js";
import { legendHeight, makeTrace } from "./chart_traces.js";

const STORAGE_KEY = "asrkit-charts";
const DEFAULT_VIEW = { axis: "x", log: false, smoothing: 0, hidden: [] };
const ALWAYS_SHOWN = ["loss", "rates"];

const emptyCurve = () => ({ x: [], e: [], t: [], y: [] });
const emptyPoints = () => Object.fromEntries(SERIES.map((name) => [name, emptyCurve()]));

function loadView() {
  let saved = {};
  try {
    saved = JSON.parse(localStorage.getItem(STORAGE_KEY)) ?? {};
  } catch { /* the defaults, then */ }
  const view = { ...DEFAULT_VIEW, ...saved };
  return view.axis in AXES ? view : { ...view, axis: DEFAULT_VIEW.axis };
}

export class Charts {
  /** loadLibrary: load Plotly; its promise is never rejected. */
  constructor(element, part, loadLibrary) {
    this.element = element;
    this.part = part;
    this.loadLibrary = loadLibrary;
    this.library = null; // the promise, from the first chart on
    this.colour = createPalette(element);
    this.view = loadView(); // what the visitor has chosen
    this.points = emptyPoints();
    this.marks = { entropy: null, best: null, findings: [] };
    this.isDrawn = false;
    this.timeEnd = 0; // the unit of time is chosen when a chart is drawn, and stays until it is drawn anew
    this.wireControls();
  }

  wireControls() {
    const { part } = this;
    part("axis").value = this.view.axis;
    part("logarithmic").checked = this.view.log;
    part("smoothing").value = this.view.smoothing;
    for (const name of ["axis", "logarithmic"]) part(name).addEventListener("change", () => this.readControls());
    part("smoothing").addEventListener("input", () => this.readControls());
    part("more-charts").addEventListener("toggle", () => this.fit());
  }

  readControls() {
    const { part } = this;
    const smoothing = Number(part("smoothing").value);
    this.view = { ...this.view, axis: part("axis").value, log: part("logarithmic").checked, smoothing };
    this.saveView();
    this.draw();
  }

  saveView() {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(this.view));
  }

  hasPoints(series) {
    return this.points[series].x.length > 0;
  }

  /** The curves of the WER of each dataset, if there are several. */
  datasetCurves() {
    return Object.keys(this.points).filter(isOfDataset);
  }

  /** The curves of a chart. */
  curvesOf(plot) {
    return plot === "rates" ? [...PLOTS[plot].curves, ...this.datasetCurves()] : PLOTS[plot].curves;
  }

  /** Whether a curve is so long that the page should ask for a thinned history. */
  isTooLong() {
    return SERIES.some((name) => this.points[name].x.length > MAX_POINTS);
  }

  axisEnd() {
    return Math.max(0, ...SERIES.map((name) => this.points[name][this.view.axis].at(-1) ?? 0));
  }

  /** What the end of the axis is for its unit: only time has one. */
  scaleEnd() {
    return this.view.axis === "t" ? this.timeEnd : 0;
  }

  /** The places of a curve's points on the axis, from a point on. */
  positions(series, from = 0) {
    const { scale } = AXES[this.view.axis], end = this.scaleEnd();
    return this.points[series][this.view.axis].slice(from).map((value) => scale(value, end));
  }

  // ---- news

  /** Take over a reply of the server's: new points, or all of them if `reset`. */
  update(reply) {
    const { part } = this, marks = { entropy: reply.entropy, best: reply.best, findings: reply.findings };
    const marksChanged = JSON.stringify(marks) !== JSON.stringify(this.marks);
    if (reply.reset) this.points = emptyPoints();
    const before = SERIES.filter((name) => this.hasPoints(name)), numBefore = this.datasetCurves().length;
    for (const [name, columns] of Object.entries(reply.points)) {
      this.points[name] ??= emptyCurve();
      for (const column of "xety") this.points[name][column].push(...columns[column]);
    }
    this.marks = marks;
    part("entropy").hidden = !marks.entropy;
    part("sample").textContent = reply.sample;
    part("sample").hidden = !reply.sample;
    const isEmpty = !SERIES.some((name) => this.hasPoints(name));
    for (const name of ["charts", "chart-tools", "more-charts"]) part(name).hidden = isEmpty;
    const unitChanged = this.view.axis === "t" && timeUnit(this.axisEnd()).key !== timeUnit(this.timeEnd).key;
    if (reply.reset || !this.isDrawn || unitChanged) {
      this.draw();
      return;
    }
    for (const [plot, { curves }] of Object.entries(PLOTS)) {
      const isNew = curves.some((name) => this.hasPoints(name)) && !curves.some((name) => before.includes(name));
      const hasMore = plot === "rates" && this.datasetCurves().length > numBefore;
      if (isNew || hasMore) this.drawPlot(plot);
      else this.extend(plot, reply.points);
      if (marksChanged && part(plot).data) window.Plotly.relayout(part(plot), this.marksOf(plot));
    }
  }

  extend(plot, newPoints) {
    const { smooth } = PLOTS[plot], curves = this.curvesOf(plot), target = this.part(plot);
    if (!target.data || target.dataset.due) return;
    const x = [], y = [], indices = [];
    curves.forEach((name, index) => {
      const count = newPoints[name]?.x.length;
      if (!count) return;
      x.push(this.positions(name, -count));
      y.push(newPoints[name].y);
      indices.push(index);
      if (smooth && index === 0 && this.view.smoothing > 0) {
        x.push(x.at(-1));
        y.push(smoothValues(this.points[name].y, this.view.smoothing).slice(-count));
        indices.push(curves.length);
      }
    });
    if (indices.length) window.Plotly.extendTraces(target, { x, y }, indices);
  }

  // ---- drawing

  draw() {
    if (!SERIES.some((name) => this.hasPoints(name)) || !this.hasLibrary()) return;
    this.timeEnd = this.axisEnd();
    this.isDrawn = true;
    this.drawAll();
  }

  /** Whether Plotly is loaded; it is when there is a chart to be seen. */
  hasLibrary() {
    if (!window.Plotly && this.element.offsetParent) this.library ??= this.loadLibrary().then(() => this.draw());
    return Boolean(window.Plotly);
  }

  drawAll() {
    Object.keys(PLOTS).forEach((plot) => this.drawPlot(plot));
  }

  /** Draw a chart; one that cannot be seen is due for later. */
  drawPlot(plot) {
    const target = this.part(plot), figure = target.closest("figure");
    const hasData = PLOTS[plot].curves.some((name) => this.hasPoints(name));
    figure.hidden = !hasData && !ALWAYS_SHOWN.includes(plot);
    if (figure.hidden || !figure.offsetParent) {
      target.dataset.due = "1";
      return;
    }
    delete target.dataset.due;
    const wasEmpty = target.dataset.empty === "1";
    target.dataset.empty = hasData ? "" : "1";
    const axesKey = `${this.view.axis} ${timeUnit(this.scaleEnd()).key} ${this.view.log}`;
    redraw(target, this.traces(plot), this.layout(plot, hasData), wasEmpty ? "empty" : axesKey);
    if (!target.dataset.wired) target.on("plotly_restyle", () => this.saveHidden(target.data));
    target.dataset.wired = "1";
  }

  traces(plot) {
    const { smooth } = PLOTS[plot], curves = this.curvesOf(plot), traces = curves.map((name) => this.trace(plot, name));
    const isSmoothed = smooth && this.view.smoothing > 0;
    if (smooth) {
      const [raw] = traces;
      raw.opacity = isSmoothed ? 0.3 : 1;
      raw.showlegend = !isSmoothed;
      traces.push({
        ...raw,
        x: isSmoothed ? raw.x : [],
        y: isSmoothed ? smoothValues(this.points[curves[0]].y, this.view.smoothing) : [],
        opacity: 1,
        name: t("charts.smoothed", { name: raw.name }),
        visible: isSmoothed,
        showlegend: isSmoothed,
        mode: "lines",
        line: { ...raw.line, width: 2.5 },
      });
    }
    for (const trace of traces) {
      if (trace.visible && this.view.hidden.includes(trace.name)) trace.visible = "legendonly";
    }
    return traces;
  }

  trace(plot, series) {
    return makeTrace(series, {
      x: this.positions(series),
      y: [...this.points[series].y],
      percent: PLOTS[plot].percent,
      colour: this.colour,
      datasetIndex: this.datasetCurves().indexOf(series),
    });
  }

  layout(plot, hasData) {
    const { percent, curves } = PLOTS[plot], title = AXES[this.view.axis].title(this.scaleEnd());
    const layout = createLayout(this.element, { percent, log: this.view.log && !percent, title });
    if (plot === "rates") layout.height += legendHeight(this.datasetCurves().length, this.part(plot).clientWidth);
    layout.showlegend = curves.length > 1;
    if (!hasData) { // axes that mean something until there is a point
      layout.xaxis.range = [0, 10];
      layout.yaxis.range = [0, 1];
    }
    return { ...layout, ...this.marksOf(plot) };
  }

  marksOf(plot) {
    return addMarks(plot, this.marks, (step) => this.positionOfStep(step), this.colour);
  }

  /** Where a step lies on the axis; null before a curve has come so far. */
  positionOfStep(step) {
    if (this.view.axis === "x") return step;
    for (const name of ["eval/loss", "train/loss"]) {
      const index = this.points[name].x.findIndex((known) => known >= step);
      if (index >= 0) return this.positions(name)[index];
    }
    return null;
  }

  /** A curve that was switched off in the legend stays off after a reload. */
  saveHidden(traces) {
    const names = traces.map((trace) => trace.name);
    const hidden = traces.filter((trace) => trace.visible === "legendonly").map((trace) => trace.name);
    this.view.hidden = [...this.view.hidden.filter((name) => !names.includes(name)), ...hidden];
    this.saveView();
  }

  /** For other colours. */
  recolour() {
    if (this.isDrawn) this.drawAll();
  }

  /** Draw what could not be seen, and fit the rest to its new place. */
  fit() {
    if (!this.isDrawn) {
      this.draw();
      return;
    }
    for (const plot of Object.keys(PLOTS)) {
      const target = this.part(plot);
      if (target.dataset.due) this.drawPlot(plot);
      else if (target.data && target.offsetWidth) window.Plotly.Plots.resize(target);
    }
  }

  /** The charts that are drawn, for an export. */
  exported() {
    const drawn = Object.keys(PLOTS).filter((plot) => this.part(plot).data);
    return drawn.map((plot) => ({ plot: this.part(plot), title: this.titleOf(plot) }));
  }

  titleOf(plot) {
    const title = t(`charts.title.${plot}`);
    return plot === "loss" && this.marks.entropy ? `${title} (${this.part("entropy").textContent})` : title;
  }
}
