// The Transcribe tab's panel: record, transcribe files, and what can be done with a transcript. What the model wrote is
// shown through textContent only; the one piece of ready HTML (the comparison) was escaped by the server.

import { downloadFile, isBusy, partsOf, saveFile, setBusy, setText, showMessage } from "../common/dom.js";
import { mountExpectedWords } from "../common/expected_words.js";
import { asSentence, formatClock, formatWholePercent } from "../common/formats.js";
import { call, createPost } from "../common/server.js";
import { t } from "../common/strings.js";
import { showBefore } from "./before.js";
import { Corrections } from "./corrections.js";
import { FileList } from "./file_list.js";
import { LiveSession } from "./live_session.js";
import { Result, drawLevels } from "./result.js";

const MAX_LEVELS = 40; // of the microphone, drawn beside each other
const CLOCK_MS = 200;

class TranscribePanel {
  constructor({ element, props, server, upload, watch, trigger }) {
    Object.assign(this, { element, props, server, upload, trigger });
    this.root = element.querySelector(".recorder");
    this.part = partsOf(element);
    this.post = createPost(server, (message) => this.showError(message));
    this.expectedWords = mountExpectedWords(this.part);
    this.session = null; // of the microphone
    this.live = null; // the recording that it fills, on view or not
    this.clockTimer = null;
    this.levels = [];
    this.result = new Result(element, this.part, {
      canPlay: () => !this.live,
      onError: (message) => this.showError(message),
    });
    this.files = new FileList(this);
    this.corrections = new Corrections(this);
    this.wireControls();
    watch("value", () => this.onModelChosen());
    this.onModelChosen();
    this.watchVisibility();
  }

  wireControls() {
    const { element, part } = this, onClick = (name, action) => part(name).addEventListener("click", action);
    onClick("record", () => this.record());
    onClick("again", () => this.transcribeAgain());
    onClick("download-all", () => this.downloadAll());
    for (const button of element.querySelectorAll("[data-format]")) {
      button.addEventListener("click", () => this.saveTranscript(button.dataset.format));
    }
  }

  showError(message) {
    showMessage(this.part("error"), message);
  }

  /** Ask the server after what was wrong before is taken away. */
  request(name, request) {
    this.showError("");
    return this.post(name, request);
  }

  // ---- the model

  onModelChosen() {
    this.root.dataset.model = this.props.value;
    this.preload();
    this.corrections.showGain();
  }

  /** The chosen model is loaded as soon as the tab is shown, before the first recording. */
  watchVisibility() {
    this.isVisible = false;
    new IntersectionObserver((entries) => {
      this.isVisible = entries.at(-1).isIntersecting;
      this.preload();
    }).observe(this.element);
  }

  preload() {
    if (!this.isVisible) return;
    this.server.preload_model({ model: this.props.value }).catch((error) => console.warn("asrkit:", error));
  }

  // ---- recording

  isLive(id) {
    return this.live !== null && this.live.id === id;
  }

  record() {
    if (isBusy(this.part("record"))) return;
    if (this.session) this.stopRecording();
    else this.startRecording();
  }

  async startRecording() {
    const { part, result } = this, live = { id: null, state: "working", words: [], partial: "", duration_s: 0 };
    this.showError("");
    this.live = live;
    live.waiting = "";
    this.session = this.createSession(live);
    result.open(live);
    part("expectation").open = false; // the words appear below it
    setBusy(part("record"), true);
    try {
      live.id = await this.session.start();
    } catch (error) {
      this.showError(asSentence(error.message) || t("transcribe.not_started"));
      this.finishRecording();
      if (result.isShown(live)) result.close();
      return;
    }
    this.files.addRecording(live.id);
    if (this.live !== live) return; // it failed at once
    setBusy(part("record"), false);
    setText(part("record"), t("transcribe.stop"));
    part("record").classList.add("on");
    this.showListening(true);
    if (result.isShown(live)) result.setNote(live.waiting || t("transcribe.listening"));
    const begunAt = performance.now();
    const showClock = () => setText(part("clock"), formatClock((performance.now() - begunAt) / 1000));
    this.clockTimer = setInterval(showClock, CLOCK_MS);
  }

