"""`/transcribe`: the same transcription for programs, through Gradio's own HTTP API.

from gradio_client import Client, handle_file
told = Client("http://127.0.0.1:7860").predict(handle_file("clip.wav"), "starter", hot_words="oscar, lima",
                                               api_name="/transcribe")
told["text"], told["words"][0]["start_s"]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import AsrkitError
from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.transcription import files
from asrkit.ui.transcribe import hearing

AT_ONCE = 4


def transcribe_endpoint(store: RunStore) -> None:
    """Add the endpoint to the page that is being built; nothing of it is seen."""

    def transcribe(audio: str | None, model: str, hot_words: str, expect: str) -> dict[str, Any]:
        """An audio file of any length and a model (empty: the newest finished run, else the starter) -> a transcript.
        Names and rare words (hot_words) and sentences, one a line (expect), that are likely may be left out.

        {"text", "words": [{"word", "start_s", "end_s", "confidence"}], "duration_s"}, as `transcribe --format json`.
        """
        if not audio:
            raise gr.Error("Give an audio file.", print_exception=False)
        try:
            return transcribed(store, audio, model, hearing.expected({"hot": hot_words, "expect": expect}))
        except AsrkitError as error:
            raise gr.Error(str(error).replace(audio, Path(audio).name), print_exception=False) from error

    audio, *texts = (
        gr.File(visible=False, label="audio"),
        *(gr.Textbox(value="", visible=False, label=name) for name in ("model", "hot_words", "expect")),
    )
    gr.Button(visible=False).click(
        transcribe, [audio, *texts], gr.JSON(visible=False), api_name="transcribe", concurrency_limit=AT_ONCE
    )


def transcribed(store: RunStore, path: str, model: str, expect: DecodingHints = NO_HINTS) -> dict[str, Any]:
    """What the endpoint answers. Raises AudioError, ModelError and ConfigError."""
    from asrkit.transcription.model_cache import get_transcriber

    return files.transcribe_file(
        path, lambda: get_transcriber(model or model_choices.find_default_model(store), store), hints=expect
    ).to_dict()
