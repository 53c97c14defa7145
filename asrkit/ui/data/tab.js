// The Data tab: add a dataset or record one, treat its transcripts, check it, and train on it. Text from a dataset
// becomes part of the page through textContent only.

import { partsOf, showMessage } from "../common/dom.js";
import { createClipPlayer } from "../common/player.js";
import { createPost } from "../common/server.js";
import { Align } from "./align.js";
import { Audit } from "./audit.js";
import { Dataset } from "./dataset.js";
import { Recorder } from "./recorder.js";
import { TierChooser } from "./tier_chooser.js";
import { Timeline } from "./timeline.js";
import { Transcripts } from "./transcripts.js";

const SOURCES = ["add", "record", "align-long"];
const DATASET_SECTIONS = ["summary", "texts", "audit", "train"];

class DataTab {
  constructor({ element, props, server, trigger, upload, watch }) {
    Object.assign(this, { element, props, trigger, upload });
    this.part = partsOf(element);
    this.post = createPost(server, (message) => this.showNotice(message));
    this.player = createClipPlayer((message) => this.showNotice(message));
    this.formSettings = null; // what the form of Train holds
    this.dataset = new Dataset(this);
    this.transcripts = new Transcripts(this);
    this.audit = new Audit(this);
    this.recorder = new Recorder(this);
    this.align = new Align(this);
    this.tiers = new TierChooser(this);
    this.timeline = new Timeline(this);
    for (const button of this.sourceButtons()) {
      button.addEventListener("click", () => this.chooseSource(button.dataset.source));
    }
    watch("value", () => this.readForm());
    this.readForm();
    this.dataset.listKnown();
    this.recorder.loadPrompts();
    this.align.loadModels();
  }

  sourceButtons() {
    return this.element.querySelectorAll("[data-source]");
  }

  /** Add data, record it, or align a long recording. */
  chooseSource(source) {
    if (source !== "record") this.recorder.closeMicrophone();
    for (const button of this.sourceButtons()) button.setAttribute("aria-pressed", button.dataset.source === source);
    for (const name of SOURCES) this.part(name).hidden = name !== source;
    this.showDataset(source === "add" && Boolean(this.dataset.name));
    this.showNotice("");
  }

  showDataset(isShown) {
    const shown = !isShown ? [] : this.dataset.isRead ? DATASET_SECTIONS : ["summary"];
    for (const section of DATASET_SECTIONS) this.part(section).hidden = !shown.includes(section);
  }

  showNotice(message) {
    showMessage(this.part("notice"), message);
    if (message) this.part("notice").scrollIntoView({ block: "nearest" });
  }

  showBusy(message) {
    showMessage(this.part("busy"), message);
  }

  /** The form of Train has changed: an audit is for a run with its settings. */
  readForm() {
    try {
      this.formSettings = JSON.parse(this.props.value || "null");
    } catch {
      this.formSettings = null;
    }
    if (this.formSettings) this.audit.onFormChanged(this.formSettings);
  }

  /** What the server is asked about: the dataset, with all that was chosen for it here. */
  request() {
    return {
      ...this.dataset.request(),
      ...this.transcripts.request(),
      model: this.part("model").value,
      vocabulary: this.part("vocabulary-mode").value,
      settings: this.formSettings,
    };
  }
}

export const mount = (component) => new DataTab(component);
