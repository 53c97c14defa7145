"""`python -m asrkit.training.worker RUN_DIR`: wires a run together and turns whatever ends it into an event.

Alone, or as one of several under `torchrun -m asrkit.training.worker RUN_DIR`. The first words are said before torch is
imported, which takes several seconds.
"""

from __future__ import annotations

import contextlib
import functools
import platform
import signal
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from asrkit import __version__
from asrkit.config import TrainConfig
from asrkit.data import access, manifest
from asrkit.decoding import ctc
from asrkit.errors import ConfigError
from asrkit.jobs import ProgressCallback
from asrkit.models import resolution
from asrkit.runs import events, preparation, processes, queue, view, watchdog
from asrkit.runs.heartbeat import Heartbeat
from asrkit.runs.report import card
from asrkit.runs.run import CANCEL, STOP, Run
from asrkit.runs.store import RunStore
from asrkit.training import distributed
from asrkit.training.checkpoint_files import tidy

PACKAGES = ("transformers", "torch", "torchaudio", "datasets", "tokenizers", "jiwer")
HELLO_S = 5.0
"""How long the supervisor has to write `process.json` before the worker does it itself (the app may be dead)."""
FETCHING_S = 3.0
"""Between two words about a fetch."""


class StopRequested(BaseException):
    """Somebody asked for the end of the run before there was anything to save. No library that is being loaded may
    take it for an error of its own."""


def main(arguments: list[str]) -> int:
    """Exit code 0 for a run that finished or was stopped, 1 for one that failed."""
    run = Run(Path(arguments[0]).resolve())
    distributed.die_with_leader()
    signal.signal(signal.SIGTERM, lambda *_: run.set_flag(STOP))
    if distributed.FIRST and not _mine(run):
        print("Another process works on this run; this one leaves it alone.", flush=True)
        return 0
    looked = Heartbeat(run).on_poll
    try:
        if distributed.FIRST:
            _introduce(run)
            run.start_clock(view.load_view(run, skim=True).elapsed_s)
            run.reserve_disk()
            looked = _watch(run).on_poll
        _train(run, looked)
        distributed.part()
    except StopRequested:
        _stopped_early(run)
    except BaseException as error:
        return _failed(run, error)
    finally:
        if distributed.FIRST:
            run.release_reserve()
            queue.start_ready_runs(RunStore(run.path.parent))
    return 0


def _mine(run: Run) -> bool:
    """Whether nobody else works on the run; nor has, while this process waited for its turn."""

    def ended() -> bool:
        told = run.last_events(size=4096)
        return bool(told) and told[-1].kind in events.END_KINDS

    before = ended()
    return run.claim() is not None and ended() == before


_loading = threading.Event()
"""Set while the work can be broken off at any point: a download, an import, a clip that is read."""


def _watch(run: Run) -> Heartbeat:
    """See to it that a stop is heard while a library is busy, and that it ends by force if all else fails."""

    def stop(*_: Any) -> None:
        if _loading.is_set():
            raise StopRequested

    def interrupt() -> None:
        if _loading.is_set() and distributed.WORLD == 1:  # others would wait for this one
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    _loading.set()
    signal.signal(signal.SIGUSR1, stop)
    return watchdog.guard_worker(run, interrupt, is_alone=distributed.WORLD == 1)


def _introduce(run: Run) -> None:
    deadline = time.monotonic() + HELLO_S
    while time.monotonic() < deadline:
        if (run.process() or {}).get("pid") == distributed.leader():
            return
        time.sleep(0.05)
    processes.write_process_info(run, distributed.leader(), sys.argv, run.events_size())


def _failed(run: Run, error: BaseException) -> int:
    from asrkit.training.failures import explain

    _loading.clear()
    with contextlib.suppress(OSError):  # the log lies on the disk that may be full; the event has the traceback too
        traceback.print_exception(error)
    told = explain(error)
    life = run.last_events(since=(run.process() or {}).get("events_from", 0))
    # Of several processes the first that fails knows why; the others notice only that it is gone.
    ended = any(one.kind in events.END_KINDS for one in life) or run.pending_end_event() is not None
    if ended or (told.error == "process-lost" and not distributed.FIRST):
        return 1
    run.append_end_event(
        events.make_event(
            events.FAILED,
            error=told.error,
            message=told.message,
            remedy=told.remedy,
            traceback="".join(traceback.format_exception(error)),
        )
    )
    return 1


