"""The models that a menu offers: runs with a model, and the starter."""

from __future__ import annotations

from asrkit.errors import ConfigError
from asrkit.models import catalogue
from asrkit.models.resolution import STARTER
from asrkit.runs import lifecycle
from asrkit.runs.description import read_description
from asrkit.runs.differences import describe_differences
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore


def list_models(store: RunStore) -> list[tuple[str, str]]:
    """List (label, value) pairs: runs with a model, newest first, then the starter."""
    runs = [(_label_run(run), run.id) for run in store.visible() if run.has_model()]
    return [*runs, ("Starter (general English, small)", STARTER)]


def _label_run(run: Run) -> str:
    name, differences = read_description(run).name, describe_differences(run)
    label = f"{name} (run {run.id})" if name else f"Run {run.id}"
    return f"{label}: {differences}" if differences else label


def describe_licence(model: str, store: RunStore) -> str:
    """Return what has to be known of the licence before training, in one sentence; empty for nothing.

    A run's model has the licence of the base model that it was trained from, through any number of runs.
    """
    seen: set[str] = set()
    while model not in seen and (run := store.find(model)):
        seen.add(model)
        try:
            model = run.config().model
        except ConfigError:  # of a version that this one cannot read
            return ""
    return catalogue.describe_licence(model)


def find_default_model(store: RunStore, include_stopped: bool = False) -> str:
    """Return the id of the newest run that has finished, with a model, else the starter.

    include_stopped: a run that was stopped and saved counts as well, as on the page, where people press Stop to
    talk to it. A run that failed or still trains is used where it is named.
    """
    ended = (lifecycle.FINISHED, lifecycle.STOPPED) if include_stopped else (lifecycle.FINISHED,)
    candidates = (run.id for run in store.visible() if run.has_model() and lifecycle.get_status(run) in ended)
    return next(candidates, STARTER)
