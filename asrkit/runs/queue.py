"""The queue: which runs wait, in which order, and which of them can start.

A device takes one run at a time (`devices`); other runs wait, each with its position in its `queue.json`. Whoever
notices that a run can start starts it: the worker that has just ended, or an app or a terminal that polls.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from asrkit import config as configs
from asrkit.config import TrainConfig
from asrkit.errors import AsrkitError, ConfigError
from asrkit.files import write_json
from asrkit.hub import credentials
from asrkit.runs import devices, events, launchers
from asrkit.runs.devices import DeviceRequest
from asrkit.runs.launchers import JobState
from asrkit.runs.lifecycle import QUEUED, get_status, iter_active_runs
from asrkit.runs.processes import is_elsewhere, spawn_worker
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore


def list_queue(store: RunStore) -> list[Run]:
    """List the queued runs in the order in which they will be started."""
    return sort_queue(run for run in store.all() if run.queue_path.exists() and is_queued(run))


def sort_queue(queued: Iterable[Run]) -> list[Run]:
    """Sort queued runs by their positions."""
    return sorted(queued, key=lambda run: (_position(run), run.id))


def is_queued(run: Run) -> bool:
    """Whether a run waits, in this queue or in its launcher's; False for one whose start was interrupted."""
    if get_status(run) != QUEUED:
        return False
    return run.queue_path.exists() or launchers.of_run(run).status(run).state is JobState.WAITING


# Devices


def assignable_devices(store: RunStore, config: TrainConfig) -> list[str]:
    """Return the devices that a run of `config` gets behind the whole queue; none where it has to wait."""
    requests = [*map(_device_request, list_queue(store)), DeviceRequest.from_config(config)]
    return devices.assign_devices(requests, devices_in_use(iter_active_runs(store)))[-1]


def devices_in_use(active: Iterable[Run]) -> list[str]:
    """Return the devices of active runs on this machine. One whose `process.json` names none occupies all of them."""
    every_slot = list(devices.count_slots().elements())
    processes = [process for run in active if not is_elsewhere(process := run.process() or {})]
    return [name for process in processes for name in process.get("devices", every_slot)]


def find_startable(active: Iterable[Run], queued: list[Run]) -> list[tuple[Run, list[str]]]:
    """Return the queued runs that can start beside the `active` ones, each with the devices that it gets."""
    if not queued:
        return []
    assigned = devices.assign_devices([*map(_device_request, queued)], devices_in_use(active))
    return [(run, names) for run, names in zip(queued, assigned, strict=True) if names]


def _device_request(run: Run) -> DeviceRequest:
    try:
        return _cached_device_request(run.config_path, run.config_path.stat().st_mtime_ns)
    except (ConfigError, OSError):  # reported when the run is to start
        return DeviceRequest((), 1)


@functools.lru_cache(maxsize=1024)
def _cached_device_request(path: Path, mtime_ns: int) -> DeviceRequest:
    """Read a request once, as every page polls all queued runs every second. mtime_ns: tells a changed file."""
    return DeviceRequest.from_config(configs.from_file(path))


class QueueStatus(NamedTuple):
    """Why a run is still queued.

    running_ids: active runs on devices that it may use, of which some have to end. queued_ids: runs before it in the
    queue. num_devices: how many devices it needs. error_message: why it can never start on this machine; else empty.
    launcher_text: what its launcher says of a run in a queue of its own; empty for one in this queue.
    """

    running_ids: list[str]
    queued_ids: list[str]
    num_devices: int
    error_message: str = ""
    launcher_text: str = ""


def get_queue_status(run: Run, active: Iterable[Run], queued: Iterable[Run]) -> QueueStatus:
    """Return why `run` has not started yet. queued: the queue in order, as `list_queue` returns it."""
    job = launchers.of_run(run).status(run)
    if job.state is JobState.WAITING:
        return QueueStatus([], [], 0, launcher_text=job.text)
    ids, request = [queued_run.id for queued_run in queued], _device_request(run)
    usable = set(request.names or devices.list_devices())
    running_ids = [other.id for other in active if usable.intersection(devices_in_use([other]))]
    queued_ids = ids[: ids.index(run.id)] if run.id in ids else []
    try:
        devices.check_available(run.config())
    except AsrkitError as error:  # another machine may have the device, so the run stays queued
        return QueueStatus(running_ids, queued_ids, request.num_processes, str(error))
    return QueueStatus(running_ids, queued_ids, request.num_processes)


# Changes. Every caller holds the store's lock, or these functions take it.


def start_ready_runs(store: RunStore) -> list[Run]:
    """Start the queued runs whose devices are free. A run that cannot be started gets a `failed` event.

    The worker of a visitor's run leaves it to the app, whose token the next run may need, and a job of a cluster to the
    machine whose devices the runs wait for.
    """
    started: list[Run] = []
    if credentials.is_withheld() or launchers.JOB in os.environ:
        return started
    with store.lock():
        while startable := find_startable(iter_active_runs(store), list_queue(store)):
            run, assigned = startable[0]
            run.queue_path.unlink(missing_ok=True)
            try:
                store.check_free_space()
                devices.check_available(run.config())
                spawn_worker(run, assigned)
            except (AsrkitError, OSError, ValueError) as error:
                run.append(
                    events.make_event(
                        events.FAILED,
                        error="not-started",
                        message=str(error),
                        remedy="Fix this, then resume the run.",
                        traceback="",
                        begins=True,
                    )
                )
            else:
                started.append(run)
    return started


def move(store: RunStore, run: Run, position: int) -> None:
    """Give a queued run that position, 1 for the next to start, beyond the end for the last. Other runs are ignored."""
    with store.lock():
        before = list_queue(store)
        if not is_queued(run):
            return
        others = [other for other in before if other.id != run.id]
        index = min(max(position, 1), len(before)) - 1
        after = [*others[:index], run, *others[index:]]
        if [queued.id for queued in after] == [queued.id for queued in before]:
            return
        low = _position(others[index - 1]) if index else _position(others[0]) - 2
        high = _position(others[index]) if index < len(others) else low + 2
        if low < (between := (low + high) / 2) < high:  # one write: readers never see a half-changed order
            enqueue(run, between)
        else:
            for number, queued in enumerate(after):
                enqueue(queued, float(number))


def enqueue(run: Run, position: float) -> None:
    """Put a run into the queue; a lower position starts earlier."""
    write_json(run.queue_path, {"place": position})


def next_position(store: RunStore) -> float:
    """Return a position behind all queued runs, even if the system clock was set back."""
    return max([time.time(), *(_position(run) + 1 for run in list_queue(store))])


def _position(run: Run) -> float:
    """Read the position of a queued run. One that cannot be read counts as the first."""
    try:
        return float(json.loads(run.queue_path.read_text(encoding="utf-8"))["place"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
