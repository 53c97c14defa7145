"""A run's model as a Space on the Hugging Face Hub: as a web page, or with this app."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from asrkit import hub
from asrkit.config import TrainConfig
from asrkit.errors import RunError
from asrkit.jobs import ProgressCallback
from asrkit.runs import events, ownership
from asrkit.runs.ownership import SHARED, Ownership
from asrkit.runs.report import card
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore

SpaceKind = Literal["page", "app"]
MAX_TITLE = 60
PROJECT = Path(__file__).resolve().parents[3]
APP_PARTS = ("app.py", "requirements.txt", "README.md", "asrkit", "assets")
"""Of this project: what a Space of the app is made of."""
RUNS = "runs"
"""Folder of runs in a Space without storage."""


def publish_space(run: Run, name: str, kind: SpaceKind, private: bool, on_progress: ProgressCallback) -> str:
    """Make the new Space `name` with the model of a run, and return its address.

    kind: "page", the exported web page, or "app", this app with the model shared with its visitors. Whether the Space
    may be made is checked first. RunError for a run without a model; HubError as in `hub.require_new_space`; else as in
    `exporter.export_files`.
    """
    if not run.has_model():
        raise RunError(f"Run {run.id} has no model yet; wait for its first evaluation.")
    hub.require_new_space(name)
    with tempfile.TemporaryDirectory() as scratch:
        files: dict[str, Path | bytes] = {}
        if kind == "page":
            folder = _write_page(run, Path(scratch), on_progress)
        else:
            folder = _write_shared_run(run, name, Path(scratch))
            files |= _name_files(PROJECT, [path for part in APP_PARTS for path in _list_files(PROJECT / part)])
        files |= _name_files(folder, _list_files(folder))
        on_progress("Uploading the Space", 0, 0)
        return hub.publish_space(name, files, "static" if kind == "page" else "gradio", private)


def _write_page(run: Run, scratch: Path, on_progress: ProgressCallback) -> Path:
    from asrkit.transcription.export import exporter

    exporter.export_files(run.model_dir, scratch, "web", quantized=True, on_progress=on_progress)
    (scratch / "README.md").write_text(_render_readme(run), encoding="utf-8")
    return scratch


def _write_shared_run(run: Run, name: str, scratch: Path) -> Path:
    """Write a run with the model alone: the history holds transcripts, settings and card paths of this machine."""
    config = TrainConfig().replace({"preset": ""})
    copy = RunStore(scratch / RUNS).create(config, run.id)
    shutil.copytree(run.model_dir, copy.model_dir, ignore=shutil.ignore_patterns(run.evaluation_path.name))
    text = card.render_card(run, (run.model_dir / card.PICTURE).exists(), name)
    (copy.model_dir / "README.md").write_text(text, encoding="utf-8")
    copy.append(events.Event(events.FINISHED, 0.0, 0, data={"message": "Published with asrkit."}))
    ownership.write_ownership(copy, Ownership(visibility=SHARED))
    return scratch


def _list_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]


def _name_files(folder: Path, files: Iterable[Path]) -> dict[str, Path]:
    return {file.relative_to(folder).as_posix(): file for file in files}


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
