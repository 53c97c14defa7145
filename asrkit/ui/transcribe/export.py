"""The section "Use it elsewhere" of the Transcribe tab: a model for other programs, to download."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import gradio as gr

from asrkit.errors import ConfigError, DataError
from asrkit.jobs import Job, JobRegistry
from asrkit.models import checkpoints, frames, resolution
from asrkit.runs import model_choices
from asrkit.runs.report import usage
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common import scripts
from asrkit.ui.common.component import Reply, Request, server_functions, template, with_error_reply
from asrkit.ui.common.served_files import ServedFiles
from asrkit.ui.security.quotas import admit_job, owner_name
from asrkit.ui.transcribe.job_api import JobApi
from asrkit.ui.transcribe.model_loading import loading_message, report_fetch
from asrkit.units import format_size

MAX_EXPORTS = 6
"""Exports that can still be downloaded; older files are deleted."""
FORMATS = ("web", "onnx", "onnx-asr", "sherpa-onnx")


class ExportApi(JobApi[dict[str, Any]]):
    """Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore) -> None:
        super().__init__(JobRegistry("export", max_jobs=MAX_EXPORTS, admit=admit_job("export")))
        self.store = store

    @cached_property
    def _folder(self) -> Path:
        """The folder of the files, which is deleted when the app ends."""
        folder = tempfile.mkdtemp(prefix="asrkit-export-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    @with_error_reply
    def list_outlets(self, request: Request) -> Reply:
        """Return the programs that run {model}, with their lines: {outlets: [{name, commands, code}]}."""
        model = str(request["model"])
        checkpoint = resolution.resolve(model, self.store)
        config = checkpoints.read_config(checkpoint) if checkpoint else None
        kind = (config or {}).get("model_type")
        files = str(checkpoint or model)  # other programs do not know runs and the starter by their names
        outlets = usage.list_outlets(model, files, kind in (None, "wav2vec2"), kind not in frames.MEL_TYPES)
        return {"outlets": list(map(asdict, outlets))}

    @with_error_reply
    def export(self, request: Request) -> Reply:
        """Start an export: {model, format, int8} -> {id}."""
        model, name, quantized = str(request["model"]), str(request["format"]), request.get("int8") is True
        if name not in FORMATS:
            raise ConfigError(strings.text("export.no_format", name=repr(name)))
        resolution.resolve(model, self.store)
        self._delete_old()
        job_id = secrets.token_urlsafe(16)
        self.jobs.join(job_id, lambda job: self._export(job, job_id, model, name, quantized), owner=owner_name())
        return {"id": job_id}

    def _export(self, job: Job[dict[str, Any]], job_id: str, model: str, name: str, quantized: bool) -> dict[str, Any]:
        job.on_progress(loading_message(model))
        checkpoint = resolution.fetch(model, self.store, on_progress=report_fetch(job, model))
        from asrkit.transcription.export import exporter

        target = self._path(job_id)
        if exporter.FORMATS[name].is_zip:
            return exporter.export_model(checkpoint, target, name, quantized=quantized, on_progress=job.on_progress)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            folder = Path(scratch, name)
            result = exporter.export_model(checkpoint, folder, name, quantized=quantized, on_progress=job.on_progress)
            job.on_progress(strings.text("export.packing"))
            _pack(folder, target)
        return {**result, "total_bytes": target.stat().st_size}

    @with_error_reply
    def poll(self, request: Request) -> Reply:
        """Return how far export {id} is (`describe`), and `lines`: what was measured, once it is done."""
        job = self.find(request)
        return {**self.describe(job), "lines": _describe(job.result) if job.result else []}

    def open_file(self, query: Mapping[str, str]) -> Path:
        """Return the file of the export that the `id` of an address names."""
        if self.find(query).result is None:
            raise DataError(strings.text("export.not_done"))
        return self._path(str(query["id"]))

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.zip"

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
    """Return the sentences about a finished export."""
    variant = result.get("int8") or result["float32"]
    changed = variant["changed_texts"]
    return [
        strings.text("export.size", size=format_size(result["total_bytes"])),
        strings.text(f"export.checked_{result['clips_from']}", clips=result["clips"]),
        strings.text("export.wer", wer=f"{variant['wer']:.1%}", pytorch=f"{result['pytorch']['wer']:.1%}"),
        strings.text("export.changed", changed=changed, clips=result["clips"])
        if changed
        else strings.text("export.same"),
    ]


def make_export_section(store: RunStore, files: ServedFiles) -> gr.HTML:
    """Make the section. Its value is the model to export."""
    api = ExportApi(store)
    files.register_archive("model", api.open_file)
    return gr.HTML(
        value=model_choices.find_default_model(store, include_stopped=True),
        elem_id="export",
        apply_default_css=False,
        html_template=template("transcribe/export.html"),
        js_on_load=scripts.mount_module("transcribe/export.js"),
        server_functions=server_functions(api, "list_outlets", "export", "poll", "cancel"),
    )
