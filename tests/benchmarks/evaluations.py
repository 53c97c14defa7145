"""Measure what the evaluations of a run cost: its time before the first step, and the share of its time.

    python -m tests.benchmarks.evaluations [--clips 1000 2000] [--steps 60] [--before CHECKOUT]

Runs the preset `quick` on the demo's callsigns, evaluated on so many clips of 1 to 2 s: hard links to the demo's. With
`--before`, another checkout of this project, such as an older commit in a git worktree, takes turns with this one; the
figures depend on the machine and its load, so compare the ratios. The final evaluation, which may be skipped, is off.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
DEMO = PROJECT / "assets" / "demo" / "callsigns"


class Cost(NamedTuple):
    """first_step_s: from the end of loading to the first step. share: of the time from then on, in evaluations."""

    first_step_s: float
    share: float
    clips: list[int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[1_000, 2_000])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    options = parser.parse_args()
    checkouts = {"before": options.before, "now": PROJECT} if options.before else {"now": PROJECT}
    print(f"{'clips':>6} {'':>7} {'first step':>11} {'evaluations':>12}  clips of each evaluation")
    for num_clips in options.clips:
        with tempfile.TemporaryDirectory() as folder:
            data = make_data(Path(folder) / "data", num_clips)
            costs = {name: measure(path, data, Path(folder) / name, options.steps) for name, path in checkouts.items()}
        for name, cost in costs.items():
            print(f"{num_clips:>6} {name:>7} {cost.first_step_s:>9.1f} s {cost.share:>12.0%}  {cost.clips}")
        if options.before:
            before, now = costs["before"], costs["now"]
            print(
                f"{num_clips:>6} {'ratio':>7} {before.first_step_s / now.first_step_s:>11.1f} "
                f"{before.share / now.share:>12.1f}"
            )


def make_data(folder: Path, num_clips: int) -> Path:
    """Write a dataset of so many clips and return its table."""
    folder.mkdir(parents=True)
    with open(DEMO / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    path_column, text_column = list(rows[0])[0], "text" if "text" in rows[0] else list(rows[0])[1]
    table = folder / "metadata.csv"
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "text"])
        for number in range(num_clips):
            row = rows[number % len(rows)]
            source = DEMO / row[path_column]
            name = f"{number:06}{source.suffix}"
            os.link(source, folder / name) if _is_same_disk(source, folder) else os.symlink(source, folder / name)
            writer.writerow([name, row[text_column]])
    return table


def _is_same_disk(source: Path, folder: Path) -> bool:
    return source.stat().st_dev == folder.stat().st_dev


def measure(checkout: Path, data: Path, runs_dir: Path, num_steps: int) -> Cost:
    """Train with the code of a checkout, and read what evaluations took from the events of the run."""
    flags = ["--preset", "quick", "--train", "callsigns", "--eval", str(data), "--runs-dir", str(runs_dir)]
    flags += ["--run-id", "one", "--set", f"max_steps={num_steps}", "--set", "drop_bad_clips=true"]
    environment = os.environ | {"ASRKIT_PACE": str(runs_dir.with_suffix(".json"))}
    result = subprocess.run(
        [sys.executable, "-m", "asrkit", "train", *flags], cwd=checkout, env=environment, capture_output=True, text=True
    )
    if result.returncode:
        sys.exit(result.stderr or result.stdout)
    history = [json.loads(line) for line in (runs_dir / "one" / "events.jsonl").read_text().splitlines()]
    loaded_s = next(event["elapsed_s"] for event in history if event["kind"] == "started")
    first_step_s = next(event["elapsed_s"] for event in history if event["kind"] == "train") - loaded_s
    evaluations = [event for event in history if event["kind"] == "eval"]
    evaluating_s = sum(event["seconds"] for event in evaluations)
    clips = [event["utterances"] for event in evaluations]
    return Cost(first_step_s, evaluating_s / (history[-1]["elapsed_s"] - loaded_s), clips)


if __name__ == "__main__":
    main()
