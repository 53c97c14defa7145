// A recording from the microphone that is transcribed as it is spoken: chunks wait in a queue, and one request at a
// time takes what is there, in order. Stop waits for what was spoken until then, so the end of a word is never lost.

import { sleep } from "../common/dom.js";
import { openMicrophone } from "../common/microphone.js";
import { call, warnNoAnswer } from "../common/server.js";
import { encodeChunks, toInt16 } from "./pcm.js";

const CHUNK_S = 0.3;
const RETRY_MS = 1000;
const MAX_CHUNKS = 40; // of one request

export class LiveSession {
  /**
   * open(sampleRate): open a recording on the server, -> its id. numWords(): how many of its words the page has.
   * onWaiting(text): what it waits for, "" once it is transcribed. onUpdate(reply): news. onLevel(samples): a chunk.
   * onConnection(isLost): whether the app answers. onFailure(message): it has ended.
   */
  constructor(server, callbacks) {
    this.server = server;
    this.callbacks = callbacks;
    this.microphone = null;
    this.id = null;
    this.queue = []; // chunks that are not sent yet
    this.number = 0; // of the next request: one that is sent twice counts once
    this.isReady = false; // the model is loaded
    this.isSending = false;
    this.hasEnded = false; // the microphone gives nothing more
    this.isOver = false; // the server takes nothing more
  }

  /** Throws an Error with a message for the user. -> the recording's id. */
  async start() {
    try {
      this.microphone = await openMicrophone({
        chunkS: CHUNK_S,
        onChunk: (samples) => this.onChunk(samples),
        onEnd: () => this.onEnd(),
      });
      this.id = await this.callbacks.open(this.microphone.sampleRate);
    } catch (error) {
      this.end();
      throw error;
    }
    this.waitForModel();
    return this.id;
  }

  stop() {
    this.microphone.stop();
  }

  end() {
    this.isOver = true;
    this.microphone?.close();
  }

  onChunk(samples) {
    const chunk = toInt16(samples);
    this.queue.push(chunk);
    this.callbacks.onLevel(chunk);
    this.send();
  }

  onEnd() {
    this.hasEnded = true;
    this.send();
  }

  /** What is spoken meanwhile waits in the queue: a model may have to be downloaded. */
  async waitForModel() {
    while (!this.isReady && !this.isOver) {
      await this.attempt(async () => {
        const reply = await call(this.server, "check_model", { id: this.id });
        this.callbacks.onConnection(false);
        this.isReady = !reply.error && !reply.waits;
        if (reply.error) this.fail(reply.error);
        else this.callbacks.onWaiting(reply.waits);
      });
    }
    this.send();
  }

  async send() {
    const hasNothing = !this.queue.length && !this.hasEnded;
    if (this.isSending || this.isOver || !this.isReady || hasNothing) return;
    this.isSending = true;
    const chunks = this.queue.splice(0, MAX_CHUNKS), last = this.hasEnded && !this.queue.length;
    const pcm = encodeChunks(chunks);
    let isSent = false;
    while (!isSent && !this.isOver) {
      await this.attempt(async () => {
        const request = { id: this.id, number: this.number, pcm, last, seen: this.callbacks.numWords() };
        const reply = await call(this.server, "push_chunk", request);
        this.callbacks.onConnection(false);
        isSent = true;
        this.onReply(reply);
      });
    }
    this.number += 1;
    this.isSending = false;
    if (last) this.isOver = true;
    this.send();
  }

  onReply(reply) {
    if (reply.error) {
      this.fail(reply.error);
      return;
    }
    if (reply.state !== "working") this.end(); // it may be the server that ends it
    this.callbacks.onUpdate(reply);
  }

  fail(message) {
    this.end();
    this.callbacks.onFailure(message);
  }

  /** Do something that needs the app; where it does not answer, wait a little. */
  async attempt(action) {
    try {
      await action();
    } catch (error) {
      warnNoAnswer(error);
      this.callbacks.onConnection(true);
      await sleep(RETRY_MS);
    }
  }
}
