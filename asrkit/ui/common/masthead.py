"""The head of the page: its name, what it is for, and the choice of its language."""

from __future__ import annotations

from html import escape

import gradio as gr

from asrkit.ui import strings
from asrkit.ui.common import scripts
from asrkit.ui.common.component import template


def build() -> gr.HTML:
    """Build the head, which also mounts the script of the tabs."""
    languages = strings.LANGUAGES.items()
    options = "".join(f'<option value="{code}" lang="{code}">{escape(name)}</option>' for code, name in languages)
    return gr.HTML(
        template("common/masthead.html").replace("{languages}", options),
        elem_id="masthead",
        apply_default_css=False,
        js_on_load=scripts.mount_module("common/masthead.js"),
    )
