"""Start, queue, stop, resume and judge runs. Knows processes and devices; does not know training.

A device takes one run at a time (`devices`); others wait in line, each with its place in `queue.json`. Whoever notices
that one of them could begin starts it: the worker that has just ended, or an app or a terminal that looks.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from asrkit import config as configs
from asrkit.config import TrainConfig
from asrkit.errors import AsrkitError, ConfigError, RunError
from asrkit.files import free_bytes, readable_disk_errors, write_json
from asrkit.models import resolution
from asrkit.runs import devices, events, preparation
from asrkit.runs.processes import spawn, works
from asrkit.runs.store import CANCEL, EVALUATE, SAVE, STOP, Run, RunStore

QUEUED, STARTING, RUNNING, STOPPING = "queued", "starting", "running", "stopping"
STOPPED, FINISHED, FAILED, CRASHED = "stopped", "finished", "failed", "crashed"
ACTIVE = frozenset({STARTING, RUNNING, STOPPING})
RESUMABLE = frozenset({STOPPED, FAILED, CRASHED})
ENDED = {events.FINISHED: FINISHED, events.STOPPED: STOPPED, events.FAILED: FAILED}

NEEDED_BYTES = 200 * 2**20
"""Free disk space without which no run is started: a small model, its checkpoints and its history."""


def start(store: RunStore, config: TrainConfig, run_id: str | None = None) -> Run:
    """Check the data and the base model, make the run and start its worker, or put it in line behind the others.

    DataError or ModelError if they cannot be used; RunError if the id is taken, the disk is full or this machine does
    not have the device. After an error there is no run.
    """
    _refuse_full_disk(store)
    # A run that waits may be started from another working directory.
    config = config.changed({"model": resolution.absolute_name(config.model, store)})
    devices.check(config)
    preparation.check_reach(config)
    prepared = preparation.prepare(config, store) if preparation.is_local(config) else None
    with store.lock():
        mine, last = share(store, config), _last(store)

        def fill(run: Run) -> None:
            if prepared:
                prepared.write(run)
            if not mine:
                _queue(run, last)

        run = store.create(config, run_id, fill)
        if mine:
            try:
                spawn(run, mine)
            except BaseException:
                store.delete(run)
                raise
    if not mine:
        advance(store)
    return run


def resume(store: RunStore, run: Run) -> Run:
    """Go on with a stopped, failed or crashed run from its last checkpoint, in its turn. RunError if it is none, or was
    deleted meanwhile."""
    with store.lock():
        store.get(run.id)
        current = status(run)
        if current in ACTIVE or _waits(run):
            return run
        _refuse_claimed(run)
        if current not in RESUMABLE and current != QUEUED:  # made, but cut off before it was started
            raise RunError(f"Run {run.id} is {current}; only a stopped, failed or crashed run can be resumed.")
        _refuse_full_disk(store)
        devices.check(run.config())
        run.lower_flags()
        with readable_disk_errors(run.path):
            run.repair_events()
            run.append_last_words()
        if mine := share(store, run.config()):
            spawn(run, mine)
        else:
            _queue(run, _last(store))
    if not mine:
        advance(store)
    return run


def line(store: RunStore) -> list[Run]:
    """The runs that wait, in the order in which they will be started."""
    return in_turn(filter(_waits, store.all()))


def in_turn(waiting: Iterable[Run]) -> list[Run]:
    """Runs that wait, as they stand in line."""
    return sorted(waiting, key=lambda run: (_place(run), run.id))


def _waits(run: Run) -> bool:
    return run.place_path.exists() and status(run) == QUEUED


def share(store: RunStore, config: TrainConfig) -> list[str]:
    """The devices that a run of `config` gets if it comes last in line; none where it has to wait."""
    wishes = [*map(_wish, line(store)), devices.Wish.of(config)]
    return devices.shared_out(wishes, taken(under_way(store)))[-1]


def _wish(run: Run) -> devices.Wish:
    try:
        return _wish_of(run.config_path, run.config_path.stat().st_mtime_ns)
    except (ConfigError, OSError):  # it is told when its turn comes
        return devices.Wish((), 1)


@functools.lru_cache(maxsize=1024)
def _wish_of(path: Path, written: int) -> devices.Wish:
    """Every page asks every second, of all that wait. written: a file of another time is that of another run."""
    return devices.Wish.of(configs.from_file(path))


def taken(busy: Iterable[Run]) -> list[str]:
    """The devices of runs that are under way; of one that does not say, every one."""
    everything = list(devices.places().elements())
    return [name for run in busy for name in (run.process() or {}).get("devices", everything)]


def ready(busy: Iterable[Run], waiting: list[Run]) -> list[tuple[Run, list[str]]]:
    """Of the runs in line those that can begin while `busy` are under way, with the devices that they get."""
    shares = devices.shared_out([*map(_wish, waiting)], taken(busy)) if waiting else []
    return [(run, mine) for run, mine in zip(waiting, shares, strict=True) if mine]


class Ahead(NamedTuple):
    """What a run waits for: one or more of the runs `busy` to end, as `devices` many places have to be free, and those
    before it in line to begin. Ids. in_vain: why it would wait for ever here."""

    busy: list[str]
    before: list[str]
    devices: int
    in_vain: str = ""


def ahead(run: Run, under_way: Iterable[Run], waiting: Iterable[Run]) -> Ahead:
    """Why `run` has not begun yet, beside those that are under way and those in line (as `line` has them)."""
    ids, wish = [one.id for one in waiting], _wish(run)
    known = wish.names or devices.found()
    busy = [one.id for one in under_way if set(taken([one])) & set(known)]
    before = ids[: ids.index(run.id)] if run.id in ids else []
    try:
        devices.check(run.config())
    except AsrkitError as error:  # another machine may have it, so the run is left in line
        return Ahead(busy, before, wish.processes, str(error))
    return Ahead(busy, before, wish.processes)


def advance(store: RunStore) -> list[Run]:
    """Start the runs in line whose devices are free; -> those. One that cannot be started is told to have failed."""
    begun: list[Run] = []
    with store.lock():
        while turns := ready(under_way(store), line(store)):
            run, mine = turns[0]
            run.place_path.unlink(missing_ok=True)
            try:
                _refuse_full_disk(store)
                devices.check(run.config())
                spawn(run, mine)
            except (AsrkitError, OSError, ValueError) as error:
                run.append(
                    events.event(
                        events.FAILED,
                        error="not-started",
                        message=str(error),
                        remedy="Mend that, then resume the run.",
                        traceback="",
                        begins=True,
                    )
                )
            else:
                begun.append(run)
    return begun


def move(store: RunStore, run: Run, position: int) -> None:
    """Give a waiting run that position in line, 1 for the next, beyond the end for the last. Does nothing to one that
    does not wait."""
    with store.lock():
        before = line(store)
        if not _waits(run):
            return
        others = [one for one in before if one.id != run.id]
        at = min(max(position, 1), len(before)) - 1
        after = [*others[:at], run, *others[at:]]
        if [one.id for one in after] == [one.id for one in before]:
            return
        low = _place(others[at - 1]) if at else _place(others[0]) - 2
        high = _place(others[at]) if at < len(others) else low + 2
        if low < (between := (low + high) / 2) < high:  # one file: there is no moment at which the line is in between
            _queue(run, between)
        else:
            for place, one in enumerate(after):
                _queue(one, float(place))


def _last(store: RunStore) -> float:
    """A place behind everybody's, whatever the clock did meanwhile."""
    return max([time.time(), *(_place(run) + 1 for run in line(store))])


