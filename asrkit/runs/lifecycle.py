"""The status of a run, derived from its events, its flags and whether its worker is alive. It is never stored."""

from __future__ import annotations

from collections.abc import Iterator

from asrkit.runs import events, launchers
from asrkit.runs.launchers import JobState
from asrkit.runs.processes import is_worker_alive
from asrkit.runs.run import CANCEL, STOP, Run
from asrkit.runs.store import RunStore

QUEUED, STARTING, RUNNING, STOPPING = "queued", "starting", "running", "stopping"
STOPPED, FINISHED, FAILED, CRASHED = "stopped", "finished", "failed", "crashed"
ACTIVE = frozenset({STARTING, RUNNING, STOPPING})
UNFINISHED = ACTIVE | {QUEUED}
RESUMABLE = frozenset({STOPPED, FAILED, CRASHED})
STATUS_OF_END = {events.FINISHED: FINISHED, events.STOPPED: STOPPED, events.FAILED: FAILED}


def get_status(run: Run) -> str:
    """Derive the status of a run from its last events, its flags and whether its worker is alive."""
    process = run.process()
    # Checked before the events are read: a worker that is gone by now has written all of its events.
    state = launchers.of_process(process).status(run).state
    if state is JobState.WAITING or (state is JobState.GONE and run.queue_path.exists()):
        return QUEUED
    # An end event from before the present worker is of an earlier worker: the run was resumed.
    since = (process or {}).get("events_from", 0)
    last = run.last_events(size=4096, since=since)
    if last and last[-1].kind in events.END_KINDS:
        return STATUS_OF_END[last[-1].kind]
    if process is None:
        return QUEUED
    if state is JobState.GONE:
        end_event = run.pending_end_event()
        return STATUS_OF_END[end_event.kind] if end_event else CRASHED
    if run.has_flag(STOP) or run.has_flag(CANCEL):
        return STOPPING
    is_running = any(map(_is_past_loading, last)) or any(map(_is_past_loading, run.last_events(since=since)))
    return RUNNING if is_running else STARTING


def _is_past_loading(event: events.Event) -> bool:
    """Whether the worker had loaded when it wrote this event. A long evaluation may write only `phase` events."""
    return event.kind != events.PHASE or event.data.get("phase") in ("training", "evaluating", "saving")


def is_unfinished(run: Run) -> bool:
    """Whether the run is queued or active; False for one that was deleted."""
    return run.config_path.exists() and get_status(run) in UNFINISHED


def iter_active_runs(store: RunStore) -> Iterator[Run]:
    """Iterate over the runs with a worker that is alive, newest first."""
    return (run for run in store.all() if _has_worker(run) and get_status(run) in ACTIVE)


def _has_worker(run: Run) -> bool:
    return launchers.of_run(run).status(run).state is JobState.ALIVE


def find_active_run(store: RunStore) -> Run | None:
    """Return the newest active run on this machine, or None."""
    return next((run for run in store.all() if is_worker_alive(run) and get_status(run) in ACTIVE), None)
