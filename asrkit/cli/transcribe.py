"""`transcribe`: audio files to text, subtitles, annotations or JSON; and drafts for annotations of empty segments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.audio import AudioNote
from asrkit.cli import delivery
from asrkit.cli import options as shared
from asrkit.decoding.transcript import Transcript
from asrkit.errors import AudioError, ConfigError, DataError
from asrkit.runs import model_choices
from asrkit.transcription import drafts, files
from asrkit.transcription.writers import WITH_CHANNELS, WRITERS, file_name

if TYPE_CHECKING:
    from asrkit.runs.store import RunStore
    from asrkit.transcription.transcriber import Transcriber

MIN_PROGRESS_S = 60.0
"""Progress is shown for recordings longer than this."""
JOINABLE = ("txt", "json")
"""Formats that can hold the transcripts of several recordings in one stream, each with its file's name."""


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(commands, "transcribe", run, "audio files to text")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--model", default="", help="default: the newest finished run, else the starter")
    parser.add_argument("--format", choices=tuple(WRITERS), default="txt")
    parser.add_argument(
        "--channels",
        action="store_true",
        help=f"transcribe each channel by itself, as a tier of its own ({', '.join(WITH_CHANNELS)})",
    )
    parser.add_argument(
        "--tiers", metavar="NAMES", default="", help="of an .eaf or .TextGrid: whose empty segments to transcribe"
    )
    shared.add_hint_flags(parser)
    parser.add_argument("--output", metavar="DIR", help="write one file per recording there instead of to stdout")


def run(options: argparse.Namespace) -> int:
    if any(map(drafts.is_annotation, options.files)):
        return _draft(options)
    store = shared.open_store(options)
    stems = files.unique_stems(options.files)
    _check_output(options, stems)
    transcribe = files.transcribe_channels if options.channels else files.transcribe_file

    load_model, hints = _make_loader(options, store), shared.load_hints(options)
    rows: list[dict[str, Any]] = []
    has_failed, common_words = False, ""
    try:
        for name, stem in zip(options.files, stems, strict=True):
            if not options.output:
                delivery.check_stdout()
            try:
                transcript = transcribe(
                    name, load_model, hints=hints, on_update=_make_progress(name), on_note=_make_warning(name)
                )
            except AudioError as error:
                _print_error(name, error)
                has_failed = True
                continue
            transcript = replace(transcript, recording=name)
            common_words = common_words or transcript.common_words
            if warning := files.quality_warning(transcript):
                print(f"asrkit: {name}: {warning}", file=sys.stderr)
            if options.format == "json" and not options.output:
                rows.append({"file": name, **transcript.to_dict()})
            elif not _deliver(options, name, stem, transcript):
                has_failed = True
    finally:
        shared.note_common_words(common_words)
        # Also after an interrupt or a broken model: the files that are done took their time.
        if options.format == "json" and not options.output and (rows or sys.exception() is None):
            has_failed |= not delivery.print_result(shared.format_json(rows), "transcripts.json")
    return int(has_failed)


def _check_output(options: argparse.Namespace, stems: list[str]) -> None:
    """Raise ConfigError for what would fail after an hour of transcribing."""
    if options.channels and options.format not in WITH_CHANNELS:
        raise ConfigError(
            f"{options.format} cannot tell channels apart; give --format {' or '.join(WITH_CHANNELS)}, or leave out "
            "--channels."
        )
    if options.output:
        names = [file_name(stem, options.format) for stem in stems]
        delivery.check_folder(Path(options.output), names, options.files)
    elif len(options.files) > 1 and options.format not in JOINABLE:
        raise ConfigError(
            f"The times of several recordings cannot be distinguished in one {options.format} text; give --output DIR, "
            f"which gets one file for each, or --format {' or '.join(JOINABLE)}."
        )


def _deliver(options: argparse.Namespace, name: str, stem: str, transcript: Transcript) -> bool:
    """Write or print a transcript, and return whether that went as asked; else it was saved elsewhere."""
    text, output_name = WRITERS[options.format](transcript), file_name(stem, options.format)
    if options.output:
        return delivery.write_result(Path(options.output) / output_name, text)
    is_labelled = options.format == "txt" and len(options.files) > 1
    return delivery.print_result(text, output_name, f"{name}: " if is_labelled else "")


def _draft(options: argparse.Namespace) -> int:
    """Write each annotation with a new tier over its empty segments into the folder --output."""
    store = shared.open_store(options)
    others = [name for name in options.files if not drafts.is_annotation(name)]
    if others:
        raise ConfigError(f"{others[0]} is no .eaf or .TextGrid; transcribe recordings in a command of their own.")
    if not options.output:
        raise ConfigError("Give --output DIR: each annotation is written there, with a new tier; it is never replaced.")
    names = [
        f"{stem}{Path(name).suffix}"
        for stem, name in zip(files.unique_stems(options.files), options.files, strict=True)
    ]
    delivery.check_folder(Path(options.output), names, options.files)
    load_model, hints = _make_loader(options, store), shared.load_hints(options)
    has_failed = False
    for source, name in zip(options.files, names, strict=True):
        try:
            content = drafts.draft_annotation(
                Path(source), load_model, tiers=options.tiers, hints=hints, on_progress=shared.make_counter()
            )
        except (AudioError, DataError, OSError) as error:
            _print_error(source, error)
            has_failed = True
            continue
        has_failed |= not delivery.write_result(Path(options.output) / name, content)
    return int(has_failed)


def _make_loader(options: argparse.Namespace, store: RunStore) -> Callable[[], Transcriber]:
    """Return what loads the model on first use: a file that cannot be read is reported before torch is imported."""

    def load_model() -> Transcriber:
        from asrkit.transcription.model_cache import get_transcriber

        name = options.model or model_choices.find_default_model(store)
        return get_transcriber(name, store, shared.print_progress)

    return load_model


def _print_error(name: str, error: Exception) -> None:
    """Print an error of one file on stderr, with the file's name."""
    print(f"asrkit: {error if name in str(error) else f'{name}: {error}'}", file=sys.stderr)


def _make_warning(name: str) -> Callable[[AudioNote], None]:
    """Return a callback that prints what was read otherwise than the file plainly says."""
    return lambda note: print(f"asrkit: {name}: {note.warning}", file=sys.stderr)


def _make_progress(name: str) -> Callable[[Any], None]:
    """Return a callback that shows on a terminal how much of a long file is transcribed."""

    def on_progress(update: Any) -> None:
        if update.duration_s > MIN_PROGRESS_S:
            done, total = round(update.processed_s), round(update.duration_s)
            shared.print_progress(f"{name}: {update.processed_s / update.duration_s:.0%}", done, total)

    return on_progress
