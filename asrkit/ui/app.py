"""The page: its tabs and how they interact, and the server. Nothing is loaded from outside this machine."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
import webbrowser
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from asrkit import sandbox, startup
from asrkit.data import access
from asrkit.errors import AsrkitError, RunError
from asrkit.hub import credentials
from asrkit.runs import cache, calibration, supervisor, sync, watchdog
from asrkit.runs.fork_server import start_fork_server
from asrkit.runs.store import RunStore, default_runs_dir
from asrkit.ui import strings
from asrkit.ui.common import downloads, masthead, scripts, theme, upload_folder
from asrkit.ui.common.component import QUIET
from asrkit.ui.common.served_files import ServedFiles
from asrkit.ui.common.upload_folder import UploadMiddleware
from asrkit.ui.data import tab as data_tab
from asrkit.ui.data.api import DataApi
from asrkit.ui.export.api import ExportApi
from asrkit.ui.runs import tab as runs_tab
from asrkit.ui.security import permissions, space, visitor
from asrkit.ui.security.connections import limit_connections
from asrkit.ui.security.deployment import Deployment, Kind, keep_token, make_deployment
from asrkit.ui.security.events import guarded, identity_of
from asrkit.ui.security.guard import Guard
from asrkit.ui.security.paths import hide_folders
from asrkit.ui.security.permissions import Action, is_allowed
from asrkit.ui.security.quotas import use_quotas
from asrkit.ui.security.storage import storage
from asrkit.ui.security.store import GuardedStore
from asrkit.ui.train import live_panel, run_quota
from asrkit.ui.train import tab as train_tab
from asrkit.ui.transcribe import recorder as transcribe_recorder
from asrkit.ui.transcribe import tab as transcribe_tab

logger = logging.getLogger(__name__)

TITLE = "asrkit"
STYLES = [theme.STYLE, data_tab.STYLE, live_panel.STYLE, runs_tab.STYLE, transcribe_recorder.STYLE, visitor.STYLE]
MAX_UPLOAD = os.environ.get("ASRKIT_MOST_UPLOAD") or "8gb"
"""The largest file that can be uploaded: a number of bytes, kb, mb or gb."""

TABS = ("data", "train", "runs", "transcribe")
"""The ids of the page's tabs."""
EVENT_POLL_S = 0.02
PROGRESS_POLL_S = 0.1
"""How often Gradio looks whether an event of the page waits, and whether one has made progress. Its defaults, 1 and
10 ms, take 3 % of a core for as long as the app runs."""


def default_host() -> str:
    """Return the address to listen on: this machine alone, except on a Hugging Face Space."""
    return "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"


def default_runs() -> Path:
    """Return the directory of runs; on a Space, on its persistent disk if there is one, else where it may write."""
    if not os.environ.get("SPACE_ID") or os.environ.get("ASRKIT_RUNS"):
        return default_runs_dir()
    if space.is_persistent():
        return space.DISK / "runs"
    return default_runs_dir() if os.access(".", os.W_OK) else Path.home() / "asrkit" / "runs"


def build(store: RunStore, audio: ServedFiles | None = None, deployment: Deployment | None = None) -> gr.Blocks:
    """Build the page of a directory of runs. Loads neither torch nor a model.

    audio: serves its sound files. deployment: who may use it; None for this machine alone.
    """
    store, audio = GuardedStore(store.root), audio or ServedFiles()
    data_api, export_api = DataApi(store), ExportApi(store)
    audio.register_archive("model", export_api.open_file)
    with strings.as_markers(), gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        masthead.build()
        if deployment and deployment.is_shared:
            visitor.build(deployment)
        with gr.Tabs(selected="train", elem_id="tabs") as tabs:
            with gr.Tab(strings.text("tab.data"), id="data"):
                data = data_tab.build(store, data_api, audio)
            with gr.Tab(strings.text("tab.train"), id="train"):
                panel, form_fields = train_tab.build(
                    store, page, data, data_api.describe_estimate, export_api, deployment
                )
            with gr.Tab(strings.text("tab.runs"), id="runs"):
                runs_table = runs_tab.build(store)
            with gr.Tab(strings.text("tab.transcribe"), id="transcribe"):
                model, chosen, recorder = transcribe_tab.build(store, audio, export_api)
        _connect_model(store, page, panel, model, chosen)
        page.load(select_initial_tab, None, tabs, **QUIET)

        def open_run(event: gr.EventData) -> list[Any]:
            """Show a run of the table in the panel."""
            # Unique, so that the panel reacts even if it was given this run before and shows another one by now.
            return [gr.Tabs(selected="train"), f"{event.run} {time.monotonic_ns()}"]

        def fill_form(event: gr.EventData) -> list[Any]:
            """Fill the form with the settings for the chosen data."""
            return [gr.Tabs(selected="train"), *data_tab.fill_form(event.settings)]

        for chooser in (data, recorder):
            chooser.select(guarded(fill_form, "fill_form"), None, [tabs, *form_fields], **QUIET)
        runs_table.select(guarded(open_run, "open_run"), None, [tabs, panel], **QUIET)

        def use_run(event: gr.EventData) -> list[Any]:
            """Transcribe with the run that the panel shows, or fill the form with its settings."""
            if event.action == "transcribe":
                return [gr.Tabs(selected="transcribe"), event.run, True, *[gr.skip()] * len(form_fields)]
            return [gr.skip(), gr.skip(), gr.skip(), *train_tab.load_run_settings(store, event.run)]

        panel.select(guarded(use_run, "use_run"), None, [tabs, model, chosen, *form_fields], **QUIET)
    return page


