// Plays stretches of a recording by its URL: the browser fetches what it needs of it.

import { audioUrl, describeFailure } from "../common/player.js";

export class Playback {
  /** onMove(time_s | null): where it is while it plays, null when it ends. onError gets a sentence. */
  constructor({ onMove, onError }) {
    this.onMove = onMove;
    this.onError = onError;
    this.current = null; // {audio, endS} of what plays: one object for each call of `play`, which may share their audio
    this.loaded = { id: null, audio: null }; // the last recording, so that its sound is fetched once
  }

  isPlaying() {
    return this.current !== null;
  }

  async play(id, startS, endS) {
    this.stop();
    const audio = this.audioOf(id), playing = this.current = { audio, endS };
    this.onMove(startS); // a click shows at once
    try {
      audio.currentTime = startS;
      await audio.play();
      this.follow(playing);
    } catch (error) {
      if (this.current !== playing) return; // stopped meanwhile
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
  follow(playing) {
    if (this.current !== playing) return;
    const { audio, endS } = playing;
    if (audio.ended || audio.paused || audio.currentTime >= endS) {
      this.stop();
      return;
    }
    this.onMove(audio.currentTime);
    requestAnimationFrame(() => this.follow(playing));
  }

  stop() {
    this.current?.audio.pause();
    this.current = null;
    this.onMove(null);
  }
}
