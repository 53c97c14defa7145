"""Every address of the app and every function of the page, with the action that it needs.

The guard answers 404 for an address that has no row here, so that a route which a later version of Gradio adds is
closed until somebody has looked at it; a test compares the table with the routes of the running app.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from re import Pattern

from starlette.routing import compile_path

from asrkit.ui.security.permissions import Action

JSON_TYPE, FORM_TYPE = "application/json", "multipart/form-data"
GET, POST = ("GET", "HEAD"), ("POST",)


@dataclass(frozen=True)
class Endpoint:
    """An address. action: None where no identity is needed. is_closed: answered with 404 for everybody."""

    path: str
    pattern: Pattern[str]
    methods: tuple[str, ...] = GET
    action: Action | None = None
    body_type: str = JSON_TYPE
    is_closed: bool = False


def _rows(
    paths: Iterable[str],
    methods: tuple[str, ...] = GET,
    action: Action | None = None,
    body_type: str = JSON_TYPE,
    is_closed: bool = False,
) -> list[Endpoint]:
    return [Endpoint(path, compile_path(path)[0], methods, action, body_type, is_closed) for path in paths]


SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
API = "/gradio_api"
_DATA, _TRANSCRIBE, _VIEW = Action.USE_OWN_DATA, Action.TRANSCRIBE, Action.VIEW_PAGE
ENDPOINTS: tuple[Endpoint, ...] = (
    # Anybody: signing in, and the scripts, which are public.
    *_rows([SIGN_IN, SIGN_OUT], POST),
    *_rows(["/robots.txt", "/scripts/{version}/{name:path}", "/login/huggingface", "/login/callback", "/logout"]),
    *_rows([f"{API}/startup-events"]),  # Gradio asks for it when it starts
    # The page and what it consists of.
    *_rows(["/", "/config", "/theme.css", f"{API}/theme.css"], GET, _VIEW),
    *_rows(["/static/{path:path}", "/assets/{path:path}", "/svelte/{path:path}"], GET, _VIEW),
    *_rows(["/favicon.ico", "/manifest.json", "/pwa_icon", "/pwa_icon/{size}"], GET, _VIEW),
    *_rows([f"{API}/info", f"{API}/openapi.json"], GET, _VIEW),
    # Gradio's protocol. The functions behind it have their own actions (FUNCTIONS and EVENTS).
    *_rows([f"{API}/component_server", f"{API}/queue/join", f"{API}/cancel", f"{API}/reset"], POST, _VIEW),
    *_rows([f"{API}/{kind}/{{api_name}}" for kind in ("run", "api", "call", "call/v2")], POST, _VIEW),
    *_rows([f"{API}/call/{{api_name}}/{{event_id}}", f"{API}/call/v2/{{api_name}}/{{event_id}}"], GET, _VIEW),
    *_rows([f"{API}/queue/data", f"{API}/queue/status"], GET, _VIEW),
    *_rows([f"{API}/heartbeat/{{session_hash}}", f"{API}/app_id", f"{API}/user", f"{API}/login_check"], GET, _VIEW),
    *_rows([f"{API}/upload"], POST, _TRANSCRIBE, FORM_TYPE),
    *_rows([f"{API}/upload_progress"], GET, _TRANSCRIBE),
    # Downloads and sounds check whose run, recording or dataset it is.
    *_rows([f"/download/{{run}}/{name}" for name in ("figures.csv", "config.json")], GET, _VIEW),
    *_rows([f"/download/{{run}}/{name}" for name in ("run.zip", "model.zip")], GET, _VIEW),
    *_rows(["/download/{run}/clip/{clip}.wav", "/audio/{kind}.wav", "/archive/{name}.zip"], GET, _VIEW),
)

_STREAM = f"{API}/stream/{{session_hash}}/{{run}}/{{component_id}}"
CLOSED: tuple[Endpoint, ...] = (
    *_rows(["/login", f"{API}/process_recording", f"{API}/vibe-edit", f"{API}/undo-vibe-edit"], POST, is_closed=True),
    *_rows([f"{API}/stream/{{event_id}}", f"{API}/stream/{{event_id}}/close"], POST, is_closed=True),
    *_rows([f"{API}/vibe-code", f"{API}/vibe-starter-queries"], (*GET, *POST), is_closed=True),
    *_rows(["/openapi.json", "/monitoring", "/monitoring/summary", "/monitoring/{key}"], is_closed=True),
    *_rows([f"{API}/deep_link", f"{API}/dev/reload", f"{API}/token", f"{API}/runs"], is_closed=True),
    *_rows([f"{API}/proxy={{url_path:path}}", f"{API}/file={{path_or_url:path}}"], is_closed=True),
    *_rows([f"{API}/file/{{path:path}}"], is_closed=True),
    *_rows([f"{API}/custom_component/{{id}}/{{environment}}/{{type}}/{{file_name}}"], is_closed=True),
    *_rows([f"{_STREAM}/{name}" for name in ("playlist.m3u8", "playlist-file", "{segment_id}.{ext}")], is_closed=True),
)
"""Routes of Gradio that the app has no use for."""


def find_endpoint(path: str) -> list[Endpoint]:
    """Return the rows of a path, one for each set of methods; empty if the app answers 404."""
    path = path.rstrip("/") or "/"
    return [endpoint for endpoint in ENDPOINTS if endpoint.pattern.match(path)]


FUNCTIONS: Mapping[str, Action] = {
    "VisitorApi.describe_visitor": _VIEW,
    "VisitorApi.delete_data": _TRANSCRIBE,
    # Where a run is named, what may be done with it is checked as well.
    "TrainApi.poll": _VIEW,
    "TrainApi.start_demo": Action.START_RUN,
    "TrainApi.perform_action": _VIEW,
    "TrainApi.make_command": _VIEW,
    "TrainApi.save_description": _VIEW,
    "TrainApi.list_settings": _VIEW,
    "RunsApi.poll": _VIEW,
    "RunsApi.load_card": _VIEW,
    "RunsApi.import_run": Action.IMPORT_RUN,
    **{f"DataApi.{name}": _DATA for name in ("list_datasets", "list_hub_splits", "load", "preview", "check")},
    **{f"DataApi.{name}": _DATA for name in ("stop_check", "prepare_training", "add_upload")},
    **{f"Recorder.{name}": _DATA for name in ("list_prompts", "open_dataset", "describe_dataset", "save_take")},
    **{f"Recorder.{name}": _DATA for name in ("correct_clip", "delete_clip")},
    **{f"AlignApi.{name}": _DATA for name in ("list_models", "align", "poll", "cancel")},
    **{f"TimelineApi.{name}": _DATA for name in ("list_recordings", "list_spans", "show_waveform")},
    **{f"EvaluateApi.{name}": _DATA for name in ("evaluate", "poll", "cancel", "make_csv")},
    **{f"ExportApi.{name}": _DATA for name in ("list_outlets", "make_link", "export", "poll", "cancel")},
    **{f"ExportApi.{name}": _DATA for name in ("publish", "preview_card")},
    **{f"TranscribeApi.{name}": _TRANSCRIBE for name in ("preload_model", "check_model", "start", "push_chunk")},
    **{f"TranscribeApi.{name}": _TRANSCRIBE for name in ("open_file", "cancel", "poll", "delete_recording")},
    **{f"TranscribeApi.{name}": _TRANSCRIBE for name in ("describe_recording", "format_transcript", "correct")},
    **{
        f"TranscribeApi.{name}": _TRANSCRIBE
        for name in ("list_models", "compare", "transcribe_again", "transcribe_before")
    },
    "TranscribeApi.save_correction": _DATA,
}
"""The functions that the page's scripts call, by class and name."""

EVENTS: Mapping[str, Action] = {
    "restore_form": _VIEW,
    "list_choices": _VIEW,
    "update_forecast": _VIEW,
    "describe_preset": _VIEW,
    "fill_from_preset": _VIEW,
    "update_dependents": _VIEW,
    "start_training": Action.START_RUN,
    "refresh_train_tab": _VIEW,
    "refresh_model": _VIEW,
    "choose_initial_model": _VIEW,
    "select_initial_tab": _VIEW,
    "fill_form": _VIEW,
    "open_run": _VIEW,
    "use_run": _VIEW,
    "offer_model": _VIEW,
    "set_model": _VIEW,
    "mark_chosen": _VIEW,
    "transcribe": _TRANSCRIBE,
    "_check_login_status": _VIEW,  # of Gradio's sign-in button: the name of who is signed in
}
"""Gradio's events by the name of their function, which `events.guarded` checks."""
