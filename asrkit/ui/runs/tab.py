"""The Runs tab: all runs in a table, and the curves of selected runs in one chart. Its script polls the server."""

from __future__ import annotations

import gradio as gr

from asrkit.runs.report import published
from asrkit.runs.store import RunStore
from asrkit.ui.common import scripts
from asrkit.ui.common.component import UI, server_functions, template
from asrkit.ui.runs.api import RunsApi, label_series

STYLE = UI / "runs/tab.css"


def build(store: RunStore) -> gr.HTML:
    """Build the tab. It triggers `select` to open a run; the event's data has the run's id as `run`."""
    return gr.HTML(
        value="",
        elem_id="runs",
        apply_default_css=False,
        html_template=template("runs/tab.html"),
        js_on_load=scripts.mount_module("runs/tab.js"),
        server_functions=server_functions(RunsApi(store), "poll", "load_card", "import_run"),
        plotly_src=scripts.make_url(scripts.PLOTLY),
        series=label_series(),
        cards={name: title for name, (title, _) in published.load_published_curves().items()},
    )
