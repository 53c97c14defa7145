// What the recorder is set up with: the form, and what it was last in this browser: {name, list, speaker, open}.

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

/** The dataset, the speaker and the terms of the recordings, as they are written in the form. */
export const readForm = (part) => ({
  name: part("record-name").value,
  speaker: part("record-speaker").value,
  consent: part("record-consent").value,
  licence: part("record-licence").value,
});

/** Show the terms that a dataset has, so that they are asked for once. */
export function showTerms(part, { licence, consents }, speaker) {
  part("record-consent").value = consents[speaker.trim()] ?? "";
  part("record-licence").value = licence;
}
