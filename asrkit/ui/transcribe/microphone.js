// The microphone: samples leave the audio thread in chunks of 16 bit and wait in a line; one request at a time takes
// what is there, in order. Stop waits for what the microphone has heard until then, so the end of a word is never lost.

const CHUNK_S = 0.3, SETTLE_MS = 250, AGAIN_MS = 1000, STUCK_MS = 3000, MOST_CHUNKS = 40;
const WORKLET = `registerProcessor("capture", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(${CHUNK_S} * sampleRate); this.held = new Int16Array(this.size); this.filled = 0; this.on = true;
    this.port.onmessage = () => { this.on = false; this.send(); this.port.postMessage(null); };
  }
  send() {
    if (!this.filled) return;
    const part = this.held.slice(0, this.filled);
    this.port.postMessage(part.buffer, [part.buffer]);
    this.filled = 0;
  }
  process(inputs) {
    const channels = inputs[0];
    if (!this.on || !channels.length) return this.on;
    for (let at = 0; at < channels[0].length; at++) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      const value = Math.max(-1, Math.min(1, sum / channels.length));
      this.held[this.filled++] = Math.round(32767 * value);
      if (this.filled === this.size) this.send();
    }
    return true;
  }
});`;

// begun({rate}) opens a recording on the server and gives its id; waits(words) says what it waits for before it is heard,
// told(answer) shows news; lost(offline) says whether the app answers; failed(words) ends it.
function microphone({ begun, waits, told, lost, failed, level }) {
  let context, stream, node, id, line = [], number = 0, sending = false, ended = false, over = false, stopping = false;
  let ready = false;

  async function start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("The browser gives the microphone to secure pages only: open this page by https or on localhost.");
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false } });
    } catch (error) {
      throw new Error(error.name === "NotFoundError" ? "No microphone was found; connect one and try again."
        : "The browser did not give the microphone; allow it for this page and try again.");
    }
    try { await open(); } catch (error) { over = true; close(); throw error; }
    return id;
  }

  async function open() {
    context = new AudioContext();
    const code = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
    await context.audioWorklet.addModule(code);
    URL.revokeObjectURL(code);
    node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => {
      if (data === null) end(); else { line.push(new Int16Array(data)); level(new Int16Array(data)); send(); }
    };
    // A telephone call, or a machine that slept: the sound goes on, or the recording ends with what there is.
    context.addEventListener("statechange", () => { if (!stopping && !over && context.state !== "running") context.resume().catch(stop); });
    context.createMediaStreamSource(stream).connect(node);
    stream.getAudioTracks()[0].addEventListener("ended", stop); // unplugged, or taken away
    await wake(context);
    id = await begun(context.sampleRate);
    prepare();
  }

  // What is said until the model is there waits in the line: a model may come from far away.
  async function prepare() {
    while (!ready && !over) {
      try {
        const answer = await answered("ready", { id });
        lost(false);
        ready = !answer.error && !answer.waits;
        if (answer.error) { over = true; close(); failed(answer.error); } else waits(answer.waits);
      } catch (error) { await unheard(error); }
    }
    send();
  }

  async function unheard(error) {
    console.warn("asrkit: no answer", error);
    lost(true);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }

  function stop() {
    if (stopping) return;
    stopping = true;
    setTimeout(() => node.port.postMessage("stop"), SETTLE_MS);
    setTimeout(end, SETTLE_MS + STUCK_MS); // where the sound's own thread does not answer any more
  }

  function end() {
    if (ended) return;
    ended = true;
    close();
    send();
  }

  function close() {
    for (const track of stream.getTracks()) track.stop();
    if (context && context.state !== "closed") context.close();
  }

  async function send() {
    if (sending || over || !ready || (!line.length && !ended)) return;
    sending = true;
    const parts = line.splice(0, MOST_CHUNKS), last = ended && !line.length;
    const pcm = base64(parts);
    for (let done = false; !done && !over;) {
      try {
        const answer = await answered("hear", { id, number, pcm, last, seen: told.seen() });
        lost(false);
        done = true;
        if (answer.error || answer.state !== "working") { over = true; close(); } // it may be the server that ends it
        if (answer.error) failed(answer.error); else told.show(answer);
      } catch (error) { await unheard(error); }
    }
    number += 1;
    sending = false;
    if (last) over = true;
    send();
  }

  return { start, stop };
}

function base64(parts) {
  let text = "";
  for (const part of parts) {
    const bytes = new Uint8Array(part.buffer);
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
}
