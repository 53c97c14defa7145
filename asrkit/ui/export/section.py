"""The section "Use it elsewhere", which the Train and the Transcribe tab have each."""

from __future__ import annotations

import gradio as gr

from asrkit.ui.common import scripts
from asrkit.ui.common.component import server_functions, template
from asrkit.ui.export.api import ExportApi


def build(api: ExportApi, elem_id: str, model: str = "") -> gr.HTML:
    """Build the section. Its value is the model to export; it is hidden while that is empty."""
    return gr.HTML(
        value=model,
        elem_id=elem_id,
        elem_classes="export-section",
        apply_default_css=False,
        html_template=template("export/section.html"),
        js_on_load=scripts.mount_module("export/section.js"),
        server_functions=server_functions(
            api, "list_outlets", "make_link", "export", "publish", "preview_card", "poll", "cancel"
        ),
    )
