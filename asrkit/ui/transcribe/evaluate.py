"""Evaluate a dataset from the page: a job in a thread, a report as HTML, the worst clips to hear. Its script polls."""

from __future__ import annotations

import contextvars
import secrets
import threading
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from asrkit import units
from asrkit.audio import encode_wav, load_audio
from asrkit.data import manifest, sources
from asrkit.data.manifest import Utterance
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import AsrkitError, DataError
from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.text.normalizers import NORMALIZERS
from asrkit.ui.common import samples, scripts
from asrkit.ui.common.audio_files import AudioBytes, AudioFile, AudioFiles
from asrkit.ui.common.component import forgiving, template
from asrkit.ui.transcribe import hearing

if TYPE_CHECKING:
    from asrkit.transcription.report import ClipGroup, EvaluationReport

HELD = 20
"""Evaluations whose clips can still be heard; none goes before it is over."""
WORST, CONFUSIONS, SPEAKERS = 12, 20, 20
CANCELLED = "Cancelled."


class _Cancelled(Exception):
    """The visitor does not want it any more."""


class Job:
    """One evaluation, from Evaluate to its report."""

    def __init__(self) -> None:
        self.id, self.share, self.error, self.cancelled = secrets.token_urlsafe(16), 0.0, "", False
        self.waits = True
        self.words = ""  # what it does before it listens
        self.report: EvaluationReport | None = None
        self.html = ""

    @property
    def over(self) -> bool:
        return bool(self.html or self.error)


class Judge:
    """What the section's script may ask of the server. Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._jobs: dict[str, Job] = {}
        self._one_at_a_time = threading.Lock()

    def evaluate(self, asked: dict[str, Any]) -> dict[str, Any]:
        """{dataset, model, normaliser, expect, hot, lm} -> {id}. An empty dataset is the one that the model's run was
        judged on."""
        if asked.get("normaliser") not in NORMALIZERS:
            raise DataError(f"There is no normaliser {asked.get('normaliser')!r}.")
        expect = hearing.expected(asked)
        job = Job()
        over = [held for held in self._jobs.values() if held.over]
        for held in over[: max(0, len(self._jobs) + 1 - HELD)]:
            del self._jobs[held.id]
        self._jobs[job.id] = job
        asked_for = (str(asked["dataset"]).strip(), str(asked["model"]), str(asked["normaliser"]))
        mine = contextvars.copy_context()  # the visitor's
        threading.Thread(
            target=mine.run, args=[self._work, job, *asked_for, expect], daemon=True, name="evaluate"
        ).start()
        return {"id": job.id}

    def _work(self, job: Job, dataset: str, model: str, normaliser: str, expect: DecodingHints) -> None:
        def progress(message: str, done: int, total: int) -> None:
            job.share = done / total
            if job.cancelled:
                raise _Cancelled

        def told(message: str, done: int, total: int) -> None:
            job.words = hearing.fetched(model, message, done, total)
            if job.cancelled:
                raise _Cancelled

        with self._one_at_a_time:
            job.waits = False
            if job.cancelled:
                job.error = CANCELLED
                return
            try:
                clips = clips_of(dataset, model, self.store)
                from asrkit.transcription import evaluation
                from asrkit.transcription.model_cache import get_transcriber

                job.words = f"Loading {model}…"
                ready = get_transcriber(model, self.store, told)
                report = evaluation.evaluate(
                    ready, clips, normaliser, decoder=expect.build_decoder(ready), on_progress=progress
                )
                title = f"{model} on {dataset or 'its own evaluation clips'}"
                job.html = written(report, f"{title}, with words to expect" if expect != NO_HINTS else title)
                job.report = report
            except _Cancelled:
                job.error = CANCELLED
            except AsrkitError as error:
                job.error = str(error)
            except BaseException:
                job.error = "The evaluation failed; see the app's log."
                raise

    def progress(self, asked: dict[str, Any]) -> dict[str, Any]:
        """{waits for another to end, words of what it does first, share, html once it is done, failed where it did not
        work}."""
        job = self._get(asked)
        return {"waits": job.waits, "words": job.words, "share": job.share, "html": job.html, "failed": job.error}

    def abandon(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self._get(asked)
        job.cancelled = True  # first: one that begins now looks at it
        if job.waits:
            job.error = CANCELLED
        return {}

    def table(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Every clip as CSV."""
        return {"csv": self._report(asked).to_csv()}

    def open_clip(self, query: Mapping[str, str]) -> AudioFile:
        """Open one of the worst clips of an evaluation: its `id` and the clip's `index`."""
        worst = self._report(query).worst_clips(WORST)
        index = query.get("index", "")
        if not index.isdecimal() or int(index) >= len(worst):
            raise DataError("That clip is not one of the evaluation's worst clips.")
        row = worst[int(index)].utterance
        return AudioBytes(encode_wav(load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples))

    def _get(self, asked: Mapping[str, Any]) -> Job:
        job = self._jobs.get(str(asked.get("id")))
        if job is None:
            raise DataError("That evaluation is no longer held; press Evaluate again.")
        return job

    def _report(self, asked: Mapping[str, Any]) -> EvaluationReport:
        report = self._get(asked).report
        if report is None:
            raise DataError("That evaluation is not done yet.")
        return report


