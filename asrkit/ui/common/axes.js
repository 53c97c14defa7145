// The axes of the charts, and smoothing. Pure: nothing here knows the page.

import { t } from "./strings.js";

/** Key of a curve's column -> the title of its axis, and how a value of it is shown. `end`: the axis's last value. */
export const AXES = {
  x: { title: () => t("charts.step"), scale: (value) => value },
  e: { title: () => t("charts.epoch"), scale: (value) => value },
  t: {
    title: (end) => t("charts.elapsed_time", { unit: t(timeUnit(end).key) }),
    scale: (value, end) => value / timeUnit(end).seconds,
  },
};

/** The unit that suits an axis of time which ends there (in seconds). */
export function timeUnit(end) {
  if (end > 2 * 3600) return { key: "charts.hours", seconds: 3600 };
  return end > 120 ? { key: "charts.minutes", seconds: 60 } : { key: "charts.seconds", seconds: 1 };
}

/** Exponential mean of the values so far, corrected for its start (as in Adam); a gap stays a gap. */
export function smoothValues(values, weight) {
  let mean = 0, count = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    count += 1;
    return mean / (1 - weight ** count);
  });
}
