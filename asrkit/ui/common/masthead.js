// The head of the page: chooses its language, which the server reads from a cookie.

import { partsOf } from "./dom.js";
import { skipOpenLists } from "./focus.js";
import { language } from "./strings.js";
import { mount as mountTabs } from "./tabs.js";

const YEAR_S = 365 * 24 * 3600;

/** -> the cookie of a language. In the frame of a Space, browsers keep only partitioned ones. */
export function makeCookie(code, { protocol, pathname }) {
  const attributes = protocol === "https:" ? "SameSite=None; Secure; Partitioned" : "SameSite=Strict";
  return `asrkit-language=${code}; Path=${pathname}; Max-Age=${YEAR_S}; ${attributes}`;
}

export function mount({ element }) {
  mountTabs();
  skipOpenLists();
  const choice = partsOf(element)("language");
  choice.value = language;
  choice.addEventListener("change", () => {
    document.cookie = makeCookie(choice.value, location);
    location.reload();
  });
}
