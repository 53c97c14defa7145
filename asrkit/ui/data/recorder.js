// Records a dataset, one prompt at a time. What is kept is on disk at once; what is not kept yet, and which prompt it
// is, is in the browser, second by second, so that a reload loses nothing.

import { fillOptions, make, setText } from "../common/dom.js";
import { asSentence } from "../common/formats.js";
import { openMicrophone } from "../common/microphone.js";
import { t } from "../common/strings.js";
import { Meter } from "./meter.js";
import { loadSetup, readForm, saveSetup, showTerms } from "./recorder_setup.js";
import { createTakeId, encodeWav, findFault, joinChunks, measureTake, peakOf } from "./take.js";
import { TakeStorage } from "./take_storage.js";

const MAX_S = 60;
const CHUNK_S = 0.01;
const OWN_PROMPTS = "own";

export class Recorder {
  constructor(tab) {
    this.tab = tab;
    this.part = tab.part;
    this.dataset = { name: "", waiting: [] }; // as the server describes it; waiting: prompts without a clip
    this.index = 0; // of the prompt on view
    this.replaces = ""; // the clip that a recording of the first prompt replaces
    this.microphone = null;
    this.opening = null; // a promise of it: pressing twice before it is open gives one microphone
    this.recording = null; // {id, name, text, rate, chunks} while it is recorded
    this.take = null; // {id, text, wav, seconds, peak, isClipped}: recorded, not kept yet
    this.meter = new Meter(tab.part("meter"));
    this.storage = new TakeStorage();
    this.wireControls();
  }

  wireControls() {
    const { part } = this, onClick = (name, action) => part(name).addEventListener("click", action);
    part("record-list").addEventListener("change", () => this.showOwnPrompts());
    part("record-file").addEventListener("change", async (event) => {
      part("record-text").value = await event.target.files[0].text();
    });
    part("record-setup").addEventListener("submit", (event) => {
      event.preventDefault();
      this.openDataset(false);
    });
    onClick("record-replace", () => this.openDataset(true));
    onClick("record-start", () => this.start());
    onClick("record-again", () => this.start());
    onClick("record-stop", () => this.stop());
    onClick("record-save", () => this.saveTake());
    onClick("record-play", () => this.play());
    onClick("record-skip", () => this.skip());
    onClick("record-done", () => this.finish());
  }

  // ---- the dataset

  async loadPrompts() {
    const { part, tab } = this, reply = await tab.post("list_prompts", {}), setup = loadSetup();
    if (!reply) return;
    const others = [[OWN_PROMPTS, t("recorder.own_prompts")], ["", t("recorder.its_prompts")]];
    fillOptions(part("record-list"), [...reply.lists, ...others], setup.list ?? "en");
    part("collections").replaceChildren(...reply.collections.map((value) => make("option", { value })));
    if (setup.name) part("record-name").value = setup.name;
    if (setup.speaker) part("record-speaker").value = setup.speaker;
    this.showOwnPrompts();
    if (!setup.name || !setup.open || !reply.collections.includes(setup.name)) return;
    tab.chooseSource("record");
    this.showDataset(await tab.post("describe_dataset", { name: setup.name }));
  }

  showOwnPrompts() {
    const isOwn = this.part("record-list").value === OWN_PROMPTS;
    for (const name of ["own-prompts", "own-file"]) this.part(name).hidden = !isOwn;
  }

  /** Record a clip of the dataset on view once more: its text is the prompt, and the recording replaces it. */
  async recordAgain(clip) {
    const { part, tab } = this, dataset = await tab.post("describe_dataset", { name: tab.dataset.collection });
    if (!dataset) return;
    tab.chooseSource("record");
    part("record-name").value = dataset.name;
    await this.showDataset(dataset);
    this.dropTake();
    this.prependPrompt(clip.text, clip.name);
    part("record-start").focus();
  }

  /** Put a prompt first that has a clip already. */
  prependPrompt(text, replaces) {
    this.dataset.waiting.unshift(text);
    this.replaces = replaces;
    this.index = 0;
    this.show();
  }

  async openDataset(replace) {
    const { part, tab } = this, chosen = part("record-list").value, isOwn = chosen === OWN_PROMPTS;
    tab.showNotice("");
    this.stop(); // it belongs to the prompt on view
    if (isOwn && !part("record-text").value.trim()) {
      tab.showNotice(t("recorder.no_prompts"));
      return;
    }
    const prompts = { list: isOwn ? "" : chosen, text: isOwn ? part("record-text").value : "" };
    this.showDataset(await tab.post("open_dataset", { ...prompts, ...readForm(part), replace }));
  }

  /** Go on with a dataset, and with a take of it that a reload has left. */
  async showDataset(dataset) {
    const { part } = this;
    if (!dataset) return;
    Object.assign(this, { dataset, index: 0, replaces: "", take: null });
    const list = part("record-list").value, speaker = part("record-speaker").value;
    showTerms(part, dataset.terms, speaker);
    saveSetup({ name: dataset.name, list, speaker, open: true });
    part("studio").hidden = false;
    part("others").hidden = !dataset.others;
    const left = await this.storage.load();
    if (left?.take.replaces && left.take.name === dataset.name) this.prependPrompt(left.take.text, left.take.replaces);
    if (left && !this.recording && left.take.name === dataset.name && dataset.waiting.includes(left.take.text)) {
      this.index = dataset.waiting.indexOf(left.take.text);
      this.setTake(left.take, left.samples);
    }
    this.show();
  }

  finish() {
    const { part, tab } = this;
    this.tab.player.stop();
    this.closeMicrophone();
    part("path").value = this.dataset.data;
    tab.dataset.load(this.dataset.data);
  }

  // ---- the prompt on view

