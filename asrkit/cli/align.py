"""`align`: a long recording and its text to a dataset of clips."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.cli import options as shared
from asrkit.data.readers.annotations.model import format_clock
from asrkit.errors import ConfigError, DataError
from asrkit.runs import model_choices, scoring_rules
from asrkit.units import format_count, format_list, format_rate, format_rough_duration

if TYPE_CHECKING:
    from asrkit.transcription.alignment.dataset import AlignmentResult

NUM_DOUBTFUL, NUM_PASSAGES = 5, 12
"""Clips and passages that are printed; the dataset has them all."""
MAX_TEXT_CHARS = 60
TITLES = {
    "extra": "Speech without text",
    "missing": "Text without speech",
    "different": "Speech and text differ",
    "uncut": "No pause to cut at",
}
"""Of the kinds of passages."""


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(commands, "align", run, "a long recording and its text to a dataset of clips")
    parser.add_argument("audio", metavar="AUDIO", type=Path, help="recording of any length")
    parser.add_argument("text", metavar="TEXT", type=Path, help="what is said in it: a .txt, or subtitles (.srt, .vtt)")
    parser.add_argument("--model", default="", help="default: the newest finished run, else the starter")
    parser.add_argument("--out", metavar="DATASET", type=Path, required=True, help="new folder for the dataset")
    shared.add_json_flag(parser)


def run(options: argparse.Namespace) -> int:
    from asrkit.transcription.alignment import dataset
    from asrkit.transcription.alignment.script import read_script
    from asrkit.transcription.model_cache import get_transcriber

    if options.out.exists():
        raise ConfigError(f"--out {options.out} exists already; give a new folder.")
    if not options.text.is_file():
        raise DataError(f"{options.text} is no file; give the text of the recording as .txt, .srt or .vtt.")
    store = shared.open_store(options)
    name = options.model or model_choices.find_default_model(store)
    words = read_script(options.text)
    rules = scoring_rules.choose(None, name, store, (word.word for word in words)).rules
    transcriber = get_transcriber(name, store, shared.print_progress)
    result = dataset.align_recording(
        options.audio, words, transcriber, options.out, rules=rules, on_progress=shared.make_counter()
    )
    if options.json:
        shared.print_json({"path": str(options.out), **dataset.describe(result)})
    else:
        print_result(options.out, result)
    return 0


def print_result(out: Path, result: AlignmentResult) -> None:
    """Print how much was found, the most doubtful clips, and where the recording and its text differ."""
    print(
        f"{out}: {format_count(len(result.clips), 'clip')}, {format_rough_duration(result.clips_s)} of "
        f"{format_rough_duration(result.duration_s)}, with {result.num_words_in_clips:,} of "
        f"{format_count(result.num_words, 'word')}."
    )
    if result.replaced:
        examples = format_list([f"{letter} as {latin or 'nothing'}" for letter, latin in result.replaced.items()], 6)
        print(
            f"{format_rate(result.replaced_share)} of the letters are unknown to the model and were read as those that "
            f"sound most alike: {examples}."
        )
    if result.is_doubtful:
        print("Little of the text was found. Is it what is said in this recording, and in a language near the model's?")
    print("Listen to the most doubtful clips first (score, 0 at best):")
    for clip in sorted(result.clips, key=lambda clip: clip.score)[:NUM_DOUBTFUL]:
        print(f"  {clip.score:6.2f}  {format_clock(clip.start_s)} to {format_clock(clip.end_s)}  {_shorten(clip.text)}")
    if result.passages:
        print(f"{format_count(len(result.passages), 'passage')} in no clip (all are in {out}/alignment.json):")
    for passage in sorted(result.passages, key=lambda passage: -len(passage.text))[:NUM_PASSAGES]:
        times = f"{format_clock(passage.start_s)} to {format_clock(passage.end_s)}"
        print(f"  {TITLES[passage.kind]}, {times}{': ' if passage.text else ''}{_shorten(passage.text)}")
    print("Look through the dataset in the Data tab, then train on it.")


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS].rstrip()}…"
