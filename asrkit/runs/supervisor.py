"""Start, resume, stop and delete runs. Knows processes and devices; does not know training."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from asrkit.config import TrainConfig
from asrkit.errors import AsrkitError, RunError
from asrkit.files import readable_disk_errors, write_json
from asrkit.heap import trim_heap
from asrkit.models import resolution
from asrkit.runs import (
    events,
    heartbeat,
    launchers,
    mirrors,
    ownership,
    preparation,
    preparation_cache,
    summary,
    webhook,
)
from asrkit.runs.description import Description, write_description
from asrkit.runs.launchers import Launcher
from asrkit.runs.lifecycle import ACTIVE, CRASHED, FINISHED, QUEUED, RESUMABLE, RUNNING, STARTING, STOPPED, get_status
from asrkit.runs.preparation_cache import Prepared
from asrkit.runs.processes import is_worker_alive
from asrkit.runs.queue import assignable_devices, enqueue, is_queued, next_position, start_ready_runs
from asrkit.runs.run import CANCEL, EVALUATE, SAVE, SCORE, STOP, Run
from asrkit.runs.store import RunStore
from asrkit.runs.view import RunView, load_view

logger = logging.getLogger(__name__)


def start(
    store: RunStore,
    config: TrainConfig,
    run_id: str | None = None,
    owned: ownership.Ownership = ownership.OPERATORS_OWN,
    description: Description | None = None,
) -> Run:
    """Check the data and the base model, create the run, and start its worker or queue it.

    owned: whose run it is, and who else may see it. description: what it is called from the start.

    DataError or ModelError if they cannot be used; RunError if the id is taken, the disk is full or this machine lacks
    the device. After an error there is no run.
    """
    store.check_free_space()
    # A queued run may be started from another working directory.
    config = config.replace({"model": resolution.absolute_name(config.model, store)})
    launcher = launchers.for_config(config)
    launcher.check(config)
    mirrors.parse_names(config.mirrors)
    webhook_url = webhook.resolve_url(config.webhook)
    config = config.replace({"webhook": ""})
    preparation.check_access(config)
    prepared = preparation_cache.prepare(config, store) if preparation.is_local(config) else None
    uploaded = _upload_clips(store, launcher, config, prepared) if launcher.needs_upload else None
    with store.lock():
        assigned, position = _assign(store, config, launcher), next_position(store)

        def fill(run: Run) -> None:
            ownership.write_ownership(run, owned)
            if description:
                write_description(run, description)
            if webhook_url:
                webhook.write_url(run, webhook_url)
            if prepared:
                prepared.write(run)
            if uploaded is not None:
                write_json(run.upload_path, uploaded)
            if assigned is None:
                enqueue(run, position)

        run = store.create(config, run_id, fill)
        prepared = None
        trim_heap()  # of the rows of a large dataset
        if assigned is not None:
            try:
                launcher.submit(run, assigned)
            except BaseException:
                store.delete(run)
                raise
    mirrors.start_mirrors(run, config)
    webhook.start_waiting(run)
    if assigned is None:
        start_ready_runs(store)
    return run


def _upload_clips(store: RunStore, launcher: Launcher, config: TrainConfig, prepared: Prepared | None) -> Any:
    """Upload the clips before the run is created, and without the lock of the store: it may take hours.

    Return what the launcher has to know about them.
    """
    with readable_disk_errors(store.root):
        store.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store.root, prefix=".upload-") as folder:
            manifests = Run(Path(folder))
            if prepared:
                prepared.write(manifests)
            return launcher.upload(manifests, config)


def _assign(store: RunStore, config: TrainConfig, launcher: Launcher) -> list[str] | None:
    """Return the devices of a run that can be submitted now; None for one that has to wait in the queue."""
    return [] if launcher.has_queue else assignable_devices(store, config) or None


def resume(store: RunStore, run: Run) -> Run:
    """Continue a stopped, failed or crashed run from its last checkpoint, through the queue where devices are busy.

    RunError for a run with another status, or one that was deleted meanwhile.
    """
    with store.lock():
        store.get(run.id)
        status = get_status(run)
        if status in ACTIVE or is_queued(run):
            return run
        _check_unclaimed(run)
        if status not in RESUMABLE and status != QUEUED:  # QUEUED: created, but interrupted before it was started
            raise RunError(f"Run {run.id} is {status}; only a stopped, failed or crashed run can be resumed.")
        if run.lacks_optimizer_state():
            raise RunError(
                f"Run {run.id} comes from an archive without the states of its optimizer, which resuming needs; "
                "archive it again with them (`runs archive --with-optimizer`), or train its model further in a new run."
            )
        is_queued_now = _submit_again(store, run)
    if is_queued_now:
        start_ready_runs(store)
    return run


def _submit_again(store: RunStore, run: Run, *flags: str) -> bool:
    """Start another worker of a run that has ended, with these flags alone; return whether it has to wait for that."""
    store.check_free_space()
    launcher = launchers.for_config(run.config())
    launcher.check(run.config())
    run.clear_flags()
    with readable_disk_errors(run.path):
        run.repair_events()
        run.append_pending_end_event()
        for flag in flags:
            run.set_flag(flag)
    assigned = _assign(store, run.config(), launcher)
    if assigned is None:
        enqueue(run, next_position(store))
    else:
        launcher.submit(run, assigned)
    mirrors.start_mirrors(run, run.config())
    webhook.start_waiting(run)
    return assigned is None


def resume_interrupted(store: RunStore) -> list[Run]:
    """Resume the runs whose machine was stopped under them, and return them.

    A worker that ended while an app was watching has its exit code in `process.json`: such a run crashed for a reason
    of its own and would crash again. A run that was asked to end is left alone too.
    """
    resumed = []
    heartbeat.wait_for_first_looks(store.all())
    for run in store.all():
        process = run.process() or {}
        if get_status(run) != CRASHED or "exit" in process or run.has_flag(STOP) or run.has_flag(CANCEL):
            continue
        try:
            resumed.append(resume(store, run))
        except (AsrkitError, OSError) as error:
            logger.warning("Run %s was interrupted and cannot be resumed: %s", run.id, error)
    return resumed


def stop(run: Run) -> None:
    """Ask a run to stop and save; remove a queued run from the queue. A run that has ended is left alone.

    RunError for a run that was deleted meanwhile.
    """
    _request_end(run, STOP)


def cancel(run: Run) -> None:
    """Ask a run to end and keep nothing but its history; remove a queued run from the queue."""
    _request_end(run, CANCEL)


def save_now(run: Run) -> None:
    """Ask for a checkpoint after this step. A run that is not active is left alone."""
    if get_status(run) in (STARTING, RUNNING):
        run.set_flag(SAVE)


def evaluate_now(run: Run) -> None:
    """Ask for an evaluation after this step. A run that has ended is evaluated on all clips, where a sample was.

    Other runs are left alone. RunError for a run that was deleted meanwhile.
    """
    store = RunStore(run.path.parent)
    with store.lock():
        store.get(run.id)
        status, is_queued_now = get_status(run), False
        if status in (STARTING, RUNNING):
            run.set_flag(EVALUATE)
        elif can_score(run, status, load_view(run, skim=True)):
            _check_unclaimed(run)
            is_queued_now = _submit_again(store, run, SCORE)
    if is_queued_now:
        start_ready_runs(store)


def can_score(run: Run, status: str, run_view: RunView) -> bool:
    """Whether the run has ended, and its model was evaluated on a sample of the evaluation clips only."""
    return status in (FINISHED, STOPPED) and summary.is_scored_on_sample(run, run_view)


def _request_end(run: Run, flag: str) -> None:
    store = RunStore(run.path.parent)
    with store.lock():
        store.get(run.id)
        status = get_status(run)
        if status in ACTIVE:
            run.set_flag(flag)
        elif status == QUEUED:
            launchers.of_run(run).stop(run)
            run.queue_path.unlink(missing_ok=True)
            if run.has_flag(SCORE):  # the run has ended, and stays as it is
                run.clear_flags()
                return
            run.append(
                events.make_event(
                    events.STOPPED,
                    message="Removed from the queue before it began.",
                    saved=run.has_model(),
                    model="model" if run.has_model() else None,
                    begins=True,
                )
            )


def delete(store: RunStore, run: Run) -> None:
    """Delete a run for good. RunError while it is active; a run that was deleted meanwhile is ignored."""
    with store.lock():
        if not run.config_path.exists():
            return
        if get_status(run) in ACTIVE:
            raise RunError(f"Run {run.id} is still running; stop or cancel it before deleting it.")
        _check_unclaimed(run)
        launcher = launchers.of_run(run)
        launcher.stop(run)
        launcher.discard(run)
        store.delete(run)


def _check_unclaimed(run: Run) -> None:
    """Raise RunError while an invisible process works on the run: on another machine or in a container."""
    process = run.process()
    if process and not is_worker_alive(run):
        claim = run.claim(wait_s=2.0)
        if claim is None:
            raise RunError(f"Run {run.id} is still running on {process.get('host')}; stop it there first.")
        os.close(claim)
