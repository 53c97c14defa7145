"""The models that a menu offers: runs with a model, and the starter."""

from __future__ import annotations

from asrkit.models.resolution import STARTER
from asrkit.runs import lifecycle
from asrkit.runs.store import RunStore


def list_models(store: RunStore) -> list[tuple[str, str]]:
    """List (label, value) pairs: runs with a model, newest first, then the starter."""
    runs = [(f"Run {run.id}", run.id) for run in store.visible() if run.has_model()]
    return [*runs, ("Starter (general English, small)", STARTER)]


def find_default_model(store: RunStore) -> str:
    """Return the id of the newest run that has finished, with a model, else the starter.

    A run that was stopped, failed or still trains is used where it is named.
    """
    finished = (
        run.id for run in store.visible() if run.has_model() and lifecycle.get_status(run) == lifecycle.FINISHED
    )
    return next(finished, STARTER)
