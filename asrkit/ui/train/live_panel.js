// The live panel: polls the server for news of one run, changes the page in place, and sends actions.

import { make, partsOf, setInAddress, showMessage, watchColourScheme } from "../common/dom.js";
import { loadPlotly } from "../common/plots.js";
import { call, createPageId, warnNoAnswer } from "../common/server.js";
import { t } from "../common/strings.js";
import { Charts } from "./charts.js";
import { createConfirmation } from "../common/confirm.js";
import { Description } from "./description.js";
import { Film } from "./film.js";
import { FirstRun } from "./first_run.js";
import { openSection } from "../export/section.js";
import { Queue } from "./queue.js";
import { RunDetails } from "./run_details.js";
import { makeDownloadUrl, RunDownloads } from "./run_downloads.js";
import { RunSettings } from "./run_settings.js";
import { Samples } from "./samples.js";
import { Tour } from "./tour.js";

const OFFLINE_MS = 2000;
const HIDDEN_MS = 15000; // between two polls while the page is hidden: its title shows the progress
const OTHER_TAB_MS = 5000; // and while another tab of it is shown
const CONFIRM = { cancel: "train.confirm_cancel", delete: "train.confirm_delete" };

class LivePanel {
  constructor({ element, props, server, trigger, watch }) {
    Object.assign(this, { element, props, server, trigger });
    this.part = partsOf(element);
    this.run = new URLSearchParams(location.search).get("run") || "";
    this.known = { after: 0, signature: null, hasModel: false }; // what the page has from earlier replies
    this.paceMs = 1000;
    this.offered = ""; // the model that the section below has
    this.timer = null;
    this.isPolling = this.pollAgain = false;
    this.pollDue = performance.now() + OTHER_TAB_MS; // while the panel is hidden
    this.wasShown = true;
    this.opensElsewhere = /[?&]compare=/.test(location.search); // such an address is about to open another tab
    this.pageId = createPageId();
    this.confirmation = createConfirmation();
    const onFailure = () => this.showNotice(t("charts.not_loaded"));
    this.charts = new Charts(element, this.part, () => loadPlotly(props.plotly_src).catch(onFailure));
    this.details = new RunDetails(element, this.part);
    this.samples = new Samples(this.part, {
      clipUrl: (clip) => `${makeDownloadUrl(this.run, "clip")}/${encodeURIComponent(clip)}.wav`,
      onStepMissing: () => this.poll(),
      onError: (message) => this.showNotice(message),
    });
    this.film = new Film(this);
    this.description = new Description(this.part, (values) => this.send(call(this.server, "save_description", values)));
    this.settings = new RunSettings(this.part, (run) => this.send(call(this.server, "list_settings", { run })));
    new FirstRun(element, this.part, server, (id) => this.chooseRun(id));
    this.queue = new Queue(this.part, {
      onOpen: (id) => this.chooseRun(id),
      onAction: (id, action, position) => this.sendAction({ run: id, action, position }),
    });
    new RunDownloads(this);
    this.tour = new Tour(element, this.part);
    this.wireControls();
    watch("value", () => this.showChosen());
    this.showChosen();
    this.poll();
  }

  wireControls() {
    const { element, part } = this;
    part("runs").addEventListener("change", () => this.chooseRun(part("runs").value));
    part("log").addEventListener("toggle", () => this.poll());
    const select = (action) => this.trigger("select", { run: this.run, action });
    part("open-transcribe").addEventListener("click", () => select("transcribe"));
    part("open-export").addEventListener("click", () => openSection("train-export"));
    for (const button of element.querySelectorAll("[data-reuse]")) {
      button.addEventListener("click", () => {
        this.closeMenu();
        select("reuse");
      });
    }
    for (const button of element.querySelectorAll("[data-action]")) {
      button.addEventListener("click", () => this.onAction(button));
    }
    document.addEventListener("click", (event) => {
      if (!part("more").contains(event.target)) part("more").open = false;
    });
    document.addEventListener("visibilitychange", () => this.poll());
    watchColourScheme(() => this.charts.recolour());
    new ResizeObserver(() => this.onResize()).observe(element);
  }

  // ---- polling

  isSeen() {
    return !document.hidden && this.element.offsetParent && !this.opensElsewhere;
  }

  async poll() {
    clearTimeout(this.timer);
    if (!this.element.isConnected) return;
    if (this.isPolling) {
      this.pollAgain = true;
      return;
    }
    if (!this.isSeen() && performance.now() < this.pollDue) {
      this.pollIn(this.pollDue - performance.now());
      return;
    }
    this.isPolling = true;
    this.pollAgain = false;
    await this.requestNews();
    this.isPolling = false;
    this.pollDue = performance.now() + (document.hidden ? HIDDEN_MS : OTHER_TAB_MS);
    const waitMs = this.isSeen() ? this.paceMs : Math.max(this.paceMs, this.pollDue - performance.now());
    this.pollIn(this.pollAgain ? 0 : waitMs);
  }

