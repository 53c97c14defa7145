"""The report of an evaluation as HTML. Everything in it is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from asrkit import units
from asrkit.ui import strings
from asrkit.ui.common import samples

if TYPE_CHECKING:
    from asrkit.transcription.report import ClipGroup, EvaluationReport

MAX_WORST_CLIPS, MAX_CONFUSIONS, MAX_SPEAKERS = 12, 20, 20


def render_report(report: EvaluationReport, title: str) -> str:
    """Render the rates, the worst clips, confusions, groups and calibration."""
    mer = report.scores.mer
    summary = strings.text(
        "evaluate.summary",
        title=title,
        clips=strings.text("common.clips", count=len(report.clips)),
        duration=units.format_duration(report.audio_s),
        seconds=f"{report.elapsed_s:.1f}",
        substitutions=mer.substitutions,
        deletions=mer.deletions,
        insertions=mer.insertions,
    )
    return "".join(
        [
            f'<div class="figures">{_render_rates(report)}</div><p class="quiet">{escape(summary)}</p>',
            _render_unreadable_clips(report),
            _render_worst_clips(report),
            '<div class="tables">',
            _render_confusions(report),
            _render_groups(
                strings.text("evaluate.by_speaker"),
                strings.text("evaluate.speaker"),
                report.group_by_speaker()[:MAX_SPEAKERS],
            ),
            _render_groups(
                strings.text("evaluate.by_length"), strings.text("evaluate.length"), report.group_by_length()
            ),
            _render_calibration(report),
            "</div>",
        ]
    )


def _render_rates(report: EvaluationReport) -> str:
    return "".join(
        f"<div><b>{units.format_rate(getattr(report.scores, name).rate)}</b><span>"
        + strings.text("evaluate.interval", name=name.upper(), low=f"{100 * low:.1f}", high=f"{100 * high:.1f}")
        + "</span></div>"
        for name, (low, high) in ((name, report.intervals[name]) for name in ("wer", "cer", "mer"))
    )


def _render_unreadable_clips(report: EvaluationReport) -> str:
    if not report.unreadable:
        return ""
    text = strings.text("evaluate.unreadable", count=len(report.unreadable), example=report.unreadable[0])
    return f'<p class="callout warn">{escape(text)}</p>'


def _render_worst_clips(report: EvaluationReport) -> str:
    nothing = f"<i>{strings.text('common.nothing')}</i>"
    rows = "".join(
        f'<tr><td><button type="button" data-clip="{index}" '
        f'aria-label="{escape(strings.text("evaluate.play", text=clip.reference))}">▶</button></td>'
        f"<td>{escape(clip.reference)}</td>"
        f"<td>{samples.mark_errors(clip.reference, clip.hypothesis) or nothing}</td></tr>"
        for index, clip in enumerate(report.worst_clips(MAX_WORST_CLIPS))
    )
    if not rows:
        return f'<p class="callout good">{strings.text("evaluate.all_right")}</p>'
    return (
        f'<h2>{strings.text("evaluate.worst")}</h2><div class="samples"><table>'
        f"<thead><tr>{samples.render_heads()}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _render_confusions(report: EvaluationReport) -> str:
    nothing = f"<i>({strings.text('common.nothing')})</i>"
    rows = [
        (escape(reference) or nothing, escape(hypothesis) or nothing, str(count))
        for reference, hypothesis, count in report.confusions(MAX_CONFUSIONS)
        if count > 1
    ]
    heads = [strings.text("common.reference"), strings.text("common.hypothesis"), strings.text("evaluate.times")]
    return _render_table(strings.text("evaluate.confusions"), heads, rows)


def _render_groups(title: str, column: str, groups: Sequence[ClipGroup]) -> str:
    return _render_table(
        title,
        (column, strings.text("evaluate.clips"), strings.text("evaluate.audio"), "WER", "CER"),
        [
            (
                escape(group.name),
                str(group.num_clips),
                units.format_duration(group.audio_s),
                units.format_rate(group.scores.wer.rate),
                units.format_rate(group.scores.cer.rate),
            )
            for group in groups
        ],
    )


def _render_calibration(report: EvaluationReport) -> str:
    rows = [
        (
            strings.text("evaluate.range", low=f"{calibration_bin.low:.2f}", high=f"{calibration_bin.high:.2f}"),
            str(calibration_bin.num_words),
            units.format_rate(calibration_bin.confidence),
            units.format_rate(calibration_bin.accuracy),
        )
        for calibration_bin in report.calibration_bins()
    ]
    heads = [strings.text(f"evaluate.calibration.{name}") for name in ("confidence", "words", "mean", "right")]
    rate = units.format_rate(report.calibration_error()) if rows else ""
    note = strings.text("evaluate.calibration_error", rate=rate)
    return _render_table(strings.text("evaluate.calibration"), heads, rows, note)


def _render_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """Render a table whose cells are HTML."""
    if not rows:
        return ""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<section><h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f'<p class="quiet">{note}</p></section>'
    )
