"""A static Space on the Hugging Face Hub with the web page of a run's model."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from asrkit import hub
from asrkit.errors import RunError
from asrkit.jobs import ProgressCallback
from asrkit.runs.run import Run
from asrkit.transcription.export import exporter

MAX_TITLE = 60


def publish_page(run: Run, name: str, private: bool, on_progress: ProgressCallback) -> str:
    """Export the model of a run as a web page, upload it as the new Space `name`, and return its address.

    Whether it may be written is checked first. RunError for a run without a model; HubError as in
    `hub.require_new_space`; else as in `export_model`.
    """
    if not run.has_model():
        raise RunError(f"Run {run.id} has no model yet; wait for its first evaluation.")
    hub.require_new_space(name)
    with tempfile.TemporaryDirectory() as scratch:
        archive, folder = Path(scratch, "page.zip"), Path(scratch, "page")
        exporter.export_model(run.model_dir, archive, "web", quantized=True, on_progress=on_progress)
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        files: dict[str, Path | bytes] = {
            path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
        }
        on_progress("Uploading the page", 0, 0)
        return hub.publish_space(name, {**files, "README.md": _render_readme(run).encode("utf-8")}, "static", private)


def _render_readme(run: Run) -> str:
    return f"""---
title: "{f"Speech to text {run.id}"[:MAX_TITLE]}"
emoji: 🎙️
colorFrom: blue
colorTo: gray
sdk: static
app_file: index.html
pinned: false
---

Speech recognition that runs in the browser: nothing that is said leaves it. Made with asrkit from the run {run.id}.
"""
