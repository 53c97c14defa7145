"""The evaluation section of the Transcribe tab, and the API that its script calls."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from asrkit.audio import encode_wav
from asrkit.audio.confined import load_confined
from asrkit.data import confined, manifest
from asrkit.data.manifest import Utterance
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import DataError
from asrkit.jobs import Job, JobRegistry
from asrkit.runs import model_choices, scoring_rules
from asrkit.runs.store import RunStore
from asrkit.text.base_normalisers import NORMALISERS
from asrkit.ui import strings
from asrkit.ui.common import scripts
from asrkit.ui.common.component import Reply, Request, server_functions, template, with_error_reply
from asrkit.ui.common.job_api import JobApi
from asrkit.ui.common.served_files import AudioBytes, AudioFile, ServedFiles
from asrkit.ui.security.quotas import admit_job, owner_name
from asrkit.ui.transcribe.evaluation_report import MAX_WORST_CLIPS, render_report
from asrkit.ui.transcribe.hints import describe_common_words, insert_hint_fields, read_hints
from asrkit.ui.transcribe.model_loading import loading_message, report_fetch

if TYPE_CHECKING:
    from asrkit.transcription.report import EvaluationReport

AUTO = "auto"
"""In place of a normaliser: that of the model's run, else basic, with lower case by the language of the texts."""
MAX_EVALUATIONS = 20
"""Evaluations whose clips can still be played; none is dropped before it has ended."""


@dataclass(frozen=True)
class RenderedEvaluation:
    """A finished evaluation, and its report as HTML."""

    report: EvaluationReport
    html: str


class EvaluateApi(JobApi[RenderedEvaluation]):
    """Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore) -> None:
        super().__init__(JobRegistry("evaluation", max_jobs=MAX_EVALUATIONS, admit=admit_job("evaluation")))
        self.store = store

    @with_error_reply
    def evaluate(self, request: Request) -> Reply:
        """Start an evaluation: {dataset, model, normaliser, expect, hot, lm} -> {id}.

        An empty dataset stands for the evaluation set of the model's run.
        """
        normaliser = str(request.get("normaliser"))
        if normaliser not in (AUTO, *NORMALISERS):
            raise DataError(strings.text("evaluate.no_normaliser", name=repr(normaliser)))
        hints = read_hints(request)
        dataset, model = str(request["dataset"]).strip(), str(request["model"])
        job_id = secrets.token_urlsafe(16)
        self.jobs.join(job_id, lambda job: self._evaluate(job, dataset, model, normaliser, hints), owner=owner_name())
        return {"id": job_id}

    def _evaluate(
        self, job: Job[RenderedEvaluation], dataset: str, model: str, normaliser: str, hints: DecodingHints
    ) -> RenderedEvaluation:
        job.on_progress("")
        clips = load_evaluation_clips(dataset, model, self.store)
        from asrkit.transcription import evaluation
        from asrkit.transcription.model_cache import get_transcriber

        job.on_progress(loading_message(model))
        loaded = get_transcriber(model, self.store, report_fetch(job, model))
        chosen = None if normaliser == AUTO else normaliser
        scoring = scoring_rules.choose(chosen, model, self.store, (clip.text for clip in clips))
        report = evaluation.evaluate(
            loaded, clips, scoring.rules, decoder=hints.build_decoder(loaded), on_progress=job.on_progress
        )
        preferred = describe_common_words(hints.find_common_words(loaded))
        title = strings.text(
            "evaluate.report_title", model=model, dataset=dataset or strings.text("evaluate.own_clips")
        )
        if scoring.rules != "basic":
            title = strings.text("evaluate.title_with_rules", title=title, rules=scoring.rules)
        if preferred:
            title = strings.text("evaluate.title_with_common_words", title=title, decoding=preferred)
        if replace(hints, common_words=True) != NO_HINTS:
            title = strings.text("evaluate.title_with_hints", title=title)
        return RenderedEvaluation(report, render_report(report, title))

    @with_error_reply
    def poll(self, request: Request) -> Reply:
        """Return how far evaluation {id} is (`describe`), and `html`: the report, once it is done."""
        job = self.find(request)
        return {**self.describe(job), "html": job.result.html if job.result else ""}

    @with_error_reply
    def make_csv(self, request: Request) -> Reply:
        """Return every clip of evaluation {id} as CSV."""
        return {"csv": self._report(request).to_csv()}

    def open_clip(self, query: Mapping[str, str]) -> AudioFile:
        """Open one of the worst clips of an evaluation: its `id` and the clip's `index`."""
        worst = self._report(query).worst_clips(MAX_WORST_CLIPS)
        index = query.get("index", "")
        if not index.isdecimal() or int(index) >= len(worst):
            raise DataError(strings.text("evaluate.no_clip"))
        row = worst[int(index)].utterance
        return AudioBytes(encode_wav(load_confined(row.audio, start_s=row.start_s, end_s=row.end_s).samples))

    def _report(self, request: Mapping[str, Any]) -> EvaluationReport:
        evaluation = self.find(request).result
        if evaluation is None:
            raise DataError(strings.text("evaluate.not_done"))
        return evaluation.report


def load_evaluation_clips(dataset: str, model: str, store: RunStore) -> Sequence[Utterance]:
    """Return the evaluation split of a dataset, or all of one that has none.

    Without a dataset: the evaluation set of the run that `model` names. Raises DataError if there is neither.
    """
    if dataset:
        return confined.load(dataset).unseen
    run = store.find(model)
    if run is None or not run.manifest_path("eval").exists():
        raise DataError(strings.text("evaluate.no_dataset"))
    return manifest.read(run.manifest_path("eval"))


def make_evaluation_section(store: RunStore, audio: ServedFiles) -> gr.HTML:
    """Make the section. Its value is the model to evaluate."""
    api = EvaluateApi(store)
    audio.register("evaluation", api.open_clip)
    return gr.HTML(
        value=model_choices.find_default_model(store, include_stopped=True),
        elem_id="evaluation",
        apply_default_css=False,
        html_template=insert_hint_fields(template("transcribe/evaluate.html")),
        js_on_load=scripts.mount_module("transcribe/evaluate.js"),
        server_functions=server_functions(api, "evaluate", "poll", "cancel", "make_csv"),
        normalisers=[AUTO, *NORMALISERS],
    )
