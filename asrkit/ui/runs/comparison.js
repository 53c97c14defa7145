// Curves of several runs over each other, and a published card as a dashed reference.

import { AXES, timeUnit } from "../common/axes.js";
import { setInAddress, setText, showMessage } from "../common/dom.js";
import { createLayout, createPalette, redraw } from "../common/plots.js";
import { call } from "../common/server.js";
import { t } from "../common/strings.js";

const COLOURS = [
  "#0f766e", "#b45309", "#2563eb", "#7c3aed", "#be123c", "#4d7c0f",
  "#0891b2", "#a16207", "#c026d3", "#475569", "#059669", "#ea580c",
];
const DARK_COLOURS = [
  "#2dd4bf", "#fbbf24", "#60a5fa", "#c4b5fd", "#fb7185", "#a3e635",
  "#22d3ee", "#facc15", "#e879f9", "#94a3b8", "#34d399", "#fb923c",
];
const MAX_COMPARED = COLOURS.length;
const PERCENT_SERIES = ["eval/wer", "eval/cer", "eval/mer"];
const PLOT_HEIGHT = 380;

/** The ids of the runs that an address compares. */
export function comparedInAddress(address) {
  const ids = new URL(address).searchParams.get("compare") ?? "";
  return ids.split(",").filter(Boolean).slice(0, MAX_COMPARED);
}

/**
 * Where the axis ends while a much longer card is drawn beside runs: as far as the runs go, or at the card's second
 * evaluation where that does not leave the runs too little.
 */
export function nearEnd(runsEnd, cardPositions) {
  return 1.03 * Math.max(runsEnd, Math.min(cardPositions[1] ?? 0, 4 * runsEnd));
}

export class Comparison {
  /**
   * loadLibrary: load Plotly; its promise is never rejected. onTicked: other runs or another curve are compared.
   * nameOf(run_id, run_ids): what a run is called beside these. onDraw(ids): the ticked runs may have changed.
   */
  constructor(element, part, { server, loadLibrary, onTicked, nameOf, onDraw }) {
    Object.assign(this, { element, part, server, loadLibrary, onTicked, nameOf, onDraw });
    this.library = null; // the promise, from the first chart on
    this.colour = createPalette(element);
    this.ticked = comparedInAddress(location.href);
    this.curves = new Map(); // id -> {key, x, e, t, y}
    this.card = null;
    this.showsWholeCard = false;
    this.axesKey = "";
    this.fittedEnd = 0;
    this.wireControls();
  }

  wireControls() {
    const { part } = this;
    for (const name of ["series", "axis", "logarithmic"]) {
      part(name).addEventListener("change", () => {
        if (name === "series") this.curves = new Map();
        this.draw();
        this.onTicked();
      });
    }
    part("card").addEventListener("change", () => this.chooseCard(part("card").value, ""));
    part("draw-card").addEventListener("click", () => this.chooseCard("paste", part("pasted").value));
    part("whole").addEventListener("click", () => {
      this.showsWholeCard = !this.showsWholeCard;
      this.draw();
    });
    part("clear").addEventListener("click", () => {
      this.ticked = [];
      this.writeAddress();
      this.draw();
      this.onTicked();
    });
  }

  // ---- which runs

  isTicked(id) {
    return this.ticked.includes(id);
  }

  colourOf(id) {
    const isDark = document.body.classList.contains("dark") || Boolean(this.element.closest(".dark"));
    const colours = isDark ? DARK_COLOURS : COLOURS;
    return colours[this.ticked.indexOf(id) % MAX_COMPARED] ?? this.colour("--curve-text");
  }

  tick(id, isOn) {
    const others = this.ticked.filter((each) => each !== id);
    this.ticked = isOn ? [...others, id].slice(-MAX_COMPARED) : others;
    this.writeAddress();
    this.draw();
    this.onTicked();
  }

  writeAddress() {
    setInAddress("compare", this.ticked.join(","));
  }

  /** What a poll asks for: the ticked runs, and which state of their curve is known. */
  request() {
    return Object.fromEntries(this.ticked.map((id) => [id, this.curves.get(id)?.key ?? ""]));
  }

  update(curves, ids) {
    if (ids) this.ticked = this.ticked.filter((id) => ids.includes(id));
    for (const [id, curve] of Object.entries(curves)) this.curves.set(id, curve);
    if (Object.keys(curves).length || ids) this.draw();
  }

  // ---- the chart

  series() {
    return this.part("series").value;
  }

  axis() {
    return this.part("axis").value;
  }

  isPercent() {
    return PERCENT_SERIES.includes(this.series());
  }

  cardCurve() {
    return this.axis() === "t" ? null : this.card?.curves[this.series()] ?? null;
  }