def _train(run: Run, looked: Callable[[], None]) -> None:
    """The table of contents of a run. looked: called whenever the loop has looked for flags."""
    config = run.config()
    say(run, "loading", "Loading PyTorch", begins=True)
    import torch
    from transformers import set_seed
    from transformers.utils import logging

    from asrkit.training import trainer as training

    logging.disable_progress_bar()
    distributed.join()
    if distributed.WORLD > 1 and config.layerdrop:  # known only here where machines join by hand
        raise ConfigError("Layer drop (layerdrop) works with one process only; set it to 0.")
    checkpoint = distributed.agreed(_clean(run) if distributed.FIRST else None)
    base = None if checkpoint else _base(run, config)
    train, held_out = _data(run, config, base)
    set_seed(config.seed)
    processor, model = _model(run, config, checkpoint or base, [row.text for row in train])
    _check_stop(run)
    seen = view.load_view(run) if checkpoint else view.RunView(run.id)
    step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    scored = [told for told in seen.evaluations if (told.step or 0) <= step]
    parts = max((one.data.get("parts", 1) for one in run.events(skim=True)[0]), default=1)
    found = [finding["code"] for finding in seen.findings if (finding.get("step") or 0) <= step]
    say(run, "preparing", f"Preparing {len(train)} clips to train on and {len(held_out)} to evaluate on")
    trainer = training.CtcTrainer(
        run, config, model, processor, train, held_out, scored=scored, found=found, parts=parts, looked=looked
    )
    steps_an_epoch, total = _steps(trainer)
    heard = sum(row.duration_s for row in train)
    _tell(
        run,
        events.STARTED,
        step,
        **_facts(config, model, train, held_out, torch),
        device=str(trainer.args.device),
        total_steps=total,
        precision=training.precision_for(config.mixed_precision),
        update_s=round(heard / steps_an_epoch, 2),
        clip_s=round(statistics.median(row.duration_s for row in train), 2),
        label_entropy=round(ctc.label_entropy(row.text for row in train), 4),
    )
    for leak in preparation.load_leak_findings(run):
        if leak["code"] not in found:
            _tell(run, events.FINDING, step, code=leak["code"], cause=leak["effect"], remedy=leak["fix"])
    _loading.clear()
    _check_stop(run)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _finish(run, trainer)


def _clean(run: Run) -> Path | None:
    """Remove what a killed worker left half-written; the last whole checkpoint, if there is one, is where to go on."""
    tidy(run)
    run.repair_events()
    found = run.checkpoints()
    return found[-1] if found else None


def _base(run: Run, config: TrainConfig) -> Path:
    """The base model's directory, fetched where need be: by one process, before the others look for it."""
    fetch = functools.partial(
        resolution.fetch, config.model, RunStore(run.path.parent), language=config.adapter_language
    )
    if distributed.FIRST:
        say(run, "loading", f"Loading the base model {config.model}")
        with contextlib.suppress(StopRequested):  # which everybody is told of, at once
            fetch(on_progress=_fetch_progress(run))
    _check_stop(run)
    return fetch()


def _data(
    run: Run, config: TrainConfig, base: Path | None
) -> tuple[list[manifest.Utterance], list[manifest.Utterance]]:
    if distributed.FIRST and not run.manifest_path("eval").exists():
        say(run, "loading", f"Loading the data from {config.train}")
        with access.as_owner_of(config.train, config.eval), contextlib.suppress(StopRequested):
            preparation.prepare_data(
                config,
                RunStore(run.path.parent),
                hub_dir=run.path / "audio",
                model=base,
                on_progress=_fetch_progress(run),
            ).write(run)
    _check_stop(run)
    return manifest.read(run.manifest_path("train")), manifest.read(run.manifest_path("eval"))


