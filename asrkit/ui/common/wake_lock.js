// Keeps the screen on, where the browser can: a phone that goes to sleep ends a recording.

/**
 * Keep the screen on until the function that is returned is called. The browser lets it go whenever the page is hidden,
 * so that it is asked for again when the page is shown.
 */
export function keepScreenOn() {
  if (!globalThis.navigator?.wakeLock) return () => {};
  let lock = null, isEnded = false;

  async function request() {
    if (isEnded || document.visibilityState !== "visible") return;
    try {
      const granted = await navigator.wakeLock.request("screen");
      if (isEnded || (lock && !lock.released)) granted.release();
      else lock = granted;
    } catch {
      // Refused, as with a battery that is nearly empty: the recording goes on without it.
    }
  }

  document.addEventListener("visibilitychange", request);
  request();
  return function end() {
    isEnded = true;
    document.removeEventListener("visibilitychange", request);
    lock?.release();
    lock = null;
  };
}
