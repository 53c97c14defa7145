"""The runs as the sender of a request may see them."""

from __future__ import annotations

from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui.security.permissions import Action, can


class GuardedStore(RunStore):
    """A run store for the page: a name that comes from a request finds only runs that its sender may see.

    An invisible run is reported like a missing one. `all` is unfiltered, because the queue and the devices concern
    every run; what is listed to people comes from `visible`.
    """

    def find(self, run_id: str) -> Run | None:
        run = super().find(run_id)
        return run if run and can(Action.SEE_RUN, run) else None

    def visible(self) -> list[Run]:
        return [run for run in self.all() if can(Action.SEE_RUN, run)]

    @property
    def unguarded(self) -> RunStore:
        """The same runs, for code that acts on all of them, such as the queue."""
        return RunStore(self.root)
