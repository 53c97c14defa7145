// Evaluates a model on a dataset: starts the evaluation, follows it, shows its report and plays its worst clips. The
// report is ready HTML, escaped by the server.

import { isBusy, make, partsOf, saveFile, setBusy, setText, showMessage } from "../common/dom.js";
import { mountExpectedWords } from "../common/expected_words.js";
import { formatWholePercent } from "../common/formats.js";
import { audioUrl, createClipPlayer } from "../common/player.js";
import { createPost } from "../common/server.js";
import { t } from "../common/strings.js";
import { followJob } from "../common/job.js";

class Evaluation {
  constructor({ element, props, server }) {
    this.element = element;
    this.props = props;
    this.part = partsOf(element);
    this.post = createPost(server, (message) => this.showError(message));
    this.expectedWords = mountExpectedWords(this.part);
    this.player = createClipPlayer((message) => this.showError(message));
    this.id = null;
    const { part } = this, names = props.normalisers;
    const label = (name) => (name === "auto" ? t("evaluate.auto_normaliser") : name);
    const options = names.map((name) => make("option", { textContent: label(name), value: name }));
    part("normaliser").replaceChildren(...options);
    part("normaliser").value = "auto";
    part("evaluate").addEventListener("click", () => this.start());
    part("cancel").addEventListener("click", () => this.post("cancel", { id: this.id }));
    part("csv").addEventListener("click", () => this.saveTable());
    part("report").addEventListener("click", (event) => {
      const button = event.target.closest("[data-clip]");
      if (button) this.player.play(audioUrl("evaluation", { id: this.id, index: button.dataset.clip }));
    });
  }

  showError(message) {
    showMessage(this.part("error"), message);
  }

  setWorking(isWorking) {
    const { part } = this;
    setBusy(part("evaluate"), isWorking);
    part("cancel").hidden = true; // until there is something to cancel
    if (isWorking) part("csv").hidden = true;
    setText(part("note"), isWorking ? t("evaluate.reading") : "");
  }

  async start() {
    const { part } = this;
    if (isBusy(part("evaluate"))) return;
    this.showError("");
    this.player.stop();
    part("report").textContent = "";
    this.setWorking(true);
    const [dataset, normaliser] = ["dataset", "normaliser"].map((name) => part(name).value);
    const request = { dataset, model: this.props.value, normaliser, ...this.expectedWords() };
    const reply = await this.post("evaluate", request);
    if (!reply) {
      this.setWorking(false);
      return;
    }
    this.id = reply.id;
    part("cancel").hidden = false;
    const last = await followJob(this.post, reply.id, {
      isFollowed: () => reply.id === this.id && this.element.isConnected,
      isDone: ({ html }) => Boolean(html),
      onProgress: (news) => setText(part("note"), describeProgress(news)),
    });
    if (last !== undefined) this.finish(last);
  }

  finish(reply) {
    this.setWorking(false);
    if (reply?.failed) this.showError(reply.failed);
    if (!reply?.html) return;
    this.part("report").innerHTML = reply.html; // escaped by the server
    this.part("csv").hidden = false;
  }

  async saveTable() {
    const reply = await this.post("make_csv", { id: this.id });
    if (reply) saveFile(reply.csv, "text/csv", "evaluation.csv");
  }
}

function describeProgress({ waits, share, words }) {
  if (waits) return t("evaluate.waiting");
  return share ? t("evaluate.progress", { percent: formatWholePercent(share) }) : words || t("evaluate.reading");
}

export const mount = (component) => new Evaluation(component);
