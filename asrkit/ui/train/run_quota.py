"""How many runs a visitor, and all visitors, may have in the queue and under way."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from asrkit.errors import QuotaError
from asrkit.runs import lifecycle, ownership
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.security.permissions import Role, current_identity
from asrkit.ui.security.quotas import Over, current_quotas, is_over_quota, owner_name

_lock = threading.Lock()


@contextlib.contextmanager
def run_admitted(store: RunStore) -> Iterator[None]:
    """Start or resume a run in the block. Raises QuotaError if there are too many; operators may start any number.

    Runs of visitors are started one after the other, so that two at once do not see the same free place.
    """
    if current_identity().role == Role.OPERATOR:
        yield
        return
    with _lock:
        quotas = current_quotas()
        match is_over_quota(_list_owners(store), quotas.visitor_runs, quotas.visitors_runs):
            case Over.VISITOR:
                raise QuotaError(strings.text("quota.visitor_runs"))
            case Over.ALL:
                raise QuotaError(strings.text("quota.all_runs"))
        yield


def _list_owners(store: RunStore) -> list[str]:
    """List whose the runs in the queue and under way are; empty for those of operators."""
    me = current_identity().owner_id
    owners = [
        ownership.read_ownership(run).owner
        for run in store.all()
        if lifecycle.get_status(run) in (*lifecycle.ACTIVE, lifecycle.QUEUED)
    ]
    return ["" if owner == ownership.OPERATOR else owner_name() if owner == me else owner for owner in owners]
