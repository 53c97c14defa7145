// Which words of a recording under way are final, so that only what follows them is recognised again.

const PAUSE_S = 1.5;
const KEPT_S = 0.4; // of audio behind a final word: the beginning of the next may be in it
const MAX_SILENCE_S = 3;
const MAX_OPEN_S = 15;

/** The number of final words of the open part of a recording, and the second up to which its audio is done. */
export function takeFinished(words, duration, isLast) {
  if (isLast) return { finished: words.length, cut: duration };
  if (!words.length) return { finished: 0, cut: duration > MAX_SILENCE_S ? duration - 1 : 0 };
  const last = words.at(-1);
  if (duration - last.end >= PAUSE_S) {
    return { finished: words.length, cut: Math.min(last.end + KEPT_S, duration) };
  }
  if (duration > MAX_OPEN_S && words.length > 1) {
    return { finished: words.length - 1, cut: (words.at(-2).end + last.start) / 2 };
  }
  return { finished: 0, cut: 0 };
}
