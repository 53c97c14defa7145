"""The Runs tab: all runs in a table, and the curves of some of them over each other. Its script polls."""

from __future__ import annotations

from typing import Any

import gradio as gr

from asrkit.runs.report import published
from asrkit.runs.store import RunStore
from asrkit.ui.common import scripts
from asrkit.ui.common.component import UI, server_functions, template
from asrkit.ui.runs.api import SERIES, RunsTable
from asrkit.ui.train.live_panel import PLOTLY

STYLE = UI / "runs/tab.css"


def build(store: RunStore) -> gr.HTML:
    """Lay out the tab. It triggers `select` when a run is to be opened (the event's data has its id as `run`)."""
    runs = RunsTable(store)
    return gr.HTML(
        value="",
        elem_id="runs",
        apply_default_css=False,
        html_template=template("runs/tab.html"),
        js_on_load=scripts.mount_module("runs/tab.js"),
        server_functions=server_functions(runs, "poll", "card"),
        plotly_src=f"gradio_api/file={PLOTLY}",
        series=SERIES,
        cards={name: title for name, (title, _) in published.load_published_curves().items()},
    )


def opens_first(request: gr.Request) -> Any:
    """The tabs as the address wants them: one that compares runs opens here."""
    return gr.Tabs(selected="runs") if "compare" in request.query_params else gr.skip()
