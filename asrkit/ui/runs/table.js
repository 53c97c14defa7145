// The table of runs. Everything from a run is shown through textContent.

import { make, makeInPageLink, setText } from "../common/dom.js";
import { formatPercent, formatSetting } from "../common/formats.js";
import { t } from "../common/strings.js";
import { makeTags } from "../train/description.js";
import { COLUMNS, settingColumn } from "./columns.js";
import { MARGIN_ROWS, describeDifferences, differingFields, matchesFilter, rowsAround, sortRows } from "./sorting.js";
import { makeTrend } from "./trend.js";

const MAX_SETTING_COLUMNS = 8;
const NUM_FIRST = COLUMNS.findIndex((column) => column.key === "cer"); // columns before the settings that differ

export class Table {
  /** comparison: which runs are ticked, and in which colour (`Comparison`). onOpen(run_id): show a run. */
  constructor(element, part, { comparison, onOpen }) {
    this.element = element;
    this.part = part;
    this.comparison = comparison;
    this.onOpen = onOpen;
    this.ids = [];
    this.fields = []; // settings in which the runs differ
    this.rows = new Map(); // id -> what is known of a run
    this.lines = new Map(); // id -> {line, row, look}: its <tr>, and what that was made of
    this.sorting = { key: "id", isDescending: true };
    this.shown = []; // the rows that match the filter, sorted
    this.drawn = { first: 0, last: 0 }; // which of them are elements
    this.rowHeight = 32; // px, until some are drawn
    part("filter").addEventListener("input", () => this.drawFromTop());
    part("scroll").addEventListener("scroll", () => this.onScroll(), { passive: true });
  }

  update(reply) {
    for (const row of reply.rows) this.rows.set(row.id, row);
    if (reply.ids) this.setIds(reply.ids);
    if (reply.fields) this.fields = reply.fields;
    this.part("empty").hidden = this.ids.length > 0;
    this.part("body").hidden = this.ids.length === 0;
    if (reply.rows.length || reply.ids) this.draw();
  }

  setIds(ids) {
    this.ids = ids;
    const kept = new Set(ids);
    for (const id of this.rows.keys()) {
      if (kept.has(id)) continue;
      this.rows.delete(id);
      this.lines.delete(id);
    }
  }

  /** What a run is called beside these others: with the settings in which it differs from them. */
  nameAmong(id, ids) {
    const row = this.rows.get(id), others = ids.map((each) => this.rows.get(each)).filter(Boolean);
    return row ? [row.name, describeDifferences(row, others, this.fields)].filter(Boolean).join(" · ") : id;
  }

  columns() {
    const settings = this.fields.slice(0, MAX_SETTING_COLUMNS).map(settingColumn);
    return [...COLUMNS.slice(0, NUM_FIRST), ...settings, ...COLUMNS.slice(NUM_FIRST)];
  }

  shownRows() {
    const filter = this.part("filter").value, { key, isDescending } = this.sorting;
    const known = this.ids.map((id) => this.rows.get(id)).filter(Boolean);
    const column = this.columns().find((each) => each.key === key) ?? COLUMNS[1];
    return sortRows(known.filter((row) => matchesFilter(row, filter, this.fields)), column.valueOf, isDescending);
  }

  // ---- drawing. Elements that stay are not replaced: a button that is replaced while it is pressed gets no click.

  drawFromTop() {
    this.part("scroll").scrollTop = 0;
    this.draw();
  }

