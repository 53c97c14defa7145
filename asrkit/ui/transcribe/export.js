// Exports a model for other programs: starts the export, follows it, offers the file, and shows lines for a terminal.

import { isBusy, make, partsOf, setBusy, setText, showMessage } from "../common/dom.js";
import { formatWholePercent } from "../common/formats.js";
import { createPost } from "../common/server.js";
import { t } from "../common/strings.js";
import { followJob } from "./job.js";

class Export {
  constructor({ element, props, server }) {
    this.element = element;
    this.props = props;
    this.part = partsOf(element);
    this.post = createPost(server, (message) => showMessage(this.part("error"), message));
    this.id = null;
    const { part } = this;
    part("fold").addEventListener("toggle", () => this.showOutlets());
    part("export").addEventListener("click", () => this.start());
    part("cancel").addEventListener("click", () => this.post("cancel", { id: this.id }));
    part("format").addEventListener("change", () => this.fitToFormat());
    this.fitToFormat();
  }

  /** The web page always has the int8 model. */
  fitToFormat() {
    const isWeb = this.part("format").value === "web";
    this.part("int8").disabled = isWeb;
    if (isWeb) this.part("int8").checked = true;
  }

  async showOutlets() {
    if (!this.part("fold").open) return;
    const reply = await this.post("list_outlets", { model: this.props.value });
    if (!reply) return;
    const rows = reply.outlets.flatMap(({ name, commands, code }) => [
      make("h4", { textContent: name }),
      make("pre", { tabIndex: 0, textContent: [commands, code].filter(Boolean).join("\n\n") }),
    ]);
    this.part("outlets").replaceChildren(...rows);
  }

  async start() {
    const { part } = this;
    if (isBusy(part("export"))) return;
    showMessage(part("error"), "");
    part("download").hidden = true;
    setBusy(part("export"), true);
    setText(part("note"), t("export.starting"));
    const request = { model: this.props.value, format: part("format").value, int8: part("int8").checked };
    const reply = await this.post("export", request);
    if (!reply) return this.finish(null);
    this.id = reply.id;
    part("cancel").hidden = false;
    const last = await followJob(this.post, reply.id, {
      isFollowed: () => reply.id === this.id && this.element.isConnected,
      isDone: ({ lines }) => lines.length > 0,
      onProgress: (news) => setText(part("note"), describeProgress(news)),
    });
    if (last !== undefined) this.finish(last);
  }

  finish(reply) {
    const { part } = this;
    setBusy(part("export"), false);
    part("cancel").hidden = true;
    setText(part("note"), (reply?.lines ?? []).join(" "));
    if (reply?.failed) showMessage(part("error"), reply.failed);
    if (!reply?.lines.length) return;
    part("download").href = `archive/model.zip?id=${encodeURIComponent(this.id)}`;
    part("download").hidden = false;
  }
}

function describeProgress({ waits, share, words }) {
  if (waits) return t("export.waiting");
  return share ? t("export.progress", { words, percent: formatWholePercent(share) }) : words || t("export.starting");
}

export const mount = (component) => new Export(component);