  createSession(live) {
    const model = this.props.value, name = t("transcribe.recording_name", { number: this.files.numRecordings + 1 });
    let isOffline = false;
    return new LiveSession(this.server, {
      open: async (rate) => {
        const request = { model, name, rate: Math.round(rate), ...this.expectedWords() };
        const reply = await call(this.server, "start", request);
        if (reply.error) throw new Error(reply.error);
        return reply.id;
      },
      numWords: () => live.words.length,
      onWaiting: (text) => {
        live.waiting = text;
        if (this.result.isShown(live)) this.result.setNote(text || t("transcribe.listening"));
      },
      onUpdate: (reply) => this.onUpdate(reply),
      onLevel: (samples) => this.showLevel(samples),
      onConnection: (isLost) => {
        if (isLost || isOffline) this.showError(isLost ? t("transcribe.offline") : "");
        isOffline = isLost;
      },
      onFailure: (message) => {
        this.showError(message);
        this.finishRecording();
      },
    });
  }

  stopRecording() {
    const { part } = this;
    this.session.stop();
    clearInterval(this.clockTimer);
    setBusy(part("record"), true);
    setText(part("record"), t("transcribe.finishing"));
  }

  /** What the microphone brings goes to its own recording, whatever is on view. */
  onUpdate(reply) {
    const { live, result } = this, isShown = result.isShown(live);
    live.partial = reply.partial;
    live.state = reply.state;
    if (isShown) {
      result.addWords(reply.words);
      result.setPartial(reply.partial);
    } else live.words.push(...reply.words);
    if (reply.state === "working") return;
    this.finishRecording();
    if (reply.state === "failed") this.showError(reply.notice);
    else if (isShown) this.open(live.id);
  }

  finishRecording() {
    const { part } = this;
    clearInterval(this.clockTimer);
    if (this.result.isShown(this.live)) this.result.setNote("");
    this.session = this.live = null;
    this.files.poll();
    setBusy(part("record"), false);
    setText(part("record"), t("transcribe.record"));
    part("record").classList.remove("on");
    this.showListening(false);
  }

  /** While the microphone is open, its clock and level replace the hint, so that the layout does not shift. */
  showListening(isListening) {
    this.part("listening").hidden = !isListening;
    this.part("hint").hidden = isListening;
  }

  showLevel(samples) {
    const peak = samples.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    this.levels = [...this.levels, peak / 32768].slice(-MAX_LEVELS);
    drawLevels(this.part("level"), this.levels, this.root);
  }

  // ---- what is on view

  /** The recording that the microphone fills. */
  showLive() {
    const { live, result } = this, words = live.words.splice(0);
    result.open(live, t("transcribe.listening"));
    result.addWords(words);
    result.setPartial(live.partial);
    this.files.markShown();
  }

  /** One that is done. */
  async open(id) {
    const reply = await this.post("describe_recording", { id });
    if (!reply) return;
    this.result.show(id, reply);
    this.files.markShown();
    const { shown } = this.result;
    if (!this.live) showBefore(this.part, this.server, id, () => this.result.isShown(shown));
  }

  /** Update what is shown of the selected file. */
  async showProgress(row, isOpen) {
    const { result } = this, { name, share } = row;
    if (row.state === "gone") return;
    if (isOpen) {
      const progress = t("transcribe.progress", { name, percent: formatWholePercent(share) });
      result.setNote(row.waits || (share ? progress : t("transcribe.opening", { name })));
      result.setPartial(row.text);
    } else if (row.state !== result.shown.state) {
      result.shown.state = row.state;
      if (row.state === "done") {
        await this.open(row.id);
        return;
      }
      this.showError(row.notice);
      result.setNote(row.state === "cancelled" ? t("common.cancelled") : "");
      result.setPartial("");
    }
  }

  // ---- what can be done with it

  /** With the model and the words to expect that are chosen now. */
  async transcribeAgain() {
    const { result } = this, { id, duration_s: durationS } = result.shown;
    if (!await this.request("transcribe_again", { id, model: this.props.value, ...this.expectedWords() })) return;
    result.open({ id, words: [], state: "waiting", duration_s: durationS }, t("transcribe.transcribing"));
    this.part("note").focus({ preventScroll: true }); // the pressed button is gone until it is done
    this.files.poll();
  }

  async saveTranscript(format) {
    const reply = await this.request("format_transcript", { id: this.result.shown.id, format });
    if (reply) saveFile(reply.text, "text/plain;charset=utf-8", reply.name);
  }

  downloadAll() {
    downloadFile(`archive/transcripts.zip?${new URLSearchParams({ ids: this.files.ids })}`);
  }
}

export const mount = (component) => new TranscribePanel(component);
