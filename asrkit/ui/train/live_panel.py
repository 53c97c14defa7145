"""The live panel: one component whose script polls the server and updates the page in place.

`gr.Plot` would mount the chart anew at each point and lose zoom and hidden curves; here new points are appended. The
panel also owns the choice of the run and the buttons that act on it. Nothing is kept per session, so that an open page
continues by itself after a restart of the app.
"""

from __future__ import annotations

import gradio as gr

from asrkit.runs.store import RunStore
from asrkit.ui.common import scripts
from asrkit.ui.common.component import QUIET, UI, server_functions, template
from asrkit.ui.export import section as export_section
from asrkit.ui.export.api import ExportApi
from asrkit.ui.security.events import guarded
from asrkit.ui.train.api import TrainApi

STYLE = UI / "train/live_panel.css"


def build(store: RunStore, export_api: ExportApi, can_share: bool = False) -> gr.HTML:
    """Build the panel, and below it the section that exports the model of the run that it shows.

    Its value is the run to show. can_share: there are others whom a run can be shared with.

    It triggers `change` when a run, a status or a model is new. It triggers `select` to transcribe with the run that it
    shows, or to fill the form with its settings; the event's data has the run's id as `run`, and as `action` either
    `transcribe` or `reuse`.
    """
    panel = gr.HTML(
        value="",
        elem_id="live",
        apply_default_css=False,
        html_template=template("train/live_panel.html"),
        js_on_load=scripts.mount_module("train/live_panel.js"),
        server_functions=server_functions(
            TrainApi(store, can_share),
            "poll",
            "start_demo",
            "perform_action",
            "save_description",
            "list_settings",
            "make_command",
        ),
        plotly_src=scripts.make_url(scripts.PLOTLY),
    )
    export = export_section.build(export_api, "train-export")
    panel.input(guarded(offer_model, "offer_model"), None, export, **QUIET)
    return panel


def offer_model(event: gr.EventData) -> str:
    """Return the run whose model is offered; empty for none."""
    return str(event.model)
