"""The Data tab: add or record a dataset, check it, and train on it. Its script calls the functions of `DataApi`."""

from __future__ import annotations

from typing import Any

import gradio as gr

from asrkit.config import FIELDS
from asrkit.runs.store import RunStore
from asrkit.text.base_normalisers import NORMALISERS
from asrkit.ui import strings
from asrkit.ui.common import form, scripts
from asrkit.ui.common.component import UI, server_functions, template
from asrkit.ui.common.served_files import ServedFiles
from asrkit.ui.data.alignment import AlignApi
from asrkit.ui.data.api import DataApi
from asrkit.ui.data.recorder import Recorder
from asrkit.ui.data.timeline import TimelineApi

STYLE = UI / "data/tab.css"
NUMBER_LANGUAGES = (
    *("", "en", "de", "es", "fr", "it", "pt", "nl", "pl", "ru", "uk", "tr", "ar", "fa", "te", "bn", "vi"),
    *(
        "id",
        "ja",
        "ko",
        "th",
        "zh",
        "yue",
        "hi",
        "ta",
        "ne",
        "el",
        "sw",
        "cs",
        "sv",
        "da",
        "no",
        "fi",
        "hu",
        "ro",
        "ca",
    ),
)
"""Codes of languages in which numbers can be spelled; empty keeps digits."""


def build(store: RunStore, api: DataApi, audio: ServedFiles) -> gr.HTML:
    """Make the tab. Its value is the form of Train as JSON.

    It triggers `select` when the visitor chooses to train on a dataset: the event has `settings` for the form.
    """
    recorder, alignment, timeline = Recorder(store), AlignApi(store, api.datasets), TimelineApi(api.datasets)
    audio.register("dataset", api.open_clip)
    audio.register("passage", alignment.open_passage)
    audio.register("part", timeline.open_part)
    return gr.HTML(
        value="",
        elem_id="data",
        apply_default_css=False,
        html_template=template("data/tab.html"),
        js_on_load=scripts.mount_module("data/tab.js"),
        server_functions=[
            *server_functions(
                api,
                "list_datasets",
                "list_hub_splits",
                "load",
                "preview",
                "check",
                "stop_check",
                "prepare_training",
                "add_upload",
            ),
            *server_functions(recorder, "list_prompts", "open_dataset", "describe_dataset", "save_take"),
            *server_functions(recorder, "correct_clip", "delete_clip"),
            *server_functions(timeline, "list_recordings", "list_spans", "show_waveform"),
            *server_functions(alignment, "list_models", "align", "poll", "cancel"),
        ],
        normalisers=[(name, normaliser.summary) for name, normaliser in NORMALISERS.items()],
        numbers=[(code, strings.text(f"data.number_language.{code or 'none'}")) for code in NUMBER_LANGUAGES],
        markup=[(mode, strings.text(f"data.markup.{mode}")) for mode in FIELDS["markup"].metadata["choices"]],
        vocabularies=list(FIELDS["vocabulary"].metadata["choices"]),
    )


def fill_form(settings: dict[str, Any]) -> list[Any]:
    """Return updates of the form of Train with the settings that were chosen here; other fields stay as they are."""
    return [
        settings[name] if name in settings and form.is_valid_choice(name, settings[name]) else gr.skip()
        for name in form.NAMES
    ]