  runsEnd() {
    return Math.max(0, ...this.ticked.map((id) => this.curves.get(id)?.[this.axis()].at(-1) ?? 0));
  }

  /** Where the card's curve ends, if the runs would be squeezed into a corner beside it; else 0. */
  longCardEnd() {
    const runsEnd = this.runsEnd(), cardEnd = this.cardCurve()?.[this.axis()].at(-1) ?? 0;
    return runsEnd && cardEnd > 1.5 * runsEnd ? cardEnd : 0;
  }

  draw() {
    const { part } = this, traces = this.traces();
    this.showControls(traces.length > 0);
    this.onDraw(this.ticked);
    if (!traces.length || !part("plot").offsetParent) return;
    if (!window.Plotly) {
      this.library ??= this.loadLibrary().then(() => this.draw());
      return;
    }
    const end = this.runsEnd(), isLog = part("logarithmic").checked && !this.isPercent();
    const isCut = this.longCardEnd() > 0 && !this.showsWholeCard;
    this.axesKey = [this.series(), this.axis(), timeUnit(end).key, isLog, isCut].join(" ");
    redraw(part("plot"), traces, this.layout(end, isLog, isCut), this.axesKey);
  }

  showControls(hasTraces) {
    const { part } = this, cardEnd = this.longCardEnd(), axis = AXES[this.axis()].title(this.runsEnd());
    part("whole").hidden = !cardEnd;
    const whole = t("comparison.whole_card", { axis, end: String(Math.round(cardEnd)) });
    setText(part("whole"), this.showsWholeCard ? t("comparison.zoom_to_runs") : whole);
    part("nothing").hidden = hasTraces;
    setText(part("nothing"), this.describeEmpty());
    part("plot").hidden = !hasTraces;
    part("clear").hidden = !this.ticked.length;
    part("logarithmic").disabled = this.isPercent();
  }

  layout(end, isLog, isCut) {
    const title = AXES[this.axis()].title(end);
    const layout = createLayout(this.element, { percent: this.isPercent(), log: isLog, title, height: PLOT_HEIGHT });
    layout.hovermode = "closest";
    layout.margin.t = 20;
    layout.legend = { orientation: "h", x: 0, y: -0.2 };
    if (isCut && !this.isZoomed()) {
      this.fittedEnd = nearEnd(end, this.cardCurve()[this.axis()]);
      layout.xaxis.range = [0, this.fittedEnd];
    }
    return layout;
  }

  /** Whether the visitor has zoomed by hand. */
  isZoomed() {
    const plot = this.part("plot"), axis = plot.layout?.xaxis;
    return plot.dataset.axesKey === this.axesKey && (axis?.autorange || axis?.range?.[1] !== this.fittedEnd);
  }

  traces() {
    const end = this.runsEnd(), textColour = this.colour("--curve-text"), card = this.cardCurve();
    const known = this.ticked.filter((id) => this.curves.get(id)?.key.startsWith(`${this.series()}@`));
    const nameOf = (id) => this.nameOf(id, this.ticked);
    const traces = known.map((id) => this.trace(nameOf(id), this.curves.get(id), this.colourOf(id), end));
    if (card) {
      const line = { color: textColour, width: 2, dash: "dash" };
      traces.push({ ...this.trace(this.card.title, card, textColour, end), line });
    }
    return traces;
  }

  trace(name, curve, colour, end) {
    return {
      name,
      x: curve[this.axis()].map((value) => AXES[this.axis()].scale(value, end)),
      y: curve.y,
      type: "scatter",
      mode: this.series().startsWith("eval/") ? "lines+markers" : "lines",
      connectgaps: false,
      cliponaxis: false,
      line: { color: colour, width: 2 },
      marker: { color: colour, size: 6 },
      hovertemplate: this.isPercent() ? "%{y:.1%}" : "%{y:.4~g}",
    };
  }

  /** Why there is no chart. */
  describeEmpty() {
    if (this.ticked.length) return t("comparison.no_curve_yet");
    if (this.card && this.axis() === "t") return t("comparison.card_without_times");
    if (this.card && !this.card.curves[this.series()]) return t("comparison.card_without_curve");
    return t("comparison.nothing");
  }

  // ---- published cards

  async chooseCard(name, text) {
    const { part } = this;
    this.card = null;
    showMessage(part("notice"), "");
    part("paste").hidden = name !== "paste";
    if (name && (name !== "paste" || text)) await this.loadCard(name, text);
    this.draw();
  }

  async loadCard(name, text) {
    try {
      const reply = await call(this.server, "load_card", { name, text });
      if (reply.notice) showMessage(this.part("notice"), reply.notice);
      else this.card = reply;
    } catch (error) {
      console.warn("asrkit: no card", error);
      this.part("offline").hidden = false; // the next reply takes it away
    }
  }
}
