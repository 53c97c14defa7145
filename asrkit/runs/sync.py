"""Fetch what the workers of runs write that do not share the runs directory, and send them the flags.

Where the app and the worker share the run directory there is nothing to do. `start_background` does it for as long as a
process lives, a run at a time each; `sync_now` once, for commands that show a run and end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from asrkit.errors import AsrkitError
from asrkit.runs import launchers
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore

logger = logging.getLogger(__name__)

INTERVAL_S = 5.0
FAILED_INTERVAL_S = 30.0
PACE = 3.0
"""So many times what it takes passes before it is done again, so that a slow line has room for something else."""
LOOK_S = 1.0


def sync_now(runs: Iterable[Run]) -> list[str]:
    """Do it once for these runs; return a sentence for each that it is impossible for now."""
    failures = []
    for run in runs:
        if launchers.of_run(run).needs_sync(run):
            try:
                launchers.of_run(run).sync(run)
            except (AsrkitError, OSError) as error:
                failures.append(f"The files of run {run.id} are those of an earlier moment: {error}")
    return failures


def start_background(store: RunStore) -> None:
    """Do it for the runs of a store until this process ends."""
    threading.Thread(target=Syncer(store).run_forever, daemon=True, name="sync").start()


class Syncer:
    """Gives each run that needs it a thread of its own for one exchange at a time: one of them may take an hour."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._threads: dict[str, threading.Thread] = {}
        self._due: dict[str, float] = {}

    def run_forever(self) -> None:
        while True:
            try:
                self.tick()
            except (AsrkitError, OSError):
                logger.exception("The runs of jobs elsewhere could not be looked at.")
            time.sleep(LOOK_S)

    def tick(self) -> None:
        """Begin what is due, or what a flag was set for."""
        for path in self.store.root.glob("*/link.json"):
            run = self.store.at(path.parent)
            launcher, thread = launchers.of_run(run), self._threads.get(run.id)
            if (thread and thread.is_alive()) or not launcher.needs_sync(run):
                continue
            if time.monotonic() >= self._due.get(run.id, 0.0) or (
                launcher.wants_sync(run) and not launcher.is_cut_off(run)
            ):
                self._threads[run.id] = threading.Thread(target=self._sync, args=[run], daemon=True)
                self._threads[run.id].start()

    def wait(self) -> None:
        """Wait until nothing is being exchanged."""
        for thread in self._threads.values():
            thread.join()

    def _sync(self, run: Run) -> None:
        launcher, began = launchers.of_run(run), time.monotonic()
        was_cut_off = launcher.is_cut_off(run)
        try:
            launcher.sync(run)
        except (AsrkitError, OSError) as error:
            self._due[run.id] = time.monotonic() + FAILED_INTERVAL_S
            if not was_cut_off:
                logger.warning("The files of run %s cannot be fetched now: %s", run.id, error)
            return
        now = time.monotonic()
        self._due[run.id] = now + max(INTERVAL_S, PACE * (now - began))
