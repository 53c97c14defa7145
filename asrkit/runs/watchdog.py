"""What nobody presses a button for: the next run in line begins, and one that was asked to end does end.

A run that was asked to stop has STOP_S to finish its step and save, one that was cancelled CANCEL_S. Then its worker
ends itself by force (`guard`); where not even that works, an app that looks does it (`keep`). Either says so in the
run's last event.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

from asrkit.errors import AsrkitError
from asrkit.runs import events, supervisor
from asrkit.runs.store import CANCEL, STOP, Run, RunStore

STOP_S, CANCEL_S = 600.0, 120.0
GRACE_S = 20.0
"""How much longer an app waits than the worker itself."""


class Patience:
    """How long runs that were asked to end have been at it, by a clock that does not jump."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def asked(self, run: Run) -> bool:
        return run.flag(STOP) or run.flag(CANCEL)

    def over(self, run: Run, grace_s: float = 0.0) -> float | None:
        """Seconds that the run was given, once they are over; else None."""
        now = time.monotonic()
        for flag, given in ((CANCEL, CANCEL_S), (STOP, STOP_S)):
            if not run.flag(flag):
                self._since.pop((run.id, flag), None)
            elif now - self._since.setdefault((run.id, flag), now) > given + grace_s:
                return given
        return None


def guard(run: Run, interrupt: Callable[[], None], every_s: float = 0.5) -> None:
    """Watch over the worker that calls this, from a thread of its own.

    interrupt: called again and again once somebody wants the run to end; it breaks off what can be broken off.
    """

    def watch() -> None:
        patience = Patience()
        while True:
            time.sleep(every_s)
            given = patience.over(run)
            if given is not None:
                _tell(run, given)
                supervisor.advance(RunStore(run.path.parent))
                supervisor.kill(run)
            elif patience.asked(run):
                interrupt()

    threading.Thread(target=watch, daemon=True, name="guard").start()


def keep(store: RunStore, every_s: float = 5.0) -> None:
    """Start waiting runs and end overdue ones for ever, in a thread of an app."""
    patience = Patience()
    while True:
        time.sleep(every_s)
        try:
            look(store, patience)
        except (AsrkitError, OSError):  # a full disk, a directory that is away: it is tried again
            traceback.print_exc()


def look(store: RunStore, patience: Patience) -> None:
    """One round of `keep`: a worker that was killed could not start the next one, nor end itself."""
    if any(store.root.glob("*/control/*")) and (run := supervisor.active(store)):
        given = patience.over(run, GRACE_S)
        if given is not None:
            end_by_force(run, given)
    if any(store.root.glob("*/queue.json")):
        supervisor.advance(store)


def end_by_force(run: Run, given_s: float) -> None:
    """Kill the worker of a run that did not end when asked, and say so in its history."""
    supervisor.kill(run)
    with RunStore(run.path.parent).lock():
        if supervisor.status(run) == supervisor.CRASHED:
            run.repair_events()
            _tell(run, given_s)


def _tell(run: Run, given_s: float) -> None:
    way_on = "Resume goes on from its last checkpoint." if run.checkpoints() else "Resume begins again."
    run.append(events.event(
        events.STOPPED, saved=run.has_model(), model="model" if run.has_model() else None, forced=True,
        message=f"It did not end within {given_s / 60:.0f} min of being asked to, so it was ended by force. {way_on}"))
    run.lower_flags()
