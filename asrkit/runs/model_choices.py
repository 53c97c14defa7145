"""The models that a menu offers: runs with a model, and the starter."""

from __future__ import annotations

from asrkit.models.resolution import STARTER
from asrkit.runs import lifecycle
from asrkit.runs.store import RunStore


def list_models(store: RunStore) -> list[tuple[str, str]]:
    """List (label, value) pairs: runs with a model, newest first, then the starter."""
    runs = [(f"Run {run.id}", run.id) for run in store.visible() if run.has_model()]
    return [*runs, ("Starter (general English, small)", STARTER)]


def find_default_model(store: RunStore, include_stopped: bool = False) -> str:
    """Return the id of the newest run that has finished, with a model, else the starter.

    include_stopped: a run that was stopped and saved counts as well, as on the page, where people press Stop to
    talk to it. A run that failed or still trains is used where it is named.
    """
    ended = (lifecycle.FINISHED, lifecycle.STOPPED) if include_stopped else (lifecycle.FINISHED,)
    candidates = (run.id for run in store.visible() if run.has_model() and lifecycle.get_status(run) in ended)
    return next(candidates, STARTER)
