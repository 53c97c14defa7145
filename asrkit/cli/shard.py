"""`shard`: a dataset as a few large files, for slow and network disks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from asrkit.cli import options as shared
from asrkit.data import confined, shards
from asrkit.errors import ConfigError
from asrkit.units import format_count, format_rough_duration, format_size, parse_size

MIN_BYTES = 10**6
MAX_PRINTED = 5
"""Clips that were left out and are printed; the index has them all."""


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(commands, "shard", run, "a dataset as a few large tar files, for slow and network disks")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="new, or of interrupted work")
    parser.add_argument("--size", default="500MB", help="of a shard, about (default: %(default)s)")
    parser.add_argument("--audio", choices=tuple(shards.FORMATS), default="flac", help="default: %(default)s")
    parser.add_argument("--tiers", metavar="NAMES", default="", help="of annotated recordings, as the setting `tiers`")


def run(options: argparse.Namespace) -> int:
    size = parse_size(options.size)
    if size is None or size < MIN_BYTES:
        raise ConfigError(f"--size is {options.size!r}; give 1MB or more, such as 500MB or 2GB.")
    source = confined.load(options.data, tiers=options.tiers, on_progress=shared.print_progress)
    counts = shards.write_shards(
        source, options.out, max_bytes=size, audio_format=options.audio, on_progress=shared.make_counter()
    )
    for problem in counts.left_out[:MAX_PRINTED]:
        print(f"asrkit: left out: {problem}", file=sys.stderr)
    left_out = f"; {format_count(len(counts.left_out), 'clip')} left out" if counts.left_out else ""
    print(
        f"{options.out}: {format_count(counts.num_clips, 'clip')}, {format_rough_duration(counts.seconds)}, in "
        f"{format_count(len(counts.shards), 'shard')} of {format_size(counts.num_bytes)}{left_out}."
    )
    return int(bool(counts.left_out))