def _queue(run: Run, place: float) -> None:
    write_json(run.place_path, {"place": place})


def _place(run: Run) -> float:
    """Where a waiting run stands: lower is earlier. One whose place cannot be read goes first."""
    try:
        return float(json.loads(run.place_path.read_text(encoding="utf-8"))["place"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def stop(run: Run) -> None:
    """Ask for stop and save; take a waiting run out of the line. Does nothing to a run that has ended. RunError for one
    that was deleted meanwhile."""
    _end(run, STOP)


def cancel(run: Run) -> None:
    """Ask the run to end and keep nothing but its history; take a waiting run out of the line."""
    _end(run, CANCEL)


def save_now(run: Run) -> None:
    """Ask for a checkpoint after this step. Does nothing to a run that is not under way."""
    if status(run) in (STARTING, RUNNING):
        run.raise_flag(SAVE)


def evaluate_now(run: Run) -> None:
    """Ask for an evaluation after this step. Does nothing to a run that is not under way."""
    if status(run) in (STARTING, RUNNING):
        run.raise_flag(EVALUATE)


def _end(run: Run, flag: str) -> None:
    store = RunStore(run.path.parent)
    with store.lock():
        store.get(run.id)
        current = status(run)
        if current in ACTIVE:
            run.raise_flag(flag)
        elif current == QUEUED:
            run.place_path.unlink(missing_ok=True)
            run.append(
                events.event(
                    events.STOPPED,
                    message="Removed from the queue before it began.",
                    saved=run.has_model(),
                    model="model" if run.has_model() else None,
                    begins=True,
                )
            )


def delete(store: RunStore, run: Run) -> None:
    """Remove a run for good; one that somebody else has just removed is. RunError while it is under way."""
    with store.lock():
        if not run.config_path.exists():
            return
        if status(run) in ACTIVE:
            raise RunError(f"Run {run.id} is under way; stop or cancel it before deleting it.")
        _refuse_claimed(run)
        store.delete(run)


def _refuse_claimed(run: Run) -> None:
    """RunError while a process that cannot be seen from here works on the run: on another machine, in a container."""
    process = run.process()
    if process and not works(run):
        handle = run.claim(wait_s=2.0)
        if handle is None:
            raise RunError(f"Run {run.id} is under way on {process.get('host')}; stop it there first.")
        os.close(handle)


def under_way(store: RunStore) -> Iterator[Run]:
    """The runs that are under way, newest first."""
    return (run for run in store.all() if works(run) and status(run) in ACTIVE)


def active(store: RunStore) -> Run | None:
    """A run that is under way, or None."""
    return next(under_way(store), None)


def _refuse_full_disk(store: RunStore) -> None:
    free = free_bytes(store.root)
    if free < NEEDED_BYTES:
        raise RunError(
            f"The disk that holds {store.root} is full ({free / 2**20:.0f} MB free); "
            f"free at least {NEEDED_BYTES / 2**20:.0f} MB and start again."
        )


def status(run: Run) -> str:
    """What the run is now, from its last events, its flags and whether its worker lives."""
    process = run.process()
    # Asked before the events are read: a worker that is gone by now has told everything.
    lives = works(run)
    if not lives and run.place_path.exists():
        return QUEUED
    # An end that was told before the present worker began is the end of an earlier life: the run was resumed.
    since = (process or {}).get("events_from", 0)
    last = run.last_events(size=4096, since=since)
    if last and last[-1].kind in events.ENDS:
        return ENDED[last[-1].kind]
    if process is None:
        return QUEUED
    if not lives:
        words = run.last_words()
        return ENDED[words.kind] if words else CRASHED
    if run.flag(STOP) or run.flag(CANCEL):
        return STOPPING
    return RUNNING if any(map(_under_way, last)) or any(map(_under_way, run.last_events(since=since))) else STARTING


def _under_way(told: events.Event) -> bool:
    """Whether the worker had loaded when it told this. A long evaluation may tell of nothing but itself."""
    return told.kind != events.PHASE or told.data.get("phase") in ("training", "evaluating", "saving")
