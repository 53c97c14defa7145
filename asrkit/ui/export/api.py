"""Exports of a model for other programs, to download, and publication of a run's model on the Hugging Face Hub."""

from __future__ import annotations

import secrets
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from asrkit.errors import ConfigError, DataError, ExistsOnHubError, QuotaError
from asrkit.jobs import Job, JobRegistry
from asrkit.models import checkpoints, frames, resolution
from asrkit.runs import model_choices
from asrkit.runs.report import card, usage
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.transcription.export import publishing
from asrkit.ui import strings
from asrkit.ui.common.component import Reply, Request, with_error_reply
from asrkit.ui.common.job_api import JobApi
from asrkit.ui.common.private_folder import make_private_folder
from asrkit.ui.security.permissions import Action, can, check
from asrkit.ui.security.quotas import admit_job, owner_name
from asrkit.ui.security.storage import storage
from asrkit.ui.transcribe.model_loading import loading_message, report_fetch
from asrkit.units import format_size

MAX_ADDRESS = 500
"""Characters of the page's address in a QR code."""
MAX_JOBS = 6
"""Exports that can still be downloaded, and publications; older files are deleted."""
FORMATS = ("web", "onnx", "onnx-asr", "sherpa-onnx", "transformers-lm")


@dataclass(frozen=True)
class Result:
    """lines: sentences about what was done. address: of what was published; empty for an export, which has a file."""

    lines: list[str]
    address: str = ""


