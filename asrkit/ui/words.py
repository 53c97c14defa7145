"""Plain words for what a run is doing: the page says nothing that is not made here or by the worker."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from asrkit.runs import events, supervisor, watchdog
from asrkit.runs.events import Event
from asrkit.runs.system import Load
from asrkit.runs.view import RunView

STATUS = {
    supervisor.QUEUED: "Waiting",
    supervisor.STARTING: "Starting",
    supervisor.RUNNING: "Running",
    supervisor.STOPPING: "Stopping",
    supervisor.STOPPED: "Stopped",
    supervisor.FINISHED: "Finished",
    supervisor.FAILED: "Failed",
    supervisor.CRASHED: "Interrupted",
}
LONG_S = 15.0
"""From here on a phase says how long it has taken, so that one which is slow does not look like one that hangs."""

PHASES = {
    "loading": "Loading the base model",
    "preparing": "Preparing the data",
    "auditing": "Checking the data",
    "training": "Training",
    "evaluating": "Evaluating",
    "saving": "Saving the model",
}
METRICS = {"wer": "WER", "cer": "CER", "mer": "MER", "loss": "evaluation loss"}


def duration(seconds: float) -> str:
    """As a person says it: 8 s, 1 min 10 s, 2 h 5 min, 3 d 4 h."""
    whole = max(0, round(seconds))
    for size, unit, small, small_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit} {rest} {small_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def roughly(seconds: float) -> str:
    """A duration as coarse as an estimate deserves: steps of 5 s below a minute, of 10 s below 5 min, then minutes."""
    grain = 5 if seconds < 60 else 10 if seconds < 300 else 60
    return duration(max(grain, round(seconds / grain) * grain))


def rate(value: float | None) -> str:
    """A rate, stored as a fraction, as percent."""
    return "unknown" if value is None else f"{value * 100:.1f} %"


def figure(metric: str, value: float | None) -> str:
    """`WER 3.1 %`, or `evaluation loss 0.412`."""
    shown = rate(value) if metric != "loss" else "unknown" if value is None else f"{value:.3f}"
    return f"{METRICS.get(metric, metric)} {shown}"


def phase(told: Event) -> str:
    """What a phase event says, with how far it is."""
    name = str(told.data.get("phase", ""))
    text = told.data.get("text") or PHASES.get(name, name.capitalize() or "Working")
    done, total = told.data.get("done"), told.data.get("total")
    if done is None or not total or re.search(r"\d+ of \d+|\d+ ?%", text):
        return text
    if str(total) in text:
        return f"{text}, {done / total:.0%} done"
    return f"{text} {done} of {total}"


def activity(status: str, seen: RunView, cancelled: bool, before: Sequence[str] = ()) -> str:
    """What a run that has not ended is doing now. `before`: ids of the runs that it waits for."""
    if status == supervisor.QUEUED:
        others = f" and {len(before) - 1} more" if len(before) > 1 else ""
        return f"Waiting for run {before[0]}{others} to finish…" if before else "Waiting to start…"
    if status == supervisor.STOPPING:
        given = watchdog.CANCEL_S if cancelled else watchdog.STOP_S
        saving = seen.phase is not None and seen.phase.data.get("phase") == "saving"
        doing = "Cancelling" if cancelled else "Saving the model" if saving else (
            "Stopping after this step, then saving the model")
        return f"{doing}… (by force after {duration(given)})"
    if seen.phase is not None:
        taken = time.time() - seen.phase_since
        return f"{phase(seen.phase).rstrip('.…')}…" + (f" ({duration(taken)})" if LONG_S < taken < 86_400 else "")
    return "Starting the worker…" if status == supervisor.STARTING else "Training…"


def said(status: str, seen: RunView) -> str:
    """What is read out to who does not see the page: the status and the phase, which change seldom, no figures."""
    doing = PHASES.get(str(seen.phase.data.get("phase"))) if seen.phase and status in supervisor.ACTIVE else None
    return f"{STATUS[status]}: {doing}" if doing else STATUS[status]


def progress_line(seen: RunView, status: str) -> str:
    """`step 120 of 300 · epoch 2.4 · 1 min 10 s so far · about 50 s left`."""
    parts = []
    if seen.total_steps:
        parts += [f"step {seen.step} of {seen.total_steps}", f"epoch {seen.epoch:.1f}"]
    if seen.first_time is not None:
        going = status in supervisor.ACTIVE
        elapsed = seen.elapsed_s() if going else seen.elapsed_s(now=seen.last_time)
        so_far = going or status == supervisor.QUEUED
        parts.append(f"{duration(elapsed)} so far" if so_far else f"ended after {duration(elapsed)}")
        left = seen.eta_s() if going else None
        if left is not None and seen.step < (seen.total_steps or 0):
            parts.append(f"about {roughly(left)} left")
    return " · ".join(parts)


def size(count: float) -> str:
    """Bytes as 812 kB, 54 MB, 3.1 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}" if count < 10 * scale else f"{count / scale:.0f} {unit}"
    return f"{count / 1e3:.0f} kB"


def machine(load: Load | None, run_bytes: int, free: int) -> str:
    """`CPU 93 % · memory 3.1 GB of 16 GB · GPU 87 %, 11 GB of 24 GB, 64 °C · this run 54 MB, 210 GB free`."""
    parts = []
    if load:
        parts += [f"CPU {load.cpu:.0%}".replace("%", " %"),
                  f"memory {size(load.memory_used)} of {size(load.memory_total)}"]
        for number, gpu in enumerate(load.gpus):
            told = [f"{gpu.utilisation * 100:.0f} %" if gpu.utilisation is not None else "",
                    f"{size(gpu.memory_used)} of {size(gpu.memory_total)}" if gpu.memory_used and gpu.memory_total
                    else "", f"{gpu.temperature:.0f} °C" if gpu.temperature is not None else ""]
            name = f"GPU {number}" if len(load.gpus) > 1 else "GPU"
            parts.append(f"{name} {', '.join(filter(None, told))}")
    return " · ".join([*parts, f"this run takes {size(run_bytes)}, {size(free)} free"])


def outcome(status: str, seen: RunView, has_model: bool) -> str:
    """One line for a run that ended as it was asked to; empty for any other."""
    if status not in (supervisor.FINISHED, supervisor.STOPPED):
        return ""
    best = seen.best
    score = f" {_capital(figure(seen.metric, best.data[seen.metric]))} (best at step {best.step})." if best else ""
    if status == supervisor.FINISHED:
        text = f"Finished.{score}"
    elif seen.end is not None and (seen.end.data.get("forced") or not seen.end.data.get("saved", has_model)):
        return seen.end.data.get("message") or "Cancelled; only the history was kept."
    else:
        text = f"Stopped and saved at step {seen.step}.{score}"
    return f"{text} Talk to it in the Transcribe tab." if has_model else text


def error(status: str, seen: RunView, why: tuple[str, str], cancelled: bool) -> dict[str, str] | None:
    """`{"message", "remedy", "traceback"}` of a run that failed or vanished, else None. why: from `crash.explain`."""
    if status == supervisor.FAILED and seen.end is not None and seen.end.kind == events.FAILED:
        told = seen.end.data
        return {name: str(told.get(name) or "") for name in ("message", "remedy", "traceback")}
    if status == supervisor.CRASHED:
        if cancelled:
            return {"message": "Ended at once, as asked. Its history is kept.", "remedy": "", "traceback": ""}
        return {"message": why[0], "remedy": why[1], "traceback": ""}
    return None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
