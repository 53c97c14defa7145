"""The time limit of a rented job: what its run is estimated to take, with room, as earlier runs on such hardware."""

from __future__ import annotations

from collections.abc import Iterator

from asrkit.data import manifest
from asrkit.data.manifest import Column
from asrkit.errors import RunError
from asrkit.runs import estimate, pace
from asrkit.runs.pace import Pace
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.units import format_rough_duration

ROOM = 2.0
"""How many times its estimate a run may take."""
START_ROOM_S = 1800.0
"""For the image and the models to be fetched; earlier runs may have found them in a cache."""
MAX_EARLIER_RUNS = 20
"""So many of the last runs on such hardware are read."""


def choose_time_limit_s(run: Run) -> float:
    """Return after how many seconds the job of a run is to be ended: its estimate with room.

    `hf_timeout_h` at most, and without an estimate. RunError where the run is estimated to take longer than that.
    """
    limit_s = 3600 * run.config().hf_timeout_h
    seconds = _estimate_s(run)
    if seconds is None:
        return limit_s
    if seconds[0] > limit_s:
        raise RunError(
            f"The run is estimated to take {format_rough_duration(seconds[0])} or more on {run.config().hf_flavor}, as "
            f"earlier runs there, and its time limit is {format_rough_duration(limit_s)}; raise Hugging Face time "
            "limit (hf_timeout_h), or train for fewer epochs."
        )
    return min(limit_s, ROOM * seconds[1] + START_ROOM_S)


def _estimate_s(run: Run) -> tuple[float, float] | None:
    """Return (at least, at most) seconds; None where the clips, the base model or the hardware are not known yet."""
    config, store = run.config(), RunStore(run.path.parent)
    paces = list(_iter_paces(store, config.hf_flavor))
    if not paces:
        return None
    train_s, eval_s = _list_durations(run, "train"), _list_durations(run, "eval")

    def recall_pace(parameters: int) -> Pace | None:
        return pace.find_nearest(paces, parameters, config.freeze)

    found = estimate.estimate_run(config, train_s, store, sum(eval_s), recall_pace)
    return found.seconds if found else None


def _list_durations(run: Run, split: str) -> list[float]:
    path = run.manifest_path(split)
    return list(Column("duration_s", manifest.read(path))) if path.exists() else []


def _iter_paces(store: RunStore, flavor: str) -> Iterator[Pace]:
    """Yield the paces of the last runs on this hardware."""
    num_read = 0
    for run in reversed(store.all()):
        if num_read == MAX_EARLIER_RUNS:
            return
        config = run.config()
        if (run.process() or {}).get("launcher") != "hf-jobs" or config.hf_flavor != flavor:
            continue
        num_read += 1
        measured = pace.measure(run.events()[0], config.freeze)
        if measured is not None:
            yield measured
