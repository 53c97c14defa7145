"""Events from a bucket that others than the operator may write to: lines that no worker writes are masked.

The lists of runs fold the events of all runs, and one with a text for a number would break them for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asrkit.runs.events import KINDS, Event
from asrkit.runs.history import METRICS
from asrkit.runs.view import EVAL_SERIES, TRAIN_SERIES

MAX_NUMBER = 1e15


def mask_malformed(lines: bytes) -> bytes:
    """Return the complete lines with blanks for those that are no events, so that the others keep their places."""
    complete = lines[: lines.rfind(b"\n") + 1]
    return b"".join(
        line if is_well_formed(line) else b" " * (len(line) - 1) + b"\n" for line in complete.splitlines(keepends=True)
    )


def is_well_formed(line: bytes) -> bool:
    """Whether a line is an event whose figures are numbers and whose words are texts."""
    event = Event.from_line(line)
    if event is None or event.kind not in KINDS or not _is_number(event.time):
        return False
    if not all(map(_is_number_or_none, (event.epoch, event.elapsed_s))):
        return False
    is_step = event.step is None or (type(event.step) is int and 0 <= event.step < MAX_NUMBER)
    return is_step and all(_CHECKS.get(name, _is_anything)(value) for name, value in event.data.items())


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MAX_NUMBER


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_interval(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)))


def _is_list_of_records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_record_of_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, dict) and all(_is_number_or_none(each.get(name)) for name in METRICS)
        for each in value.values()
    )


def _is_anything(_: Any) -> bool:
    return True


_NUMBERS = (
    *(*TRAIN_SERIES, *EVAL_SERIES, "total_steps", "train_utterances", "eval_utterances", "utterances", "of"),
    *("done", "total", "parameters", "model_step", "model_epoch", "exchange_s", "update_s", "clip_s", "label_entropy"),
)
_TEXTS = (
    *("phase", "text", "code", "cause", "remedy", "message", "error", "traceback", "hardware", "device", "precision"),
    *("metric_for_best_model", "normaliser", "decoding", "path", "model"),
)
_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_NUMBERS, _is_number_or_none),
    **dict.fromkeys(_TEXTS, _is_text_or_none),
    "wer_interval": _is_interval,
    "samples": _is_list_of_records,
    "datasets": _is_record_of_metrics,
}
