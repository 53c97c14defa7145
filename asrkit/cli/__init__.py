"""`python -m asrkit ...`: thin commands over the same functions as the tabs.

Exit code 0, or 1 with one clear line on stderr (2 for a command line that cannot be read, as argparse does; 130 after
Ctrl-C).
With `--json`, one JSON document on stdout and nothing else there.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from asrkit import config as configs
from asrkit.cli import managing, using
from asrkit.cli.options import settings_of
from asrkit.errors import AsrkitError
from asrkit.runs import supervisor

__all__ = ["main", "settings_of"]


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except AsrkitError as error:
        print(f"asrkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("asrkit: interrupted", file=sys.stderr)
        return 130  # as shells have it: 128 and the number of SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m asrkit", description="Fine-tune CTC speech models and use them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = _command(commands, "train", managing.train, "fine-tune in the foreground; Ctrl-C stops and saves")
    _settings(train)

    runs = commands.add_parser("runs", help="list, show, start, stop and otherwise manage runs")
    actions = runs.add_subparsers(required=True, metavar="ACTION")
    _json(_command(actions, "list", managing.list_all, "all runs, newest first"))
    _json(_with_id(_command(actions, "show", managing.show_one, "one run")))
    _json(_settings(_command(actions, "start", managing.start, "start a run in the background")))
    for name, action, words in (
        ("stop", supervisor.stop, "stop and save; remove a waiting run from the queue"),
        ("cancel", supervisor.cancel, "stop and keep only the history"),
        ("save", supervisor.save_now, "write a checkpoint after this step"),
        ("evaluate", supervisor.evaluate_now, "evaluate after this step"),
        ("next", managing.put_first, "let a waiting run be the next"),
    ):
        _json(_with_id(_command(actions, name, managing.acting(action), words)))
    move = _json(_with_id(_command(actions, "move", managing.move, "give a waiting run another position in line")))
    move.add_argument("position", metavar="POSITION", type=int, help="1 for the next; beyond the end for the last")
    _json(_with_id(_command(actions, "resume", managing.resume, "go on with a stopped, failed or crashed run")))
    _with_id(_command(actions, "delete", managing.delete, "remove a run that has ended"))
    archive = _with_id(_command(actions, "archive", managing.archive, "pack a run into one zip"))
    archive.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: ID.zip here")

    publish = _with_id(_command(actions, "publish", managing.publish, "put a run's model and card on the Hub"))
    publish.add_argument("name", metavar="OWNER/NAME")
    publish.add_argument("--private", action="store_true", help="for those alone whom the owner lets in")

    audit = _json(_command(commands, "audit", using.audit, "say what is wrong with a dataset"))
    audit.add_argument("data", metavar="DATA")
    audit.add_argument("--model", default="", help="check against this base model's vocabulary")
    audit.add_argument("--normaliser", help="as --set normaliser=NAME; default: basic")
    audit.add_argument(
        "--align",
        action="store_true",
        help="hold each text against its audio, with that model or the newest; the worst come first",
    )
    audit.add_argument(
        "--leave-out",
        metavar="CODE",
        nargs="+",
        help="write the dataset without the clips of these findings, and print where",
        default=[],
    )
    audit.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        dest="changes",
        help="a setting of the run that the data is for, such as max_duration_s=20",
    )

    evaluate = _json(_command(commands, "evaluate", using.evaluate, "WER, CER and MER of a model on a dataset"))
    evaluate.add_argument("data", metavar="DATA")
    evaluate.add_argument("--model", default="")
    evaluate.add_argument("--normaliser", default="basic")
    _expect(evaluate)

    transcribe = _command(commands, "transcribe", using.transcribe, "audio files to text")
    transcribe.add_argument("files", nargs="+", metavar="FILE")
    transcribe.add_argument("--model", default="")
    transcribe.add_argument("--format", choices=("txt", "json", "srt", "vtt", "tsv"), default="txt")
    _expect(transcribe)
    transcribe.add_argument("--output", metavar="DIR", help="write one file a recording there instead of to stdout")

    diagnose = _json(
        _command(commands, "diagnose", using.diagnose, "what is wrong with a run or a published results table")
    )
    diagnose.add_argument("run", metavar="RUN|CARD.md")

    _json(_command(commands, "presets", using.presets, "the shipped recipes"))
    return parser


def _command(commands: Any, name: str, function: Any, help: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(command=function)
    parser.add_argument("--runs-dir", default=None, help="default: $ASRKIT_RUNS, else runs/")
    return parser


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _expect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--expect", metavar="FILE", help="text, a sentence a line, like what will be said")
    parser.add_argument(
        "--language-model",
        metavar="FILE",
        default="",
        help="the same as a KenLM file, .arpa or binary (needs the package kenlm)",
    )
    parser.add_argument("--hot-words", metavar="WORDS", default="", help="names and rare words, apart by commas")


def _with_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("run_id", metavar="ID")
    return parser


def _settings(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--preset", help=", ".join(configs.list_presets()))
    parser.add_argument("--config", metavar="FILE", help="JSON file of settings, as a run's config.json")
    parser.add_argument("--train", metavar="DATA")
    parser.add_argument("--eval", metavar="DATA")
    parser.add_argument("--model", metavar="BASE")
    parser.add_argument("--processes", metavar="N", help="worker processes under torchrun, one for each GPU")
    parser.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[], dest="changes")
    parser.add_argument("--run-id", metavar="ID")
    return parser
