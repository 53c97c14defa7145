"""The Transcribe tab's API: what the recorder's script may call on the server.

The script captures the microphone itself and posts its chunks in order: `gr.Audio` can lose the last chunk of a stream
when Stop is pressed. Nothing is kept per session: each recording is known by a random id that only its page has.
"""

from __future__ import annotations

import base64
import contextlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from asrkit.audio import StreamResampler, Waveform
from asrkit.data import access, collection
from asrkit.decoding.transcript import Word, join_words
from asrkit.errors import AsrkitError, DataError
from asrkit.models import resolution
from asrkit.runs.store import RunStore
from asrkit.transcription import files, writers
from asrkit.ui import strings
from asrkit.ui.common.component import Reply, Request, with_error_reply
from asrkit.ui.common.served_files import AudioFile
from asrkit.ui.common.upload_folder import check_uploaded
from asrkit.ui.security.quotas import owner_name
from asrkit.ui.security.storage import storage
from asrkit.ui.strings.messages import translate
from asrkit.ui.transcribe import before, compare, live, retraining
from asrkit.ui.transcribe.hints import describe_common_words, read_hints
from asrkit.ui.transcribe.model_loading import ModelLoader
from asrkit.ui.transcribe.recordings import DONE, WORKING, Microphone, Recording, Recordings
from asrkit.ui.transcribe.retranscription import transcribe_again
from asrkit.ui.transcribe.uploads import UploadQueue

MAX_COLUMNS = 900
MAX_ALIGNED_S = 600.0
MAX_RATE = 384_000  # Hz, of a microphone


