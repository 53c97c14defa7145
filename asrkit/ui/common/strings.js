// The page's texts by key. Values replace {name}; of a key with the endings .one and .other, {count} chooses.

import catalogue from "../strings/en.json" with { type: "json" };

const plurals = new Intl.PluralRules("en");

/** The text of a key, with its values filled in. */
export function t(key, values = {}) {
  const pattern = catalogue[key] ?? catalogue[`${key}.${plurals.select(values.count)}`];
  if (pattern === undefined) {
    console.error(`asrkit: there is no text for ${key}`);
    return key;
  }
  return pattern.replace(/\{(\w+)\}/g, (_, name) => formatValue(values[name]));
}

const formatValue = (value) => (typeof value === "number" ? formatNumber(value) : String(value));

/** 12345 -> "12,345". */
export const formatNumber = (value) => value.toLocaleString("en");
