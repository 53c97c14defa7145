// Publishes a run's model: asks how and under which name, shows the card before, follows the upload, and links to it.

import { isBusy, setBusy, setText, showMessage } from "../common/dom.js";
import { describeProgress, followJob } from "../common/job.js";
import { createPost } from "../common/server.js";
import { t } from "../common/strings.js";

export class Publication {
  constructor(element, part, server) {
    this.element = element;
    this.part = part;
    this.post = createPost(server, (message) => showMessage(part("publish-error"), message));
    this.run = "";
    this.id = null;
    part("publish-start").addEventListener("click", () => this.start());
    part("publish-cancel").addEventListener("click", () => this.post("cancel", { id: this.id }));
    part("publish-preview").addEventListener("click", () => this.togglePreview());
    for (const field of ["publish-name", "publish-form"]) {
      part(field).addEventListener("input", () => this.askToReplace(false));
    }
  }

  /** Another run is to be published. */
  reset(run) {
    this.run = run;
    this.id = null;
    this.finish(null);
    this.askToReplace(false);
    showMessage(this.part("publish-error"), "");
    this.part("publish-address").hidden = true;
    this.part("publish-card").hidden = true;
  }

  /** Offer to replace what has the name. The offer ends with the name: the next one may have something else. */
  askToReplace(isAsked) {
    this.part("publish-replace-label").hidden = !isAsked;
    this.part("publish-replace").checked = false;
  }

  async start() {
    const { part } = this;
    if (isBusy(part("publish-start"))) return;
    showMessage(part("publish-error"), "");
    part("publish-address").hidden = true;
    setBusy(part("publish-start"), true);
    setText(part("publish-note"), t("publish.starting"));
    const reply = await this.post("publish", {
      run: this.run,
      name: part("publish-name").value,
      format: part("publish-form").value,
      public: part("publish-public").checked,
      replace: part("publish-replace").checked,
    });
    if (!reply) return this.finish(null);
    this.id = reply.id;
    part("publish-cancel").hidden = false;
    const last = await followJob(this.post, reply.id, {
      isFollowed: () => reply.id === this.id && this.element.isConnected,
      isDone: ({ address }) => Boolean(address),
      onProgress: (news) => setText(part("publish-note"), describeProgress(news)),
    });
    if (last !== undefined) this.finish(last);
  }

  finish(reply) {
    const { part } = this;
    setBusy(part("publish-start"), false);
    part("publish-cancel").hidden = true;
    setText(part("publish-note"), (reply?.lines ?? []).join(" "));
    if (reply?.failed) showMessage(part("publish-error"), reply.failed);
    if (reply?.exists) this.askToReplace(true);
    if (!reply?.address) return;
    this.askToReplace(false);
    setText(part("publish-address"), reply.address);
    part("publish-address").href = reply.address;
    part("publish-address").hidden = false;
  }

  async togglePreview() {
    const { part } = this, card = part("publish-card");
    if (!card.hidden) {
      card.hidden = true;
      return;
    }
    const reply = await this.post("preview_card", { run: this.run, name: part("publish-name").value });
    if (reply) showMessage(card, reply.card);
  }
}
