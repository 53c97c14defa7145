"""The Transcribe tab: choose a model, speak or drop files, read the text."""

from __future__ import annotations

from typing import Any

import gradio as gr

from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.ui.common.audio_files import AudioFiles
from asrkit.ui.transcribe.api import recorder
from asrkit.ui.transcribe.endpoint import transcribe_endpoint
from asrkit.ui.transcribe.evaluate import evaluation

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(store: RunStore, audio: AudioFiles) -> tuple[gr.Dropdown, gr.State]:
    """Lay out the tab and wire it; returns the choice of the model and whether the visitor has made it."""
    chosen = gr.State(False)
    with gr.Column(elem_id="transcribe"):
        model = gr.Dropdown(
            choices=model_choices.list_models(store),
            value=model_choices.find_default_model(store),
            allow_custom_value=True,
            label="Model",
            info="A run, a checkpoint directory, a Hub id, or the starter.",
            interactive=True,
            elem_id="model",
        )
        talk = recorder(store, audio)
        judge = evaluation(store, audio)
        transcribe_endpoint(store)
    model.change(lambda name: [name, name], model, [talk, judge], **QUIET)
    model.input(lambda: True, None, chosen, **QUIET)
    return model, chosen


def refreshed(store: RunStore, model: str, chosen: bool) -> Any:
    """The choice of the model: the newest run's, unless the visitor has chosen one.

    What is on choice already is not set again: the answer may come late, after the visitor has chosen another.
    """
    wanted = model if chosen and model else model_choices.find_default_model(store)
    return gr.update(choices=model_choices.list_models(store), **({} if wanted == model else {"value": wanted}))
