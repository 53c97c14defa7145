"""Downloads of a run and the clips of its evaluation set, streamed from plain links.

Gradio would copy a file into its cache first, and the archive of a run may be larger than the free disk space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.params import Depends
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from fastapi.routing import APIRoute

from asrkit.audio import encode_wav
from asrkit.audio.confined import load_confined
from asrkit.data import manifest
from asrkit.data.manifest import Column
from asrkit.errors import AsrkitError, RunError
from asrkit.runs.report import archive as archives
from asrkit.runs.report import export
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common.served_files import AudioBytes, ServedFiles, make_response
from asrkit.ui.security.paths import hide_paths, path_hider
from asrkit.ui.security.permissions import Action, PermissionDenied, check
from asrkit.ui.security.store import GuardedStore
from asrkit.ui.strings.messages import translate


def add_routes(app: FastAPI, store: RunStore, audio: ServedFiles | None = None) -> None:
    """Add the downloads and the sounds to a Gradio app, with the access checks of its own `/config`."""
    page = next(route for route in app.routes if isinstance(route, APIRoute) and route.path == "/config")
    sounds = audio.routes(page.dependencies) if audio else []
    # Before Gradio's routes, which match any path.
    app.router.routes[:0] = [*make_routes(store, page.dependencies), *sounds]


def make_routes(store: RunStore, checks: Sequence[Depends]) -> list[APIRoute]:
    """Make the routes `download/<run>/figures.csv`, `config.json`, `run.zip`, `model.zip` and `clip/<id>.wav`.

    `run.zip?optimizer` also has what resuming needs. A request names a run and a clip of its evaluation set, never a
    file.
    """

    runs = GuardedStore(store.root)

    def metrics(request: Request, run: Run) -> Response:
        return _as_attachment(StreamingResponse(export.iter_metrics_csv(run), media_type="text/csv"), f"{run.id}.csv")

    def settings(request: Request, run: Run) -> Response:
        content = hide_paths(run.config_path.read_text(encoding="utf-8")).encode()
        return _as_attachment(Response(content, media_type="application/json"), f"{run.id}.json")

    def archive(request: Request, run: Run) -> Response:
        check(Action.READ_RUN_FILES, run)
        blocks = archives.iter_archive(run, path_hider(), "optimizer" in request.query_params)
        return _as_attachment(StreamingResponse(blocks, media_type="application/zip"), f"{run.id}.zip")

    def model(request: Request, run: Run) -> Response:
        blocks = archives.iter_model(run, path_hider())
        return _as_attachment(StreamingResponse(blocks, media_type="application/zip"), f"{run.id}-model.zip")

    def clip(request: Request, run: Run) -> Response:
        check(Action.READ_RUN_FILES, run)
        return make_response(request, AudioBytes(_read_clip(run, request.path_params["clip"])))

    def make_endpoint(respond: Callable[[Request, Run], Response]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            try:
                return respond(request, runs.get(request.path_params["run"]))
            except PermissionDenied as error:
                return PlainTextResponse(translate(str(error)), status_code=403)
            except AsrkitError as error:
                return PlainTextResponse(hide_paths(translate(str(error))), status_code=404)

        return endpoint

    responses = {
        "figures.csv": metrics,
        "config.json": settings,
        "run.zip": archive,
        "model.zip": model,
        "clip/{clip}.wav": clip,
    }
    return [
        APIRoute(f"/download/{{run}}/{name}", make_endpoint(respond), dependencies=checks, response_model=None)
        for name, respond in responses.items()
    ]


def _as_attachment(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _read_clip(run: Run, clip_id: str) -> bytes:
    """Read a clip of the evaluation set as WAV. Raises RunError for an unknown id, AudioError if the file is gone."""
    path = run.manifest_path("eval")
    if not path.exists():
        raise RunError(strings.text("common.no_evaluation_set", run=run.id))
    rows = _read_manifest(path, path.stat().st_mtime_ns)
    stem = clip_id.rpartition("-")[0]
    named = (index for index, audio in enumerate(Column("audio", rows)) if stem in audio and Path(audio).stem == stem)
    row = next((row for row in map(rows.__getitem__, named) if row.id == clip_id), None)
    if row is None:
        raise RunError(strings.text("common.no_clip", clip=repr(clip_id), run=run.id))
    return encode_wav(load_confined(row.audio, start_s=row.start_s, end_s=row.end_s).samples)


@lru_cache(maxsize=4)
def _read_manifest(path: Path, changed_ns: int) -> Sequence[manifest.Utterance]:
    return manifest.read(path)
