"""`python -m asrkit.training.worker RUN_DIR`: train one run and record how it ends.

Runs as a single process, or as one of several under `torchrun -m asrkit.training.worker RUN_DIR`. The first event is
written before torch is imported, which takes several seconds.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asrkit import logs, startup
from asrkit.config import TrainConfig
from asrkit.data import access
from asrkit.data.manifest import Column
from asrkit.errors import ConfigError
from asrkit.files import write_json
from asrkit.hub import credentials
from asrkit.runs import events, launchers, ownership, processes, queue, summary, view
from asrkit.runs.heartbeat import Heartbeat
from asrkit.runs.launchers import slurm
from asrkit.runs.report import card
from asrkit.runs.run import PREEMPT, SCORE, STOP, Run
from asrkit.runs.store import RunStore
from asrkit.training import distributed, inputs, links, run_end, start_events, stopping
from asrkit.training.reporting import emit, emit_phase
from asrkit.training.resume import read_resume_state
from asrkit.training.stopping import StopRequested, check_stop
from asrkit.units import format_count

logger = logging.getLogger("asrkit.training.worker")  # __name__ is "__main__" where it runs as a program

PROCESS_INFO_WAIT_S = 5.0
"""How long the supervisor has to write `process.json` before the worker does so itself (the app may be dead)."""


def main(arguments: list[str]) -> int:
    """Train the run; return exit code 0 if it finished or was stopped, 1 if it failed."""
    credentials.withhold_token()  # from what is started here: only the fetch of the operator's data gets it
    run = Run(Path(arguments[0]).resolve())
    logs.configure(
        "%(asctime)s %(message)s", sys.stdout, level=logging.INFO if distributed.IS_MAIN else logging.WARNING
    )
    distributed.die_with_launcher()
    _stop_on_sigterm(run)
    if distributed.IS_MAIN and not _claim(run):
        logger.info("Another worker is running this run; exiting.")
        return 0
    on_poll = Heartbeat(run).on_poll
    try:
        lost_worker = ""
        if distributed.IS_MAIN:
            lost_worker = _explain_lost_worker(run)
            run.clear_flags(PREEMPT)
            _write_process_info(run)
            run.start_clock(view.load_view(run, skim=True).elapsed_s)
            run.reserve_disk()
            on_poll = stopping.start_watchdog(run).on_poll
        with access.as_visitor(access.owner_folder(ownership.read_ownership(run).owner)):
            if run.has_flag(SCORE):
                _score(run, on_poll)
            else:
                _train(run, on_poll, lost_worker)
        distributed.shutdown()
    except StopRequested:
        run_end.end_before_training(run)
    except BaseException as error:
        run_end.fail(run, error)
        return 1
    finally:
        if distributed.IS_MAIN:
            run.release_reserve()
            queue.start_ready_runs(RunStore(run.path.parent))
    return 0


def _train(run: Run, on_poll: Callable[[], None], lost_worker: str) -> None:
    """Load everything, train, and finish.

    on_poll: called each time the loop reads the control flags. lost_worker: as `_explain_lost_worker` returns it.
    """
    config = run.config()
    emit_phase(run, "loading", "Loading PyTorch", begins=True)
    with startup.fast_imports():
        import torch
        from transformers import set_seed

        from asrkit.training import final_evaluation
        from asrkit.training.trainer import CtcTrainer

    _join(run)
    _check_processes(config)
    checkpoint = inputs.find_checkpoint(run)
    base = None if checkpoint else inputs.fetch_base_model(run, config)
    train, held_out = inputs.load_data(run, config, base)
    set_seed(config.seed)
    processor, model = inputs.load_model(run, config, checkpoint, base, Column("text", train, held_out))
    check_stop(run)
    resume_state = read_resume_state(run, checkpoint)
    emit_phase(
        run, "preparing", f"Preparing {format_count(len(train), 'clip')} to train on and {len(held_out)} to evaluate on"
    )
    trainer = CtcTrainer(run, config, model, processor, train, held_out, resume_state, on_poll)
    hardware = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})"
    trainer.exchange = links.measure_exchange(start_events.count_gradient_bytes(model), str(trainer.args.device))
    start_events.emit_started(trainer, model, resume_state.step, hardware)
    start_events.emit_leaks(run, resume_state.step, resume_state.finding_codes)
    if lost_worker:
        start_events.emit_lost_worker(run, resume_state.step, lost_worker)
    stopping.disable_interrupts()
    check_stop(run)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    run_end.keep_model(run, trainer)
    if config.eval_on_end and not trainer.interrupted and final_evaluation.is_due(run):
        trainer.release_memory()
        final_evaluation.score_model(run, config, on_poll)
    run_end.finish(run, trainer)


def _join(run: Run) -> None:
    """Join the other processes of the run, and watch the machines that they are on."""
    distributed.initialize()
    links.start_monitor(functools.partial(run_end.end_now, run))


def _score(run: Run, on_poll: Callable[[], None]) -> None:
    """Score the model of a run that has ended on all evaluation clips; the run then ends again as it did."""
    end = view.load_view(run, skim=True).end
    emit_phase(run, "loading", "Loading PyTorch", begins=True)
    try:
        with startup.fast_imports():
            from asrkit.training import final_evaluation

        _join(run)
        stopping.disable_interrupts()
        if final_evaluation.is_due(run):
            final_evaluation.score_model(run, run.config(), on_poll)
            if distributed.IS_MAIN:
                card.write_card(run)
    except StopRequested:
        stopping.disable_interrupts()
    if distributed.IS_MAIN and end is not None:
        if not summary.is_scored_on_sample(run, view.load_view(run, skim=True)):
            end.data["message"] = str(end.data.get("message") or "").removesuffix(run_end.SAMPLE_NOTE)
        emit(run, end.kind, end.step, end.epoch, **end.data)
        run.clear_flags()


# Begin


def _stop_on_sigterm(run: Run) -> None:
    """Handle SIGTERM as a request to stop and save, or as the failure of another process that it announces."""

    def handle(*_: Any) -> None:
        distributed.check_siblings()
        run.set_flag(PREEMPT if launchers.JOB in os.environ else STOP)  # a cluster takes the machine away

    signal.signal(signal.SIGTERM, handle)


def _claim(run: Run) -> bool:
    """Claim the run; False if another process works on it, or did so while this one waited for the claim."""

    def has_ended() -> bool:
        last_events = run.last_events(size=4096)
        return bool(last_events) and last_events[-1].kind in events.END_KINDS

    ended_before = has_ended()
    return run.claim() is not None and has_ended() == ended_before


def _write_process_info(run: Run) -> None:
    """Wait for the supervisor's `process.json`; write it if the supervisor does not, or a cluster starts the worker."""
    if job := os.environ.get(launchers.JOB):
        if job_id := job.partition(":")[2]:  # the container of a Hugging Face job does not know it
            write_json(run.job_path, {"id": job_id})
        processes.write_job_process(run, distributed.launcher_pid(), sys.argv, slurm.current_job_nodes())
        return
    deadline = time.monotonic() + PROCESS_INFO_WAIT_S
    while time.monotonic() < deadline:
        if (run.process() or {}).get("pid") == distributed.launcher_pid():
            return
        time.sleep(0.05)
    processes.write_process_info(run, distributed.launcher_pid(), sys.argv, run.events_size())


def _explain_lost_worker(run: Run) -> str:
    """Return how an earlier worker of the same job ended that could not save; empty if there is none."""
    process, last = run.process() or {}, run.last_events(size=4096)
    if launchers.JOB not in os.environ or "pid" not in process:
        return ""
    if last and (last[-1].kind in events.END_KINDS or last[-1].data.get("phase") == run_end.PREEMPTED):
        return ""
    known = launchers.of_process(process).explain_end(run)
    return known or f"The worker on {process.get('host')} ended without a message, and the cluster started another one."


def _check_processes(config: TrainConfig) -> None:
    """Check what TrainConfig cannot: the number of processes where machines are joined by hand."""
    if distributed.WORLD_SIZE > 1 and config.layerdrop:
        raise ConfigError("Layer drop (layerdrop) works with one process only; set it to 0.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
