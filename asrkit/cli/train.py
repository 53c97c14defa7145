"""`train`: fine-tune in the foreground."""

from __future__ import annotations

import argparse
import time
from typing import Any

from asrkit.cli import options as shared
from asrkit.errors import RunError
from asrkit.runs import audit_record, events, lifecycle, queue, summary, supervisor, sweeps, sync
from asrkit.runs.run import STOP, Run
from asrkit.runs.store import RunStore
from asrkit.runs.view import RunView
from asrkit.units import format_rough_duration


def add_command(commands: shared.Commands) -> None:
    shared.add_config_flags(
        shared.add_parser(commands, "train", run, "fine-tune in the foreground; Ctrl-C stops and saves")
    )


def run(options: argparse.Namespace) -> int:
    store, config = shared.prepare_start(options)
    if options.sweep:
        name, runs = sweeps.start_sweep(store, config, sweeps.parse_sweep(options.sweep), options.run_id)
        print(f"Sweep {name}: {len(runs)} runs in {store.root}", flush=True)
        return _follow_sweep(store, name, runs)
    started = supervisor.start(store, config, options.run_id)
    print(f"Run {started.id} in {started.path}", flush=True)
    for finding in audit_record.load_assumptions(started):
        print(f"Assumed ({finding['code']}): {finding['effect']} {'; '.join(finding['examples'])}", flush=True)
    if lifecycle.get_status(started) == lifecycle.QUEUED:
        waits = queue.get_queue_status(started, lifecycle.iter_active_runs(store), queue.list_queue(store))
        behind = f"It is queued behind {', '.join([*waits.running_ids, *waits.queued_ids])}"
        print(f"{waits.launcher_text or behind}.", flush=True)
    return _follow(store, started)


def _follow(store: RunStore, run: Run) -> int:
    """Print the events of a run until it ends.

    The first Ctrl-C asks it to stop and save; the second one leaves that to the background.
    """
    run_view, offset = RunView(run.id), 0
    sync.start_background(store)
    while True:
        try:
            store.get(run.id)  # raises if the run was deleted while it was queued
            status = lifecycle.get_status(run)
            has_ended = status not in lifecycle.UNFINISHED
            if status == lifecycle.QUEUED:
                queue.start_ready_runs(store)
            fresh, offset = run.events(offset)
            for event in fresh:
                run_view.apply(event)
                _print_event(event, run_view)
            if has_ended:
                break
            time.sleep(shared.POLL_INTERVAL_S)
        except KeyboardInterrupt:
            if run.has_flag(STOP):
                print(f"\nRun {run.id} continues saving in the background.", flush=True)
                return 130
            supervisor.stop(run)
            print("\nStopping and saving; press Ctrl-C again to leave that to the background.", flush=True)
    if status in (lifecycle.FINISHED, lifecycle.STOPPED):
        return 0
    raise RunError(_explain_failure(run, run_view, status))


def _follow_sweep(store: RunStore, name: str, runs: list[Run]) -> int:
    """Print each change of a run's status until all have ended, then the table of the sweep.

    The first Ctrl-C asks all of them to stop and save; the second one leaves that to the background.
    """
    known: dict[str, str] = {}
    is_stopped = False
    sync.start_background(store)
    while True:
        try:
            statuses = {run.id: lifecycle.get_status(run) for run in runs if run.config_path.exists()}
            for run_id, status in statuses.items() - known.items():
                print(f"{run_id}  {status}", flush=True)
            known = statuses
            if lifecycle.UNFINISHED.isdisjoint(statuses.values()):
                break
            queue.start_ready_runs(store)
            time.sleep(shared.POLL_INTERVAL_S)
        except KeyboardInterrupt:
            if is_stopped:
                print(f"\nThe runs of sweep {name} continue saving in the background.", flush=True)
                return 130
            is_stopped = True
            for run in reversed(runs):  # the queued ones first, so that none of them starts
                supervisor.stop(run)
            print("\nStopping and saving; press Ctrl-C again to leave that to the background.", flush=True)
    print(sweeps.format_table(sweeps.compare(runs)), flush=True)
    failed = [run_id for run_id, status in known.items() if status not in (lifecycle.FINISHED, lifecycle.STOPPED)]
    if failed:
        raise RunError(f"{', '.join(failed)} failed; `python -m asrkit runs show ID` says why.")
    return 0


def _explain_failure(run: Run, run_view: RunView, status: str) -> str:
    failure = summary.describe_failure(run, status, run_view) or {"message": "", "remedy": ""}
    if status == lifecycle.FAILED:
        return f"{failure['message']} {failure['remedy']}".strip()
    return (
        f"Run {run.id} {status}. {failure['message']} See {run.log_path}, then `python -m asrkit runs resume {run.id}`."
    )


def _print_event(event: events.Event, run_view: RunView) -> None:
    data = event.data
    if event.kind == events.PHASE:
        print(data.get("text", data.get("phase")), flush=True)
    elif event.kind == events.TRAIN:
        eta_s = run_view.eta_s()
        left = f", about {format_rough_duration(eta_s)} left" if eta_s is not None else ""
        print(f"step {event.step} of {run_view.total_steps}  loss {_format_loss(data['loss'])}{left}", flush=True)
    elif event.kind in (events.EVAL, events.FINAL_EVAL):
        step = event.step if event.kind == events.EVAL else data["model_step"]
        sample = shared.format_sample(*summary.count_clips(event))
        print(
            f"evaluation at step {step}{sample}: loss {_format_loss(data['loss'])}  WER {data['wer']:.2%}  "
            f"CER {data['cer']:.2%}{_format_greedy(data)}",
            flush=True,
        )
    elif event.kind in (events.FINISHED, events.STOPPED):
        print(data["message"], flush=True)


def _format_greedy(data: dict[str, Any]) -> str:
    """Format the greedy WER, where a word list was used."""
    return f"  (WER {data['greedy_wer']:.2%} without the word list)" if data.get("greedy_wer") is not None else ""


def _format_loss(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"