class ExportApi(JobApi[Result]):
    """Every argument comes from the page and is checked here. store: the runs that the sender may see."""

    def __init__(self, store: RunStore) -> None:
        super().__init__(JobRegistry("export", max_jobs=MAX_JOBS, admit=admit_job("export")))
        self.store = store

    @cached_property
    def _folder(self) -> Path:
        """The folder of the files, which is deleted when the app ends."""
        return make_private_folder(Path(tempfile.gettempdir()), "asrkit-export-")

    @with_error_reply
    def list_outlets(self, request: Request) -> Reply:
        """Return the programs that run {model}, with their lines: {outlets: [{name, commands, code}], can_publish}."""
        model = str(request["model"])
        checkpoint = resolution.resolve(model, self.store)
        config = checkpoints.read_config(checkpoint) if checkpoint else None
        kind = (config or {}).get("model_type")
        files = str(checkpoint or model)  # other programs do not know runs and the starter by their names
        outlets = usage.list_outlets(model, files, kind in (None, "wav2vec2"), kind not in frames.MEL_TYPES)
        run = self.store.find(model)
        return {"outlets": list(map(asdict, outlets)), "can_publish": run is not None and can(Action.PUBLISH, run)}

    @with_error_reply
    def make_link(self, request: Request) -> Reply:
        """Return the address that opens {page} with {model} chosen, and its QR code as an image: {link, code}.

        Both are empty for a model that the page does not list.
        """
        import segno

        model, page = str(request["model"]), str(request["page"])
        if not page.startswith(("https://", "http://")) or len(page) > MAX_ADDRESS:
            raise DataError(strings.text("phone.no_address"))
        if model not in [value for _, value in model_choices.list_models(self.store)]:
            return {"link": "", "code": ""}
        link = f"{page}?{urlencode({'tab': 'transcribe', 'model': model})}"
        return {"link": link, "code": segno.make(link).svg_data_uri(scale=4, border=4, light="white")}

    @with_error_reply
    def export(self, request: Request) -> Reply:
        """Start an export: {model, format, int8} -> {id}."""
        model, name, quantized = str(request["model"]), str(request["format"]), request.get("int8") is True
        if name not in FORMATS:
            raise ConfigError(strings.text("export.no_format", name=repr(name)))
        resolution.resolve(model, self.store)
        storage.check_room(0)

        def export(job: Job[Result], job_id: str) -> Result:
            result = self._export(job, job_id, model, name, quantized)
            self._count(self._path(job_id))
            return result

        return self._start(export)

    def _export(self, job: Job[Result], job_id: str, model: str, name: str, quantized: bool) -> Result:
        job.on_progress(loading_message(model))
        checkpoint = resolution.fetch(model, self.store, on_progress=report_fetch(job, model))
        from asrkit.transcription.export import exporter

        target = self._path(job_id)
        if exporter.FORMATS[name].is_zip:
            result = exporter.export_model(checkpoint, target, name, quantized=quantized, on_progress=job.on_progress)
            return Result(_describe(result))
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            folder = Path(scratch, name)
            result = exporter.export_model(checkpoint, folder, name, quantized=quantized, on_progress=job.on_progress)
            job.on_progress(strings.text("export.packing"))
            _pack(folder, target)
        return Result(_describe({**result, "total_bytes": target.stat().st_size}))

    @with_error_reply
    def publish(self, request: Request) -> Reply:
        """Start to publish {run} as {name}: {format: a key of `publishing.FORMS`, public, replace} -> {id}."""
        run, name, form = self._find_publishable(request), str(request["name"]).strip(), str(request["format"])
        if form not in publishing.FORMS:
            raise ConfigError(strings.text("export.no_format", name=repr(form)))
        private, replace = request.get("public") is not True, request.get("replace") is True

        def publish(job: Job[Result], job_id: str) -> Result:
            address = publishing.publish_run(
                run, name, form, private=private, replace=replace, on_progress=job.on_progress
            )
            return Result([strings.text("publish.done")], address)

        return self._start(publish)

    @with_error_reply
    def preview_card(self, request: Request) -> Reply:
        """Return the card that {run} gets when it is published as {name}."""
        run = self._find_publishable(request)
        return {"card": card.render_published_card(run, str(request["name"]).strip() or run.id)}

    def _find_publishable(self, request: Request) -> Run:
        run = self.store.get(str(request["run"]))
        check(Action.PUBLISH, run)
        return run

    @with_error_reply
    def poll(self, request: Request) -> Reply:
        """Return how far job {id} is (`describe`).

        lines, address: see `Result`; empty until it is done. exists: whether it failed because of what would be
        overwritten.
        """
        job = self.find(request)
        result = job.result or Result([])
        return {**self.describe(job), **asdict(result), "exists": isinstance(job.error, ExistsOnHubError)}

    def open_file(self, query: Mapping[str, str]) -> Path:
        """Return the file of the export that the `id` of an address names."""
        if self.find(query).result is None:
            raise DataError(strings.text("export.not_done"))
        path = self._path(str(query["id"]))
        if not path.exists():  # the visitor has deleted their data
            raise DataError(strings.text("gone.export"))
        return path

    def _start(self, work: Callable[[Job[Result], str], Result]) -> Reply:
        self._delete_old()
        job_id = secrets.token_urlsafe(16)
        self.jobs.join(job_id, lambda job: work(job, job_id), owner=owner_name())
        return {"id": job_id}

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.zip"

    def _count(self, path: Path) -> None:
        """Count a file in the sender's quota, and delete it if they have too much now: its size was not known."""
        storage.note_file(path, owner_name())
        try:
            storage.check_room(0)
        except QuotaError:
            path.unlink()
            raise

    def _delete_old(self) -> None:
        for path in self._folder.glob("*.zip"):
            if self.jobs.find(path.stem) is None:
                path.unlink(missing_ok=True)


def _pack(folder: Path, target: Path) -> None:
    """Write a zip in which the files are in a folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))


def _describe(result: Mapping[str, Any]) -> list[str]:
    """Return the sentences about a finished export: its size, and of a graph what was measured."""
    size = strings.text("export.size", size=format_size(result["total_bytes"]))
    if "clips" not in result:
        return [size]
    variant = result.get("int8") or result["float32"]
    changed = variant["changed_texts"]
    return [
        size,
        strings.text(f"export.checked_{result['clips_from']}", clips=result["clips"]),
        strings.text("export.wer", wer=f"{variant['wer']:.1%}", pytorch=f"{result['pytorch']['wer']:.1%}"),
        strings.text("export.changed", changed=changed, clips=result["clips"])
        if changed
        else strings.text("export.same"),
    ]
