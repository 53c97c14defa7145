// The sweeps: a table for each, with mean and spread over the seeds of each combination of values.

import { make } from "../common/dom.js";
import { t } from "../common/strings.js";

const makeRow = (tag, texts) => make("tr", {}, ...texts.map((textContent) => make(tag, { textContent })));

/** Draw the tables into `part`. sweeps: [{name, cells}], the heads being the first line of cells. */
export function drawSweeps(part, sweeps) {
  part.hidden = !sweeps.length;
  const key = JSON.stringify(sweeps);
  if (part.dataset.drawn === key) return;
  part.dataset.drawn = key;
  part.replaceChildren(...sweeps.flatMap(({ name, cells: [heads, ...lines] }) => [
    make("h2", { textContent: t("sweeps.of", { name }) }),
    make("table", {}, makeRow("th", heads), ...lines.map((line) => makeRow("td", line))),
  ]));
}
