// The columns of the table of runs: what each is called, sorts by and shows.

import { formatPercent, formatSetting } from "../common/formats.js";
import { t } from "../common/strings.js";

export const COLUMNS = [
  { key: "tick", label: t("runs.column.tick"), isSortable: false },
  { key: "id", label: t("runs.column.id"), valueOf: (row) => row.id },
  { key: "status", label: t("runs.column.status"), valueOf: (row) => row.status_word },
  { key: "trend", label: t("runs.column.trend"), isSortable: false },
  numberColumn("wer", (row) => row.wer, (row) => formatPercent(row.wer)),
  numberColumn("cer", (row) => row.cer, (row) => formatPercent(row.cer)),
  numberColumn("loss", (row) => row.loss, (row) => row.loss?.toFixed(3) ?? ""),
  numberColumn("step", (row) => row.step, formatSteps),
  numberColumn("duration", (row) => row.duration_s, (row) => row.duration),
  numberColumn("disk", (row) => row.disk_bytes, (row) => row.disk),
];

function numberColumn(key, valueOf, format) {
  return { key, label: t(`runs.column.${key}`), valueOf, format, isNumber: true };
}

function formatSteps(row) {
  if (!row.total_steps) return "";
  return t("runs.steps", { step: String(row.step), total: String(row.total_steps) });
}

/** The column of a setting in which the runs differ. */
export function settingColumn(field) {
  const valueOf = (row) => row.settings[field.name];
  const format = (row) => formatSetting(valueOf(row));
  return { key: `set-${field.name}`, label: field.label, title: field.name, valueOf, format };
}
