// Runs in the browser's audio thread: hands the microphone's samples on in chunks of equal length, as mono float32.

/* global AudioWorkletProcessor, registerProcessor */

class CaptureProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.chunk = new Float32Array(processorOptions.chunkFrames);
    this.filled = 0;
    this.isOpen = true;
    this.port.onmessage = () => this.end();
  }

  /** Hand the rest on, then null. */
  end() {
    this.isOpen = false;
    this.flush();
    this.port.postMessage(null);
  }

  flush() {
    if (!this.filled) return;
    const samples = this.chunk.slice(0, this.filled);
    this.port.postMessage(samples, [samples.buffer]);
    this.filled = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    if (!this.isOpen || !channels.length) return this.isOpen;
    for (let frame = 0; frame < channels[0].length; frame++) {
      let sum = 0;
      for (const channel of channels) sum += channel[frame];
      this.chunk[this.filled++] = sum / channels.length;
      if (this.filled === this.chunk.length) this.flush();
    }
    return true;
  }
}

registerProcessor("asrkit-capture", CaptureProcessor);
