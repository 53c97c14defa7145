"""The page: its tabs and how they interact, and the server. Nothing is loaded from outside this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from asrkit import startup
from asrkit.data import access
from asrkit.errors import RunError
from asrkit.runs import watchdog
from asrkit.runs.fork_server import start_fork_server
from asrkit.runs.store import RunStore, default_runs_dir
from asrkit.ui import strings
from asrkit.ui.common import downloads, scripts, theme, upload_folder
from asrkit.ui.common.audio_files import AudioFiles
from asrkit.ui.common.upload_folder import UploadMiddleware
from asrkit.ui.common.visitors import VisitorMiddleware
from asrkit.ui.data import tab as data_tab
from asrkit.ui.data.api import DataApi
from asrkit.ui.runs import tab as runs_tab
from asrkit.ui.train import live_panel
from asrkit.ui.train import tab as train_tab
from asrkit.ui.transcribe import api as transcribe_api
from asrkit.ui.transcribe import tab as transcribe_tab

MASTHEAD = f'<h1>{strings.text("app.title")}</h1><p class="quiet">{strings.text("app.subtitle")}</p>'
STYLES = [theme.STYLE, data_tab.STYLE, live_panel.STYLE, runs_tab.STYLE, transcribe_api.STYLE]
SPACE_DISK = Path("/data")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_UPLOAD = os.environ.get("ASRKIT_MOST_UPLOAD") or "8gb"
"""The largest file that can be uploaded: a number of bytes, kb, mb or gb."""


def default_host() -> str:
    """Return the address to listen on: this machine alone, except on a Hugging Face Space."""
    return "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"


def default_runs() -> Path:
    """Return the directory of runs: on the persistent disk, on a Space that has one."""
    if os.environ.get("SPACE_ID") and not os.environ.get("ASRKIT_RUNS") and os.access(SPACE_DISK, os.W_OK):
        return SPACE_DISK / "runs"
    return default_runs_dir()


def build(store: RunStore, audio: AudioFiles | None = None) -> gr.Blocks:
    """Build the page of a directory of runs. audio: serves its sound files. Loads neither torch nor a model."""
    audio = audio or AudioFiles()
    data_api = DataApi(store)
    with gr.Blocks(title=strings.text("app.title"), analytics_enabled=False, fill_width=True) as page:
        gr.HTML(MASTHEAD, elem_id="masthead", apply_default_css=False)
        with gr.Tabs(selected="train", elem_id="tabs") as tabs:
            with gr.Tab(strings.text("tab.data"), id="data"):
                data = data_tab.build(store, data_api, audio)
            with gr.Tab(strings.text("tab.train"), id="train"):
                panel, form_fields = train_tab.build(store, page, data, data_api.describe_estimate)
            with gr.Tab(strings.text("tab.runs"), id="runs"):
                runs_table = runs_tab.build(store)
            with gr.Tab(strings.text("tab.transcribe"), id="transcribe"):
                model, chosen = transcribe_tab.build(store, audio)
        gr.on(
            [page.load, panel.change],
            lambda name, is_chosen: transcribe_tab.refresh_model(store, name, is_chosen),
            [model, chosen],
            model,
            **transcribe_tab.QUIET,
        )

        page.load(runs_tab.select_initial_tab, None, tabs, **transcribe_tab.QUIET)

        def open_run(event: gr.EventData) -> list[Any]:
            """Show a run of the table in the panel."""
            # Unique, so that the panel reacts even if it was given this run before and shows another one by now.
            return [gr.Tabs(selected="train"), f"{event.run} {time.monotonic_ns()}"]

        def fill_form(event: gr.EventData) -> list[Any]:
            """Fill the form with the settings for the chosen data."""
            return [gr.Tabs(selected="train"), *data_tab.fill_form(event.settings)]

        data.select(fill_form, None, [tabs, *form_fields], **transcribe_tab.QUIET)
        runs_table.select(open_run, None, [tabs, panel], **transcribe_tab.QUIET)

        def use_run(event: gr.EventData) -> list[Any]:
            """Transcribe with the run that the panel shows, or fill the form with its settings."""
            if event.action == "transcribe":
                return [gr.Tabs(selected="transcribe"), event.run, True, *[gr.skip()] * len(form_fields)]
            return [gr.skip(), gr.skip(), gr.skip(), *train_tab.load_run_settings(store, event.run)]

        panel.select(use_run, None, [tabs, model, chosen, *form_fields], **transcribe_tab.QUIET)
    return page


def launch(store: RunStore, host: str, port: int) -> None:
    """Serve the page of a directory of runs until it is interrupted. Raises RunError if the port is in use.

    If other machines can reach it, datasets are read from the data folder only (`access`), and each visitor has a
    folder of their own in it (`visitors`).
    """
    check_port(host, port)
    is_shared = host not in LOOPBACK
    if is_shared:
        access.limit_reads(store.data_dir)
        access.isolate_visitors(store.data_dir)
    upload_folder.set_upload_folder(port)
    audio = AudioFiles()
    page = build(store, audio)
    page.launch(
        server_name=host,
        server_port=port,
        theme=theme.theme(),
        css_paths=STYLES,
        head=live_panel.PRELOAD + scripts.preload_links(),
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=MAX_UPLOAD,
        app_kwargs={
            "middleware": [Middleware(UploadMiddleware), *([Middleware(VisitorMiddleware)] if is_shared else [])],
            "routes": [scripts.route()],
        },
    )
    downloads.add_routes(page.app, store, audio)
    print(f"asrkit is ready at http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}", flush=True)
    threading.Thread(target=warm_up, args=[store], daemon=True, name="warm-up").start()
    threading.Thread(target=watchdog.watch_forever, args=[store], daemon=True, name="watchdog").start()
    server = start_fork_server()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            page.block_thread()
    finally:
        if server:
            server.close()


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
    """Import what transcription needs before the first recording; then yield the GPU to training when it starts."""
    with startup.fast_imports():
        from asrkit.transcription.gpu import yield_gpu

    yield_gpu(store)
