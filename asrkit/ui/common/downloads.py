"""What a visitor can take away of a run, and the clips it was evaluated on: plain links, streamed.

Gradio would copy a file into its cache first; a run's archive is as large as the disk may have left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.params import Depends
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from fastapi.routing import APIRoute

from asrkit.audio import encode_wav, load_audio
from asrkit.data import manifest
from asrkit.errors import AsrkitError, RunError
from asrkit.runs.report import export
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui.common.audio_files import AudioBytes, AudioFiles, make_response


def serve(app: FastAPI, store: RunStore, audio: AudioFiles | None = None) -> None:
    """Add to a page of Gradio's the downloads and sounds, for those who may see the page: with the checks that its own
    `/config` has."""
    page = next(route for route in app.routes if isinstance(route, APIRoute) and route.path == "/config")
    sounds = audio.routes(page.dependencies) if audio else []
    app.router.routes[:0] = [*routes(store, page.dependencies), *sounds]  # ahead of Gradio's, which match any path


def routes(store: RunStore, checks: Sequence[Depends]) -> list[APIRoute]:
    """`download/<run>/figures.csv`, `config.json`, `run.zip`, and `clip/<id>.wav` of a clip of the evaluation set.

    Paths in the answers are made here: the page names a run and a clip, never a file.
    """

    def figures(request: Request, run: Run) -> Response:
        return _attached(StreamingResponse(export.iter_metrics_csv(run), media_type="text/csv"), f"{run.id}.csv")

    def settings(request: Request, run: Run) -> Response:
        return _attached(Response(run.config_path.read_bytes(), media_type="application/json"), f"{run.id}.json")

    def archive(request: Request, run: Run) -> Response:
        return _attached(StreamingResponse(export.iter_archive(run), media_type="application/zip"), f"{run.id}.zip")

    def clip(request: Request, run: Run) -> Response:
        return make_response(request, AudioBytes(_clip(run, request.path_params["clip"])))

    def served(answer: Callable[[Request, Run], Response]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            try:
                return answer(request, store.get(request.path_params["run"]))
            except AsrkitError as error:
                return PlainTextResponse(str(error), status_code=404)

        return endpoint

    made = {"figures.csv": figures, "config.json": settings, "run.zip": archive, "clip/{clip}.wav": clip}
    return [
        APIRoute(f"/download/{{run}}/{name}", served(answer), dependencies=checks, response_model=None)
        for name, answer in made.items()
    ]


def _attached(answer: Response, name: str) -> Response:
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _clip(run: Run, wanted: str) -> bytes:
    """One clip of the evaluation set as WAV. RunError if it has none of that id; AudioError if it is gone."""
    path = run.manifest_path("eval")
    if not path.exists():
        raise RunError(f"Run {run.id} has no evaluation set yet.")
    row = _rows(path, path.stat().st_mtime_ns).get(wanted)
    if row is None:
        raise RunError(f"There is no clip {wanted!r} in the evaluation set of run {run.id}.")
    return encode_wav(load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples)


@lru_cache(maxsize=4)
def _rows(path: Path, changed: int) -> dict[str, manifest.Utterance]:
    return {row.id: row for row in manifest.read(path)}
