// Numbers and times as text.

import { t } from "./strings.js";

/** A share as percent with one decimal; "" if it is unknown. */
export const formatPercent = (share) => (share === null || share === undefined ? "" : `${(100 * share).toFixed(1)} %`);

/** A share as whole percent, rounded down: 100 % is shown at the end only. */
export const formatWholePercent = (share) => `${Math.floor(100 * share)} %`;

/** Hours of audio as text, in the unit that fits. */
export function formatHours(hours) {
  if (hours >= 1) return t("common.hours", { value: hours.toFixed(hours < 10 ? 1 : 0) });
  if (hours * 60 >= 1) return t("common.minutes", { value: (hours * 60).toFixed(0) });
  return t("common.seconds", { value: (hours * 3600).toFixed(0) });
}

/** Seconds as m:ss or h:mm:ss. */
export function formatClock(seconds) {
  const whole = Math.floor(seconds), pad = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

/** A setting of a run as text. */
export function formatSetting(value) {
  if (value === undefined || value === null) return "";
  if (typeof value !== "number") return value === "" ? t("common.none") : String(value);
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
}

/** A message as a sentence: a capital first, a full stop last. */
export const asSentence = (text) =>
  text && text[0].toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");