  prompt() {
    return this.dataset.waiting[this.index];
  }

  show() {
    const { part, dataset, take, recording } = this, prompt = this.prompt(), hasPrompt = prompt !== undefined;
    const kept = t("recorder.kept", { count: dataset.kept, minutes: dataset.minutes.toFixed(1) });
    setText(part("record-count"), `${kept} · ${t("recorder.to_go", { count: dataset.to_go })}`);
    const { prompts, to_go: toGo } = dataset;
    part("record-bar").style.width = prompts ? `${100 * (prompts - toGo) / prompts}%` : "0";
    setText(part("prompt"), prompt ?? t(prompts ? "recorder.all_recorded" : "recorder.no_prompts_yet"));
    part("prompt").dir = "auto";
    part("record-done").disabled = !dataset.kept;
    part("record-start").hidden = !hasPrompt || take !== null || recording !== null;
    part("record-stop").hidden = recording === null;
    part("record-skip").hidden = !hasPrompt || recording !== null;
    for (const name of ["record-play", "record-save", "record-again"]) {
      part(name).hidden = take === null || recording !== null;
    }
    this.showNote(hasPrompt);
  }

  showNote(hasPrompt) {
    if (this.take) {
      const fault = findFault(this.take), seconds = this.take.seconds.toFixed(1);
      this.setNote(t(fault || "recorder.good", { seconds }), fault ? "warn-text" : "quiet");
    } else if (this.recording) this.setNote(t("recorder.listening"));
    else if (!hasPrompt) this.setNote("");
    else this.setNote(t(this.storage.isWorking ? "recorder.press_record" : "recorder.press_record_unkept"));
  }

  setNote(text, style = "quiet") {
    setText(this.part("record-note"), text);
    this.part("record-note").className = `record-note ${style}`;
  }

  skip() {
    this.dropTake();
    this.index = (this.index + 1) % Math.max(1, this.dataset.waiting.length);
    this.show();
  }

  // ---- the microphone

  requireMicrophone() {
    this.opening ??= this.openMicrophone().finally(() => { this.opening = null; });
    return this.opening;
  }

  /** -> null if the visitor has left the recorder meanwhile. */
  async openMicrophone() {
    if (this.microphone?.isActive()) {
      await this.microphone.resume();
      return this.microphone;
    }
    const microphone = await openMicrophone({
      chunkS: CHUNK_S,
      onChunk: (samples) => this.onChunk(samples),
      onEnd: () => this.onMicrophoneEnd(),
    });
    this.microphone = microphone;
    if (!this.part("record").hidden) return microphone;
    this.closeMicrophone();
    return null;
  }

  closeMicrophone() {
    this.stop();
    this.microphone?.close();
  }

  onMicrophoneEnd() {
    this.stop();
    this.microphone = null;
    this.meter.clear();
  }

  onChunk(samples) {
    const { recording } = this, rate = this.microphone?.sampleRate;
    this.meter.add(peakOf(samples));
    if (!recording) return;
    recording.chunks.push(samples);
    this.storage.add(samples, rate);
    if (recording.chunks.length * samples.length > MAX_S * rate) this.stop();
  }

  // ---- takes

  async start() {
    const { part, tab } = this;
    this.tab.player.stop();
    let microphone;
    try {
      microphone = await this.requireMicrophone();
    } catch (error) {
      tab.showNotice(asSentence(error.message));
      return;
    }
    if (!microphone || this.recording) return;
    tab.showNotice("");
    this.take = null; // only now: a microphone that does not open costs no take
    const take = { id: createTakeId(), name: this.dataset.name, text: this.prompt(), rate: microphone.sampleRate };
    take.replaces = this.index === 0 ? this.replaces : "";
    this.storage.start(take);
    this.recording = { ...take, chunks: [] };
    this.show();
    part("record-stop").focus({ preventScroll: true });
  }

  stop() {
    const { recording } = this;
    if (!recording) return;
    this.storage.flush();
    this.recording = null;
    this.setTake(recording, joinChunks(recording.chunks));
    this.show();
    this.part("record-save").focus({ preventScroll: true });
  }

  setTake({ id, text, rate, replaces }, samples) {
    // Its own name: Gradio keeps uploads of the same name and content in one place.
    const wav = new File([encodeWav(samples, rate)], `take-${id}.wav`, { type: "audio/wav" });
    this.take = { id, text, replaces, wav, ...measureTake(samples, rate) };
  }

  dropTake() {
    this.take = null;
    this.storage.clear();
    this.tab.player.stop();
  }

  play() {
    URL.revokeObjectURL(this.takeUrl);
    this.takeUrl = URL.createObjectURL(this.take.wav);
    this.tab.player.play(this.takeUrl);
  }

  async saveTake() {
    const { part, tab, take } = this;
    if (!take) return;
    this.tab.player.stop();
    part("record-save").disabled = true;
    const dataset = await this.send(take);
    part("record-save").disabled = false;
    if (!dataset) return; // the take stays, here and in the browser
    this.dropTake();
    Object.assign(this, { dataset, replaces: "" });
    this.index = Math.min(this.index, Math.max(0, dataset.waiting.length - 1));
    tab.showNotice("");
    this.show();
    part("record-start").focus({ preventScroll: true });
  }

  /** -> the dataset with this take, or null after a notice. */
  async send({ id, text, replaces, wav }) {
    const { part, tab } = this, speaker = part("record-speaker").value;
    let path;
    try {
      ({ path } = await tab.upload(wav));
    } catch (error) {
      tab.showNotice(t("recorder.not_sent", { reason: error.message || error }));
      return null;
    }
    return tab.post("save_take", { name: this.dataset.name, text, speaker, path, take: id, replaces });
  }
}