def clips_of(dataset: str, model: str, store: RunStore) -> Sequence[Utterance]:
    """The evaluation part of a dataset, or all of one that has none; without a name, what the model's run is judged on.

    Raises DataError where there is neither.
    """
    if dataset:
        source = sources.load(dataset)
        return source.unseen
    frozen = store.root / model / "eval.jsonl"
    if model not in [run.id for run in store.all()] or not frozen.exists():
        raise DataError("Say which dataset to evaluate on; only a run of yours has evaluation clips of its own.")
    return manifest.read(frozen)


def written(report: EvaluationReport, title: str) -> str:
    """The report as HTML; everything in it is escaped."""
    scores, bounds = report.scores, report.intervals
    figures = "".join(
        f"<div><b>{units.format_rate(getattr(scores, name).rate)}</b><span>{name.upper()}, 95 % interval "
        f"{100 * bounds[name][0]:.1f} to {100 * bounds[name][1]:.1f}</span></div>"
        for name in ("wer", "cer", "mer")
    )
    mer = scores.mer
    line = (
        f"{title} · {len(report.clips)} clips, {units.format_duration(report.audio_s)} of sound, "
        f"heard in {report.elapsed_s:.1f} s · {mer.substitutions} words wrong, {mer.deletions} missing, "
        f"{mer.insertions} extra"
    )
    return "".join(
        [
            f'<div class="figures">{figures}</div><p class="quiet">{escape(line)}</p>',
            _unread(report),
            _worst(report),
            '<div class="tables">',
            _confusions(report),
            _groups("Speaker", report.group_by_speaker()[:SPEAKERS]),
            _groups("Length", report.group_by_length()),
            _calibration(report),
            "</div>",
        ]
    )


def _unread(report: EvaluationReport) -> str:
    if not report.unreadable:
        return ""
    return (
        f'<p class="callout warn">{len(report.unreadable)} clips could not be read and are in no figure; one of '
        f"them: {escape(report.unreadable[0])}</p>"
    )


def _worst(report: EvaluationReport) -> str:
    rows = "".join(
        f'<tr><td><button type="button" data-clip="{place}" aria-label="Play {escape(one.reference)}">▶</button></td>'
        f"<td>{escape(one.reference)}</td>"
        f"<td>{samples.marked(one.reference, one.hypothesis) or '<i>nothing</i>'}</td></tr>"
        for place, one in enumerate(report.worst_clips(WORST))
    )
    if not rows:
        return '<p class="callout good">Every clip is right.</p>'
    return (
        '<h4>Worst clips</h4><div class="samples"><table><thead><tr><th></th><th>Reference</th><th>Hypothesis</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _confusions(report: EvaluationReport) -> str:
    rows = [
        (escape(said) or "<i>(nothing)</i>", escape(heard) or "<i>(nothing)</i>", str(count))
        for said, heard, count in report.confusions(CONFUSIONS)
        if count > 1
    ]
    return _table("Most often", ("Said", "Heard", "Times"), rows)


def _groups(name: str, groups: Sequence[ClipGroup]) -> str:
    return _table(
        f"By {name.lower()}",
        (name, "Clips", "Sound", "WER", "CER"),
        [
            (
                escape(one.name),
                str(one.num_clips),
                units.format_duration(one.audio_s),
                units.format_rate(one.scores.wer.rate),
                units.format_rate(one.scores.cer.rate),
            )
            for one in groups
        ],
    )


def _calibration(report: EvaluationReport) -> str:
    rows = [
        (
            f"{one.low:.2f} to {one.high:.2f}",
            str(one.num_words),
            units.format_rate(one.confidence),
            units.format_rate(one.accuracy),
        )
        for one in report.calibration_bins()
    ]
    error = f"Expected calibration error {units.format_rate(report.calibration_error())}" if rows else ""
    return _table("What confidence is worth", ("Confidence", "Words", "Mean", "Right"), rows, error)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """Cells are HTML."""
    if not rows:
        return ""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<section><h4>{title}</h4><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f'<p class="quiet">{note}</p></section>'
    )


def evaluation(store: RunStore, audio: AudioFiles) -> gr.HTML:
    """The section. Its value is the model to evaluate."""
    judge = Judge(store)
    audio.register("evaluation", judge.open_clip)
    functions = forgiving(judge, "evaluate", "progress", "abandon", "table")
    return gr.HTML(
        value=model_choices.find_default_model(store),
        elem_id="evaluation",
        apply_default_css=False,
        html_template=hearing.with_expected(template("transcribe/evaluate.html")),
        js_on_load=scripts.mount_module("transcribe/evaluate.js"),
        server_functions=functions,
        normalisers=list(NORMALIZERS),
    )
