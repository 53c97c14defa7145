"""The Runs tab: all runs in a table, and the curves of selected runs in one chart. Its script polls the server."""

from __future__ import annotations

from typing import Any

import gradio as gr

from asrkit.runs.report import published
from asrkit.runs.store import RunStore
from asrkit.ui.common import scripts
from asrkit.ui.common.component import UI, server_functions, template
from asrkit.ui.runs.api import RunsApi, label_series
from asrkit.ui.security.events import identity_of
from asrkit.ui.security.permissions import Action, is_allowed

STYLE = UI / "runs/tab.css"
TABS = ("data", "train", "runs", "transcribe")
"""The ids of the page's tabs."""


def build(store: RunStore) -> gr.HTML:
    """Build the tab. It triggers `select` to open a run; the event's data has the run's id as `run`."""
    return gr.HTML(
        value="",
        elem_id="runs",
        apply_default_css=False,
        html_template=template("runs/tab.html"),
        js_on_load=scripts.mount_module("runs/tab.js"),
        server_functions=server_functions(RunsApi(store), "poll", "load_card"),
        plotly_src=scripts.make_url(scripts.PLOTLY),
        series=label_series(),
        cards={name: title for name, (title, _) in published.load_published_curves().items()},
    )


def select_initial_tab(request: gr.Request) -> Any:
    """Select the tab that the page's address names, or this one if it names runs to compare.

    Otherwise Transcribe for whoever cannot train, and Train for the others.
    """
    if "compare" in request.query_params:
        return gr.Tabs(selected="runs")
    if request.query_params.get("tab") in TABS:
        return gr.Tabs(selected=request.query_params["tab"])
    can_train = is_allowed(identity_of(request), Action.START_RUN)
    return gr.skip() if can_train or "run" in request.query_params else gr.Tabs(selected="transcribe")
