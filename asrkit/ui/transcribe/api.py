"""The recorder: one component with a script (`recorder.js`) that captures the microphone itself and posts it in order.

`gr.Audio` can lose the last chunk of a stream when Stop is pressed; here the script waits for it. The same panel takes
files, shows the words under the waveform, plays them, and keeps corrections. Nothing is kept per session: each
recording is known by a random id that only its page has.
"""

from __future__ import annotations

import base64
import contextlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from asrkit.audio import StreamResampler, Waveform
from asrkit.data import access, collection
from asrkit.decoding.transcript import Word, join_words
from asrkit.errors import AsrkitError, DataError
from asrkit.models import resolution
from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.transcription import files, writers
from asrkit.ui.common import scripts
from asrkit.ui.common.audio_files import AudioFile, AudioFiles
from asrkit.ui.common.component import UI, forgiving, template
from asrkit.ui.transcribe import compare, hearing
from asrkit.ui.transcribe.recordings import CANCELLED, DONE, WAITING, WORKING, Recording, Recordings

STYLE = UI / "transcribe/recorder.css"
MOST_COLUMNS = 900
MOST_ALIGNED_S = 600.0


class Talk:
    """What the recorder's script may ask of the server. Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.recordings = Recordings()
        self.uploads = hearing.Uploads(store)
        self.loading = hearing.Loading(store)

    # ---- the model

    def ahead(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Load {model} before it is needed, where nothing must be fetched for that. What is wrong with it is said once
        it is to listen."""
        with contextlib.suppress(AsrkitError):
            if resolution.is_local(str(asked["model"]), self.store):
                self.loading.waits(str(asked["model"]), patience_s=0)
        return {}

    def ready(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What the recording {id} from the microphone still waits for: {waits}, empty once it can be heard."""
        recording = self.recordings.get(asked["id"])
        try:
            return {"waits": self.loading.waits(recording.model, recording.expect)}
        except AsrkitError as error:
            with recording.lock:
                hearing.fail(recording, error)
            raise

    # ---- the microphone

    def start(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A new recording from the microphone: {model, rate, name, expect, hot, lm} -> {id}."""
        resampler = StreamResampler(int(asked["rate"]))
        recording = Recording(
            str(asked.get("name") or "Recording"),
            str(asked["model"]),
            state=WORKING,
            expect=hearing.expected(asked),
            live=hearing.Live(resampler),
        )
        return {"id": self.recordings.add(recording).id}

    def hear(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Chunk `number` of recording `id`: `pcm` is base64 of 16-bit samples; `last` ends it. `seen`: words shown.

        -> the words since, and what may still change. A chunk that was sent twice (its answer got lost) counts once.
        """
        recording = self.recordings.get(asked["id"])
        with recording.lock:
            live = recording.live
            if live is not None and int(asked["number"]) == live.chunks:
                hearing.take(self.store, recording, base64.b64decode(asked["pcm"]), bool(asked.get("last")))
            return self._news(recording, int(asked.get("seen") or 0))

    # ---- files

    def open(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Begin to transcribe an uploaded file: {path, name, model, expect, hot, lm} -> {id}."""
        path = Path(str(asked["path"])).resolve()
        if not path.is_relative_to(Path(gr.utils.get_upload_folder()).resolve()) or not path.is_file():
            raise DataError("That file was not uploaded here; choose it again.")
        recording = self.recordings.add(
            Recording(Path(str(asked["name"])).name, str(asked["model"]), expect=hearing.expected(asked))
        )
        self.uploads.add(recording, path)
        return {"id": recording.id}

    def cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        for wanted in asked["ids"]:
            if one := self.recordings.find(wanted):
                one.cancelled = True
                if one.state == WAITING:  # for files of others, perhaps for hours
                    one.state = CANCELLED
        return {}

    def poll(self, asked: dict[str, Any]) -> dict[str, Any]:
        """How far each of `ids` is; asking keeps them. The state of one that is no longer held is "gone"."""
        rows = []
        for wanted in asked["ids"]:
            one = self.recordings.find(wanted)
            if one is None:
                rows.append({"id": wanted, "state": "gone"})
                continue
            share = 1.0 if one.state == DONE else one.heard_s / one.expected_s if one.expected_s else 0.0
            rows.append(
                {
                    "id": one.id,
                    "name": one.name,
                    "state": one.state,
                    "share": min(1.0, share),
                    "notice": one.notice,
                    "waits": one.waits,
                    "duration_s": one.duration_s,
                    "seconds": one.seconds,
                    "text": join_words(one.words[:40]),
                }
            )
        return {"rows": rows}

    # ---- what was heard

    def _news(self, recording: Recording, seen: int) -> dict[str, Any]:
        return {
            "state": recording.state,
            "words": [word.to_dict() for word in recording.words[seen:]],
            "partial": recording.partial,
            "duration_s": recording.duration_s,
            "seconds": recording.seconds,
            "notice": recording.notice,
        }

    def show(self, asked: dict[str, Any]) -> dict[str, Any]:
        """All of a recording: words, waveform, figures."""
        recording = self.recordings.get(asked["id"])
        return self._news(recording, 0) | {
            "name": recording.name,
            "model": recording.model,
            "peaks": recording.peaks(MOST_COLUMNS),
        }

    def open_recording(self, query: Mapping[str, str]) -> AudioFile:
        """Open the sound of the recording `id`."""
        return self.recordings.get(query.get("id"))

    def text(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A recording in one of the formats."""
        recording = self.recordings.get(asked["id"])
        name = _format(asked["format"])
        return {"name": f"{Path(recording.name).stem}.{name}", "text": writers.WRITERS[name](recording.transcript)}

    def bundle(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A zip of all that are done, in every format."""
        done = [one for one in map(self.recordings.find, asked["ids"]) if one and one.state == DONE]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for stem, one in zip(files.unique_stems([one.name for one in done]), done, strict=True):
                for name, write in writers.WRITERS.items():
                    archive.writestr(f"{stem}.{name}", write(one.transcript))
        return {"name": "transcripts.zip", "zip": base64.b64encode(packed.getvalue()).decode()}

    # ---- corrections

    def correct(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The words of a corrected text, timed by forced alignment; from now on they are what was said."""
        from asrkit.decoding import alignment
        from asrkit.transcription.model_cache import get_transcriber

        if not str(asked["text"]).strip():
            raise DataError("Write what was said; the words are then found in the recording.")
        recording, wave = self._whole(asked)
        told = alignment.align(get_transcriber(recording.model, self.store), wave, str(asked["text"]))
        with recording.lock:
            recording.words = [
                Word(
                    one.word, one.start_s, one.end_s, 0.0 if one.score is None else float(np.exp(one.score)), one.joined
                )
                for one in told.words
            ]
            unknown = f"The model has no letter for {' '.join(told.unknown)}." if told.unknown else ""
            return self._news(recording, 0) | {"notice": unknown}

    def keep(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Save a recording with its corrected text into a dataset: {id, text, dataset, speaker} -> {notice}."""
        _, wave = self._whole(asked)
        kept = collection.open_collection(access.visitor_dir(self.store.data_dir), str(asked["dataset"]))
        clip = kept.add(wave, str(asked["text"]), speaker=str(asked.get("speaker") or ""))
        return {
            "done": f"Kept as {clip.file_name} in {kept.folder}, which now has {len(kept.clips())} clips. Train on "
            "it in the Train tab."
        }

    def rivals(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What a recording can be compared with."""
        return {"rivals": compare.rivals(self.store)}

    def compare(self, asked: dict[str, Any]) -> dict[str, Any]:
        """{id, other, reference} -> {html}: what both hear. `other` may be every checkpoint of a run."""
        recording, wave = self._whole(asked)
        return {
            "html": compare.compared(
                self.store,
                wave,
                recording.model,
                str(asked["other"]),
                str(asked.get("reference") or ""),
                recording.expect,
            )
        }

    def _whole(self, asked: dict[str, Any]) -> tuple[Recording, Waveform]:
        recording = self.recordings.get(asked["id"])
        if recording.duration_s > MOST_ALIGNED_S:
            raise DataError(
                f"The recording is longer than {MOST_ALIGNED_S / 60:.0f} minutes; cut it into shorter ones "
                "to correct it."
            )
        return recording, recording.part(0, recording.duration_s)


def _format(name: Any) -> str:
    if name not in writers.WRITERS:
        raise DataError(f"There is no format {name!r}; choose one of {', '.join(writers.WRITERS)}.")
    return name


def recorder(store: RunStore, audio: AudioFiles) -> gr.HTML:
    """The component. Its value is the model to listen with, set once the page has one."""
    talk = Talk(store)
    audio.register("recording", talk.open_recording)
    functions = forgiving(
        talk,
        "ahead",
        "start",
        "ready",
        "hear",
        "open",
        "cancel",
        "poll",
        "show",
        "text",
        "bundle",
        "correct",
        "keep",
        "rivals",
        "compare",
    )
    return gr.HTML(
        value=model_choices.find_default_model(store),
        elem_id="recorder",
        apply_default_css=False,
        html_template=hearing.with_expected(template("transcribe/recorder.html")),
        js_on_load=scripts.mount_module("transcribe/recorder.js"),
        server_functions=functions,
    )
