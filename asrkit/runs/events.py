"""The events of a run <-> lines of JSON.

Every event has `time` (Unix seconds) and `kind`; `step` counts optimizer steps. Those of a worker have `elapsed_s`, by
its monotonic clock. A number that is not finite is written as null and its name is listed under `non_finite`, so that
every line is valid JSON. Unknown kinds and fields survive reading, so an old app can show a newer run.
"""

from __future__ import annotations

import json
import math
import time as clock
from dataclasses import dataclass, field
from typing import Any

import orjson

STARTED, PHASE, TRAIN, EVAL = "started", "phase", "train", "eval"
CHECKPOINT, FINDING = "checkpoint", "finding"
FINAL_EVAL = "final_eval"
"""The evaluation of the best model on all clips, with its `model_step` and `model_epoch`."""
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
END_KINDS = frozenset({FINISHED, STOPPED, FAILED})
KINDS = frozenset({STARTED, PHASE, TRAIN, EVAL, FINAL_EVAL, CHECKPOINT, FINDING}) | END_KINDS
_TRAIN_LINE = b'"kind": "train"'


@dataclass(slots=True)
class Event:
    """One line of `events.jsonl`. `data` holds what the kind adds, such as `loss` or `samples`.

    elapsed_s: seconds of work since the run began, pauses before a resume not counted; None in events
    that no worker wrote, and in those of older versions. offset: the byte at which the line begins in its file; 0 for
    an event that was not read from one. Events are never changed; they are not frozen because a history may have a
    million, and making frozen ones takes half as long again.
    """

    kind: str
    time: float
    step: int | None = None
    epoch: float | None = None
    data: dict[str, Any] = field(default_factory=dict)
    elapsed_s: float | None = None
    offset: int = field(default=0, compare=False)

    def to_line(self) -> str:
        """Return the event as one line of JSON, newline included."""
        non_finite: list[str] = []
        record: dict[str, Any] = {"time": round(self.time, 3), "kind": self.kind}
        if self.step is not None:
            record["step"] = self.step
        if self.epoch is not None:
            record["epoch"] = round(self.epoch, 4)
        if self.elapsed_s is not None:
            record["elapsed_s"] = round(self.elapsed_s, 3)
        record |= _replace_non_finite(self.data, "", non_finite)
        if non_finite:
            record["non_finite"] = non_finite
        return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes, offset: int = 0) -> Event | None:
        """Parse one line; None if it is no event (half-written, or not ours)."""
        try:
            record = orjson.loads(line)  # takes a quarter of json's time, and a long run has a million lines
        except ValueError:
            # A damaged character costs that character, not the line.
            return None if isinstance(line, str) else cls.from_line(line.decode("utf-8", errors="replace"), offset)
        if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
            return None
        time = record.pop("time", None)
        if not isinstance(time, int | float):
            return None
        kind, step, epoch = record.pop("kind"), record.pop("step", None), record.pop("epoch", None)
        return cls(kind, float(time), step, epoch, record, record.pop("elapsed_s", None), offset)


def is_train_line(line: bytes) -> bool:
    """Whether a line written by `Event.to_line` is a `train` event, without parsing its JSON."""
    return _TRAIN_LINE in line[:64]


def make_event(kind: str, step: int | None = None, epoch: float | None = None, **data: Any) -> Event:
    """Make an event of now. ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"unknown event kind {kind!r}")
    return Event(kind, clock.time(), step, epoch, data)


def _replace_non_finite(value: Any, path: str, non_finite: list[str]) -> Any:
    """Replace numbers that are not finite by None, and append their paths to `non_finite`."""
    if isinstance(value, float) and not math.isfinite(value):
        non_finite.append(path)
        return None
    if isinstance(value, dict):
        return {
            key: _replace_non_finite(item, f"{path}.{key}" if path else str(key), non_finite)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_replace_non_finite(item, f"{path}[{index}]", non_finite) for index, item in enumerate(value)]
    return value
