"""What a visitor may start: how many runs, with which settings, how long, and how much of the disk they take."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields

from asrkit.config import TrainConfig, field_label
from asrkit.config.launching import LaunchSettings
from asrkit.errors import AsrkitError, QuotaError
from asrkit.runs import launchers, lifecycle, ownership, supervisor
from asrkit.runs.report.export import measure_disk_usage
from asrkit.runs.run import CANCEL, STOP, Run
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common.form import format_number
from asrkit.ui.security.permissions import Action, Role, can, check, current_identity
from asrkit.ui.security.quotas import Over, Quotas, current_quotas, is_over_quota, owner_name

WATCHED_EVERY_S = 60.0
RENTING_SETTINGS = ("launcher", "hf_flavor", "hf_timeout_h")
"""What visitors choose who rent a machine with their own accounts."""

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_starting: list[str] = []
"""Whose runs are being started: of a run that is not there yet, the data may take minutes to check."""


@contextlib.contextmanager
def run_admitted(store: RunStore, config: TrainConfig) -> Iterator[None]:
    """Start or resume a run with these settings in the block. Operators may start any.

    Raises QuotaError for a setting beyond its limit, too many runs, and too much of the disk in runs.
    """
    if current_identity().role == Role.OPERATOR:
        yield
        return
    check_settings(config)
    _check_disk(store)
    with _lock:
        quotas, me = current_quotas(), owner_name()
        match is_over_quota([*_list_owners(store), *_starting], quotas.visitor_runs, quotas.visitors_runs):
            case Over.VISITOR:
                raise QuotaError(strings.text("quota.visitor_runs"))
            case Over.ALL:
                raise QuotaError(strings.text("quota.all_runs"))
        _starting.append(me)
    try:
        yield
    finally:
        with _lock:
            _starting.remove(me)


def check_settings(config: TrainConfig) -> None:
    """Raise QuotaError for the first setting of a visitor's run that is beyond its limit.

    Who rents a machine chooses it and for how long, and the limits are those of this one.
    """
    is_rented = launchers.for_config(config).is_rented
    if not is_rented and can(Action.RENT_MACHINE) and not can(Action.TRAIN_HERE):
        raise QuotaError(strings.text("quota.rent_only"))
    free = RENTING_SETTINGS if is_rented and can(Action.RENT_MACHINE) else ()
    for each in fields(LaunchSettings):
        if each.name not in free and getattr(config, each.name) != each.default:
            raise QuotaError(strings.text("quota.launch_setting", label=field_label(each.name), name=each.name))
    if is_rented:
        check(Action.RENT_MACHINE)
        return
    quotas = current_quotas()
    for each in fields(Quotas):
        limit = getattr(quotas, each.name)
        for name in each.metadata["settings"]:
            value = getattr(config, name)
            if value > limit:
                label, shown, most = field_label(name), format_number(value), format_number(limit)
                raise QuotaError(strings.text("quota.setting", label=label, name=name, value=shown, limit=most))


def stop_overdue(store: RunStore) -> list[Run]:
    """Ask the runs of visitors that have worked for too long to stop and save, and return them."""
    limit_s = 3600 * current_quotas().run_hours
    overdue = [
        run
        for run in lifecycle.iter_active_runs(store)
        if ownership.read_ownership(run).owner != ownership.OPERATOR
        and not launchers.of_run(run).is_rented
        and not (run.has_flag(STOP) or run.has_flag(CANCEL))
        and _elapsed_s(run) > limit_s
    ]
    for run in overdue:
        supervisor.stop(run)
    return overdue


def watch_forever(store: RunStore) -> None:
    """Stop overdue runs once a minute. A failure is logged, and the next minute tries again."""
    while True:
        time.sleep(WATCHED_EVERY_S)
        try:
            for run in stop_overdue(store):
                logger.warning("Run %s of a visitor is stopped: it has worked for as long as one may.", run.id)
        except (AsrkitError, OSError):
            logger.exception("The runs of visitors could not be watched.")


def _elapsed_s(run: Run) -> float:
    """Return the seconds of work of a run, by its last event and the time since then."""
    last = run.last_events()
    if last:
        return (last[-1].elapsed_s or 0.0) + max(0.0, time.time() - last[-1].time)
    try:
        return time.time() - run.process_path.stat().st_mtime
    except OSError:  # deleted
        return 0.0


def _check_disk(store: RunStore) -> None:
    me, quotas = current_identity().owner_id, current_quotas()
    sizes: Counter[str] = Counter()
    for run in store.all():
        owner = ownership.read_ownership(run).owner
        sizes[owner] += 0 if owner == ownership.OPERATOR else measure_disk_usage(run.path)
    if sizes[me] > quotas.visitor_runs_bytes:
        raise QuotaError(strings.text("quota.visitor_runs_disk"))
    if sizes.total() > quotas.visitors_runs_bytes:
        raise QuotaError(strings.text("quota.all_runs_disk"))


def _list_owners(store: RunStore) -> list[str]:
    """List the owners of the queued and active runs; empty for those of operators."""
    me = current_identity().owner_id
    owners = [
        ownership.read_ownership(run).owner for run in store.all() if lifecycle.get_status(run) in lifecycle.UNFINISHED
    ]
    return ["" if owner == ownership.OPERATOR else owner_name() if owner == me else owner for owner in owners]
