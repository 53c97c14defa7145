// The same clips through all evaluations. Dragging shows what the model wrote at each; what has been shown once is
// kept here, so that going back and forth asks for nothing.

import { setText } from "../common/dom.js";
import { createClipPlayer } from "../common/player.js";
import { t } from "../common/strings.js";

export class Samples {
  /** clipUrl: id of a clip -> its address. onStepMissing: the step that was chosen has to be asked for. */
  constructor(part, { clipUrl, onStepMissing, onError }) {
    this.part = part;
    this.onStepMissing = onStepMissing;
    this.clear();
    const player = createClipPlayer(() => onError(t("train.clip_gone")));
    part("steps").addEventListener("input", () => this.chooseStep());
    part("samples").addEventListener("click", (event) => {
      const button = event.target.closest("button[data-clip]");
      if (button) player.toggle(button, clipUrl(button.dataset.clip));
    });
  }

  clear() {
    this.steps = [];
    this.evaluations = new Map(); // step -> evaluation
    this.chosenStep = null; // null: the latest
  }

  shownStep() {
    return this.chosenStep ?? this.steps.at(-1);
  }

  /** What a poll asks for: the step that is shown, and which evaluation of it is known. */
  request() {
    const evaluation = this.evaluations.get(this.shownStep())?.key ?? null;
    return { at_step: this.chosenStep, evaluation, evaluations: this.steps.length };
  }

  update(reply) {
    if (reply.reset) this.evaluations = new Map();
    if (reply.evaluations) {
      this.steps = reply.evaluations;
      this.part("steps").max = Math.max(0, this.steps.length - 1);
      if (this.chosenStep !== null && !this.steps.includes(this.chosenStep)) this.chosenStep = null;
    }
    this.part("evaluation").hidden = !this.steps.length;
    if (reply.evaluation) {
      this.evaluations.set(reply.evaluation.step, reply.evaluation);
      this.showEvaluation();
    }
    this.showStep();
  }

  chooseStep() {
    const index = Number(this.part("steps").value);
    this.chosenStep = index === this.steps.length - 1 ? null : this.steps[index];
    this.showStep();
    if (!this.showEvaluation()) this.onStepMissing();
  }

  /** Show the evaluation of a step, which is known, as if the slider had been dragged there. */
  showStepOf(step) {
    this.part("steps").value = this.steps.indexOf(step);
    this.chooseStep();
  }

  showStep() {
    const slider = this.part("steps"), isLatest = this.chosenStep === null;
    slider.value = isLatest ? this.steps.length - 1 : this.steps.indexOf(this.chosenStep);
    const label = t(isLatest ? "train.latest_step" : "train.at_step", { step: String(this.shownStep()) });
    setText(this.part("step-shown"), label);
    slider.setAttribute("aria-valuetext", label);
    slider.disabled = this.steps.length < 2;
  }

  /** -> whether the evaluation of the step is known. */
  showEvaluation() {
    const evaluation = this.evaluations.get(this.shownStep());
    if (!evaluation) return false;
    setText(this.part("caption"), evaluation.caption);
    this.part("samples").innerHTML = evaluation.html; // escaped by the server
    return true;
  }
}
