// What the recorder was set up with last, in this browser: {name, list, speaker, open}.

const STORAGE_KEY = "asrkit-recorder";

export function loadSetup() {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY)) || {};
  } catch {
    return {};
  }
}

export function saveSetup(setup) {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(setup));
  } catch { /* this browser keeps nothing: one begins where the dataset is */ }
}
