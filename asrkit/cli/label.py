"""`label`: recordings without transcripts to a dataset, transcribed by one's own model."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.cli import options as shared
from asrkit.data import confined, manifest
from asrkit.data.manifest import Column, Utterance
from asrkit.errors import ConfigError
from asrkit.runs import model_choices, scoring_rules
from asrkit.units import format_count, format_rough_duration

if TYPE_CHECKING:
    from asrkit.data.sources import Source
    from asrkit.runs.store import RunStore


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(commands, "label", run, "recordings without transcripts to a dataset to train on")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="recordings, in folders or not")
    parser.add_argument("--model", default="", help="default: the newest finished run, else the starter")
    parser.add_argument("--out", metavar="DATASET", type=Path, required=True, help="new folder for the dataset")
    parser.add_argument(
        "--keep",
        metavar="SHARE",
        type=float,
        default=0.9,
        help="keep segments of which this share of the words is expected to be right (default: %(default)s)",
    )
    parser.add_argument(
        "--eval", metavar="DATA", help="what the confidence is calibrated on (default: the run's evaluation set)"
    )
    parser.add_argument("--with", metavar="DATA", dest="transcribed", help="add this data with its texts")
    shared.add_hint_flags(parser)


def run(options: argparse.Namespace) -> int:
    from asrkit.transcription import evaluation, labelling
    from asrkit.transcription.model_cache import get_transcriber

    if not 0 < options.keep <= 1:
        raise ConfigError(f"--keep is {options.keep:g}; it must be a share above 0 and at most 1, such as 0.9.")
    if options.out.exists():
        raise ConfigError(f"--out {options.out} exists already; give a new folder.")
    store = shared.open_store(options)
    name = options.model or model_choices.find_default_model(store)
    held_out, rules = _load_evaluation_set(options.eval, name, store)
    recordings = labelling.find_recordings(options.folder)
    added = confined.load(options.transcribed, on_progress=shared.print_progress) if options.transcribed else None
    transcriber = get_transcriber(name, store, shared.print_progress)
    decoder = shared.load_hints(options).build_decoder(transcriber)
    report = evaluation.evaluate(transcriber, held_out, rules, decoder=decoder, on_progress=shared.make_counter())
    counts = labelling.label_recordings(
        recordings,
        options.folder,
        transcriber,
        labelling.calibrate(report.clips),
        options.out,
        model=name,
        keep=options.keep,
        decoder=decoder,
        transcribed=_split_transcribed(added, held_out) if added else (),
        on_progress=shared.make_counter(),
    )
    for error in counts.unreadable:
        print(f"asrkit: {error}", file=sys.stderr)
    print(
        f"{options.out}: {format_count(counts.num_kept, 'segment')} of "
        f"{format_count(counts.num_recordings, 'recording')}, {format_rough_duration(counts.kept_s)}; "
        f"{counts.num_left_out} were left out, of which less than {options.keep:.0%} of the words are expected to be "
        "right. Look through it in the Data tab, then train on it."
    )
    return int(bool(counts.unreadable))


def _split_transcribed(added: Source, held_out: Sequence[Utterance]) -> list[tuple[str, Utterance]]:
    """Return (split, clip) of transcribed data; without a split of its own, what was held out before stays so."""
    if added.eval:
        return [*(("train", row) for row in added.train), *(("eval", row) for row in added.eval)]
    unseen = {(os.path.realpath(row.audio), row.start_s, row.end_s) for row in held_out}
    return [
        ("eval" if (os.path.realpath(row.audio), row.start_s, row.end_s) in unseen else "train", row)
        for row in added.train
    ]


def _load_evaluation_set(data: str | None, model: str, store: RunStore) -> tuple[Sequence[Utterance], str]:
    """Return what the model was not trained on, and the normalisation of its texts."""
    run = store.find(model)
    if data:
        held_out: Sequence[Utterance] = confined.load(data, on_progress=shared.print_progress).unseen
    elif run and (path := run.manifest_path("eval")).exists():
        held_out = manifest.read(path)
    else:
        raise ConfigError(
            f"What the confidence of {model} is worth has to be measured on clips that it was not trained on; name "
            "some with --eval DATA, or give a run as --model."
        )
    return held_out, scoring_rules.choose(None, model, store, Column("text", held_out)).rules
