// The waveform of a recording, fetched in tiles of the resolution on view and kept.

import { chooseLevel } from "./span_search.js";

const TILE_BINS = 1024, POLL_MS = 300, MAX_TILES = 200;

export class WaveformTiles {
  /** fetchTile(level, tile): the server's reply or null. onChange(): something new can be drawn. */
  constructor(fetchTile, onChange) {
    Object.assign(this, { fetchTile, onChange });
    this.clear();
  }

  clear() {
    this.tiles = new Map(); // "level:tile" -> {low, high, isComplete}
    this.pending = new Set();
    this.binS = 0.01;
    this.generation = (this.generation ?? 0) + 1; // replies about the recording before are dropped
    this.hasFailed = false;
  }

  /** What to draw of a view, and fetch what is missing of it: from coarser tiles meanwhile. */
  columns(view) {
    const level = chooseLevel(this.binS, view.secondsPerPixel), columns = [];
    const tileS = TILE_BINS * this.binS * 2 ** level, endS = view.fromS + view.width * view.secondsPerPixel;
    const first = Math.max(0, Math.floor(view.fromS / tileS));
    for (let tile = first; tile * tileS < Math.min(endS, this.durationS); tile++) {
      const known = this.tiles.get(`${level}:${tile}`);
      if (!known?.isComplete) this.request(level, tile);
      if (known) this.addColumns(columns, view, level, tile, known);
      else this.addCoarser(columns, view, level, tile, tileS);
    }
    return columns;
  }

  addColumns(columns, view, level, tile, { low, high }, fromS = 0, toS = Infinity) {
    const binS = this.binS * 2 ** level, width = Math.max(1, binS / view.secondsPerPixel);
    for (let index = 0; index < low.length; index++) {
      const startS = (tile * TILE_BINS + index) * binS;
      if (startS < fromS || startS >= toS) continue;
      const x = (startS - view.fromS) / view.secondsPerPixel;
      if (x > -width && x < view.width) columns.push({ x, width, low: low[index], high: high[index] });
    }
  }

  addCoarser(columns, view, level, tile, tileS) {
    for (let coarser = level + 1; coarser <= 16; coarser++) {
      const above = tile >> (coarser - level), known = this.tiles.get(`${coarser}:${above}`);
      if (!known) continue;
      this.addColumns(columns, view, coarser, above, known, tile * tileS, (tile + 1) * tileS);
      return;
    }
  }

  async request(level, tile) {
    const key = `${level}:${tile}`, { generation } = this;
    if (this.pending.has(key) || this.hasFailed) return;
    this.pending.add(key);
    const reply = await this.fetchTile(level, tile);
    if (generation !== this.generation) return;
    if (!reply) {
      this.hasFailed = true; // the sentence is on view; to ask again would repeat it
      return;
    }
    if (reply.bin_s !== this.binS) { // a very long recording: its bins have become longer
      this.tiles.clear();
      this.binS = reply.bin_s;
    }
    if (this.tiles.size >= MAX_TILES) this.tiles.delete(this.tiles.keys().next().value);
    this.tiles.set(key, { low: reply.low, high: reply.high, isComplete: reply.is_complete });
    const release = () => {
      this.pending.delete(key);
      if (generation === this.generation) this.onChange();
    };
    if (reply.is_complete) release();
    else {
      this.onChange();
      setTimeout(release, POLL_MS);
    }
  }
}
