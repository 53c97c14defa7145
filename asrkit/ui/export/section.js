// Exports a model for other programs: starts the export, follows it, offers the file, and shows lines for a terminal.

import { isBusy, make, partsOf, setBusy, setText, showMessage } from "../common/dom.js";
import { describeProgress, followJob } from "../common/job.js";
import { createPost } from "../common/server.js";
import { t } from "../common/strings.js";
import { PhoneLink } from "./phone_link.js";
import { Publication } from "./publication.js";

class ExportSection {
  constructor({ element, props, server, watch }) {
    this.element = element;
    this.props = props;
    this.part = partsOf(element);
    this.post = createPost(server, (message) => showMessage(this.part("error"), message));
    this.id = null;
    this.publication = new Publication(element, this.part, server);
    this.phone = new PhoneLink(this.part, (values) => this.post("make_link", values));
    const { part } = this;
    part("fold").addEventListener("toggle", () => this.showOutlets());
    part("export").addEventListener("click", () => this.start());
    part("cancel").addEventListener("click", () => this.post("cancel", { id: this.id }));
    part("format").addEventListener("change", () => this.fitToFormat());
    watch("value", () => this.showModel());
    this.fitToFormat();
    this.showModel();
  }

  /** Another model is chosen. What was exported or published of the last one is shown no longer. */
  showModel() {
    const { part } = this;
    part("section").hidden = !this.props.value;
    this.id = null;
    this.finish(null);
    showMessage(part("error"), "");
    part("download").hidden = true;
    part("publish").hidden = true;
    this.publication.reset(this.props.value);
    this.showOutlets();
  }

  /** The web page always has the int8 model, and a checkpoint never. */
  fitToFormat() {
    const fixed = { web: true, "transformers-lm": false }[this.part("format").value];
    this.part("int8").disabled = fixed !== undefined;
    this.part("int8").checked = fixed ?? this.part("int8").checked;
  }

  async showOutlets() {
    const model = this.props.value;
    if (!this.part("fold").open || !model) return;
    const reply = await this.post("list_outlets", { model });
    if (!reply || model !== this.props.value) return;
    const rows = reply.outlets.flatMap(({ name, commands, code }) => [
      make("h2", { textContent: name }),
      make("pre", { tabIndex: 0, textContent: [commands, code].filter(Boolean).join("\n\n") }),
    ]);
    this.part("outlets").replaceChildren(...rows);
    this.part("publish").hidden = !reply.can_publish;
    this.phone.show(model);
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

/** Open the section with that id, and show it. */
export function openSection(id) {
  const section = document.getElementById(id);
  section.querySelector("details").open = true;
  section.scrollIntoView({ behavior: "smooth" });
}

export const mount = (component) => new ExportSection(component);
