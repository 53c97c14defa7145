"""`train` and `runs ...`: start a run, follow it, list, show and steer all of them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from asrkit.cli import options as given
from asrkit.errors import RunError
from asrkit.files import readable_disk_errors
from asrkit.runs import events, lifecycle, queue, summary, supervisor, view
from asrkit.runs.report import export
from asrkit.runs.run import STOP, Run
from asrkit.runs.store import RunStore


def train(options: argparse.Namespace) -> int:
    store = RunStore(options.runs_dir)
    run = supervisor.start(store, given.settings_of(options), options.run_id)
    print(f"Run {run.id} in {run.path}", flush=True)
    if lifecycle.get_status(run) == lifecycle.QUEUED:
        ahead = queue.get_queue_status(run, lifecycle.iter_active_runs(store), queue.list_queue(store))
        print(f"It waits in line, behind {', '.join([*ahead.running_ids, *ahead.queued_ids])}.", flush=True)
    return _follow(store, run)


def _follow(store: RunStore, run: Run) -> int:
    """Print what the run tells until it ends. The first Ctrl-C asks for stop and save; another leaves it to itself."""
    seen, offset = view.RunView(run.id), 0
    while True:
        try:
            store.get(run.id)  # it may have been deleted while it waited
            over = (now := lifecycle.get_status(run)) not in lifecycle.ACTIVE and now != lifecycle.QUEUED
            if now == lifecycle.QUEUED:
                queue.start_ready_runs(store)
            fresh, offset = run.events(offset)
            for told in fresh:
                seen.apply(told)
                _print(told, seen)
            if over:
                break
            time.sleep(given.POLL_S)
        except KeyboardInterrupt:
            if run.has_flag(STOP):
                print(f"\nRun {run.id} goes on saving in the background.", flush=True)
                return 130
            supervisor.stop(run)
            print("\nStopping and saving; press Ctrl-C again to leave that to the background.", flush=True)
    if now in (lifecycle.FINISHED, lifecycle.STOPPED):
        return 0
    raise RunError(_why(run, seen, now))


def _why(run: Run, seen: view.RunView, status: str) -> str:
    told = summary.describe_failure(run, status, seen)
    if status == lifecycle.FAILED:
        return f"{told['message']} {told['remedy']}".strip()
    return f"Run {run.id} {status}. {told['message']} See {run.log_path}, then `python -m asrkit runs resume {run.id}`."


def _print(told: events.Event, seen: view.RunView) -> None:
    data = told.data
    if told.kind == events.PHASE:
        print(data.get("text", data.get("phase")), flush=True)
    elif told.kind == events.TRAIN:
        eta = seen.eta_s()
        left = f", about {eta:.0f} s left" if eta is not None else ""
        print(f"step {told.step} of {seen.total_steps}  loss {_number(data['loss'])}{left}", flush=True)
    elif told.kind == events.EVAL:
        print(
            f"evaluation at step {told.step}: loss {_number(data['loss'])}  WER {data['wer']:.2%}  "
            f"CER {data['cer']:.2%}{_greedy(data)}",
            flush=True,
        )
    elif told.kind in (events.FINISHED, events.STOPPED):
        print(data["message"], flush=True)


def _greedy(data: dict[str, Any]) -> str:
    """What a word list is worth, where one was used."""
    return f"  (WER {data['greedy_wer']:.2%} without the word list)" if data.get("greedy_wer") is not None else ""


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"


def list_all(options: argparse.Namespace) -> None:
    store = RunStore(options.runs_dir)
    rows = [summary.summarize_run(run) for run in store.all()]
    if options.json:
        return given.dump(rows)
    line = [run.id for run in queue.list_queue(store)]
    for row in rows:
        if row["run_id"] in line:
            row["status"] += f" ({line.index(row['run_id']) + 1} of {len(line)})"
        best = f"  best WER {row['best']['wer']:.2%}" if row["best"] else ""
        print(f"{row['run_id']}  {row['status']}  step {row['step']} of {row['total_steps'] or '?'}{best}")


def show_one(options: argparse.Namespace) -> None:
    _show(RunStore(options.runs_dir).get(options.run_id), options.json)


def _show(run: Run, as_json: bool) -> None:
    row = summary.summarize_run(run)
    if as_json:
        return given.dump(row)
    for name, value in row.items():
        print(f"{name}: {value}")


def start(options: argparse.Namespace) -> None:
    _show(supervisor.start(RunStore(options.runs_dir), given.settings_of(options), options.run_id), options.json)


def resume(options: argparse.Namespace) -> None:
    store = RunStore(options.runs_dir)
    _show(supervisor.resume(store, store.get(options.run_id)), options.json)


def delete(options: argparse.Namespace) -> None:
    store = RunStore(options.runs_dir)
    supervisor.delete(store, store.get(options.run_id))


def archive(options: argparse.Namespace) -> None:
    run = RunStore(options.runs_dir).get(options.run_id)
    path = options.file or Path(f"{run.id}.zip")
    with readable_disk_errors(path):
        export.write_archive(run, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def publish(options: argparse.Namespace) -> None:
    run = RunStore(options.runs_dir).get(options.run_id)
    print(export.publish_model(run, options.name, options.private))


def acting(action: Any) -> Any:
    def command(options: argparse.Namespace) -> None:
        run = RunStore(options.runs_dir).get(options.run_id)
        action(run)
        _show(run, options.json)

    return command


def put_first(run: Run) -> None:
    queue.move(RunStore(run.path.parent), run, 1)


def move(options: argparse.Namespace) -> None:
    store = RunStore(options.runs_dir)
    run = store.get(options.run_id)
    queue.move(store, run, options.position)
    _show(run, options.json)
