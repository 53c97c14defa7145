"""What a run tells: event types <-> one JSON line each.

Every event has `time` (Unix seconds) and `kind`; `step` counts optimizer steps. A number that is not finite is written
as null and its name is listed under `non_finite`, so that every line is valid JSON. Unknown kinds and fields survive
reading, so an old app can show a newer run.
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
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
END_KINDS = frozenset({FINISHED, STOPPED, FAILED})
_TRAIN_LINE = b'"kind": "train"'
KINDS = frozenset({STARTED, PHASE, TRAIN, EVAL, CHECKPOINT, FINDING}) | END_KINDS


@dataclass(slots=True)
class Event:
    """One line of `events.jsonl`. `data` holds what the kind adds, such as `loss` or `samples`. Never changed; not
    frozen, because a history may have a million, and each would take half as long again to make."""

    kind: str
    time: float
    step: int | None = None
    epoch: float | None = None
    data: dict[str, Any] = field(default_factory=dict)
    offset: int | None = field(default=None, compare=False)
    """Byte at which its line begins, where it was read from a file."""

    def to_line(self) -> str:
        """The event as one line of JSON, newline included."""
        bad: list[str] = []
        record: dict[str, Any] = {"time": round(self.time, 3), "kind": self.kind}
        if self.step is not None:
            record["step"] = self.step
        if self.epoch is not None:
            record["epoch"] = round(self.epoch, 4)
        record |= _finite(self.data, "", bad)
        if bad:
            record["non_finite"] = bad
        return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes, at: int | None = None) -> Event | None:
        """The event of one line, or None where the line is none (torn, or not ours)."""
        try:
            record = orjson.loads(line)  # a quarter of json's time, and a long run has a million lines
        except ValueError:
            # A damaged letter costs that letter, not the line.
            return None if isinstance(line, str) else cls.from_line(line.decode("utf-8", errors="replace"), at)
        if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
            return None
        when = record.pop("time", None)
        if not isinstance(when, int | float):
            return None
        return cls(record.pop("kind"), float(when), record.pop("step", None), record.pop("epoch", None), record, at)


def is_train_line(line: bytes) -> bool:
    """Whether a line that `to_line` wrote is a `train` event, told without reading it as JSON."""
    return _TRAIN_LINE in line[:64]


def make_event(kind: str, step: int | None = None, epoch: float | None = None, **data: Any) -> Event:
    """An event of now. ValueError for a kind that no reader knows."""
    if kind not in KINDS:
        raise ValueError(f"unknown event kind {kind!r}")
    return Event(kind, clock.time(), step, epoch, data)


def _finite(value: Any, name: str, bad: list[str]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        bad.append(name)
        return None
    if isinstance(value, dict):
        return {key: _finite(item, f"{name}.{key}" if name else str(key), bad) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, f"{name}[{index}]", bad) for index, item in enumerate(value)]
    return value