class TranscribeApi:
    """Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.recordings = Recordings()
        self.uploads = UploadQueue(store)
        self.loader = ModelLoader(store)

    # ---- the model

    @with_error_reply
    def preload_model(self, request: Request) -> Reply:
        """Load {model} before it is needed, where nothing must be fetched. Loading errors are raised on first use."""
        with contextlib.suppress(AsrkitError):
            if resolution.is_local(str(request["model"]), self.store):
                self.loader.load(str(request["model"]), wait_s=0)
        return {}

    @with_error_reply
    def check_model(self, request: Request) -> Reply:
        """Return what must finish before the live recording {id} can be transcribed: {waits}, empty once it can."""
        recording = self.recordings.get(request["id"])
        try:
            return {"waits": self.loader.load(recording.model, recording.hints)}
        except AsrkitError as error:
            with recording.lock:
                live.fail(recording, error)
            raise

    # ---- the microphone

    @with_error_reply
    def start(self, request: Request) -> Reply:
        """Start a live recording: {model, rate, name, expect, hot, lm} -> {id}."""
        rate = int(request["rate"])
        if rate > MAX_RATE:
            raise DataError(strings.text("transcribe.wrong_rate", rate=rate, highest=MAX_RATE))
        recording = Recording(
            str(request.get("name") or strings.text("transcribe.unnamed")),
            str(request["model"]),
            owner=owner_name(),
            state=WORKING,
            hints=read_hints(request),
            microphone=Microphone(StreamResampler(rate)),
        )
        return {"id": self.recordings.add(recording).id}

    @with_error_reply
    def push_chunk(self, request: Request) -> Reply:
        """Transcribe chunk `number` of recording `id`; return the words after the first `seen`, and the partial text.

        pcm: base64 of 16-bit samples. last: ends the recording. A chunk that was sent twice, because its reply was
        lost, counts once.
        """
        recording = self.recordings.get(request["id"])
        with recording.lock:
            microphone = recording.microphone
            if microphone is not None and int(request["number"]) == microphone.num_chunks:
                live.push_chunk(self.store, recording, _decode_pcm(request["pcm"]), is_last=bool(request.get("last")))
            return _describe(recording, int(request.get("seen") or 0))

    # ---- files

    @with_error_reply
    def open_file(self, request: Request) -> Reply:
        """Start to transcribe an uploaded file: {path, name, model, expect, hot, lm} -> {id}."""
        path = check_uploaded(request["path"])
        recording = self.recordings.add(
            Recording(
                Path(str(request["name"])).name, str(request["model"]), owner=owner_name(), hints=read_hints(request)
            )
        )
        self.uploads.add(recording, path)
        return {"id": recording.id}

    @with_error_reply
    def cancel(self, request: Request) -> Reply:
        """Cancel the transcription of the files {ids}, and end the live recordings, whose pages are gone."""
        for recording in filter(None, map(self.recordings.find, request["ids"])):
            if recording.job:
                recording.job.cancel()
            with recording.lock:
                live.end(self.store, recording)
        return {}

    @with_error_reply
    def delete_recording(self, request: Request) -> Reply:
        """Delete the recording {id}."""
        self.recordings.delete(request["id"])
        return {}

    @with_error_reply
    def poll(self, request: Request) -> Reply:
        """Return the progress of each of `ids`, and mark them as in use. The state of a deleted one is "gone"."""
        rows: list[Reply] = []
        for recording_id in request["ids"]:
            recording = self.recordings.find(recording_id)
            rows.append(_describe_progress(recording) if recording else {"id": recording_id, "state": "gone"})
        return {"rows": rows}

    # ---- transcripts

    @with_error_reply
    def describe_recording(self, request: Request) -> Reply:
        """Return the whole recording: words, waveform and numbers."""
        recording = self.recordings.get(request["id"])
        return _describe(recording) | {
            "name": recording.name,
            "model": recording.model,
            "decoding": describe_common_words(recording.common_words),
            "peaks": recording.peaks(MAX_COLUMNS),
        }

    @with_error_reply
    def transcribe_again(self, request: Request) -> Reply:
        """Start to transcribe a recording once more: {id, model, expect, hot, lm}."""
        recording = self.recordings.get(request["id"])
        transcribe_again(self.uploads.queue, self.store, recording, request["model"], read_hints(request))
        return {}

    @with_error_reply
    def transcribe_before(self, request: Request) -> Reply:
        """Transcribe a recording with the base model of its run: {id} -> {before, now}, or {} if that is left out."""
        recording = self.recordings.get(request["id"])
        return {} if self.recordings.is_busy() else before.describe_before(self.store, recording)

    def open_recording(self, query: Mapping[str, str]) -> AudioFile:
        """Open the audio of the recording `id`. Raises DataError if there is none."""
        return self.recordings.get(query.get("id"))

    @with_error_reply
    def format_transcript(self, request: Request) -> Reply:
        """Return a recording in one of the formats: {id, format} -> {name, text}."""
        recording = self.recordings.get(request["id"])
        name = str(request["format"])
        write = writers.find(name)
        return {"name": writers.file_name(Path(recording.name).stem, name), "text": write(recording.transcript)}

    def zip_transcripts(self, query: Mapping[str, str]) -> bytes:
        """Return a zip of the recordings `ids`, separated by commas, that are done, in every format."""
        recordings = map(self.recordings.find, query.get("ids", "").split(","))
        done = [recording for recording in recordings if recording and recording.state == DONE]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for stem, recording in zip(files.unique_stems([recording.name for recording in done]), done, strict=True):
                for name, write in writers.WRITERS.items():
                    archive.writestr(writers.file_name(stem, name), write(recording.transcript))
        return packed.getvalue()

    # ---- corrections

    @with_error_reply
    def correct(self, request: Request) -> Reply:
        """Replace the words of a recording by those of a corrected text, timed by forced alignment."""
        from asrkit.decoding import alignment
        from asrkit.transcription.model_cache import get_transcriber

        text = str(request["text"])
        if not text.strip():
            raise DataError(strings.text("transcribe.correction_empty"))
        recording, wave = self._get_complete(request)
        aligned = alignment.align(get_transcriber(recording.model, self.store), wave, text)
        with recording.lock:
            recording.words = [
                Word(
                    word=word.word,
                    start_s=word.start_s,
                    end_s=word.end_s,
                    confidence=0.0 if word.score is None else float(np.exp(word.score)),
                    joined=word.joined,
                )
                for word in aligned.words
            ]
            unknown = " ".join(aligned.unknown)
            notice = strings.text("transcribe.unknown_letters", letters=unknown) if unknown else ""
            return _describe(recording) | {"notice": notice}

    @with_error_reply
    def save_correction(self, request: Request) -> Reply:
        """Save a recording with its corrected text into a dataset: {id, text, dataset, speaker} -> {done, settings}.

        `settings` are those of a run that trains the model on the dataset, too.
        """
        recording, wave = self._get_complete(request)
        storage.check_room(2 * len(wave.samples))
        dataset = collection.open_collection(access.visitor_dir(self.store.data_dir), str(request["dataset"]))
        clip = dataset.add(wave, str(request["text"]), speaker=str(request.get("speaker") or ""))
        count = len(dataset.clips())
        return {
            "done": strings.text("transcribe.kept", file=clip.file_name, folder=dataset.folder, count=count),
            "settings": retraining.propose_settings(self.store, recording.model, str(dataset.folder)),
        }

    @with_error_reply
    def list_models(self, request: Request) -> Reply:
        """List what a recording can be compared with."""
        return {"rivals": compare.list_alternatives(self.store)}

    @with_error_reply
    def compare(self, request: Request) -> Reply:
        """Transcribe a recording with two models: {id, other, reference} -> {html}.

        `other` may be every checkpoint of a run.
        """
        recording, wave = self._get_complete(request)
        return {
            "html": compare.compare_models(
                self.store,
                wave,
                recording.model,
                str(request["other"]),
                str(request.get("reference") or ""),
                recording.hints,
            )
        }

    def _get_complete(self, request: Request) -> tuple[Recording, Waveform]:
        recording = self.recordings.get(request["id"])
        if recording.duration_s > MAX_ALIGNED_S:
            raise DataError(strings.text("transcribe.too_long_to_correct", minutes=round(MAX_ALIGNED_S / 60)))
        return recording, recording.part(0, recording.duration_s)


def _decode_pcm(text: str) -> bytes:
    try:
        pcm = base64.b64decode(text)
    except ValueError:  # of binascii as well
        pcm = b"?"
    if len(pcm) % 2:
        raise DataError(strings.text("transcribe.wrong_samples"))
    return pcm


def _describe(recording: Recording, num_seen: int = 0) -> Reply:
    return {
        "state": recording.state,
        "words": [word.to_dict() for word in recording.words[num_seen:]],
        "partial": recording.partial,
        "duration_s": recording.duration_s,
        "seconds": recording.seconds,
        "notice": translate(recording.notice),
    }


def _describe_progress(recording: Recording) -> Reply:
    share = recording.processed_s / recording.expected_s if recording.expected_s else 0.0
    return {
        "id": recording.id,
        "name": recording.name,
        "state": recording.state,
        "share": 1.0 if recording.state == DONE else min(1.0, share),
        "notice": translate(recording.notice),
        "waits": translate(recording.pending_message),
        "duration_s": recording.duration_s,
        "seconds": recording.seconds,
        "text": join_words(recording.words[:40]),
    }