  draw() {
    const columns = this.columns(), rows = this.shownRows(), focused = document.activeElement?.dataset?.focus;
    this.shown = rows;
    this.drawHeads(columns);
    this.drawRows();
    const all = t("runs.count", { count: this.ids.length });
    const isAll = rows.length === this.ids.length;
    setText(this.part("count"), isAll ? all : t("runs.some_of", { shown: rows.length, all }));
    const rest = this.fields.slice(MAX_SETTING_COLUMNS).map((field) => field.label).join(", ");
    this.part("more-settings").hidden = !rest;
    setText(this.part("more-settings"), rest && t("runs.more_settings", { names: rest }));
    if (!focused) return;
    this.element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  /** Of thousands of rows, those in sight and some around them; the place of the others is kept free. */
  drawRows() {
    const columns = this.columns(), look = `${columns.map((column) => column.key)} ${document.body.className}`;
    this.drawn = rowsAround(this.part("scroll").scrollTop / this.rowHeight, this.shown.length);
    const { first, last } = this.drawn, into = this.part("rows");
    putChildren(into, this.shown.slice(first, last).map((row) => this.line(row, columns, look)));
    if (into.offsetHeight) this.rowHeight = into.offsetHeight / (last - first);
    this.keepFree("above", first, columns.length);
    this.keepFree("below", this.shown.length - last, columns.length);
  }

  keepFree(name, count, colSpan) {
    const cell = make("td", { colSpan });
    cell.style.cssText = `padding: 0; border: 0; height: ${Math.round(count * this.rowHeight)}px`;
    this.part(name).replaceChildren(...(count ? [make("tr", {}, cell)] : []));
  }

  onScroll() {
    const { first, last } = rowsAround(this.part("scroll").scrollTop / this.rowHeight, this.shown.length);
    const isFar = Math.abs(first - this.drawn.first) > MARGIN_ROWS / 2;
    if (isFar || (last === this.shown.length && this.drawn.last < last)) this.drawRows();
  }

  drawHeads(columns) {
    const heads = this.part("heads");
    const key = JSON.stringify([columns.map((column) => [column.key, column.label]), this.sorting]);
    if (heads.dataset.key === key) return;
    heads.dataset.key = key;
    heads.replaceChildren(...columns.map((column) => this.makeHead(column)));
  }

  makeHead(column) {
    const { key, label, title = "", isSortable = true, isNumber } = column;
    const cell = make("th", { scope: "col", title, className: isNumber ? "number" : "" });
    if (!isSortable) {
      cell.textContent = label;
      return cell;
    }
    const button = make("button", { type: "button", textContent: label });
    button.dataset.focus = `head-${key}`;
    const isSorted = this.sorting.key === key;
    if (isSorted) cell.setAttribute("aria-sort", this.sorting.isDescending ? "descending" : "ascending");
    button.addEventListener("click", () => {
      this.sorting = { key, isDescending: isSorted ? !this.sorting.isDescending : key === "id" };
      this.drawFromTop();
    });
    cell.append(button);
    return cell;
  }

  /** A row's line. Of hundreds a tick changes one, and of the line of a run under way most cells stay. */
  line(row, columns, tableLook) {
    const before = this.lines.get(row.id), { comparison } = this;
    const look = `${tableLook} ${comparison.isTicked(row.id) && comparison.colourOf(row.id)}`;
    const sameLook = before?.look === look;
    if (sameLook && before.row === row) return before.line;
    const line = this.makeLine(row, columns);
    if (!sameLook) {
      this.lines.set(row.id, { row, look, line });
      return line;
    }
    before.row = row;
    [...line.cells].forEach((cell, index) => {
      const old = before.line.cells[index];
      if (old.outerHTML !== cell.outerHTML) old.replaceWith(cell);
    });
    return before.line;
  }

  makeLine(row, columns) {
    const line = make("tr", {}, ...columns.map((column) => this.makeCell(row, column)));
    line.dataset.run = row.id;
    return line;
  }

  makeCell(row, column) {
    const cell = make("td", { className: column.isNumber ? "number" : "" });
    if (column.key === "tick") cell.append(this.makeTickBox(row));
    else if (column.key === "id") cell.append(this.makeLink(row), " ", ...makeTags(row.tags));
    else if (column.key === "status") cell.append(makeStatus(row));
    else if (column.key === "trend") cell.append(makeTrend(row.trend, trendTitle(row)));
    else cell.textContent = column.format(row);
    return cell;
  }

  makeTickBox(row) {
    const box = make("input", { type: "checkbox", checked: this.comparison.isTicked(row.id) });
    box.setAttribute("aria-label", t("runs.compare_run", { run: row.name }));
    box.dataset.focus = `tick-${row.id}`;
    if (box.checked) box.style.accentColor = this.comparison.colourOf(row.id);
    box.addEventListener("change", () => this.comparison.tick(row.id, box.checked));
    return box;
  }

  makeLink(row) {
    const link = makeInPageLink(`?run=${encodeURIComponent(row.id)}`, row.name, () => this.onOpen(row.id));
    link.title = [row.name === row.id ? "" : row.id, row.notes].filter(Boolean).join("\n");
    link.dataset.focus = `open-${row.id}`;
    return link;
  }

  /** In what the ticked runs differ, side by side. */
  drawDifferences(ticked) {
    const rows = ticked.map((id) => this.rows.get(id)).filter(Boolean), into = this.part("differences");
    into.hidden = rows.length < 2;
    if (into.hidden) return;
    const heads = makeCells("th", [t("train.setting"), ...rows.map((row) => row.name)]);
    rows.forEach((row, index) => { heads[index + 1].style.borderBottomColor = this.comparison.colourOf(row.id); });
    const fields = differingFields(rows, this.fields);
    const lines = [
      [t("runs.column.wer"), ...rows.map((row) => formatPercent(row.wer))],
      [t("runs.column.cer"), ...rows.map((row) => formatPercent(row.cer))],
      [t("runs.column.duration"), ...rows.map((row) => row.duration)],
      ...fields.map((field) => [field.label, ...rows.map((row) => formatSetting(row.settings[field.name]))]),
    ];
    const table = this.part("differences-table");
    table.replaceChildren(make("tr", {}, ...heads), ...lines.map((line) => make("tr", {}, ...makeCells("td", line))));
  }
}

const makeCells = (tag, texts) => texts.map((textContent) => make(tag, { textContent }));

function makeStatus(row) {
  const pill = make("span", { className: "pill", textContent: row.status_word });
  pill.dataset.status = row.status;
  if (row.findings.length) {
    pill.title = row.findings.join(", ");
    pill.textContent += " ⚠";
  }
  return pill;
}

function trendTitle({ metric, trend }) {
  if (trend.length < 2) return "";
  const first = trend[0].toFixed(3), last = trend.at(-1).toFixed(3);
  return t("runs.trend", { metric: metric.toUpperCase(), first, last });
}

/** Make these nodes the children of `parent`; those that stay in their place are not touched. */
function putChildren(parent, nodes) {
  const kept = new Set(nodes);
  for (const node of [...parent.children]) if (!kept.has(node)) node.remove();
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}
