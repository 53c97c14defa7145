"""The live panel: one component whose script (`live_chart.js`) polls for news of a run and changes the page in place.

`gr.Plot` would mount the chart anew at each point and lose zoom and hidden curves; here new points are appended. The
panel also owns the choice of the run and the buttons that act on it, so that a page which was open while the app was
restarted goes on by itself: nothing is kept per session.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import plotly

from asrkit.errors import AsrkitError, RunError
from asrkit.runs import supervisor, view
from asrkit.runs.store import RunStore
from asrkit.ui import run_list
from asrkit.ui.follow import Followers, answer

HERE = Path(__file__).parent
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
ACTIONS = {"stop": supervisor.stop, "cancel": supervisor.cancel, "leave": supervisor.stop, "kill": supervisor.kill,
           "save": supervisor.save_now, "evaluate": supervisor.evaluate_now}
STORE_ACTIONS = {"resume": supervisor.resume, "next": supervisor.put_first, "delete": supervisor.delete}
"""What can be done with a run, and what also needs the others."""


class LiveRun:
    """What the panel's script may ask of the server. Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.followers = Followers(store)
        self.list = run_list.RunList(store)

    def poll(self, asked: dict[str, Any]) -> dict[str, Any]:
        """News since byte `after` of run `run`; with no run named, of the one under way or the newest."""
        rows = self.list.rows()
        if any(row.status == supervisor.QUEUED for row in rows) and not any(row.active for row in rows) and (
                supervisor.advance(self.store)):
            rows = self.list.rows()
        signature = "|".join(row.label for row in rows)
        told: dict[str, Any] = {"run": "", "notice": "", "signature": signature}
        if signature != asked.get("signature"):
            told["runs"] = [{"id": row.run_id, "label": row.label} for row in rows]
        wanted = str(asked.get("run") or run_list.first(rows))
        if wanted:
            try:
                told |= answer(self.store, self.followers.get(wanted), asked)
            except RunError as error:
                told["notice"] = str(error)
        return told

    def act(self, asked: dict[str, Any]) -> dict[str, str]:
        """Do one of the actions with a run; -> {"notice": what was wrong, or nothing}."""
        action = asked.get("action")
        if action not in ACTIONS | STORE_ACTIONS:
            return {"notice": "That cannot be done with a run."}
        try:
            run = self.store.get(str(asked.get("run")))
            if action in STORE_ACTIONS:
                STORE_ACTIONS[action](self.store, run)
            else:
                ACTIONS[action](run)
        except AsrkitError as error:
            return {"notice": str(error)}
        return {"notice": ""}


    def figures(self, asked: dict[str, Any]) -> dict[str, str]:
        """The curves of a run as CSV, or what is wrong."""
        try:
            return {"csv": view.figures(self.store.get(str(asked.get("run")))), "notice": ""}
        except RunError as error:
            return {"csv": "", "notice": str(error)}


def live_chart(store: RunStore) -> gr.HTML:
    """The panel. Its value is the run to show; it triggers `change` when a run, a status or a model is new, and
    `select` when somebody wants to talk to the run that it shows, or to start again from its settings (the event's data
    has the run's id and what is wanted: talk or reuse)."""
    gr.set_static_paths([PLOTLY])
    live = LiveRun(store)

    def poll(asked: dict[str, Any]) -> dict[str, Any]:
        return live.poll(asked)

    def act(asked: dict[str, Any]) -> dict[str, str]:
        return live.act(asked)

    def figures(asked: dict[str, Any]) -> dict[str, str]:
        return live.figures(asked)

    return gr.HTML(
        value="", elem_id="live", apply_default_css=False,
        html_template=(HERE / "live_chart.html").read_text(encoding="utf-8"),
        js_on_load=(HERE / "live_chart.js").read_text(encoding="utf-8"),
        server_functions=[poll, act, figures],
        plotly_src=f"gradio_api/file={PLOTLY}",
    )
