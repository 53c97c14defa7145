// Plays clips by URL, one at a time.

import { t } from "./strings.js";

const PLAY = "▶", STOP = "■";

/** Why a sound cannot be played, in a sentence: what the app answers, or what the browser says. */
export async function describeFailure(url, error) {
  try {
    const answer = await fetch(url, { headers: { Range: "bytes=0-0" } });
    if (!answer.ok) return await answer.text();
  } catch {
    return t("player.failed", { reason: t("common.no_answer_reason") });
  }
  return t("player.failed", { reason: error?.message ?? String(error) });
}

/**
 * -> {play(url), toggle(button, url), stop(), position(url)}. A button that plays shows a square; `onError` gets a
 * sentence. position: seconds of what plays, null where that is another sound, or none.
 */
export function createClipPlayer(onError) {
  const audio = new Audio();
  let current = null; // {url, button} of what plays

  function stop() {
    audio.pause();
    if (current?.button) current.button.textContent = PLAY;
    current = null;
  }

  async function play(url, button = null) {
    stop();
    const playing = current = { url, button };
    if (button) button.textContent = STOP;
    audio.src = url;
    try {
      await audio.play();
    } catch (error) {
      if (current !== playing) return; // it was stopped, or another clip was chosen
      stop();
      onError(await describeFailure(url, error));
    }
  }

  function toggle(button, url) {
    if (current?.button === button && current.url === url) stop();
    else play(url, button);
  }

  const position = (url) => (current?.url === url ? audio.currentTime : null);

  audio.addEventListener("ended", stop);
  return { play, toggle, stop, position };
}

/** The address of a sound that the app serves; the page may lie under any path. */
export const audioUrl = (kind, query) => `audio/${kind}.wav?${new URLSearchParams(query)}`;
