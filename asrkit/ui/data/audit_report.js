// The report of a check: verdict, figures, lengths, speakers, and the findings with what can be done about each.

import { make, setText } from "../common/dom.js";
import { formatHours } from "../common/formats.js";
import { formatNumber, t } from "../common/strings.js";
import { makeClipTable } from "./clip_table.js";

const VERDICT_STYLES = { ready: "good", "ready-with-drops": "warn", "not-ready": "bad" };

export class AuditReport {
  /** onChoice: other findings are to be left out. onAccept(settings): a finding's settings are to be taken over. */
  constructor(tab, { onChoice, onAccept }) {
    this.tab = tab;
    this.part = tab.part;
    this.onChoice = onChoice;
    this.onAccept = onAccept;
  }

  /** Codes of the findings whose clips are to be left out. */
  leftOut() {
    return [...this.tab.element.querySelectorAll("input[data-code]:checked")].map((tick) => tick.dataset.code);
  }

  show(report) {
    const { part } = this, { sentence, dropped: count, is_sample: isSample } = report;
    part("verdict").className = `callout ${VERDICT_STYLES[report.verdict]}`;
    setText(part("verdict"), count ? `${sentence} ${t("data.unusable", { count })}` : sentence);
    part("figures").replaceChildren(...figuresOf(report).map(([value, label]) => make("div", {},
      make("b", { textContent: value }), make("span", { className: "quiet", textContent: label }))));
    setText(part("estimate"), report.estimate ?? "");
    setText(part("advice"), isSample ? "" : t("data.advice", { advice: report.advice }));
    part("advice-line").hidden = isSample;
    setText(part("held-out"), report.held_out);
    part("histogram").replaceChildren(...makeHistogram(report.durations));
    part("speakers-figure").hidden = !report.speakers.length;
    part("speakers").replaceChildren(...makeSpeakers(report.speakers, report.speaker_count));
    const none = make("p", { className: "quiet", textContent: t("data.no_findings") });
    const findings = report.findings.map((finding) => this.makeFinding(finding));
    part("findings").replaceChildren(...(findings.length ? findings : [none]));
    part("report").hidden = false;
  }

  makeFinding(finding) {
    const { clips } = finding, { dataset, audit } = this.tab;
    const actions = dataset.makeClipActions(() => audit.checkChanged(finding.code));
    const numClips = clips.length ? t("common.clips", { count: finding.count }) : null;
    const summary = make("summary", {},
      make("span", { className: "dot" }),
      make("b", { textContent: finding.title }),
      numClips && make("span", { className: "pill", textContent: numClips }),
      make("span", { className: "quiet kind", textContent: t(`data.finding_kind.${finding.kind}`) }));
    const inside = make("div", { className: "inside" },
      make("p", { textContent: finding.effect }),
      make("p", { className: "quiet", textContent: finding.fix }),
      finding.can_leave_out ? this.makeTick(finding) : null,
      Object.keys(finding.settings).length ? this.makeAcceptButton(Object.entries(finding.settings)) : null,
      ...finding.examples.map((textContent) => make("p", { className: "quiet small", textContent })),
      clips.length ? makeClipTable(clips, this.tab.player, this.tab.dataset.request(), actions) : null,
      clips.length && finding.count > clips.length ? makeRest(clips.length, finding.count) : null);
    const details = make("details", { className: "finding" }, summary, inside);
    details.dataset.kind = finding.kind;
    details.dataset.finding = finding.code;
    return details;
  }

  makeTick({ code, count, leave_out: checked }) {
    const tick = make("input", { type: "checkbox", checked });
    tick.dataset.code = code;
    tick.addEventListener("change", this.onChoice);
    return make("label", { className: "tick" }, tick, ` ${t("data.leave_out", { count })}`);
  }

  makeAcceptButton(settings) {
    const shown = settings.filter(([, value]) => value !== 0);
    const changes = shown.map(([name, value]) => `${describeSetting(name)} ${value}`).join(", ");
    const button = make("button", { type: "button", textContent: t("data.accept", { changes }) });
    button.addEventListener("click", () => this.onAccept(settings));
    return button;
  }
}

const NAMED_SETTINGS = [
  "normaliser", "spell_numbers", "markup", "language", "vocabulary", "character_map", "split_by", "eval_count",
];
const describeSetting = (name) => (NAMED_SETTINGS.includes(name) ? t(`data.setting.${name}`) : name);

const makeRest = (shown, total) =>
  make("p", { className: "quiet small", textContent: t("data.first_clips", { shown, total }) });

/** [value, label] of the figures under the verdict. */
export function figuresOf(report) {
  const figures = [
    [formatNumber(report.utterances), t("data.figure.clips")],
    [formatHours(report.hours), t("data.figure.speech")],
    [formatNumber(report.distinct_words), t("data.figure.words")],
    [formatNumber(report.characters.length), t("data.figure.characters")],
  ];
  const { speaker_count: count, rates } = report;
  if (count) figures.push([formatNumber(count), t("data.figure.speakers", { count })]);
  if (rates.length) figures.push([rates.map(([rate]) => `${rate / 1000}`).join(", "), t("data.figure.rates")]);
  return figures;
}

/** bins: [from_s, to_s, count]. */
function makeHistogram(bins) {
  const max = Math.max(1, ...bins.map(([, , count]) => count)), end = bins.at(-1)?.[1] ?? 0;
  const bars = bins.map(([from, to, count]) => make("i", {
    title: t("data.bin", { from: String(from), to: String(to), clips: t("common.clips", { count }) }),
    style: `height:${count ? Math.max(2, 100 * count / max) : 0}%`,
  }));
  const ticks = [0, end / 2, end].map((value) => t("common.seconds", { value: String(+value.toFixed(2)) }));
  return [
    make("div", { className: "bars" }, ...bars),
    make("div", { className: "axis quiet" }, ...ticks.map((textContent) => make("span", { textContent }))),
  ];
}

/** speakers: [name, clips, hours] of those who speak most, of `count` in all. */
function makeSpeakers(speakers, count) {
  const max = Math.max(1e-9, ...speakers.map(([, , hours]) => hours));
  const rows = speakers.map(([name, numClips, hours]) => {
    const amount = `${formatHours(hours)}, ${t("common.clips", { count: numClips })}`;
    return make("div", { className: "share" },
      make("span", { className: "share-name", textContent: name, title: name }),
      make("span", { className: "bar" }, make("i", { style: `width:${100 * hours / max}%` })),
      make("span", { className: "quiet nowrap", textContent: amount }));
  });
  const rest = count - speakers.length;
  if (rest > 0) rows.push(make("p", { className: "quiet small", textContent: t("data.more_speakers", { rest }) }));
  return rows;
}
