"""The live panel: one component whose script polls for news of a run and changes the page in place.

`gr.Plot` would mount the chart anew at each point and lose zoom and hidden curves; here new points are appended. The
panel also owns the choice of the run and the buttons that act on it, so that a page which was open while the app was
restarted goes on by itself: nothing is kept per session.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import gradio as gr
import plotly

from asrkit.errors import AsrkitError, RunError
from asrkit.files import free_bytes
from asrkit.runs import lifecycle, queue, supervisor, watchdog
from asrkit.runs.report import export
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.runs.system import SystemMonitor
from asrkit.ui.common import form, run_list, scripts, status_text
from asrkit.ui.common.component import UI, server_functions, template
from asrkit.ui.common.viewers import Viewers
from asrkit.ui.train.follow import Followers, answer

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
PRELOAD = f'<link rel="preload" as="script" href="gradio_api/file={PLOTLY}">'
"""For the head of the page: Plotly is large, and is fetched while Gradio still builds the page."""

STYLE = UI / "train/live_panel.css"
ACTIONS = {
    "stop": supervisor.stop,
    "cancel": supervisor.cancel,
    "leave": supervisor.stop,
    "kill": watchdog.force_stop,
    "save": supervisor.save_now,
    "evaluate": supervisor.evaluate_now,
}
STORE_ACTIONS = {"resume": supervisor.resume, "delete": supervisor.delete}
"""What can be done with a run, and what also needs the others."""

MOVE = "move"
"""To a position in line that the page names: who presses twice, or beside somebody else, moves it once."""

MOST_LISTED = 100
"""Runs in the choice; older ones are found in the Runs tab."""

LIVE_MS, ENDED_MS = 1_000, 5_000
DISK_EVERY_S = 20.0


class LiveRun:
    """What the panel's script may ask of the server. Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.followers = Followers(store)
        self.list = run_list.RunList(store)
        self.system, self.viewers = SystemMonitor(), Viewers()
        self._disk: dict[str, tuple[float, int]] = {}

    def poll(self, request: dict[str, Any]) -> dict[str, Any]:
        """News since byte `after` of run `run`; with no run named, of the one under way or the newest."""
        rows, waiting, trouble = self._advanced()
        wanted = str(request.get("run") or run_list.first(rows))
        listed = rows[:MOST_LISTED] + [row for row in rows[MOST_LISTED:] if row.run_id == wanted]
        labels = {row.run_id: row.label for row in listed}
        queue = [run.id for run in waiting]
        signature = hashlib.sha1("|".join([*labels.values(), *queue]).encode(), usedforsecurity=False).hexdigest()
        told: dict[str, Any] = {"run": "", "notice": trouble, "signature": signature}
        if signature != request.get("signature"):
            told["runs"] = [{"id": run_id, "label": label} for run_id, label in labels.items()]
            told["queue"] = queue
        if wanted:
            try:
                follower = self.followers.get(wanted)
                told |= answer(follower, request, [row.run for row in rows if row.active], waiting)
                told["machine"] = self._machine(follower.run, told["status"])
            except RunError as error:
                told["notice"] = str(error)
        base = LIVE_MS if wanted and not told.get("ended", True) else ENDED_MS
        told["pace_ms"] = self.viewers.pace_ms(str(request.get("page")), base)
        return told

    def _advanced(self) -> tuple[list[run_list.Row], list[Run], str]:
        """The runs, and those in line, once the ones are started whose turn it is; and why they could not be."""
        rows, trouble = self.list.rows(), ""
        waiting = run_list.waiting(rows)
        try:
            if queue.find_startable([row.run for row in rows if row.active], waiting) and queue.start_ready_runs(
                self.store
            ):
                rows = self.list.rows(now=True)
                waiting = run_list.waiting(rows)
        except (AsrkitError, OSError) as error:
            trouble = f"The next run cannot be started: {error}"
        return rows, waiting, trouble

    def _machine(self, run: Run, status: str) -> str:
        """How busy the machine is while the run is under way, and how much disk the run takes."""
        measured, size = self._disk.get(run.id, (float("-inf"), 0))
        if time.monotonic() - measured > DISK_EVERY_S:
            size = export.measure_disk_usage(run)
            self._disk[run.id] = (time.monotonic(), size)
        load = self.system.load() if status in lifecycle.ACTIVE else None
        return status_text.format_machine(load, size, free_bytes(run.path))

    def act(self, request: dict[str, Any]) -> dict[str, str]:
        """Do one of the actions with a run; -> {"notice": what was wrong, or nothing}."""
        action = request.get("action")
        if action not in (*ACTIONS, *STORE_ACTIONS, MOVE):
            return {"notice": "That cannot be done with a run."}
        try:
            run = self.store.get(str(request.get("run")))
            if action == MOVE:
                queue.move(self.store, run, int(request.get("position") or 1))
            elif action in STORE_ACTIONS:
                STORE_ACTIONS[action](self.store, run)
            else:
                ACTIONS[action](run)
        except (AsrkitError, OSError) as error:
            return {"notice": str(error)}
        finally:
            self.list.rows(now=True)
        return {"notice": ""}

    def command(self, request: dict[str, Any]) -> dict[str, str]:
        """The command line that starts a run with the settings of `run`, or what is wrong."""
        try:
            return {
                "command": form.make_command(self.store.get(str(request.get("run"))).config(), self.store),
                "notice": "",
            }
        except AsrkitError as error:
            return {"command": "", "notice": str(error)}


def live_chart(store: RunStore) -> gr.HTML:
    """The panel. Its value is the run to show; it triggers `change` when a run, a status or a model is new, and
    `select` when somebody wants to talk to the run that it shows, or to start again from its settings (the event's data
    has the run's id and what is wanted: talk or reuse)."""
    gr.set_static_paths([PLOTLY])
    live = LiveRun(store)

    return gr.HTML(
        value="",
        elem_id="live",
        apply_default_css=False,
        html_template=template("train/live_panel.html"),
        js_on_load=scripts.mount_module("train/live_panel.js"),
        server_functions=server_functions(live, "poll", "act", "command"),
        plotly_src=f"gradio_api/file={PLOTLY}",
    )