def _fetch_progress(run: Run) -> ProgressCallback:
    """A callback that emits the progress of a fetch every few seconds, and stops it when the run is to stop."""
    emitted_at = time.monotonic()

    def on_progress(message: str, done: int, total: int) -> None:
        nonlocal emitted_at
        if run.has_flag(STOP) or run.has_flag(CANCEL):
            raise StopRequested
        if time.monotonic() - emitted_at > FETCHING_S:
            emitted_at = time.monotonic()
            say(run, "loading", message)

    return on_progress


def _model(run: Run, config: TrainConfig, found: Path, texts: list[str]) -> tuple[Any, Any]:
    from asrkit.training import model

    if found.parent == run.checkpoints_dir:
        say(run, "loading", f"Loading the checkpoint of step {found.name.rpartition('-')[2]}")
        return model.reload(found, config)
    return model.load(str(found), config, texts)


def _steps(trainer: Any) -> tuple[int, int]:
    """Optimizer steps of an epoch and of the run."""
    planned = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    return planned[1], planned[-1]


def _facts(config: TrainConfig, model: Any, train: list, held_out: list, torch: Any) -> dict[str, Any]:
    return {
        "metric_for_best_model": config.metric_for_best_model,
        "normaliser": config.text_rules,
        "train_utterances": len(train),
        "eval_utterances": len(held_out),
        "train_hours": round(sum(row.duration_s for row in train) / 3600, 4),
        "eval_hours": round(sum(row.duration_s for row in held_out) / 3600, 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "architecture": type(model).__name__,
        "vocabulary": model.config.vocab_size,
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})",
        "processes": distributed.WORLD,
        "python": platform.python_version(),
        "versions": {"asrkit": __version__, **{name: _version(name) for name in PACKAGES}},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _finish(run: Run, trainer: Any) -> None:
    if not distributed.FIRST:
        return
    if run.has_flag(CANCEL):
        run.delete_weights()
        _end(run, saved=False, trainer=trainer)
        return
    if not run.has_model():
        trainer.save_best()
    card.write_card(run)
    stopped = trainer.interrupted
    words = "Stopped and saved" if stopped else "Finished"
    _end(run, saved=True, message=f"{words} at step {trainer.state.global_step}.", trainer=trainer, stopped=stopped)


def _stopped_early(run: Run) -> None:
    """The end of a run that was asked to end while it was loading; one that is resumed has saved something before."""
    _loading.clear()
    if not distributed.FIRST:
        return
    if run.has_flag(CANCEL):
        run.delete_weights()
    words = "what it had saved before is kept" if run.has_model() else "there was nothing to save"
    _end(run, saved=run.has_model(), message=f"Stopped before training began; {words}.")


def _end(run: Run, *, saved: bool, message: str = "", trainer: Any = None, stopped: bool = True) -> None:
    if not distributed.FIRST:
        return
    if run.has_flag(CANCEL) and not saved:
        message = "Cancelled; only the history was kept."
    state = trainer.state if trainer else None
    run.append(
        events.make_event(
            events.STOPPED if stopped else events.FINISHED,
            state and state.global_step,
            state and state.epoch,
            message=message,
            saved=saved,
            model="model" if saved else None,
        )
    )
    run.clear_flags()


def say(run: Run, phase: str, text: str, **data: Any) -> None:
    """A `phase` event and a line in the log: no wait is silent."""
    _tell(run, events.PHASE, phase=phase, text=text, **data)
    if distributed.FIRST:
        print(text, flush=True)


def _tell(run: Run, kind: str, step: int | None = None, epoch: float | None = None, **data: Any) -> None:
    if distributed.FIRST:
        run.append(events.make_event(kind, step, epoch, **data))


def _check_stop(run: Run) -> None:
    if distributed.agreed(run.has_flag(STOP) or run.has_flag(CANCEL)):
        raise StopRequested


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
