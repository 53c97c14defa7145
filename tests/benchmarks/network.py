"""Measure two machines with networks of several speeds between them against one machine.

    python -m tests.benchmarks.network [--rates 10gbit 1gbit 100mbit 20mbit] [--steps 20] [--batch 4]

The machines are network namespaces of this one, so it needs root; each process of training has one core. Trains the
starter on the demo's clips over gloo, with a batch of so many clips a process. Prints for each network and way:

updates/min, clips/s: by the median time of an update
ratio: of clips a second to those of a single process
share: of the time of an update that the exchange of gradients would take by itself, as the run measures it at its start
slow-link: whether the run has the finding
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from typing import Any

from asrkit import config as configs
from asrkit.runs import events, view
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.support.namespaces import ADDRESSES, TwoMachines, two_machines
from tests.support.ports import find_free_port

WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "accumulation 8": {"gradient_accumulation_steps": 8},
    "LoRA": {"freeze": "lora"},
}
LIMIT_S = 400
WARM = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", nargs="+", default=["10gbit", "1gbit", "100mbit", "20mbit"])
    parser.add_argument("--steps", type=int, default=20, help="batches of a process")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    print(f"{'network':>9}  {'way':>14}  updates/min  clips/s  ratio  share  slow-link")
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(folder)
        for way in options.ways:
            settings = WAYS[way]
            accumulation = settings.get("gradient_accumulation_steps", 1)
            values = {
                **{"preset": "", "model": "starter", "train": "callsigns", "vocabulary": "extend"},
                **{"train_batch_size": options.batch, "device": "cpu", "mixed_precision": "no", "num_epochs": 1000},
                **{"eval_on_start": False, "eval_on_end": False, "eval_steps": 10**6, "save_steps": 10**6},
                **{"logging_steps": 1, "max_steps": max(WARM + 2, options.steps // accumulation), **settings},
            }
            alone = 0.0
            for rate in ("", *options.rates):
                run = store.create(configs.TrainConfig().replace(values | {"processes": 2 if rate else 1}))
                with two_machines(rate or "10gbit") as machines:
                    train(machines, run, 2 if rate else 1)
                alone = report(run, rate, way, alone, accumulation * options.batch)


def train(machines: TwoMachines, run: Run, num_machines: int) -> None:
    """Train a run with a process on each machine."""
    port = find_free_port()
    processes = [
        machines.start(
            rank,
            [
                *(sys.executable, "-m", "torch.distributed.run", f"--nnodes={num_machines}", "--nproc-per-node=1"),
                *(f"--master-addr={ADDRESSES[0]}", f"--master-port={port}", f"--node-rank={rank}"),
                *("-m", "asrkit.training.worker", str(run.path)),
            ],
            {"GLOO_SOCKET_IFNAME": f"asr{rank}", "OMP_NUM_THREADS": "1"},
        )
        for rank in range(num_machines)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=LIMIT_S)
        if process.returncode:
            raise SystemExit(output)


def report(run: Run, rate: str, way: str, alone: float, num_clips: int) -> float:
    """Print the figures of a run; return the clips a second of one process. num_clips: in an update of a process."""
    at = [event.elapsed_s or 0.0 for event in run.events()[0] if event.kind == events.TRAIN][WARM - 1 :]
    step_s = statistics.median(after - before for before, after in zip(at, at[1:], strict=False))
    shown = view.load_view(run)
    speed = num_clips * run.config().processes / step_s
    share = (shown.started.get("exchange_s") or 0.0) / step_s
    is_named = any(finding["code"] == "slow-link" for finding in shown.findings)
    print(
        f"{rate or 'alone':>9}  {way:>14}  {60 / step_s:11.1f}  {speed:7.1f}  {speed / (alone or speed):5.2f}  "
        f"{share:5.2f}  {'yes' if is_named else 'no'}",
        flush=True,
    )
    return alone or speed


if __name__ == "__main__":
    main()
