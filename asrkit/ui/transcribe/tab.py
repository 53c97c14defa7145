"""The Transcribe tab: choose a model, speak or drop files, read the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common.component import QUIET
from asrkit.ui.common.served_files import ServedFiles
from asrkit.ui.export import section as export_section
from asrkit.ui.export.api import ExportApi
from asrkit.ui.security.events import guarded
from asrkit.ui.transcribe.endpoint import add_transcribe_endpoint
from asrkit.ui.transcribe.evaluate import make_evaluation_section
from asrkit.ui.transcribe.recorder import make_recorder


def build(store: RunStore, audio: ServedFiles, export_api: ExportApi) -> tuple[gr.Dropdown, gr.State, gr.HTML]:
    """Lay out the tab and wire it.

    Return the choice of the model, whether the visitor has made it, and the recorder, which selects settings to train
    on corrections.
    """
    chosen = gr.State(False)
    with gr.Column(elem_id="transcribe"):
        model = gr.Dropdown(
            choices=model_choices.list_models(store),
            value=model_choices.find_default_model(store, include_stopped=True),
            allow_custom_value=True,
            label=strings.text("transcribe.model"),
            info=strings.text("transcribe.model_help"),
            interactive=True,
            elem_id="model",
        )
        transcribe = make_recorder(store, audio)
        evaluate = make_evaluation_section(store, audio)
        export = export_section.build(export_api, "export", str(model.value))
        add_transcribe_endpoint(store)
    model.change(guarded(lambda name: [name] * 3, "set_model"), model, [transcribe, evaluate, export], **QUIET)
    model.input(guarded(lambda: True, "mark_chosen"), None, chosen, **QUIET)
    return model, chosen, transcribe


def choose_initial_model(store: RunStore, model: str, chosen: bool, query: Mapping[str, str]) -> tuple[Any, bool]:
    """Update the choice of the model when the page is opened: to the one that its address names, if it is listed."""
    named, choices = query.get("model"), model_choices.list_models(store)
    if named in [value for _, value in choices]:
        return gr.update(choices=choices, value=named), True
    return refresh_model(store, model, chosen), chosen


def refresh_model(store: RunStore, model: str, chosen: bool) -> Any:
    """Update the choice of the model: the newest run's, unless the visitor has chosen one.

    A value that is shown already is not set again: the reply may come late, after the visitor has chosen another.
    """
    value = model if chosen and model else model_choices.find_default_model(store, include_stopped=True)
    choices = model_choices.list_models(store)
    return gr.update(choices=choices) if value == model else gr.update(choices=choices, value=value)