def _connect_model(
    store: RunStore, page: gr.Blocks, panel: gr.HTML, model: gr.components.Component, chosen: gr.components.Component
) -> None:
    """Choose the model of the Transcribe tab when the page is opened, and anew when the panel shows another run.

    chosen: whether a person has chosen the model.
    """
    panel.change(
        guarded(lambda name, is_chosen: transcribe_tab.refresh_model(store, name, is_chosen), "refresh_model"),
        [model, chosen],
        model,
        **QUIET,
    )
    page.load(
        guarded(
            lambda name, is_chosen, query: transcribe_tab.choose_initial_model(store, name, is_chosen, query),
            "choose_initial_model",
        ),
        [model, chosen],
        [model, chosen],
        **QUIET,
    )


def select_initial_tab(request: gr.Request) -> Any:
    """Select Runs if the page's address names runs to compare, else the tab that it names.

    Otherwise Transcribe for whoever cannot train, and Train for the others.
    """
    query = request.query_params
    if "compare" in query:
        return gr.Tabs(selected="runs")
    if query.get("tab") in TABS:
        return gr.Tabs(selected=query["tab"])
    can_train = is_allowed(identity_of(request), Action.START_RUN)
    return gr.skip() if can_train or "run" in query else gr.Tabs(selected="transcribe")


def launch(
    store: RunStore,
    host: str,
    port: int,
    public_url: str = "",
    is_public: bool = False,
    opens_browser: bool = False,
) -> None:
    """Serve the page of a directory of runs until KeyboardInterrupt.

    public_url: the address under which people open it, behind a proxy or a tunnel. is_public: let in anybody, with few
    rights. opens_browser: open the page in this machine's browser, if it has one. Raises RunError if the port is in
    use, ConfigError for an address or a password that cannot be used.
    """
    check_port(host, port)
    deployment = make_deployment(host, port, public_url, is_public, keep_token(store.root))
    page = serve(store, host, port, deployment)
    print(deployment.describe(), flush=True)
    if opens_browser and deployment.kind == Kind.LOCAL and has_display():
        threading.Thread(target=webbrowser.open, args=[deployment.link], daemon=True, name="browser").start()
    threading.Thread(target=warm_up, args=[store], daemon=True, name="warm-up").start()
    uploads = Path(get_upload_folder())
    threading.Thread(target=storage.clean_forever, args=[uploads], daemon=True, name="clean-up").start()
    threading.Thread(target=trim_cache_forever, args=[store, deployment], daemon=True, name="cache").start()
    threading.Thread(target=watchdog.watch_forever, args=[store], daemon=True, name="watchdog").start()
    sync.start_background(store)
    if deployment.has_visitors:
        threading.Thread(target=run_quota.watch_forever, args=[store], daemon=True, name="run-quota").start()
    server = start_fork_server()
    if deployment.kind == Kind.SPACE:  # a Space stops its runs when it sleeps or is built again
        threading.Thread(target=supervisor.resume_interrupted, args=[store], daemon=True, name="resume").start()
    try:
        while True:
            time.sleep(60)  # until it is interrupted
    finally:
        if server:
            server.close()
        page.close(verbose=False)


def serve(store: RunStore, host: str, port: int, deployment: Deployment) -> gr.Blocks:
    """Start the server, with the guard in front of it, and return its page."""
    # Gradio would summarise its last 10,000 events in a table after each of them.
    os.environ |= {"GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9), "GRADIO_ANALYTICS_MAX_EVENTS": "1"}
    permissions.require_identity()
    use_quotas(deployment.quotas)
    if deployment.has_visitors:
        hide_folders(store.root, store.data_dir)
        sandbox.require()
        credentials.withhold_token()
    access.isolate_visitors(store.data_dir)
    upload_folder.set_upload_folder()
    audio = ServedFiles()
    page = build(store, audio, deployment)
    with space.hot_reload_disabled():
        _launch(page, host, port, deployment)
    downloads.add_routes(page.app, store, audio)
    return page


def _launch(page: gr.Blocks, host: str, port: int, deployment: Deployment) -> None:
    with strings.as_markers():
        head = scripts.head_links()
    page.launch(
        server_name=host,
        server_port=port,
        theme=theme.theme(),
        css_paths=STYLES,
        head=head,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=MAX_UPLOAD,
        state_session_capacity=deployment.quotas.sessions,
        app_kwargs={
            "middleware": [Middleware(Guard, deployment=deployment), Middleware(UploadMiddleware)],
            "routes": [scripts.route()],
        },
    )
    page._queue.sleep_when_free = EVENT_POLL_S
    page._queue.progress_update_sleep_when_free = PROGRESS_POLL_S
    limit_connections(page.server.config, deployment.quotas)


def trim_cache_forever(store: RunStore, deployment: Deployment) -> None:
    """Keep the operator's cache within its limits."""
    quotas = deployment.quotas
    max_age_s = 24 * 3600.0 * quotas.cache_days
    cache.trim_forever(store, quotas.cache_bytes, max_age_s, includes_hub=deployment.has_visitors)


def has_display() -> bool:
    """Return whether a browser can show a window here; `webbrowser` would take over the terminal with a text one."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def check_port(host: str, port: int) -> None:
    """Raise RunError if the port cannot be used."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RunError(f"Port {port} on {host} cannot be used ({reason}); choose another with --port.") from error


def warm_up(store: RunStore) -> None:
    """Measure how fast this machine trains, once, and import what transcription needs before the first recording.

    Then yield the GPU to training when it starts.
    """
    try:
        calibration.calibrate_once(store)
    except (AsrkitError, OSError) as error:
        logger.warning("The speed of this machine was not measured (%s); forecasts are ranges.", error)
    with startup.fast_imports():
        from asrkit.transcription.gpu import yield_gpu

    yield_gpu(store)
