"""Streamed data: 40 kills, and how long the loader waits for a link of a given speed.

    python -m tests.benchmarks.streams [--kills 40] [--rates 0 0.5 1.25 2 4]

A stand-in of the Hub on the loopback sends a dataset of noise, in a process of its own. A loader with two processes
reads it through a cache of a third of its size.

Kills: the process that reads is killed (SIGKILL, its loaders too) at random times, while every tenth request fails,
and goes on at the batch after the last one that it has noted. Each epoch must have each clip once, in the order of a
process that nobody has killed.

Waits: the training is a pause for each batch, and the link sends so many times what it needs, over two epochs. Rate 0
reads everything from the cache, to compare with.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asrkit.data.streams.clips import StreamedClips
from tests.support import streams, tiny

NUM_FILES, FILE_CLIPS, GROUP_CLIPS, CLIP_S = 12, 80, 10, 2.0
CACHE_SHARE = 1 / 3
BATCH_S = 8.0
NUM_WORKERS = 2
NUM_EPOCHS = 3
NUM_WAIT_EPOCHS = 2
MIN_LIFE_S, MAX_LIFE_S = 0.3, 2.5
STEP_S = 0.05
"""Of a batch, where waits are measured."""
BATCH_PAUSE_S = 0.02
"""Where processes are killed."""

_processes = multiprocessing.get_context("fork")


@contextlib.contextmanager
def serve(root: Path, **settings: Any) -> Iterator[Any]:
    """Serve the dataset from another process; yield its stand-in, as far as it is needed to read."""
    ours, theirs = _processes.Pipe()

    def run() -> None:
        with streams.serve(root) as stand_in:
            for name, value in settings.items():
                setattr(stand_in, name, value)
            theirs.send(stand_in.url)
            while theirs.recv() != "end":
                theirs.send(sum(stand_in.sent.values()))
                stand_in.sent.clear()

    process = _processes.Process(target=run, daemon=True)
    process.start()
    known: Any = streams.FaultyHub(root)
    known.url = ours.recv()
    known.ask_sent = lambda: (ours.send("sent"), ours.recv())[1]
    try:
        yield known
    finally:
        ours.send("end")
        process.join()


def write_dataset(root: Path) -> int:
    """Write the parquet files; return their bytes."""
    folder = root / "datasets" / streams.NAME / "data"
    rng = random.Random(0)
    for number in range(NUM_FILES):
        lengths_s = [rng.uniform(0.5, 1.5) * CLIP_S for _ in range(FILE_CLIPS)]
        streams.write_parquet(folder / f"train-{number:02d}.parquet", lengths_s, GROUP_CLIPS, ["ab"] * FILE_CLIPS)
    return sum(path.stat().st_size for path in folder.iterdir())


def read_batches(rows: list[Any], processor: Any, cache_bytes: int, notes: Path) -> None:
    """Read batches from where the notes end, and note the clips of each: a process that may be killed at any time."""
    os.setpgid(0, 0)
    loader = streams.make_loader(rows, processor, NUM_WORKERS, cache_bytes, batch_seconds=BATCH_S)
    lines = notes.read_bytes() if notes.exists() else b""
    with open(notes, "r+b" if notes.exists() else "w+b") as file:
        file.truncate(lines.rfind(b"\n") + 1)  # of a line that was not written whole
        file.seek(0, os.SEEK_END)
        first_epoch, skipped = divmod(lines.count(b"\n"), len(loader))
        for epoch in range(first_epoch, NUM_EPOCHS):
            for about in iterate_from(loader, epoch, skipped):
                time.sleep(BATCH_PAUSE_S)
                file.write(json.dumps([epoch, about["clips"], list(about["bad"])]).encode() + b"\n")
                file.flush()
            skipped = 0
    loader.close()


def iterate_from(loader: Any, epoch: int, num_skipped: int) -> Iterator[dict[str, Any]]:
    """Yield what the batches of an epoch are about, from one on, as a resumed run reads them."""
    from accelerate import skip_first_batches

    loader.set_epoch(epoch)
    if not num_skipped:
        yield from (batch["about"] for batch in loader)
        return
    resumed = skip_first_batches(loader, num_skipped)
    yield from (batch["about"] for batch in resumed)


def measure_kills(root: Path, home: Path, num_kills: int, num_bytes: int, processor: Any) -> None:
    notes, rng, kills = home / "notes.jsonl", random.Random(1), 0
    cache_bytes = int(num_bytes * CACHE_SHARE)
    with serve(root, fail_every=10, retry_after="0") as hub, pytest.MonkeyPatch.context() as patch:
        streams.use_in_process(hub, home, patch)
        rows = streams.read_rows(hub)
        hub.ask_sent()
        expected = [
            [index for _, index, *_ in batch]
            for epoch in range(NUM_EPOCHS)
            for batch in streams.make_loader(rows, processor, 0, cache_bytes, batch_seconds=BATCH_S).epochs.iter_epoch(
                epoch
            )
        ]
        while True:
            process = _processes.Process(target=read_batches, args=[rows, processor, cache_bytes, notes])
            process.start()
            process.join(rng.uniform(MIN_LIFE_S, MAX_LIFE_S) if kills < num_kills else None)
            if process.exitcode is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        sent = hub.ask_sent()
    if process.exitcode:
        sys.exit(f"the last process ended with {process.exitcode}")
    noted = [json.loads(line) for line in notes.read_text().splitlines()]
    clips, bad = [line[1] for line in noted], sum(len(line[2]) for line in noted)
    every = sorted(itertools.chain.from_iterable(clips))
    print(f"{kills} kills in {len(noted)} batches of {NUM_EPOCHS} epochs of {len(rows)} clips")
    print(f"  same clips in the same order: {clips == expected}; bad clips: {bad}")
    print(f"  each clip once an epoch: {every == sorted(list(range(len(rows))) * NUM_EPOCHS)}")
    print(f"  fetched {sent / num_bytes / NUM_EPOCHS:.2f} times the dataset an epoch")
    drafts = len(list((home / "cache").rglob(".draft-*")))
    cached = sum(path.stat().st_size for path in (home / "cache").rglob("*.wav"))
    print(f"  left in the cache: {cached / cache_bytes:.2f} of its size, {drafts} drafts")


def measure_waits(root: Path, home: Path, rate: float, num_bytes: int, processor: Any) -> None:
    """Measure two epochs. rate: of the link, by what the training needs; 0 for an epoch that is in the cache."""
    with serve(root) as hub, pytest.MonkeyPatch.context() as patch:
        streams.use_in_process(hub, home, patch)
        rows = streams.read_rows(hub)
        if not rate:
            read_all(rows)
    cache_bytes = int(num_bytes * CACHE_SHARE) if rate else 1 << 30
    loader = streams.make_loader(rows, processor, NUM_WORKERS, cache_bytes, batch_seconds=BATCH_S)
    needed = num_bytes / (len(loader) * STEP_S)
    # Each loader process has a connection of its own.
    with serve(root, bytes_per_second=rate * needed / NUM_WORKERS) as hub, pytest.MonkeyPatch.context() as patch:
        streams.use_in_process(hub, home, patch)
        waits = []
        for epoch in range(NUM_WAIT_EPOCHS):
            loader.set_epoch(epoch)
            batches = iter(loader)
            while True:
                asked = time.monotonic()
                if next(batches, None) is None:
                    break
                waits.append(time.monotonic() - asked)
                time.sleep(STEP_S)
        loader.close()
        sent = hub.ask_sent()
    later, trained = sum(waits[1:]), len(waits) * STEP_S
    link = f"{rate:4.2f} x the {needed / 1e6:.1f} MB/s that training needs" if rate else "all in the cache"
    print(
        f"{link:>40}: first batch after {waits[0]:5.2f} s, then waits of {later:5.2f} s in {trained:.1f} s of training "
        f"({later / trained:5.1%}), at most {max(waits[1:]):.2f} s; fetched {sent / num_bytes / NUM_WAIT_EPOCHS:.2f} "
        "times an epoch"
    )


def read_all(rows: list[Any]) -> None:
    """Fetch all pieces into a cache that is large enough."""
    clips = StreamedClips(1 << 30)
    for row in rows:
        with clips.hold(row.audio):
            pass
    clips.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--rates", type=float, nargs="*", default=[0.0, 0.5, 1.0, 1.25, 1.5, 2.0, 4.0])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        from asrkit.config import TrainConfig
        from asrkit.training.model import load

        base = str(tiny.write_checkpoint(Path(folder, "tiny")))
        processor = load(base, TrainConfig(model=base), ["abc"])[0]
        root = Path(folder, "hub")
        num_bytes = write_dataset(root)
        print(
            f"{NUM_FILES * FILE_CLIPS} clips, {num_bytes / 1e6:.0f} MB, {NUM_FILES * FILE_CLIPS // GROUP_CLIPS} pieces"
        )
        if options.kills:
            measure_kills(root, Path(folder, "kills"), options.kills, num_bytes, processor)
        for number, rate in enumerate(options.rates):
            measure_waits(root, Path(folder, f"waits-{number}"), rate, num_bytes, processor)


if __name__ == "__main__":
    main()
