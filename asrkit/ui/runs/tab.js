// The Runs tab: polls the server for rows and curves, and hands them to the table and the comparison.

import { make, partsOf, showMessage, watchColourScheme } from "../common/dom.js";
import { loadPlotly } from "../common/plots.js";
import { call, createPageId, warnNoAnswer } from "../common/server.js";
import { t } from "../common/strings.js";
import { Comparison } from "./comparison.js";
import { wireImport } from "./import.js";
import { drawSweeps } from "./sweeps.js";
import { Table } from "./table.js";

const OFFLINE_MS = 3000;
const HIDDEN_MS = 1000; // between two checks whether the tab is shown again; nothing is requested meanwhile

class RunsTab {
  constructor({ element, props, server, trigger, upload }) {
    this.element = element;
    this.server = server;
    this.part = partsOf(element);
    this.known = { instance: "", version: -1 }; // which state of the table the page has
    this.pageId = createPageId();
    this.timer = null;
    this.isPolling = this.pollAgain = false;
    this.fillChoices(props);
    const onFailure = () => showMessage(this.part("notice"), t("charts.not_loaded"));
    this.comparison = new Comparison(element, this.part, {
      server,
      loadLibrary: () => loadPlotly(props.plotly_src).catch(onFailure),
      onTicked: () => {
        this.table.draw();
        this.poll();
      },
      nameOf: (id, ids) => this.table.nameAmong(id, ids),
      onDraw: (ids) => this.table.drawDifferences(ids),
    });
    this.table = new Table(element, this.part, {
      comparison: this.comparison,
      onOpen: (run) => trigger("select", { run }),
    });
    wireImport(this.part, { server, upload, onImported: (run) => trigger("select", { run }) });
    document.addEventListener("visibilitychange", () => this.poll());
    watchColourScheme(() => {
      this.table.draw();
      this.comparison.draw();
    });
    new ResizeObserver(() => this.fit()).observe(element);
    this.poll();
  }

  fillChoices({ series, cards }) {
    const options = (pairs) => pairs.map(([value, label]) => make("option", { value, textContent: label }));
    const none = ["", t("common.none")], paste = ["paste", t("comparison.paste")];
    this.part("series").append(...options(Object.entries(series)));
    this.part("card").append(...options([none, ...Object.entries(cards), paste]));
  }

  fit() {
    const plot = this.part("plot");
    if (plot.data && plot.offsetWidth) window.Plotly.Plots.resize(plot);
    else this.comparison.draw();
  }

  async poll() {
    clearTimeout(this.timer);
    if (!this.element.isConnected) return;
    if (document.hidden || !this.element.offsetParent) {
      this.pollIn(HIDDEN_MS);
      return;
    }
    if (this.isPolling) {
      this.pollAgain = true;
      return;
    }
    this.isPolling = true;
    this.pollAgain = false;
    const paceMs = await this.requestNews();
    this.isPolling = false;
    this.pollIn(this.pollAgain ? 0 : paceMs);
  }

  pollIn(ms) {
    this.timer = setTimeout(() => this.poll(), ms);
  }

  /** -> milliseconds until the next poll. */
  async requestNews() {
    const request = { ...this.known, page: this.pageId, compare: this.comparison.request() };
    try {
      const reply = await call(this.server, "poll", { ...request, series: this.part("series").value });
      this.part("offline").hidden = true;
      this.known = { instance: reply.instance, version: reply.version };
      this.table.update(reply);
      this.comparison.update(reply.curves, reply.ids);
      if (reply.sweeps) drawSweeps(this.part("sweeps"), reply.sweeps);
      return reply.pace_ms;
    } catch (error) {
      warnNoAnswer(error);
      this.part("offline").hidden = false;
      return OFFLINE_MS;
    }
  }
}

export const mount = (component) => new RunsTab(component);