  pollIn(ms) {
    this.timer = setTimeout(() => this.poll(), ms);
  }

  async requestNews() {
    const { run, known, part } = this;
    const after = this.charts.isTooLong() ? 0 : known.after;
    const request = { run, after, signature: known.signature, log: part("log").open, page: this.pageId };
    try {
      const reply = await call(this.server, "poll", { ...request, ...this.samples.request() });
      part("offline").hidden = true;
      if (run === this.run) this.show(reply);
    } catch (error) {
      warnNoAnswer(error);
      part("offline").hidden = false;
      this.paceMs = OFFLINE_MS;
    }
  }

  show(reply) {
    const { part, known } = this;
    known.signature = reply.signature;
    if (reply.runs) {
      this.listRuns(reply.runs);
      this.queue.show(reply.queue);
    }
    this.announceChange(reply);
    if (reply.notice) {
      this.showNotice(reply.notice);
      part("body").hidden = false;
      part("empty").hidden = true;
    }
    this.paceMs = reply.read < 1 ? 0 : reply.pace_ms;
    part("body").classList.toggle("gone", !reply.run);
    this.offerModel(reply);
    if (!reply.run) {
      // Nothing of another run may stand here as if it were this one.
      this.details.showNone(Boolean(reply.notice));
      return;
    }
    this.run = reply.run;
    known.after = reply.offset;
    const wasFocusInEmpty = part("empty").contains(document.activeElement);
    part("empty").hidden = true;
    part("body").hidden = false;
    part("runs").value = this.run;
    this.details.show(reply);
    if (wasFocusInEmpty) part("status").focus({ preventScroll: true });
    this.tour.show(reply);
    this.settings.show(reply);
    this.description.show(reply);
    if (reply.read < 1) return;
    this.charts.update(reply);
    this.samples.update(reply);
    this.film.show();
  }

  /** Something else on the page may have to change: what can be started, and which models there are. */
  announceChange(reply) {
    const hasModel = reply.run === this.run ? Boolean(reply.has_model) : this.known.hasModel;
    if (reply.runs || hasModel !== this.known.hasModel) this.trigger("change");
    this.known.hasModel = hasModel;
  }

  /** Tell the section below of the model of the run that is shown, once it has ended. */
  offerModel(reply) {
    const model = reply.ended && reply.has_model ? reply.run : "";
    if (model !== this.offered) this.trigger("input", { model });
    this.offered = model;
  }

  listRuns(runs) {
    const options = runs.map((row) => make("option", { textContent: row.label, value: row.id }));
    this.part("runs").replaceChildren(...options);
    this.part("runs").value = this.run;
  }

  showNotice(message) {
    showMessage(this.part("notice"), message);
  }

  /** The panel is shown, hidden or of another size now. */
  onResize() {
    this.charts.fit();
    const isShown = Boolean(this.element.offsetParent);
    if (isShown && !this.wasShown) this.poll();
    if (!isShown) this.opensElsewhere = false;
    this.wasShown = isShown;
  }

  // ---- choosing a run

  /** The run that the rest of the page has chosen. Behind its id may stand what makes the value a new one. */
  showChosen() {
    if (!this.props.value) return;
    this.chooseRun(this.props.value.split(" ")[0]);
    const isBelow = this.element.getBoundingClientRect().top > innerHeight * 0.6;
    if (isBelow) this.element.scrollIntoView({ behavior: "smooth" });
  }

  chooseRun(id) {
    this.confirmation.reset();
    this.run = id;
    this.known.after = 0;
    this.samples.clear();
    this.film.stop();
    this.showNotice("");
    setInAddress("run", id);
    this.poll();
  }

  // ---- actions

  async onAction(button) {
    const { action } = button.dataset;
    if (CONFIRM[action] && !this.confirmation.isArmed(button)) {
      this.confirmation.arm(button, t(CONFIRM[action]));
      return;
    }
    if (button.ariaDisabled) return;
    this.confirmation.reset();
    this.closeMenu();
    const request = action === "next" ? { action: "move", position: 1 } : { action };
    const reply = await this.sendAction({ ...request, run: this.run });
    if (action !== "delete" || !reply || reply.notice) return;
    this.part("runs").focus();
    this.chooseRun("");
  }

  sendAction(request) {
    return this.send(call(this.server, "perform_action", request));
  }

  /** Show the notice of a reply and what has changed. -> the reply, or null where the app is gone. */
  async send(replied) {
    let reply = null;
    try {
      reply = await replied;
      this.showNotice(reply.notice);
    } catch (error) {
      this.showOffline(error);
    }
    this.poll();
    return reply;
  }

  showOffline(error) {
    warnNoAnswer(error);
    this.part("offline").hidden = false;
  }

  /** Close the menu. A focus that was in it goes to its button. */
  closeMenu() {
    const menu = this.part("more");
    if (menu.querySelector("div").contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  }
}

export const mount = (component) => new LivePanel(component);
