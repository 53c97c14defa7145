"""Mirrors: the curves of a run in TensorBoard, trackio or Weights & Biases.

A mirror is written by a process of its own that reads the events of the run, so it can neither slow the worker nor
break the run, and runs that have ended can be sent as well. How far it has come is kept in the run directory, so that
nothing is sent twice.
"""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, RunError
from asrkit.files import write_json
from asrkit.runs import events, lifecycle
from asrkit.runs.companions import claimed, start_companion
from asrkit.runs.mirrors.writers import WRITERS, MirrorWriter
from asrkit.runs.run import Run
from asrkit.runs.view import flatten, list_curves

NAMES = tuple(WRITERS)
POLL_INTERVAL_S = 2.0


def parse_names(text: str) -> list[str]:
    """Return the mirrors that `mirrors` names. ConfigError for one that there is not, or whose package is missing."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in NAMES:
            raise ConfigError(f"There is no mirror {name!r}; Mirrors (mirrors) takes {', '.join(NAMES)}.")
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"The mirror {name} needs a package that is not installed; pip install {name}.")
    return names


def start_mirrors(run: Run, config: TrainConfig) -> None:
    """Start a detached process for each mirror of a run; it ends when the run has."""
    for name in parse_names(config.mirrors):
        start_companion(run, "mirror", "--to", name, "--follow", log_name=f"mirror-{name}.log")


def send(run: Run, name: str, follow: bool = False) -> int:
    """Send what is new in the events of a run to a mirror, until the run has ended where `follow`.

    Return the number of points. RunError if another process sends them already.
    """
    parse_names(name)
    state_path, num_points = run.path / f"mirror-{name}.json", 0
    with claimed(run.path / f".mirror-{name}.lock") as is_mine:
        if not is_mine:
            raise RunError(f"Another process already sends run {run.id} to {name}.")
        offset = _read_offset(state_path)
        writer = WRITERS[name](run)
        try:
            while True:
                has_ended = not follow or not lifecycle.is_unfinished(run)
                new_events, offset = run.events(offset)
                num_points += sum(_write(writer, event) for event in new_events)
                if new_events:
                    writer.flush()
                    write_json(state_path, {"offset": offset})
                if has_ended:
                    return num_points
                time.sleep(POLL_INTERVAL_S)
        finally:
            writer.close()


def _write(writer: MirrorWriter, event: events.Event) -> int:
    """Write an event; return the number of its points."""
    step = event.step or 0
    if event.kind == events.STARTED:
        writer.begin(step)
    flat = flatten(event)
    values = {curve: flat.data[name] for name, curve in list_curves(flat).items() if flat.data.get(name) is not None}
    if values:
        writer.write(step, event.time, values)
    return len(values)


def _read_offset(path: Path) -> int:
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["offset"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0
