// What is kept in this browser. One that keeps nothing, as in a private window, loses no more than that.

/** -> the text that is kept under a key, or null. */
export function readStored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function store(key, text) {
  try {
    localStorage.setItem(key, text);
  } catch {
    // then for this visit alone
  }
}
