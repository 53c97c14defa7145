"""The models that can be chosen without typing: runs with a model, and the starter."""

from __future__ import annotations

from asrkit.models.resolution import STARTER
from asrkit.runs import events
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore


def list_models(store: RunStore) -> list[tuple[str, str]]:
    """(label, value) of what can be chosen without typing: runs with a model, newest first, then the starter."""
    runs = [(f"Run {run.id}", run.id) for run in store.all() if run.has_model()]
    return [*runs, ("Starter (general English, small)", STARTER)]


def find_default_model(store: RunStore) -> str:
    """The newest run that has ended with a model, else the starter."""
    ended = (run.id for run in store.all() if run.has_model() and _ended_well(run))
    return next(ended, STARTER)


def _ended_well(run: Run) -> bool:
    told = run.last_events()
    return bool(told) and told[-1].kind in (events.FINISHED, events.STOPPED)
