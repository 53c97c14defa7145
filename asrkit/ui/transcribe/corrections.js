// What follows a transcript on view: its correction, training on it, and what another model makes of the recording.

import { isBusy, make, setBusy, setText, showMessage } from "../common/dom.js";
import { t } from "../common/strings.js";

export class Corrections {
  constructor(panel) {
    this.panel = panel;
    this.part = panel.part;
    this.saved = null; // the correction that was saved last: {id, text, model, settings}
    this.compares = false; // as soon as a model that was trained on it is chosen
    const { part } = this, onClick = (name, action) => part(name).addEventListener("click", action);
    onClick("align", () => this.align());
    onClick("save-correction", () => this.save());
    onClick("train-on-it", () => this.train());
    onClick("compare", () => this.compare());
    part("comparison").addEventListener("toggle", () => this.listOtherModels());
  }

  get shownId() {
    return this.panel.result.shown?.id;
  }

  async align() {
    const id = this.shownId, text = this.part("corrected").value;
    const reply = await this.panel.request("correct", { id, text });
    if (!reply) return;
    await this.panel.open(id);
    this.part("corrected").value = text;
    if (reply.notice) this.panel.showError(reply.notice);
  }

  async save() {
    const { panel, part, shownId: id } = this;
    const [text, dataset, speaker] = ["corrected", "dataset", "speaker"].map((name) => part(name).value);
    const reply = await panel.request("save_correction", { id, text, dataset, speaker });
    showMessage(part("kept"), reply?.done);
    part("train-on-it").hidden = !reply;
    if (reply) this.saved = { id, text, model: panel.props.value, settings: reply.settings };
  }

  /** Fill the form of Train; what the trained model makes of the same recording is shown when it is chosen here. */
  train() {
    this.compares = true;
    this.panel.trigger("select", { settings: this.saved.settings });
  }

  /** Before and after: the recording that was corrected, by the former model and by the one trained on it. */
  async showGain() {
    const { part, panel, saved } = this, model = panel.props.value;
    if (!this.compares || model === saved.model) return;
    this.compares = false;
    await panel.open(saved.id);
    if (this.shownId !== saved.id) return; // it is no longer kept
    part("comparison").open = true;
    await this.listOtherModels();
    part("other").value = model;
    part("reference").value = saved.text;
    await this.compare();
    part("comparison").scrollIntoView({ block: "nearest" });
  }

  async listOtherModels() {
    const { part } = this, reply = part("comparison").open && await this.panel.request("list_models", {});
    if (!reply) return;
    const chosen = part("other").value, { rivals } = reply;
    const options = rivals.map(({ label, value }) => make("option", { textContent: label, value }));
    part("other").replaceChildren(...options);
    if (rivals.some((each) => each.value === chosen)) part("other").value = chosen;
  }

  async compare() {
    const { part } = this;
    if (isBusy(part("compare"))) return;
    setBusy(part("compare"), true);
    setText(part("compared"), t("transcribe.transcribing"));
    const [other, reference] = ["other", "reference"].map((name) => part(name).value);
    const reply = await this.panel.request("compare", { id: this.shownId, other, reference });
    setBusy(part("compare"), false);
    part("compared").innerHTML = reply ? reply.html : ""; // escaped by the server
  }
}
