"""`transcribe`: audio files to text, subtitles, TSV or JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asrkit.cli import options as shared
from asrkit.errors import AudioError
from asrkit.runs import model_choices
from asrkit.transcription import files
from asrkit.transcription.writers import WRITERS, write_text

MIN_PROGRESS_S = 60.0
"""Progress is shown for recordings longer than this."""


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(commands, "transcribe", run, "audio files to text")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--model", default="", help="default: the newest finished run, else the starter")
    parser.add_argument("--format", choices=tuple(WRITERS), default="txt")
    shared.add_hint_flags(parser)
    parser.add_argument("--output", metavar="DIR", help="write one file per recording there instead of to stdout")


def run(options: argparse.Namespace) -> int:
    store = shared.open_store(options)

    def load_model() -> Any:
        # Loaded on first use: a file that cannot be read is reported at once, not after the seconds that torch takes.
        from asrkit.transcription.model_cache import get_transcriber

        name = options.model or model_choices.find_default_model(store)
        return get_transcriber(name, store, shared.print_progress)

    hints = shared.load_hints(options)
    rows, has_failed = [], False
    for name, stem in zip(options.files, files.unique_stems(options.files), strict=True):
        try:
            transcript = files.transcribe_file(name, load_model, hints=hints, on_update=_make_progress(name))
        except AudioError as error:
            print(f"asrkit: {error if name in str(error) else f'{name}: {error}'}", file=sys.stderr)
            has_failed = True
            continue
        if warning := files.quality_warning(transcript):
            print(f"asrkit: {name}: {warning}", file=sys.stderr)
        text = WRITERS[options.format](transcript)
        if options.output:
            write_text(Path(options.output) / f"{stem}.{options.format}", text)
        elif options.format == "json":
            rows.append({"file": name, **transcript.to_dict()})
        elif options.format == "txt" and len(options.files) > 1:
            print(f"{name}: {transcript.text}", flush=True)
        else:
            print(text, end="", flush=True)
    if options.format == "json" and not options.output:
        shared.print_json(rows)
    return int(has_failed)


def _make_progress(name: str) -> Callable[[Any], None]:
    """Return a callback that shows on a terminal how much of a long file is transcribed."""

    def on_progress(update: Any) -> None:
        if update.duration_s > MIN_PROGRESS_S:
            done, total = round(update.processed_s), round(update.duration_s)
            shared.print_progress(f"{name}: {update.processed_s / update.duration_s:.0%}", done, total)

    return on_progress
