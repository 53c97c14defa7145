"""`/transcribe`: transcription for programs, through Gradio's HTTP API.

from gradio_client import Client, handle_file
transcript = Client("http://127.0.0.1:7860").predict(handle_file("clip.wav"), "starter", hot_words="oscar, lima",
                                                     api_name="/transcribe")
transcript["text"], transcript["words"][0]["start_s"]
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import AsrkitError
from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.transcription import files, writers
from asrkit.ui import strings
from asrkit.ui.security.events import guarded
from asrkit.ui.strings.messages import translate
from asrkit.ui.transcribe.hints import read_hints

MAX_CONCURRENT = 4


def add_transcribe_endpoint(store: RunStore) -> None:
    """Add the endpoint to the page that is being built. Its components are invisible."""

    def transcribe(audio: str | None, model: str, hot_words: str, expect: str, format: str) -> dict[str, Any]:
        """Transcribe an audio file of any length with a model (empty: the newest finished run, else the starter).

        Names and rare words (hot_words) and sentences, one a line (expect), that are likely may be left out, and so
        may a format: eaf, textgrid, srt or another one of `transcribe --format`.

        {"text", "words": [{"word", "start_s", "end_s", "confidence"}], "duration_s"}, as `transcribe --format json`.
        With a format also {"file_name", "content"}: the transcript as a file of that format.
        Words have `not_in_word_list` where something outside the word list of a model was said.
        """
        if not audio:
            raise gr.Error(strings.text("endpoint.no_file"), print_exception=False)
        try:
            hints = read_hints({"hot": hot_words, "expect": expect})
            return transcribe_file(store, audio, model, hints, format)
        except AsrkitError as error:
            raise gr.Error(translate(str(error).replace(audio, Path(audio).name)), print_exception=False) from error

    audio, *texts = (
        gr.File(visible=False, label="audio"),
        *(gr.Textbox(value="", visible=False, label=name) for name in ("model", "hot_words", "expect", "format")),
    )
    gr.Button(visible=False).click(
        guarded(transcribe, "transcribe"),
        [audio, *texts],
        gr.JSON(visible=False),
        api_name="transcribe",
        concurrency_limit=MAX_CONCURRENT,
    )


def transcribe_file(
    store: RunStore, path: str, model: str, hints: DecodingHints = NO_HINTS, format_name: str = ""
) -> dict[str, Any]:
    """Return the endpoint's reply. Raises AudioError, ModelError, ConfigError, and DataError for an unknown format."""
    from asrkit.transcription.model_cache import get_transcriber

    write = writers.find(format_name) if format_name else None
    name = model or model_choices.find_default_model(store)
    transcript = files.transcribe_file(path, lambda: get_transcriber(name, store), hints=hints)
    if write is None:
        return transcript.to_dict()
    recording = Path(path)
    written = write(replace(transcript, recording=recording.name))
    return {
        **transcript.to_dict(),
        "file_name": writers.file_name(recording.stem, format_name),
        "content": written,
    }
