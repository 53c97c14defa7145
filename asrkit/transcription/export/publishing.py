"""A run's model on the Hugging Face Hub: as a model with its card, as a web page in a Space, or in a Space of this app.

Spaces are made of files that lie here: nothing is packed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from asrkit import hub
from asrkit.config import TrainConfig
from asrkit.errors import RunError
from asrkit.hub.publishing import TargetKind
from asrkit.jobs import ProgressCallback
from asrkit.runs import events, ownership
from asrkit.runs.ownership import SHARED, Ownership
from asrkit.runs.report.archive import collect_model
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.units import format_size

MAX_TITLE = 60
PROJECT = Path(__file__).resolve().parents[3]
APP_PARTS = ("app.py", "requirements.txt", "README.md", "asrkit", "assets")
"""Of this project: what a Space of the app is made of."""
RUNS = "runs"
"""Folder of runs in a Space without storage."""

Files = Mapping[str, Path | bytes]


@dataclass(frozen=True)
class Form:
    """What a run can be published as. collect: (run, name, empty folder, progress) -> the files by their paths there.
    sdk: of a Space."""

    kind: TargetKind
    collect: Callable[[Run, str, Path, ProgressCallback], Files]
    sdk: str | None = None


def publish_run(
    run: Run, name: str, form: str, *, private: bool = True, replace: bool = False, on_progress: ProgressCallback
) -> str:
    """Publish the model of a run as the repository `name`, and return its address.

    form: a key of FORMS. replace: whether what has that name may be replaced. on_progress: may raise to stop the work
    before the upload. Whether the repository may be written is checked first. Raises RunError for a run without a
    model; HubError as in `hub.require_writable`; else as `exporter.export_files`.
    """
    if not run.has_model():
        raise RunError(f"Run {run.id} has no model yet; wait for its first evaluation.")
    wanted = FORMS[form]
    target = hub.Target(name, wanted.kind, private, replace)
    on_progress(f"Checking whether {name} can be written", 0, 0)
    hub.require_writable(target)
    with tempfile.TemporaryDirectory() as scratch:
        files = wanted.collect(run, name, Path(scratch), on_progress)
        total = sum(file.stat().st_size if isinstance(file, Path) else len(file) for file in files.values())
        on_progress(f"Uploading {format_size(total)}", 0, 0)
        return hub.publish(target, files, wanted.sdk)


def _collect_model(run: Run, name: str, scratch: Path, on_progress: ProgressCallback) -> Files:
    return collect_model(run, name)


def _collect_page(run: Run, name: str, scratch: Path, on_progress: ProgressCallback) -> Files:
    from asrkit.transcription.export import exporter

    exporter.export_files(run.model_dir, scratch, "web", quantized=True, on_progress=on_progress)
    return {**_name_files(scratch, _list_files(scratch)), "README.md": _render_readme(run).encode()}


def _collect_app(run: Run, name: str, scratch: Path, on_progress: ProgressCallback) -> Files:
    """Collect this app, and the run with the model alone: its history holds transcripts, settings and paths."""
    copy = RunStore(scratch / RUNS).create(TrainConfig().replace({"preset": ""}), run.id)
    copy.append(events.Event(events.FINISHED, 0.0, 0, data={"message": "Published with asrkit."}))
    ownership.write_ownership(copy, Ownership(visibility=SHARED))
    model = copy.model_dir.relative_to(scratch).as_posix()
    return {
        **_name_files(PROJECT, [path for part in APP_PARTS for path in _list_files(PROJECT / part)]),
        **_name_files(scratch, _list_files(scratch)),
        **{f"{model}/{path}": file for path, file in collect_model(run, name).items()},
    }


FORMS = {
    "model": Form("model", _collect_model),
    "page": Form("space", _collect_page, "static"),
    "app": Form("space", _collect_app, "gradio"),
}


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
