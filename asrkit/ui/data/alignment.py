"""The API of the Data tab's "Align a long recording": a recording and its text become a dataset of clips."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.audio import SAMPLING_RATE, encode_wav
from asrkit.audio.confined import AudioReader
from asrkit.data import access, uploads
from asrkit.data.manifest import Utterance
from asrkit.data.readers.annotations.model import format_clock
from asrkit.errors import DataError
from asrkit.jobs import Job, JobRegistry
from asrkit.runs import model_choices, scoring_rules
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common.component import Reply, Request, with_error_reply
from asrkit.ui.common.job_api import JobApi
from asrkit.ui.common.served_files import AudioBytes, AudioFile
from asrkit.ui.common.upload_folder import check_uploaded
from asrkit.ui.data.dataset_cache import DatasetCache
from asrkit.ui.data.dataset_report import describe_clip
from asrkit.ui.security.quotas import admit_job, owner_name
from asrkit.ui.security.storage import storage
from asrkit.units import format_duration, format_rate

if TYPE_CHECKING:
    from asrkit.transcription.alignment.dataset import AlignmentResult
    from asrkit.transcription.alignment.script import ScriptWord

MAX_ALIGNMENTS = 20
"""Alignments whose passages can still be played."""
MAX_CLIPS, MAX_PASSAGES = 40, 100
MAX_PLAYED_S, AROUND_S = 40.0, 2.0
"""Seconds of a passage that are played, and of the recording before and after it."""


@dataclass(frozen=True)
class SavedAlignment:
    """A dataset that an alignment has written."""

    folder: Path
    result: AlignmentResult


class AlignApi(JobApi[SavedAlignment]):
    """Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore, datasets: DatasetCache) -> None:
        super().__init__(JobRegistry("alignment", max_jobs=MAX_ALIGNMENTS, admit=admit_job("alignment")))
        self.store, self.datasets = store, datasets

    @with_error_reply
    def list_models(self, request: Request) -> Reply:
        """List the models that can align: [label, value]; the first choice is the newest run's."""
        chosen = model_choices.find_default_model(self.store, include_stopped=True)
        return {"models": model_choices.list_models(self.store), "model": chosen}

    @with_error_reply
    def align(self, request: Request) -> Reply:
        """Start an alignment: {path, name, text, model} -> {id}. path: of the uploaded recording, called `name`.

        text: plain, or the content of subtitles.
        """
        words = _read_text(str(request["text"]))
        audio = check_uploaded(request["path"])
        name, model = uploads.sanitize_file_name(str(request["name"])), str(request["model"])
        job_id, owner = secrets.token_urlsafe(16), owner_name()
        storage.hold(audio)
        try:
            self.jobs.join(job_id, lambda job: self._align(job, audio, name, words, model), owner=owner)
        except BaseException:
            storage.release(audio)
            raise
        return {"id": job_id}

    def _align(
        self, job: Job[SavedAlignment], audio: Path, name: str, words: list[ScriptWord], model: str
    ) -> SavedAlignment:
        from asrkit.transcription.alignment.dataset import align_recording
        from asrkit.transcription.model_cache import get_transcriber

        try:
            with AudioReader([audio]) as reader:
                storage.check_room(round(2 * SAMPLING_RATE * reader.read_duration_s(audio)))
            job.on_progress(strings.text("data.loading_model"))
            transcriber = get_transcriber(model, self.store, job.on_progress)
            rules = scoring_rules.choose(None, model, self.store, (word.word for word in words)).rules
            root = access.visitor_dir(self.store.data_dir)
            out = next(folder for each in uploads.folder_names(Path(name).stem) if not (folder := root / each).exists())
            result = align_recording(audio, words, transcriber, out, rules=rules, on_progress=job.on_progress)
        finally:
            storage.release(audio)
            audio.unlink(missing_ok=True)
            storage.note_change()
        return SavedAlignment(out, result)

    @with_error_reply
    def poll(self, request: Request) -> Reply:
        """Return how far alignment {id} is (`describe`), and `report` once it is done."""
        job = self.find(request)
        return {**self.describe(job), "report": self._report(job.result) if job.result else None}

    def _report(self, saved: SavedAlignment) -> Reply:
        """Describe a dataset: its most doubtful clips first, and the passages that are in no clip."""
        result = saved.result
        rows = self.datasets.get({"data": str(saved.folder)}).source.utterances
        order = sorted(range(len(rows)), key=lambda index: result.clips[index].score)[:MAX_CLIPS]
        return {
            "data": str(saved.folder),
            "summary": strings.text(
                "align.summary",
                clips=f"{len(result.clips):,}",
                speech=format_duration(result.clips_s),
                duration=format_duration(result.duration_s),
                found=f"{result.num_words_in_clips:,}",
                words=f"{result.num_words:,}",
            ),
            "warnings": _describe_doubts(result),
            "clips": [_describe_aligned(rows[index], index, result) for index in order],
            "passages": [
                {
                    "index": index,
                    "kind": strings.text(f"align.passage.{passage.kind}"),
                    "time": format_clock(passage.start_s),
                    "seconds": passage.end_s - passage.start_s,
                    "text": passage.text,
                }
                for index, passage in enumerate(result.passages[:MAX_PASSAGES])
            ],
            "num_passages": len(result.passages),
        }

    def open_passage(self, query: Mapping[str, str]) -> AudioFile:
        """Open passage `index` of alignment `id`, with AROUND_S of the recording on both sides."""
        from asrkit.transcription.alignment.dataset import RECORDING

        saved, index = self.find(query).result, query.get("index", "")
        if saved is None or not index.isdecimal() or int(index) >= len(saved.result.passages):
            raise DataError(strings.text("align.no_passage"))
        passage = saved.result.passages[int(index)]
        start_s = max(0.0, passage.start_s - AROUND_S)
        end_s = min(passage.end_s + AROUND_S, start_s + MAX_PLAYED_S)
        path = saved.folder / RECORDING
        with AudioReader([path]) as reader:
            return AudioBytes(encode_wav(reader.load(path, start_s=start_s, end_s=end_s).samples))


def _describe_aligned(row: Utterance, index: int, result: AlignmentResult) -> Reply:
    clip = result.clips[index]
    place = strings.text("align.place", time=format_clock(clip.start_s))
    score = strings.text("data.detail.score", value=f"{clip.score:.2f}")
    return {**describe_clip(row, index, score), "name": place, "where": place}


def _describe_doubts(result: AlignmentResult) -> list[str]:
    doubts = []
    if result.is_doubtful:
        doubts.append(strings.text("align.little_found"))
    if result.replaced:
        letters = ", ".join(f"{letter} → {latin or '–'}" for letter, latin in list(result.replaced.items())[:12])
        doubts.append(strings.text("align.replaced", share=format_rate(result.replaced_share), letters=letters))
    return doubts


def _read_text(text: str) -> list[ScriptWord]:
    """Read a text, or subtitles, which have times. Raises DataError where there is no word."""
    from asrkit.transcription.alignment.script import read_script, split_lines

    if "-->" in text:
        with tempfile.TemporaryDirectory(prefix="asrkit-subtitles-") as folder:
            path = Path(folder, "text.vtt" if text.lstrip("\ufeff \n").startswith("WEBVTT") else "text.srt")
            path.write_text(text, encoding="utf-8")
            try:
                return read_script(path)
            except DataError as error:
                raise DataError(str(error).replace(str(path), strings.text("align.the_text"))) from error
    words = split_lines(text.splitlines())
    if not words:
        raise DataError(strings.text("align.no_text"))
    return words
