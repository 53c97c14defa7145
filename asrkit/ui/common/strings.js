// The page's texts by key, in the language that the server has chosen for the page. Values replace {name}; of a key
// with an ending for each plural form, {count} chooses.

import english from "../strings/en.json" with { type: "json" };

const page = globalThis.document;

/** The code of the page's language. */
export const language = page?.querySelector("meta[name=asrkit-language]")?.content ?? "en";

const own = language === "en" ? {} : await loadCatalogue();
const plurals = new Intl.PluralRules(language);

if (page) {
  // Gradio sets the browser's language, some time while it builds the page.
  const keepLanguage = () => { if (page.documentElement.lang !== language) page.documentElement.lang = language; };
  new MutationObserver(keepLanguage).observe(page.documentElement, { attributeFilter: ["lang"] });
  keepLanguage();
}

async function loadCatalogue() {
  const module = await import(`../strings/${language}.json`, { with: { type: "json" } });
  return module.default;
}

/** The text of a key, with its values filled in. */
export function t(key, values = {}) {
  const pattern = find(own, key, values) ?? find(english, key, values);
  if (pattern === undefined) {
    console.error(`asrkit: there is no text for ${key}`);
    return key;
  }
  return pattern.replace(/\{(\w+)\}/g, (_, name) => formatValue(values[name]));
}

const find = (catalogue, key, { count }) =>
  catalogue[key] ?? catalogue[`${key}.${plurals.select(count)}`] ?? catalogue[`${key}.other`];

const formatValue = (value) => (typeof value === "number" ? formatNumber(value) : String(value));

/** 12345 -> "12,345". */
export const formatNumber = (value) => value.toLocaleString(language);
