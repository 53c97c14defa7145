// Which rows of the table of runs are shown, and in which order. Pure: nothing here knows the page.

import { formatSetting } from "../common/formats.js";

const isUnknown = (value) => value === null || value === undefined || value === "";

/**
 * Whether a row matches a filter: each of its words must occur somewhere in the row or in the run's notes, and
 * name=value is the beginning of a setting's value. `fields`: the settings' [{name}].
 */
export function matchesFilter(row, filter, fields) {
  const described = [row.id, row.name, ...row.tags, row.notes];
  const texts = [...described, row.status_word, ...row.findings, ...Object.values(row.settings).map(formatSetting)];
  return filter.toLowerCase().split(/\s+/).filter(Boolean).every((word) => {
    const [name, value] = word.split("=");
    if (value !== undefined && fields.some((field) => field.name === name)) {
      return formatSetting(row.settings[name]).toLowerCase().startsWith(value);
    }
    return texts.some((text) => text.toLowerCase().includes(word));
  });
}

/** Rows in the order of `valueOf`; those without a value come last either way. */
export function sortRows(rows, valueOf, isDescending) {
  const sign = isDescending ? -1 : 1;
  return [...rows].sort((first, second) => {
    const a = valueOf(first), b = valueOf(second);
    if (isUnknown(a) || isUnknown(b)) return isUnknown(a) - isUnknown(b);
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  });
}

export const MARGIN_ROWS = 50; // drawn above and below those in sight
const VISIBLE_ROWS = 40; // at most, in the height that the table has

/** Which of `count` rows to draw where the row `top` is the first in sight: from `first` to before `last`. */
export function rowsAround(top, count) {
  const drawn = VISIBLE_ROWS + 2 * MARGIN_ROWS;
  const first = Math.max(0, Math.min(Math.floor(top) - MARGIN_ROWS, count - drawn));
  return { first, last: Math.min(count, first + drawn) };
}

/** Fields of which the rows have different values. */
export const differingFields = (rows, fields) =>
  fields.filter((field) => new Set(rows.map((row) => row.settings[field.name])).size > 1);

const MAX_NAMED = 3;

/** The settings in which a row differs from others, in a few words: "lr 0.005, seed 7". `fields`: [{name, short}]. */
export const describeDifferences = (row, rows, fields) =>
  differingFields(rows, fields).slice(0, MAX_NAMED)
    .map(({ name, short }) => `${short} ${formatSetting(row.settings[name])}`).join(", ");
