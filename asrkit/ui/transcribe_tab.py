"""The Transcribe tab: choose a model, speak or drop a file, read the text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from asrkit.errors import AsrkitError
from asrkit.runs import models
from asrkit.runs.store import RunStore
from asrkit.ui import words

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
INFERENCE: dict[str, Any] = QUIET | {"concurrency_id": "inference", "concurrency_limit": 1}
HINT = "Press Record, speak, press Stop; or drop an audio file."


def build(store: RunStore) -> tuple[gr.Dropdown, gr.State]:
    """Lay out the tab and wire it; returns the choice of the model and whether the visitor has made it."""
    chosen = gr.State(False)
    with gr.Column(elem_id="transcribe"):
        model = gr.Dropdown(choices=models.choices(store), value=models.default(store), allow_custom_value=True,
                            label="Model", info="A run, a checkpoint directory, a Hub id, or the starter.",
                            interactive=True, elem_id="model")
        clip = gr.Audio(sources=["microphone", "upload"], type="filepath", label="Your speech", elem_id="clip",
                        buttons=[], editable=False)
        text = gr.Textbox(label="Transcript", lines=2, max_lines=20, interactive=False, buttons=["copy"],
                          placeholder="The words appear here.", elem_id="transcript")
        note = gr.HTML(_note(HINT), elem_id="transcript-note", apply_default_css=False)
    gr.on([clip.stop_recording, clip.upload, model.input],
          lambda name, path: (yield from transcribed(store, name, path)),
          [model, clip], [text, note], **INFERENCE)
    model.input(lambda: True, None, chosen, **QUIET)
    clip.clear(lambda: ("", _note(HINT)), None, [text, note], **QUIET)
    return model, chosen


def refreshed(store: RunStore, model: str, chosen: bool) -> Any:
    """The choice of the model: the newest run's, unless the visitor has chosen one."""
    return gr.update(choices=models.choices(store), value=model if chosen and model else models.default(store))


def transcribed(store: RunStore, model: str, path: str | None) -> Iterator[tuple[str, str]]:
    """(transcript, note) as it goes along; an error is one sentence in the note."""
    if not path:
        yield "", _note(HINT)
        return
    yield "", _note("Loading the model…")
    try:
        # Imported here because it brings torch, for which the page must not wait.
        from asrkit.speech import audio
        from asrkit.transcription import transcriber

        wave = audio.load(path)
        audio.check_speech(wave)
        ready = transcriber.get(model, store)
        yield "", _note(f"Transcribing {wave.duration_s:.1f} s of sound…")
        begun = time.monotonic()
        told = ready.transcribe(wave)
    except AsrkitError as error:
        yield "", _note(str(error).replace(path, Path(path).name), "callout bad")
        return
    taken = time.monotonic() - begun
    line = f"{model} · {told.duration_s:.1f} s of sound · transcribed in {_seconds(taken)}"
    yield told.text, _note(line if told.text else f"No words were recognised. {line}")


def _seconds(taken: float) -> str:
    return f"{taken:.1f} s" if taken < 60 else words.duration(taken)


def _note(text: str, style: str = "quiet") -> str:
    return f'<p class="{style}" role="status">{escape(text)}</p>'
