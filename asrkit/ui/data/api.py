"""The Data tab's API: load a dataset, play its clips, check it, and choose the data to train on.

Every argument comes from the page and is not trusted: the functions that use it check it, and an error is returned as
one sentence. No state is kept for a visitor, except the cache of loaded datasets and the jobs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrkit import config as configs
from asrkit.audio import encode_wav
from asrkit.audio.confined import AudioReader
from asrkit.audit import measurement_cache, selection
from asrkit.audit.clips import Limits
from asrkit.audit.inspection import Inspection
from asrkit.config import TrainConfig
from asrkit.data import access, collection, uploads
from asrkit.data.manifest import Column
from asrkit.data.readers import hub_names
from asrkit.data.sources import Source
from asrkit.errors import ColumnError, DataError, QuotaError
from asrkit.jobs import Job, JobRegistry
from asrkit.languages import guess_language
from asrkit.models import resolution
from asrkit.runs import dataset_audit, model_choices
from asrkit.runs.advice import Advice, advise, find_machine
from asrkit.runs.store import RunStore
from asrkit.text.normalisers import normalise
from asrkit.ui import strings
from asrkit.ui.common import form
from asrkit.ui.common.component import Reply, Request, with_error_reply
from asrkit.ui.common.form import DEFAULTS
from asrkit.ui.common.served_files import AudioBytes, AudioFile
from asrkit.ui.common.upload_folder import check_uploaded
from asrkit.ui.data import audit_report, dataset_report, estimates, hub_choices, proposals
from asrkit.ui.data.dataset_cache import COLUMN_SETTINGS, SETTINGS, DatasetCache, LoadedDataset, make_key
from asrkit.ui.security.quotas import admit_job, owner_name
from asrkit.ui.security.storage import storage
from asrkit.ui.strings.messages import translate
from asrkit.units import format_rough_duration

ABANDON_AFTER_S = 150
"""A job is abandoned after so long without a poll: browsers let a page in the background poll once a minute."""
MAX_PLAYED_S = 40.0  # of one clip
TEXT_SETTINGS = ("normaliser", "spell_numbers", "markup", "character_map")
SPLIT_SETTINGS = ("split_by", "eval_count", "eval_share", "seed")
AUDIT_SETTINGS = (*SPLIT_SETTINGS, "min_duration_s", "max_duration_s", "adapter_language")
"""Settings of the form, besides those of this tab, that the result of an audit depends on."""


class DataApi:
    """Datasets and audits over one store of runs and its data folder."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.audits: JobRegistry[Inspection] = JobRegistry(
            "audit", abandon_after_s=ABANDON_AFTER_S, admit=admit_job("audit")
        )
        self.downloads: JobRegistry[LoadedDataset] = JobRegistry(
            "download", abandon_after_s=ABANDON_AFTER_S, admit=admit_job("download")
        )
        self.datasets = DatasetCache()

    @with_error_reply
    def list_datasets(self, request: Request) -> Reply:
        """List the datasets to choose from, the sender's own and the built-in ones, and base models."""
        listed = [{"value": value, "label": label} for label, value in form.list_datasets(self.store)]
        return {"known": listed, "models": form.list_base_models(self.store)}

    @with_error_reply
    def load(self, request: Request) -> Reply:
        """Read the dataset `data` again and describe it.

        While it is downloaded from the Hub: how far that is. Of a table whose columns are not known: the columns.
        """
        if str(request.get("data")).startswith(hub_names.PREFIX):
            job = self.downloads.join(
                make_key(request),
                lambda job: self.datasets.load(request, job.on_progress),
                restart=bool(request.get("again")),
                owner=owner_name(),
            )
            if job.error:
                raise job.error
            if job.result is None:
                return _describe_progress(job)
            source = job.result.source
        else:
            try:
                source = self.datasets.load(request).source
            except ColumnError as error:
                chosen = {name: str(request.get(name) or "") for name in COLUMN_SETTINGS}
                return dataset_report.describe_columns(str(request["data"]), error, chosen)
        recorded = collection.find_collection(access.visitor_dir(self.store.data_dir), request["data"])
        described = dataset_report.describe_source(request["data"], source, lists_all=recorded is not None)
        return described | {"collection": recorded.name if recorded else ""}

    @with_error_reply
    def list_hub_splits(self, request: Request) -> Reply:
        """List the configurations and splits of a Hub dataset; nothing is downloaded."""
        return hub_choices.list_choices(str(request.get("data") or "").strip())

    def open_clip(self, query: Mapping[str, str]) -> AudioFile:
        """Open the clip `index` of a dataset, whose id must be `id` if it is given; only the beginning of a long clip.

        Raises DataError if there is no such clip, and AudioError if it cannot be read.
        """
        rows = self.datasets.get(dict(query)).source.utterances
        index = query.get("index", "")
        if not index.isdecimal() or int(index) >= len(rows):
            raise DataError(strings.text("data.clip_gone"))
        row = rows[int(index)]
        if query.get("id") not in (None, row.id):  # the dataset was loaded again, with other rows
            raise DataError(strings.text("data.dataset_changed"))
        end_s = min(row.end_s or float("inf"), row.start_s + MAX_PLAYED_S)
        with AudioReader([row.audio]) as reader:
            rate, samples = reader.decode(row.audio, start_s=row.start_s, end_s=end_s)
        return AudioBytes(encode_wav(samples, rate))

    @with_error_reply
    def preview(self, request: Request) -> Reply:
        """Return sentences before and after normalisation, those that change most first, and the vocabulary."""
        rows, rules = self._source(request).utterances, self._config(request).text_rules
        before = [row.text for row in rows[: dataset_report.MAX_PREVIEW_TEXTS]]
        after = [normalise(text, rules) for text in before]
        return {
            "pairs": dataset_report.choose_examples(before, after, dataset_report.NUM_PREVIEWED),
            "characters": audit_report.count_characters(after, self._limits(request)),
            "of": len(rows),
            "read": len(before),
            "changed": sum(old != new for old, new in zip(before, after, strict=True)),
        }

    @with_error_reply
    def check(self, request: Request) -> Reply:
        """Start the audit, or join the same one. Returns its progress while it runs, then its report.

        With the progress comes the first verdict on a large dataset, as `sample`, unless the page `has_sample`.
        """
        limits, source, config = self._limits(request), self._source(request), self._config(request)
        model = str(request.get("model") or "") if request.get("align") else ""
        job = self.audits.join(
            self._audit_key(request),
            lambda job: audit_report.inspect(source, limits, config, model, self.store, job),
            restart=bool(request.get("again")),
            owner=owner_name(),
        )
        if job.error:
            raise job.error
        if job.result is None:
            sample = None if request.get("has_sample") else job.partial
            report = {"sample": audit_report.make_report(sample, limits)} if sample else {}
            return _describe_progress(job) | report
        return {
            "state": "done",
            "estimate": estimates.describe_audit_estimate(
                config, job.result, self.store, self._is_proposed(request, config)
            ),
            "advice": translate(self._advise(request, job.result).sentence),
            **audit_report.make_report(job.result, limits),
        }

    @with_error_reply
    def stop_check(self, request: Request) -> Reply:
        """Stop the audit; the next one goes on from there where what is measured is kept."""
        if job := self.audits.find(self._audit_key(request)):
            job.cancel()
        if measurement_cache.is_kept(len(self._source(request).utterances)):
            return {"message": strings.text("data.check_stopped_kept")}
        return {"message": strings.text("data.check_stopped")}

    @with_error_reply
    def prepare_training(self, request: Request) -> Reply:
        """Return the settings of a run on this data, without the clips of the findings in `without`.

        advised: with the base model, preset and settings that the audit's advice names.
        """
        settings = self._choose_settings(request)
        audit = self.audits.find(self._audit_key(request))
        inspection = audit.result if audit else None
        if request.get("advised") and inspection:
            settings |= self._choose_advised(request, inspection)
        if request.get("checked") and not inspection:
            raise DataError(strings.text("data.changed_since_check"))
        without = [str(code) for code in request.get("without") or []]
        if inspection and (without or inspection.audit.dropped):
            folder = access.visitor_dir(self.store.data_dir)
            data = str(selection.write(folder, str(request["data"]), inspection, without))
            columns = dict.fromkeys(SETTINGS, "")
            self.datasets.get({"data": data})  # so that `describe_estimate` knows it
        else:
            data = str(request["data"])
            columns = {name: str(request.get(name) or "") for name in SETTINGS}
        return {"settings": settings | {"train": data, "eval": "", "accept_assumptions": False, **columns}}

    @with_error_reply
    def add_upload(self, request: Request) -> Reply:
        """Turn the uploaded files [{"path", "name"}] into a dataset in the data folder, and return its path."""
        files = []
        for upload in request.get("files") or []:
            path = check_uploaded(upload.get("path"))
            files.append((path, str(upload.get("name") or path.name)))
        try:
            folder = uploads.save_upload(files, access.visitor_dir(self.store.data_dir))
            _check_quota(folder)
            return {"data": str(folder)}
        finally:
            for path, _ in files:
                path.unlink(missing_ok=True)

    def describe_estimate(self, config: TrainConfig) -> str:
        """Describe what the base model's licence forbids, and the time and memory of a run if they can be estimated."""
        licence = model_choices.describe_licence(config.model, self.store)
        run = estimates.describe_run_estimate(config, self.datasets, self.store)
        return " ".join(filter(None, (licence, run)))

    def _advise(self, request: Request, inspection: Inspection) -> Advice:
        """Advise on the language that was chosen, else on that of the texts; the demo's says nothing about them."""
        chosen = self._config(request).language
        guessed = guess_language(clip.text for clip in inspection.clips)
        language = guessed if chosen in ("", DEFAULTS.language) else chosen
        return advise(inspection.audit.hours, language, find_machine())

    def _choose_advised(self, request: Request, inspection: Inspection) -> dict[str, Any]:
        advised = self._advise(request, inspection)
        preset = configs.load_preset(advised.preset).config
        recipe = {name: getattr(preset, name) for name in proposals.RECIPE_SETTINGS}
        return {"decoding": "greedy", **recipe, "preset": advised.preset, "model": advised.base, **advised.settings}

    def _choose_settings(self, request: Request) -> dict[str, Any]:
        """Return the settings that were chosen here or are proposed for this data."""
        config, fixes = self._config(request), request.get("fixes") or {}
        names = [*TEXT_SETTINGS, "vocabulary", *(name for name in SPLIT_SETTINGS if name in fixes)]
        if request.get("language") or "language" in fixes:
            names.append("language")
        if self._is_proposed(request, config):
            names += ["preset", *proposals.RECIPE_SETTINGS]
        settings = {name: getattr(config, name) for name in names}
        if not proposals.is_word_list(Column("text", self._source(request).utterances)):
            settings["decoding"] = "greedy"
        elif config.preset in (DEFAULTS.preset, proposals.FEW_CLIPS):
            settings["decoding"] = "words"
        return settings

    def _is_proposed(self, request: Request, config: TrainConfig) -> bool:
        return config.preset == proposals.FEW_CLIPS != proposals.read_settings(request.get("settings")).preset

    def _audit_key(self, request: Request) -> tuple[str, ...]:
        """Return what an audit depends on. The digest is part of it because a dataset may grow."""
        config, model = self._config(request), str(request.get("model") or "")
        return (
            *make_key(request),
            self.datasets.get(request).digest,
            config.text_rules,
            model,
            config.vocabulary,
            model if request.get("align") else "",
            *(str(getattr(config, name)) for name in AUDIT_SETTINGS),
        )

    def _source(self, request: Request) -> Source:
        return self.datasets.get(request).source

    def _config(self, request: Request) -> TrainConfig:
        """Return the settings of the form of Train, or those proposed for this data, with what was chosen here."""
        chosen = {
            name: request[name]
            for name in (*TEXT_SETTINGS, "language", "vocabulary", "model")
            if request.get(name) is not None
        }
        fixes = request.get("fixes") or {}
        chosen |= {name: fixes[name] for name in (*SPLIT_SETTINGS, "language") if name in fixes}
        config = proposals.read_settings(request.get("settings"))
        model = str(request.get("model") or resolution.STARTER)
        return config.replace(proposals.propose_recipe(config, model, self._source(request)) | chosen)

    def _limits(self, request: Request) -> Limits:
        name = str(request.get("model") or resolution.STARTER)
        return dataset_audit.make_limits(self._config(request), resolution.resolve(name, self.store))


def _check_quota(folder: Path) -> None:
    """Delete a new dataset if its owner has too much now: an archive grows when it is unpacked."""
    storage.note_change()
    try:
        storage.check_room(0)
    except QuotaError:
        shutil.rmtree(folder)
        storage.note_change()
        raise


def _describe_progress(job: Job[Any]) -> Reply:
    left = strings.text("progress.left", left=format_rough_duration(job.left_s)) if job.left_s else ""
    return {"state": "running", "what": translate(job.message), "done": job.done, "of": job.total, "left": left}
