"""Sweeps: a group of runs that differ in a few settings, and what they have in common after they have ended."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asrkit.config import FIELDS, TrainConfig
from asrkit.errors import ConfigError, RunError
from asrkit.runs import summary, supervisor
from asrkit.runs.description import Description
from asrkit.runs.metadata import read_metadata, update_metadata
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.runs.view import load_view

SEED = "seed"
"""The setting whose runs are averaged: they tell how much of a difference is chance."""

MAX_RUNS = 100
KEY = "sweep"
"""Entry of `run.json` with the name of the sweep and the values of the run."""


def parse_sweep(changes: Iterable[str]) -> dict[str, list[str]]:
    """Parse `--sweep FIELD=A,B,C` of each field. ConfigError for another form, or a field that is named twice."""
    values: dict[str, list[str]] = {}
    for change in changes:
        name, equals, listed = change.partition("=")
        name, given = name.strip(), [value.strip() for value in listed.split(",")]
        if not equals or not all(given):
            raise ConfigError(f"--sweep {change}: write FIELD=A,B,C, such as --sweep learning_rate=1e-5,3e-5.")
        if name in values or len(set(given)) < len(given):
            raise ConfigError(f"--sweep {change}: name each field and each of its values once.")
        values[name] = given
    return values


def list_configs(config: TrainConfig, values: Mapping[str, Sequence[str]]) -> list[tuple[dict[str, Any], TrainConfig]]:
    """Return each combination of the values with its settings. ConfigError for a value that a field cannot have."""
    combinations = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
    if len(combinations) > MAX_RUNS:
        raise ConfigError(f"The sweep has {len(combinations)} runs, more than {MAX_RUNS}; leave out some values.")
    configs = [config.replace(chosen) for chosen in combinations]
    return [({name: getattr(each, name) for name in values}, each) for each in configs]


def start_sweep(
    store: RunStore, config: TrainConfig, values: Mapping[str, Sequence[str]], name: str | None = None
) -> tuple[str, list[Run]]:
    """Start or queue a run for each combination; return the sweep's name and its runs.

    name: of the sweep; by default that of the next run. The runs are named NAME-1, NAME-2, ... Errors are those of
    `supervisor.start`; runs that were started before one stay.
    """
    combinations = list_configs(config, values)
    name = name or store.make_id(config)
    if find_sweep(store, name):
        raise RunError(f"There is a sweep {name} in {store.root} already; choose another --run-id.")
    runs = []
    for number, (chosen, each) in enumerate(combinations, 1):
        text = ", ".join(f"{field}={format_value(value)}" for field, value in chosen.items())
        run = supervisor.start(store, each, f"{name}-{number}", description=Description(name=f"{name}: {text}"))
        update_metadata(run, {KEY: {"name": name, "number": number, "values": chosen}})
        runs.append(run)
    return name, runs


def sweep_name(run: Run) -> str:
    """Return the name of the sweep that a run belongs to; empty if it belongs to none."""
    return str(_read(run).get("name", ""))


def find_sweep(store: RunStore, name: str) -> list[Run]:
    """Return the runs of a sweep in the order in which they were started."""
    runs = [run for run in store.all() if sweep_name(run) == name]
    return sorted(runs, key=_read_number)


def format_value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class SweepRow:
    """The runs of one combination of values, all seeds together.

    values: of the swept fields other than the seed. wer, cer, loss: of the best evaluation of each run that has one.
    """

    values: dict[str, Any]
    runs: list[str]
    wer: list[float]
    cer: list[float]
    loss: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON shows it; mean and spread are null where there are too few runs."""
        metrics = {name: summarize(getattr(self, name)) for name in ("wer", "cer", "loss")}
        return {"values": self.values, "runs": self.runs, **metrics}


def summarize(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return count, mean, sample standard deviation, and range of some values."""
    return {
        "runs": len(values),
        "mean": statistics.fmean(values) if values else None,
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "min": min(values, default=None),
        "max": max(values, default=None),
    }


def compare(runs: Iterable[Run]) -> list[SweepRow]:
    """Return the rows of a sweep, by the events of its runs."""
    return group(runs, lambda run: getattr(summary.get_best_evaluation(run, load_view(run, skim=True)), "data", {}))


def group(runs: Iterable[Run], read_metrics: Callable[[Run], Mapping[str, Any]]) -> list[SweepRow]:
    """Return a row for each combination of values, the lowest mean WER first and those without any last.

    read_metrics: returns wer, cer and loss of the best evaluation of a run, as far as it has them.
    """
    rows: dict[str, SweepRow] = {}
    for run in runs:
        values = {name: value for name, value in _read(run).get("values", {}).items() if name != SEED}
        row = rows.setdefault(repr(values), SweepRow(values, [], [], [], []))
        row.runs.append(run.id)
        metrics = read_metrics(run)
        for name in ("wer", "cer", "loss"):
            if metrics.get(name) is not None:
                getattr(row, name).append(metrics[name])
    return sorted(rows.values(), key=lambda row: (not row.wer, statistics.fmean(row.wer) if row.wer else 0.0))


def make_cells(rows: Sequence[SweepRow]) -> list[list[str]]:
    """Return the cells of a table, heads first: values, runs, and mean ± standard deviation of each metric."""
    fields = [name for name in FIELDS if any(name in row.values for row in rows)]
    lines = [[*fields, "runs", "WER", "CER", "loss"]]
    for row in rows:
        values = [format_value(row.values[name]) for name in fields]
        metrics = [_format_rate(row.wer), _format_rate(row.cer), _format_spread(row.loss, 4)]
        lines.append([*values, f"{len(row.wer)} of {len(row.runs)}", *metrics])
    return lines


def format_table(rows: Sequence[SweepRow]) -> str:
    """Format the table of `make_cells` as text."""
    lines = make_cells(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in lines
    )
    return "\n".join(padded)


def _format_rate(values: Sequence[float]) -> str:
    return f"{_format_spread([100 * value for value in values], 2)} %" if values else "-"


def _format_spread(values: Sequence[float], digits: int) -> str:
    """Format `12.30 ± 0.45`, the sample standard deviation behind the mean; a single value has none."""
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"


def _read_number(run: Run) -> int:
    """Return the place of a run in its sweep; 0 where an imported `run.json` has none."""
    number = _read(run).get("number")
    return number if isinstance(number, int) else 0


def _read(run: Run) -> Mapping[str, Any]:
    kept = read_metadata(run).get(KEY)
    return kept if isinstance(kept, dict) else {}
