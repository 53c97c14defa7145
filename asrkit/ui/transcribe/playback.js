// Plays stretches of a recording by its URL: the browser fetches what it needs of it.

import { audioUrl, describeFailure } from "../common/player.js";

export class Playback {
  /** onMove(time_s | null): where it is while it plays, null when it ends. onError gets a sentence. */
  constructor({ onMove, onError }) {
    this.onMove = onMove;
    this.onError = onError;
    this.audio = null; // of what plays
    this.loaded = { id: null, audio: null }; // the last recording, so that its sound is fetched once
  }

  isPlaying() {
    return this.audio !== null;
  }

  async play(id, startS, endS) {
    this.stop();
    const audio = this.audio = this.audioOf(id);
    this.onMove(startS); // a click shows at once
    try {
      audio.currentTime = startS;
      await audio.play();
      this.follow(audio, endS);
    } catch (error) {
      if (this.audio !== audio) return; // stopped meanwhile
      this.loaded = { id: null, audio: null };
      this.stop();
      this.onError(await describeFailure(audio.src, error));
    }
  }

  audioOf(id) {
    if (this.loaded.id !== id) this.loaded = { id, audio: new Audio(audioUrl("recording", { id })) };
    return this.loaded.audio;
  }

  /** Show where it is, until it ends. */
  follow(audio, endS) {
    if (this.audio !== audio) return;
    if (audio.ended || audio.paused || audio.currentTime >= endS) {
      this.stop();
      return;
    }
    this.onMove(audio.currentTime);
    requestAnimationFrame(() => this.follow(audio, endS));
  }

  stop() {
    this.audio?.pause();
    this.audio = null;
    this.onMove(null);
  }
}
