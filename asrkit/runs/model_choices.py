"""The models that a menu offers: runs with a model, and the starter."""

from __future__ import annotations

from asrkit.models.resolution import STARTER
from asrkit.runs import events
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore


def list_models(store: RunStore) -> list[tuple[str, str]]:
    """List (label, value) pairs: runs with a model, newest first, then the starter."""
    runs = [(f"Run {run.id}", run.id) for run in store.all() if run.has_model()]
    return [*runs, ("Starter (general English, small)", STARTER)]


def find_default_model(store: RunStore) -> str:
    """Return the id of the newest run that has finished or was stopped with a model, else the starter."""
    candidates = (run.id for run in store.all() if run.has_model() and _has_ended_well(run))
    return next(candidates, STARTER)


def _has_ended_well(run: Run) -> bool:
    last = run.last_events()
    return bool(last) and last[-1].kind in (events.FINISHED, events.STOPPED)
