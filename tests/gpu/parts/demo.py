"""Whole: the demo through the command line, then stop, cancel and queue, with the system's figures and its memory."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from asrkit.runs import events, lifecycle, system, view
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.gpu.pack import Pack, asrkit, set_flags
from tests.support.waiting import wait_for

MAX_DEMO_WER = 0.1
MAX_LEFT_MB, MAX_SMI_DIFFERENCE_MB = 64.0, 64.0
MAX_FREEING_S = 30.0
ENDED = {*lifecycle.RESUMABLE, lifecycle.FINISHED}


def run(pack: Pack) -> None:
    store = RunStore(pack.folder / "runs")
    before_mb = used_mb(pack)
    train_demo(pack, store)
    compare_figures(pack)
    control_runs(pack, store)
    if pack.has_gpu:
        deadline = time.monotonic() + MAX_FREEING_S
        while used_mb(pack) - before_mb > MAX_LEFT_MB and time.monotonic() < deadline:
            time.sleep(1.0)
        left_mb = used_mb(pack) - before_mb
        pack.measure(
            "memory that ended runs keep",
            max(0.0, left_mb),
            "MB",
            at_most=MAX_LEFT_MB,
            is_exact=True,
            detail=describe_holders() if left_mb > MAX_LEFT_MB else "",
        )
    else:
        alive = [one.id for one in lifecycle.iter_active_runs(store)]
        pack.check("no worker is left", not alive, ", ".join(alive))


def train_demo(pack: Pack, store: RunStore) -> None:
    """Train the demo in the foreground, as a user would."""
    shortened = {"max_steps": 6, "eval_steps": 3, "eval_on_start": False} if pack.is_small else {}
    seconds, output = pack.time(
        lambda: asrkit(
            "train", "--preset", "demo", "--run-id", "demo", "--runs-dir", str(store.root), *set_flags(shortened)
        )
    )
    demo = store.get("demo")
    status, run_view = lifecycle.get_status(demo), view.load_view(demo)
    pack.check("the demo finishes", status == lifecycle.FINISHED, output[-300:])
    expected = "cuda" if pack.has_gpu else "cpu"
    steps, planned = run_view.step, run_view.started["total_steps"]
    pack.check("the demo makes all its updates", steps == planned, f"{steps} of {planned}")
    pack.check(f"the demo ran on {expected}", str(run_view.started["device"]).startswith(expected))
    pack.check("its precision", True, str(run_view.started["precision"]))
    pack.measure("the demo from start to finish", seconds, "s")
    wer = min(event.data["wer"] for event in run_view.evaluations)
    pack.measure("WER of the demo", wer, at_most=None if pack.is_small else MAX_DEMO_WER, is_exact=True)


def compare_figures(pack: Pack) -> None:
    """Compare the page's system figures with nvidia-smi's own, and with PyTorch's."""
    gpus = system.query_gpus()
    if not pack.has_gpu:
        pack.check("without a GPU, the system figures list none", not gpus)
        return
    pack.check("the system figures list the GPU", len(gpus) == torch.cuda.device_count(), f"{len(gpus)} GPUs")
    name, used, total = query_smi()
    gpu = gpus[0]
    pack.check("its name is nvidia-smi's", gpu.name == name, f"{gpu.name} and {name}")
    pack.check("its memory is nvidia-smi's", gpu.memory_total_bytes == total * 2**20, f"{total} MiB")
    difference_mb = abs((gpu.memory_used_bytes or 0) / 2**20 - used)
    pack.measure("used memory against nvidia-smi", difference_mb, "MB", at_most=MAX_SMI_DIFFERENCE_MB, is_exact=True)
    torch_gb = torch.cuda.get_device_properties(0).total_memory / 2**30
    pack.measure("memory by PyTorch, share of nvidia-smi's", torch_gb / (total / 1024), at_least=0.9, is_exact=True)


def query_smi() -> tuple[str, float, float]:
    """Return name, used and total MiB of the first GPU."""
    command = ["nvidia-smi", "--id=0", "--query-gpu=name,memory.used,memory.total", "--format=csv,noheader,nounits"]
    cells = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip().split(", ")
    return cells[0], float(cells[1]), float(cells[2])


def used_mb(pack: Pack) -> float:
    return query_smi()[1] if pack.has_gpu else 0.0


def describe_holders() -> str:
    """Return the processes, except this one, that have a GPU open."""
    holders = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            is_holder = any(str(os.readlink(link)).startswith("/dev/nvidia") for link in (entry / "fd").iterdir())
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if is_holder and int(entry.name) != os.getpid():
            holders.append(f"{entry.name}: {command[:200]}")
    return "; ".join(holders) or "no other process has the GPU open"


def control_runs(pack: Pack, store: RunStore) -> None:
    """Start two runs for one GPU; stop the first with saving, then cancel the second."""
    first, second = start(store, "first"), start(store, "second")
    pack.check("with the device busy, the second run is queued", lifecycle.get_status(second) == lifecycle.QUEUED)
    wait_for_step(first)
    began = time.monotonic()
    asrkit("runs", "stop", "first", "--runs-dir", str(store.root))
    wait_for(lambda: lifecycle.get_status(first) == lifecycle.STOPPED, "the stopped run")
    pack.measure("from stop to saved, the command's start included", time.monotonic() - began, "s")
    pack.check("the stopped run keeps its model and a checkpoint", first.has_model() and bool(first.checkpoints()))
    wait_for_step(second)
    pack.check("the queued run starts when the device is free", lifecycle.get_status(second) == lifecycle.RUNNING)
    asrkit("runs", "cancel", "second", "--runs-dir", str(store.root))
    wait_for(lambda: lifecycle.get_status(second) == lifecycle.STOPPED, "the cancelled run")
    pack.check("the cancelled run keeps its history only", not second.has_model() and not second.checkpoints())
    devices = [load_started(run).get("device") for run in (first, second)]
    pack.check("both ran on the same device", devices[0] == devices[1], str(devices))


def start(store: RunStore, run_id: str) -> Run:
    """Start a run that does not end by itself."""
    settings = {"num_epochs": 1000, "eval_on_start": False, "eval_steps": 10**6, "logging_steps": 1}
    flags = ["--preset", "demo", "--run-id", run_id, "--runs-dir", str(store.root), *set_flags(settings)]
    asrkit("runs", "start", *flags)
    return store.get(run_id)


def wait_for_step(run: Run) -> None:
    """Wait for the first update of a run; RuntimeError with its log if it ends before."""
    wait_for(
        lambda: (
            view.load_view(run).step >= 2 or lifecycle.get_status(run) in (*lifecycle.RESUMABLE, lifecycle.FINISHED)
        ),
        f"a step of {run.id}",
    )
    if view.load_view(run).step < 2:
        raise RuntimeError(f"{run.id} {lifecycle.get_status(run)}: {run.log_tail()}")


def load_started(run: Run) -> dict[str, Any]:
    """Return the data of a run's `started` event."""
    return next((event.data for event in run.events()[0] if event.kind == events.STARTED), {})
