// The picture of a long recording: its waveform and its spans by tier, to scroll, zoom, hear, and see what is learned.

import { fillOptions, make, setText, watchColourScheme } from "../common/dom.js";
import { audioUrl } from "../common/player.js";
import { formatNumber, t } from "../common/strings.js";
import { RULER_PX, draw, heightOf, laneAt, readColours } from "./span_canvas.js";
import { formatTime, indexTier, spanAt } from "./span_search.js";
import { WaveformTiles } from "./waveform_tiles.js";

const MAX_LANES = 12, MAX_EXTENT_PX = 8e6; // browsers lay out no wider boxes
const MIN_SECONDS_PER_PX = 0.002, ZOOM_STEP = 2, TOUCH_PX = 8;

export class Timeline {
  constructor(tab) {
    this.tab = tab;
    this.part = tab.part;
    this.numRequests = 0; // so that a late reply to an old request is dropped
    this.recording = null; // its id
    this.playing = null; // {url, startS} of what is heard
    this.tiles = new WaveformTiles((number, position) => this.fetchTile(number, position), () => this.draw());
    this.clear();
    this.wireControls();
  }

  clear() {
    Object.assign(this, { durationS: 0, tiers: [], states: [], selected: null, secondsPerPixel: 0 });
  }

  wireControls() {
    const { part } = this, scroll = part("span-scroll"), onClick = (name, action) =>
      part(name).addEventListener("click", action);
    part("span-recording").addEventListener("change", () => this.showRecording(part("span-recording").value));
    scroll.addEventListener("scroll", () => this.draw(), { passive: true });
    scroll.addEventListener("keydown", (event) => this.onKey(event));
    scroll.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1 / ZOOM_STEP : ZOOM_STEP, this.timeAt(event));
    }, { passive: false });
    part("span-canvas").addEventListener("click", (event) => this.onClick(event));
    onClick("span-in", () => this.zoom(1 / ZOOM_STEP));
    onClick("span-out", () => this.zoom(ZOOM_STEP));
    onClick("span-whole", () => this.zoom(Infinity));
    onClick("span-before", () => this.step(-1));
    onClick("span-after", () => this.step(1));
    onClick("span-play", () => this.playSelected());
    onClick("span-play-on", () => this.playOn());
    new ResizeObserver(() => this.layOut()).observe(scroll);
    watchColourScheme(() => {
      this.colours = null;
      this.draw();
    });
  }

  /** Show the recordings of the dataset on view, the first one drawn; nothing where there are only single clips. */
  async showDataset() {
    const { part, tab } = this, request = ++this.numRequests;
    part("timeline").hidden = true;
    const reply = await tab.post("list_recordings", tab.dataset.request());
    if (!reply || request !== this.numRequests) return;
    tab.tiers.offerSpeakers(reply.speakers);
    if (!reply.recordings.length) return;
    const options = reply.recordings.map(({ id, name, clips }) => {
      return [id, `${name} · ${t("common.clips", { count: clips })}`];
    });
    fillOptions(part("span-recording"), options, this.recording); // the one before, where tiers were chosen for it
    part("timeline").hidden = false;
    await this.showRecording(part("span-recording").value);
  }

  async showRecording(id) {
    const { part, tab } = this, request = ++this.numRequests;
    if (this.recording !== id) this.secondsPerPixel = 0;
    const { secondsPerPixel } = this, { scrollLeft } = part("span-scroll");
    this.clear();
    this.recording = id;
    this.tiles.clear();
    const reply = await tab.post("list_spans", { ...tab.dataset.request(), id, settings: tab.formSettings });
    if (!reply || request !== this.numRequests) return;
    const tiers = reply.tiers.map((tier) => indexTier({ ...tier, label: tier.name }));
    Object.assign(this, { durationS: reply.duration_s, states: reply.states, tiers: tiers.slice(0, MAX_LANES) });
    this.tiles.durationS = reply.duration_s;
    this.showCounts(tiers, reply.left_out);
    this.secondsPerPixel = secondsPerPixel;
    this.layOut();
    part("span-scroll").scrollLeft = scrollLeft;
    this.select(this.tiers.length ? { lane: 0, index: 0 } : null, false);
  }

  fetchTile(number, position) {
    const { tab, recording: id } = this;
    return tab.post("show_waveform", { ...tab.dataset.request(), id, number, position });
  }

  /** How many spans of the tiers that are read become clips, and why others do not. */
  showCounts(tiers, numLeftOut) {
    const counts = this.states.map(() => 0);
    for (const tier of tiers.filter((each) => each.is_chosen)) for (const state of tier.state) counts[state] += 1;
    const items = this.states.flatMap(({ kind, text }, state) => (counts[state]
      ? [make("li", {}, make("i", { className: `swatch ${kind}` }), `${formatNumber(counts[state])} × ${text}`)] : []));
    if (tiers.length > MAX_LANES) {
      items.push(make("li", { textContent: t("timeline.more_tiers", { count: MAX_LANES }) }));
    }
    if (numLeftOut) items.push(make("li", { textContent: t("timeline.more_spans", { count: numLeftOut }) }));
    this.part("span-counts").replaceChildren(...items);
  }

  // ---- the part on view

  view() {
    const scroll = this.part("span-scroll"), { secondsPerPixel } = this;
    return { fromS: scroll.scrollLeft * secondsPerPixel, secondsPerPixel, width: scroll.clientWidth };
  }

  wholeSecondsPerPixel() {
    return Math.max(this.durationS, 0.1) / Math.max(1, this.part("span-scroll").clientWidth);
  }

  layOut() {
    const { part } = this;
    if (!part("span-scroll").clientWidth || !this.durationS) return;
    const least = Math.max(MIN_SECONDS_PER_PX, this.durationS / MAX_EXTENT_PX), most = this.wholeSecondsPerPixel();
    const wanted = this.secondsPerPixel || most;
    this.secondsPerPixel = Math.min(most, Math.max(least, wanted));
    part("span-extent").style.width = `${Math.floor(this.durationS / this.secondsPerPixel)}px`;
    part("span-extent").style.height = `${heightOf(this.tiers.length)}px`;
    part("span-out").disabled = part("span-whole").disabled = this.secondsPerPixel >= most;
    part("span-in").disabled = this.secondsPerPixel <= least;
    this.draw();
  }

  /** Show `factor` times as much around a time, which stays where it is. */
  zoom(factor, aroundS = this.focusS()) {
    const before = this.view(), x = (aroundS - before.fromS) / before.secondsPerPixel;
    this.secondsPerPixel = Math.min(this.wholeSecondsPerPixel(), this.secondsPerPixel * factor);
    this.layOut();
    this.part("span-scroll").scrollLeft = aroundS / this.secondsPerPixel - Math.min(Math.max(0, x), before.width);
    this.draw();
  }

  /** What to zoom at: the selected span if it is on view, else the middle. */
  focusS() {
    const { fromS, secondsPerPixel, width } = this.view(), span = this.selectedSpan();
    const middleS = span && (span.startS + span.endS) / 2;
    return span && middleS > fromS && middleS < fromS + width * secondsPerPixel
      ? middleS : fromS + width * secondsPerPixel / 2;
  }

  reveal(fromS, toS) {
    const scroll = this.part("span-scroll"), view = this.view(), endS = view.fromS + view.width * view.secondsPerPixel;
    if (fromS >= view.fromS && Math.min(toS, fromS + view.width * view.secondsPerPixel) <= endS) return;
    scroll.scrollLeft = fromS / this.secondsPerPixel - view.width / 4;
  }

  draw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      if (!this.secondsPerPixel || !this.part("span-scroll")?.clientWidth) return;
      this.colours ??= readColours(this.tab.element);
      const { durationS, tiers, states, selected } = this;
      const playheadS = this.followSound();
      draw(this.part("span-canvas"), this.colours, this.view(), {
        durationS, tiers, states, selected, playheadS, peaksAt: (view) => this.tiles.columns(view),
      });
      if (this.playing) this.draw();
    });
  }

  // ---- spans

  selectedSpan() {
    if (!this.selected) return null;
    const { lane, index } = this.selected, tier = this.tiers[lane];
    const state = this.states[tier.state[index]];
    return { tier, startS: tier.start[index], endS: tier.end[index], text: tier.text[index],
      speaker: tier.speaker[index], state };
  }

  select(selected, isRevealed = true) {
    this.selected = selected;
    const span = this.selectedSpan(), { part } = this;
    for (const name of ["span-before", "span-after", "span-play", "span-play-on"]) part(name).disabled = !span;
    if (!span) {
      part("span-detail").replaceChildren(t("timeline.no_spans"));
      return;
    }
    const names = [...new Set([span.tier.name, span.speaker])].filter(Boolean).join(" · ");
    const times = `${formatTime(span.startS)} – ${formatTime(span.endS)}`;
    part("span-detail").replaceChildren(
      make("span", { className: "quiet", textContent: `${times} · ${names}` }),
      make("span", { className: "span-text", dir: "auto", textContent: span.text || t("data.no_text") }),
      make("span", {}, make("i", { className: `swatch ${span.state.kind}` }), span.state.text));
    if (isRevealed) this.reveal(span.startS, span.endS);
    this.draw();
  }

  step(by) {
    if (!this.selected) return;
    const { lane, index } = this.selected, last = this.tiers[lane].start.length - 1;
    this.select({ lane, index: Math.max(0, Math.min(last, index + by)) });
  }

  /** Select the span of the tier above or below that is nearest in time. */
  stepLane(by) {
    const lane = this.selected ? this.selected.lane + by : -1, tier = this.tiers[lane];
    if (!tier) return;
    const { startS, endS } = this.selectedSpan();
    this.select({ lane, index: Math.max(0, spanAt(tier, (startS + endS) / 2, Infinity)) });
  }

  onKey(event) {
    const actions = {
      ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1), Home: () => this.step(-Infinity),
      End: () => this.step(Infinity), ArrowDown: () => this.stepLane(1), ArrowUp: () => this.stepLane(-1),
      Enter: () => this.playSelected(), " ": () => this.playSelected(), "+": () => this.zoom(1 / ZOOM_STEP),
      "=": () => this.zoom(1 / ZOOM_STEP), "-": () => this.zoom(ZOOM_STEP), 0: () => this.zoom(Infinity),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  }

  timeAt(event) {
    const { fromS, secondsPerPixel } = this.view();
    return fromS + (event.clientX - this.part("span-canvas").getBoundingClientRect().left) * secondsPerPixel;
  }

  /** A span is selected and heard; on the waveform, the recording is heard from there. */
  onClick(event) {
    const y = event.clientY - this.part("span-canvas").getBoundingClientRect().top, lane = laneAt(y);
    if (!this.tiers[lane]) {
      if (y > RULER_PX || this.tiers.length === 0) this.play(this.timeAt(event), this.durationS);
      return;
    }
    const index = spanAt(this.tiers[lane], this.timeAt(event), TOUCH_PX * this.secondsPerPixel);
    if (index < 0) return;
    this.select({ lane, index }, false);
    this.playSelected();
  }

  // ---- sound

  playSelected() {
    const span = this.selectedSpan();
    if (span) this.play(span.startS, span.endS, this.part("span-play"));
  }

  playOn() {
    const span = this.selectedSpan();
    if (this.playing?.isOn && this.tab.player.position(this.playing.url) !== null) this.tab.player.stop();
    else if (span) this.play(span.startS, this.durationS);
  }

  play(fromS, toS, button = null) {
    const startS = Math.max(0, fromS), request = this.tab.dataset.request();
    const url = audioUrl("part", { ...request, id: this.recording, start: startS, end: toS });
    if (button) this.tab.player.toggle(button, url);
    else this.tab.player.play(url);
    this.playing = { url, startS, isOn: !button };
    this.draw();
  }

  /** -> the time that is heard, null for none. The part on view follows what is played on. */
  followSound() {
    const atS = this.playing ? this.tab.player.position(this.playing.url) : null;
    if (atS === null) this.playing = null;
    setText(this.part("span-play-on"), t(this.playing?.isOn ? "timeline.stop" : "timeline.play_on"));
    if (!this.playing) return null;
    const timeS = this.playing.startS + atS;
    if (this.playing.isOn) this.reveal(timeS, timeS);
    return timeS;
  }
}
