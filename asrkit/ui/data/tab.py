"""The Data tab: bring speech or record it, see what is wrong with it, and train on it. Its script asks the server."""

from __future__ import annotations

from typing import Any

import gradio as gr

from asrkit import config as configs
from asrkit.config import FIELDS
from asrkit.runs.store import RunStore
from asrkit.text.normalizers import NORMALIZERS
from asrkit.ui.common import form, scripts
from asrkit.ui.common.audio_files import AudioFiles
from asrkit.ui.common.component import UI, server_functions, template
from asrkit.ui.data.api import DataApi
from asrkit.ui.data.recorder import Recorder

STYLE = UI / "data/tab.css"
NUMBER_LANGUAGES = (
    ("", "leave digits"),
    ("en", "English"),
    ("de", "German"),
    ("es", "Spanish"),
    ("fr", "French"),
    ("it", "Italian"),
    ("pt", "Portuguese"),
    ("nl", "Dutch"),
    ("pl", "Polish"),
    ("ru", "Russian"),
    ("uk", "Ukrainian"),
    ("tr", "Turkish"),
    ("ar", "Arabic"),
    ("fa", "Persian"),
    ("te", "Telugu"),
    ("bn", "Bengali"),
    ("vi", "Vietnamese"),
    ("id", "Indonesian"),
    ("ja", "Japanese"),
    ("ko", "Korean"),
    ("th", "Thai"),
    ("zh", "Chinese"),
    ("yue", "Cantonese"),
    ("hi", "Hindi"),
    ("ta", "Tamil"),
    ("ne", "Nepali"),
    ("el", "Greek"),
    ("sw", "Swahili"),
    ("cs", "Czech"),
    ("sv", "Swedish"),
    ("fi", "Finnish"),
    ("hu", "Hungarian"),
    ("ro", "Romanian"),
)


def build(store: RunStore, desk: DataApi, audio: AudioFiles) -> gr.HTML:
    """Lay out the tab. Its value is what the form of Train holds, as JSON. It triggers `select` when somebody wants to
    train: the event's data has `settings` for the form."""
    recorder = Recorder(store)
    audio.register("dataset", desk.open_clip)
    return gr.HTML(
        value="",
        elem_id="data",
        apply_default_css=False,
        html_template=template("data/tab.html"),
        js_on_load=scripts.mount_module("data/tab.js"),
        server_functions=[
            *server_functions(
                desk, "list_datasets", "list_hub_splits", "load", "preview", "check", "choose", "add_upload"
            ),
            *server_functions(recorder, "list_prompts", "begin", "progress", "keep"),
        ],
        normalisers=[(name, each.summary) for name, each in NORMALIZERS.items()],
        numbers=list(NUMBER_LANGUAGES),
        models=form.list_base_models(store),
        vocabularies=list(FIELDS["vocabulary"].metadata["choices"]),
    )


def filled(settings: dict[str, Any]) -> list[Any]:
    """The form with what the Data tab chose; the rest of it stays."""
    values = [
        settings[name] if name in settings and form.is_valid_choice(name, settings[name]) else gr.skip()
        for name in form.NAMES
    ]
    preset = settings.get("preset")
    return form.make_updates(preset, values) if preset in configs.list_presets() else values
