// What is kept in this browser. One that keeps nothing, as in a private window, loses no more than that.

/** -> the text that is kept under a key, or null. */
export function readKept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function keep(key, text) {
  try {
    localStorage.setItem(key, text);
  } catch {
    // then for this visit alone
  }
}
