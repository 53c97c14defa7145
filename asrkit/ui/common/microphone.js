// The microphone, for live transcription and for recording datasets.

import { t } from "./strings.js";
import { keepScreenOn } from "./wake_lock.js";

const WORKLET_URL = new URL("capture_worklet.js", import.meta.url);
const SETTLE_MS = 250; // what was spoken before Stop is still on its way through the browser
const STUCK_MS = 3000; // the audio thread may not answer any more
const RESUME_MS = 5000;
// Models are trained on plain recordings; gain control clips short words in Chromium.
const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** Start an AudioContext. Some browsers begin with it asleep, and Firefox without a sound device never wakes it. */
async function resume(context) {
  const asleep = new Error(t("microphone.asleep"));
  await Promise.race([context.resume(), new Promise((_, reject) => setTimeout(() => reject(asleep), RESUME_MS))]);
}

async function requestStream() {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error(t("microphone.insecure"));
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: UNPROCESSED });
  } catch (error) {
    throw new Error(t(error.name === "NotFoundError" ? "microphone.missing" : "microphone.refused"), { cause: error });
  }
}

/**
 * Open the microphone. Throws an Error with a message for the user.
 *
 * chunkS: seconds of a chunk. onChunk: gets mono float32 samples. onEnd: called once, after the last chunk, when the
 * microphone was stopped, unplugged or taken away.
 * -> {sampleRate, isActive(), resume(), stop(), close()}; `stop` waits for what was spoken until now, `close` does not.
 */
export async function openMicrophone({ chunkS, onChunk, onEnd = () => {} }) {
  const stream = await requestStream();
  const context = new AudioContext();
  let node = null, isStopping = false, isClosed = false, letScreenSleep = () => {};

  function close() {
    if (isClosed) return;
    isClosed = true;
    letScreenSleep();
    for (const track of stream.getTracks()) track.stop();
    if (context.state !== "closed") context.close();
    onEnd();
  }

  function stop() {
    if (isStopping) return;
    isStopping = true;
    setTimeout(() => node.port.postMessage("end"), SETTLE_MS);
    setTimeout(close, SETTLE_MS + STUCK_MS);
  }

  async function connect() {
    await context.audioWorklet.addModule(WORKLET_URL);
    const processorOptions = { chunkFrames: Math.round(chunkS * context.sampleRate) };
    node = new AudioWorkletNode(context, "asrkit-capture", { numberOfOutputs: 0, processorOptions });
    node.port.onmessage = ({ data }) => {
      if (isClosed) return;
      if (data === null) close(); else onChunk(data);
    };
    // A telephone call, or a machine that slept: the sound goes on, or the recording ends with what there is.
    context.addEventListener("statechange", () => {
      if (!isStopping && !isClosed && context.state !== "running") context.resume().catch(stop);
    });
    context.createMediaStreamSource(stream).connect(node);
    stream.getAudioTracks()[0].addEventListener("ended", stop);
    await resume(context);
  }

  try {
    await connect();
  } catch (error) {
    isClosed = true; // or its light stays on; onEnd is for a microphone that was open
    for (const track of stream.getTracks()) track.stop();
    context.close();
    throw error;
  }
  letScreenSleep = keepScreenOn();
  return {
    sampleRate: context.sampleRate,
    isActive: () => !isClosed && stream.active,
    resume: () => resume(context),
    stop,
    close,
  };
}
