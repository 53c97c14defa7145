"""Measure what is before the first step, for data of several sizes: `python -m tests.benchmarks.starts`.

    python -m tests.benchmarks.starts [--clips 1000 10000 100000]

For each size, hard links to a thousand clips of 2 to 20 seconds (`manifest`).

first_s: preparing the data for the first run, by the clock, because sandboxes work meanwhile.
again_s, again_mb: for another run on the unchanged data, and what it adds to the memory of the app.
worker_s, worker_mb: from the begin of the worker to its first step, in a process that has loaded the libraries.

The others are processor times, which other load changes less. The exponents are slopes of logarithms: 1 is
proportional, and a fixed part makes them smaller.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from asrkit import config as configs
from asrkit.runs import preparation_cache
from asrkit.runs.store import RunStore
from tests.benchmarks.manifest import write_dataset

COLUMNS = ("first_s", "again_s", "again_mb", "worker_s", "worker_mb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part, data, runs = options.part
        print(json.dumps(PARTS[part](data, RunStore(runs))))
        return
    print(f"{'clips':>9}  " + "  ".join(f"{name:>10}" for name in COLUMNS))
    results = {num_clips: measure(num_clips) for num_clips in options.clips}
    exponents = [
        np.polyfit(np.log(options.clips), np.log([max(1e-6, result[name]) for result in results.values()]), 1)[0]
        for name in COLUMNS
    ]
    print(f"{'exponent':>9}  " + "  ".join(f"{exponent:10.2f}" for exponent in exponents))


def measure(num_clips: int) -> dict[str, float]:
    """Measure one size, each part in a process of its own, and print it."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        write_dataset(data, num_clips)
        time.sleep(1)  # data that is as new as its preparation is prepared again
        first, again = (run_part("prepare", data, folder) for _ in range(2))
        worker = run_part("work", data, folder)
        result = {
            "first_s": first["clock_s"],
            "again_s": again["cpu_s"],
            "again_mb": again["mb"],
            "worker_s": worker["cpu_s"],
            "worker_mb": worker["mb"],
        }
    print(f"{num_clips:9,}  " + "  ".join(f"{result[name]:10.2f}" for name in COLUMNS), flush=True)
    return result


def run_part(part: str, data: Path, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.starts", "--part", part, str(data), f"{folder}/runs"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def prepare(data: str, store: RunStore) -> dict[str, float]:
    """Prepare the data of a new run, as the app does."""
    changes = {"train": f"{data}/metadata.csv", "eval_on_start": False, "accept_assumptions": True, "logging_steps": 1}
    config = configs.load_preset("quick").config.replace(changes)

    def create() -> None:
        store.create(config, fill=preparation_cache.prepare(config, store).write)

    return measure_cost(create)


def work(data: str, store: RunStore) -> dict[str, float]:
    """Begin the newest run, up to its first step, in this process, which has loaded the libraries."""
    from asrkit.training import trainer, worker

    class FirstStep(BaseException):
        pass

    def stop(*_: Any, **__: Any) -> Any:
        raise FirstStep

    trainer.CtcTrainer.training_step = stop  # type: ignore[method-assign]

    def begin() -> None:
        with contextlib.suppress(FirstStep):
            worker._train(store.all()[0], lambda: None, "")

    return measure_cost(begin)


def measure_cost(action: Callable[[], object]) -> dict[str, float]:
    process = psutil.Process()
    before, cpu_s, clock_s = process.memory_full_info().uss, time.process_time(), time.perf_counter()
    action()
    return {
        "cpu_s": time.process_time() - cpu_s,
        "clock_s": time.perf_counter() - clock_s,
        "mb": (process.memory_full_info().uss - before) / 1e6,
    }


PARTS = {"prepare": prepare, "work": work}

if __name__ == "__main__":
    main()
