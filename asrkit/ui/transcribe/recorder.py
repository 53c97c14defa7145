"""The recorder of the Transcribe tab: microphone, files, words and corrections."""

from __future__ import annotations

import gradio as gr

from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.ui.common import scripts
from asrkit.ui.common.component import UI, server_functions, template
from asrkit.ui.common.served_files import ServedFiles
from asrkit.ui.transcribe.api import TranscribeApi
from asrkit.ui.transcribe.hints import insert_hint_fields

STYLE = UI / "transcribe/recorder.css"


def make_recorder(store: RunStore, audio: ServedFiles) -> gr.HTML:
    """Make the recorder. Its value is the model that transcribes."""
    api = TranscribeApi(store)
    audio.register("recording", api.open_recording)
    audio.register_archive("transcripts", api.zip_transcripts)
    return gr.HTML(
        value=model_choices.find_default_model(store, include_stopped=True),
        elem_id="recorder",
        apply_default_css=False,
        html_template=insert_hint_fields(template("transcribe/recorder.html")),
        js_on_load=scripts.mount_module("transcribe/recorder.js"),
        server_functions=server_functions(
            api,
            "preload_model",
            "check_model",
            "start",
            "push_chunk",
            "open_file",
            "cancel",
            "poll",
            "delete_recording",
            "transcribe_again",
            "transcribe_before",
            "describe_recording",
            "format_transcript",
            "correct",
            "save_correction",
            "list_models",
            "compare",
        ),
    )
