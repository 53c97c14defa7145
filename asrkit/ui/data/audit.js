// Checking a dataset: start the check and follow it, accept what its findings propose, and train on the rest.

import { fillOptions, make, setText, showMessage, sleep } from "../common/dom.js";
import { t } from "../common/strings.js";
import { AuditReport } from "./audit_report.js";

const POLL_MS = 500;

export class Audit {
  constructor(tab) {
    this.tab = tab;
    this.part = tab.part;
    this.numChecks = 0; // so that an old check stops polling
    this.checking = null; // what the server was asked to check, until it has
    this.report = null; // the report of the whole dataset on view
    this.fixes = {}; // settings of a run that findings proposed and the visitor accepted
    this.formModel = null;
    this.view = new AuditReport(tab, {
      onChoice: () => this.showChoice(),
      onAccept: (settings) => this.accept(settings),
    });
    this.wireControls();
  }

  wireControls() {
    const { part } = this, { vocabularies } = this.tab.props;
    const modes = vocabularies.map((name) => [name, t(`data.vocabulary.${name}`)]);
    fillOptions(part("vocabulary-mode"), modes, "auto");
    for (const name of ["model", "vocabulary-mode"]) {
      part(name).addEventListener("change", () => this.tab.transcripts.previewSoon());
    }
    part("align").addEventListener("change", () => this.forget());
    part("check").addEventListener("click", () => this.check(Boolean(this.report)));
    part("stop-check").addEventListener("click", () => this.stop());
    part("train-on").addEventListener("click", () => this.trainOn());
    part("train-as-advised").addEventListener("click", () => this.trainOn(true));
  }

  /** Offer base models, [label, value]: those of this visitor's runs, and well-known ones. */
  offerModels(models) {
    const chosen = this.part("model").value || this.formModel || "starter";
    const pairs = models.map(([label, value]) => [value, label]);
    if (!pairs.some(([value]) => value === chosen)) pairs.push([chosen, chosen]);
    fillOptions(this.part("model"), pairs, chosen);
  }

  request() {
    return { ...this.tab.request(), align: this.part("align").checked, fixes: this.fixes };
  }

  /** Another dataset is loaded. */
  clear() {
    this.fixes = {};
    this.forget();
  }

  /** What was checked is not what would be trained on any more. */
  forget() {
    const { part } = this;
    if (this.checking) this.tab.post("stop_check", this.checking); // else the next check waits for it
    setText(part("train-note"), this.report ? t("data.changed_since_check") : t("data.not_checked"));
    this.report = null;
    part("report").hidden = true;
    showMessage(part("check-note"), "");
    setText(part("check"), t("data.check"));
    this.endCheck();
  }

  /** Follow no check any more. */
  endCheck() {
    this.numChecks += 1;
    this.checking = null;
    this.part("checking").hidden = true;
    this.part("check").disabled = false;
  }

  /** Stop the check; its first verdict stays on view. */
  async stop() {
    const { part, tab } = this, request = this.checking;
    this.endCheck();
    part("check").focus();
    const check = this.numChecks, reply = await tab.post("stop_check", request);
    if (reply && check === this.numChecks) showMessage(part("check-note"), reply.message);
  }

  /** The form of Train holds other settings. */
  onFormChanged({ model }) {
    const { part, tab } = this;
    if (this.report) this.refreshEstimate();
    if (model === this.formModel) return;
    this.formModel = model;
    const isListed = [...part("model").options].some((option) => option.value === model);
    if (!isListed) part("model").append(make("option", { value: model, textContent: model }));
    part("model").value = model;
    if (tab.dataset.name) tab.transcripts.previewSoon();
  }

  async refreshEstimate() {
    const check = this.numChecks, reply = await this.tab.post("check", { ...this.request(), again: false });
    if (check !== this.numChecks || !reply) return;
    if (reply.state === "done") setText(this.part("estimate"), reply.estimate);
    else this.forget(); // settings that decide which clips can be used, or are for evaluation
  }

  async check(again) {
    const { part, tab } = this;
    tab.showNotice("");
    this.forget();
    const check = this.numChecks, request = this.request();
    this.checking = request;
    part("check").disabled = true;
    part("checking").hidden = false;
    this.showProgress({ what: t("data.check_starts") });
    let hasSample = false;
    for (let isNew = again; check === this.numChecks && tab.element.isConnected; isNew = false) {
      const reply = await tab.post("check", { ...request, again: isNew, has_sample: hasSample });
      if (check !== this.numChecks) return;
      if (!reply || reply.state === "done") {
        this.endCheck();
        if (reply) this.show(reply);
        return;
      }
      if (reply.sample) {
        hasSample = true;
        this.showSample(reply.sample);
      }
      this.showProgress(reply);
      await sleep(POLL_MS);
    }
  }

  showProgress({ what, done = 0, of = 0, left = "" }) {
    const { part } = this, progress = of ? t("data.progress", { done, total: of }) : "";
    setText(part("what"), `${what}…`);
    setText(part("how-far"), [progress, left].filter(Boolean).join(" · "));
    part("check-bar").style.width = of ? `${100 * done / of}%` : "0";
  }

  /** Show what is known of a large dataset before all of it is checked. */
  showSample(report) {
    this.view.show(report);
    setText(this.part("train-note"), t("data.train_meanwhile"));
  }

  show(report) {
    this.report = report;
    setText(this.part("check"), t("data.check_again"));
    this.view.show(report);
    if (report.characters.length) this.tab.transcripts.showCharacters(report.characters);
    this.showChoice();
  }

  /** Check again after a clip listed in a finding was changed. */
  async checkChanged(code) {
    const { dataset, element } = this.tab;
    await dataset.load(dataset.name, dataset.columns, true);
    await this.check(false);
    const finding = element.querySelector(`[data-finding="${code}"]`);
    if (finding) finding.open = true;
    (finding?.querySelector("summary") ?? this.part("check")).focus();
  }

  /** Take over settings that a finding proposes, and check again. */
  async accept(settings) {
    for (const [name, value] of settings) {
      const field = this.part(name === "vocabulary" ? "vocabulary-mode" : name);
      if (field) field.value = value;
      else this.fixes[name] = value; // a setting of the form of Train
    }
    await this.tab.transcripts.preview();
    this.check(false);
  }

  /** How many clips are not trained on, as it is chosen. */
  showChoice() {
    const { part, report } = this;
    if (!report) return;
    const codes = this.view.leftOut();
    const findings = report.findings.filter((finding) => codes.includes(finding.code));
    const count = findings.reduce((sum, finding) => sum + finding.count, report.dropped);
    setText(part("train-note"), count ? t("data.without_clips", { count }) : t("data.all_used"));
    part("train-on").disabled = report.verdict === "not-ready" && !report.utterances;
  }

  /** advised: with the base model, preset and settings that the report advises. */
  async trainOn(advised = false) {
    const { part, tab } = this, isChecked = Boolean(this.report);
    const buttons = [part("train-on"), part("train-as-advised")];
    for (const button of buttons) button.disabled = true;
    const without = isChecked ? this.view.leftOut() : [];
    const reply = await tab.post("prepare_training", { ...this.request(), checked: isChecked, without, advised });
    for (const button of buttons) button.disabled = false;
    if (!reply) return;
    tab.player.stop();
    tab.trigger("select", { settings: { model: part("model").value, ...reply.settings } });
  }
}
