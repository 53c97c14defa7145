"""Flags that several commands share, and the objects that they describe."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit import config as configs
from asrkit.data import dataset_names
from asrkit.errors import ConfigError
from asrkit.jobs import ProgressCallback
from asrkit.runs import launchers, model_choices
from asrkit.runs.store import RunStore
from asrkit.text import number_words

if TYPE_CHECKING:
    from asrkit.decoding.hints import DecodingHints

POLL_INTERVAL_S = 0.3
"""Least time between two updates of a terminal."""

Command = Callable[[argparse.Namespace], int | None]
Commands = Any
"""What `ArgumentParser.add_subparsers` returns; its class is private."""

# Parsers


def add_parser(commands: Commands, name: str, command: Command, help: str) -> argparse.ArgumentParser:
    """Add a command with the flag that every command has."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    parser.set_defaults(command=command)
    parser.add_argument("--runs-dir", metavar="DIR", help="where runs are kept (default: $ASRKIT_RUNS, else runs/)")
    return parser


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `make_config` reads."""
    parser.add_argument("--preset", metavar="NAME", help=", ".join(configs.list_presets()))
    parser.add_argument("--config", metavar="FILE", help="JSON file of settings, such as a run's config.json")
    parser.add_argument(
        "--train",
        metavar="DATA",
        action="append",
        help="training data: a folder, table, archive or hub:owner/name; may be repeated",
    )
    parser.add_argument("--eval", metavar="DATA", help="evaluation data (default: its own split, else a share)")
    parser.add_argument("--model", metavar="BASE", help="base model: starter, a Hub id or a checkpoint directory")
    parser.add_argument(
        "--launcher", metavar="NAME", help="local, slurm or hf-jobs (default: $ASRKIT_LAUNCHER or local)"
    )
    parser.add_argument("--nodes", metavar="N", help="machines of a Slurm job")
    parser.add_argument("--processes", metavar="N", help="worker processes under torchrun, one for each GPU")
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        dest="changes",
        help="change any setting; may be repeated",
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="train on data that was read on assumptions (what `audit` says); same as --set accept_assumptions=true",
    )
    parser.add_argument(
        "--sweep",
        metavar="FIELD=A,B,C",
        action="append",
        default=[],
        help="start a run for each of these values; may be repeated, for each combination",
    )
    parser.add_argument("--run-id", metavar="ID", help="default: the time and the preset")


def add_hint_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `load_hints` reads."""
    add_language_flags(parser)
    parser.add_argument(
        "--no-common-words",
        action="store_false",
        dest="common_words",
        help="do not prefer common words of the model's language, as the starter does where nothing is expected",
    )
    parser.add_argument("--hot-words", metavar="WORDS", default="", help="names and rare words, separated by commas")


def add_language_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name a language model, of those that `load_hints` reads."""
    parser.add_argument("--expect", metavar="FILE", help="text like that of the speech, one sentence per line")
    parser.add_argument(
        "--language-model",
        metavar="FILE",
        default="",
        help="a KenLM language model, .arpa or binary (needs the package kenlm)",
    )
    parser.set_defaults(hot_words="", common_words=True)


# Values


def open_store(options: argparse.Namespace) -> RunStore:
    return RunStore(options.runs_dir)


def prepare_start(options: argparse.Namespace) -> tuple[RunStore, configs.TrainConfig]:
    """Return the store and the configuration of a run to start.

    Print to stderr what the base model's licence forbids, and what the run costs at most.
    """
    store, config = open_store(options), make_config(options)
    for note in (model_choices.describe_licence(config.model, store), launchers.for_config(config).price(config)):
        if note:
            print(note, file=sys.stderr, flush=True)
    return store, config


def make_config(options: argparse.Namespace) -> configs.TrainConfig:
    """Return the TrainConfig that the flags describe. ConfigError if they do not fit together."""
    if options.preset and options.config:
        raise ConfigError("Give --preset or --config, not both.")
    config = (
        configs.from_file(options.config) if options.config else configs.load_preset(options.preset or "demo").config
    )
    flags = ("eval", "model", "launcher", "nodes", "processes")
    values: dict[str, Any] = {name: getattr(options, name) for name in flags if getattr(options, name) is not None}
    if options.train:
        values["train"] = dataset_names.join(options.train)
    accepted = {"accept_assumptions": True} if options.yes else {}
    return config.replace(values | spell_numbers_of_language(parse_changes(options.changes)) | accepted)


def spell_numbers_of_language(values: dict[str, Any]) -> dict[str, Any]:
    """Add the language of the numbers to settings that name only that of the transcripts, as the form does."""
    language = str(values.get("language", "")).strip()
    if language and "spell_numbers" not in values and (numbers := number_words.find_language(language)):
        return values | {"spell_numbers": numbers}
    return values


def parse_changes(changes: list[str]) -> dict[str, Any]:
    """Parse the values of `--set FIELD=VALUE`. ConfigError for one without an equals sign."""
    values: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(f"--set {change}: write FIELD=VALUE, such as --set learning_rate=1e-4.")
        values[name.strip()] = value
    return values


def load_hints(options: argparse.Namespace) -> DecodingHints:
    """Load what `--expect`, `--hot-words` and `--language-model` name. ConfigError if a file cannot be read."""
    from asrkit.decoding.hints import DecodingHints

    try:
        text = Path(options.expect).read_text(encoding="utf-8") if options.expect else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--expect {options.expect}: the text cannot be read ({error}).") from error
    return DecodingHints(text, options.hot_words, options.language_model, options.common_words)


def note_common_words(language: str) -> None:
    """Say on stderr that the common words of a language were preferred; nothing for none."""
    if language:
        from asrkit.decoding.common_words import NAMES

        print(f"With common {NAMES[language]} words; --no-common-words decodes without.", file=sys.stderr)


# Output


def format_json(value: Any) -> str:
    """Return indented JSON; in ASCII where stdout could not write other characters."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2) + "\n"
    return text


def print_json(value: Any) -> None:
    print(format_json(value), end="")


def print_progress(message: str, done: int, total: int) -> None:
    """Show a message in place on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{message}", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def make_counter() -> ProgressCallback:
    """Return a callback that shows `message: done of total` on a terminal, a few times a second.

    Each message without a total is shown by itself, on a line of its own.
    """
    last_s = float("-inf")

    def on_progress(message: str, done: int, total: int) -> None:
        nonlocal last_s
        if not total:
            print_progress(message, done, total)
        elif done == total or time.monotonic() - last_s > POLL_INTERVAL_S:
            last_s = time.monotonic()
            print_progress(f"{message}: {done} of {total}", done, total)

    return on_progress


def format_sample(clips: int | None, total: int | None) -> str:
    """Format ` on 500 of 16,398 clips` for an evaluation on a sample; empty for others, and where it is unknown."""
    return f" on {clips:,} of {total:,} clips" if clips is not None and total is not None and clips < total else ""
