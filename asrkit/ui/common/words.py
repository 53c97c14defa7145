"""Plain words for what a run is doing: the page says nothing that is not made here or by the worker."""

from __future__ import annotations

import re

from asrkit.runs import heartbeat, lifecycle, queue, summary, watchdog
from asrkit.runs.events import Event
from asrkit.runs.heartbeat import HeartbeatStatus
from asrkit.runs.run import CANCEL, Run
from asrkit.runs.system import SystemLoad
from asrkit.runs.view import RunView
from asrkit.units import format_duration, format_rate, format_rough_duration, format_size

STATUS = {
    lifecycle.QUEUED: "Waiting",
    lifecycle.STARTING: "Starting",
    lifecycle.RUNNING: "Running",
    lifecycle.STOPPING: "Stopping",
    lifecycle.STOPPED: "Stopped",
    lifecycle.FINISHED: "Finished",
    lifecycle.FAILED: "Failed",
    lifecycle.CRASHED: "Interrupted",
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


def figure(metric: str, value: float | None) -> str:
    """`WER 3.1 %`, or `evaluation loss 0.412`."""
    shown = format_rate(value) if metric != "loss" else "unknown" if value is None else f"{value:.3f}"
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


def activity(
    run: Run,
    status: str,
    seen: RunView,
    elapsed_s: float,
    ahead: queue.QueueStatus | None = None,
    sign: HeartbeatStatus | None = None,
) -> str:
    """What a run that has not ended is doing now. elapsed_s: seconds of work so far. ahead: why it waits."""
    if ahead:
        return f"{waiting(ahead)}…"
    if status == lifecycle.STOPPING:
        cancelled, given = run.has_flag(CANCEL), watchdog.shutdown_limit_s(run)
        usual = watchdog.CANCEL_LIMIT_S if cancelled else watchdog.STOP_LIMIT_S
        saving = seen.phase is not None and seen.phase.data.get("phase") == "saving"
        doing = (
            "Cancelling"
            if cancelled
            else "Saving the model"
            if saving
            else ("Stopping after this step, then saving the model")
        )
        slow = f", for a step of it took {format_duration(sign.longest_s)}" if sign and given > usual else ""
        return f"{doing}… (by force after {format_rough_duration(given)}{slow})"
    if seen.phase is not None:
        return f"{phase(seen.phase).rstrip('.…')}…{_so_far(elapsed_s - seen.phase_started_s, sign)}"
    if status == lifecycle.STARTING:
        return "Starting the worker…"
    return f"Training…{_so_far(elapsed_s - seen.elapsed_s, sign)}"


def _so_far(taken: float, sign: HeartbeatStatus | None) -> str:
    """` (3 min; last sign of life 2 s ago)`, once it has taken long; a clock that was set says nothing."""
    if not LONG_S < taken < 86_400:
        return ""
    return (
        f" ({format_duration(taken)}; last sign of life {format_duration(sign.age_s)} ago)"
        if sign
        else f" ({format_duration(taken)})"
    )


def status_word(run: Run, status: str) -> str:
    """The status, and whether the worker is silent, where a word has to do."""
    sign = heartbeat.read_heartbeat(run) if status in lifecycle.ACTIVE else None
    return f"{STATUS[status]}, silent" if sign and sign.is_silent else STATUS[status]


def silence(status: str, sign: HeartbeatStatus | None) -> str:
    """What is to be known of a worker that gives no sign of life; empty for any other."""
    if status not in lifecycle.ACTIVE or sign is None or not sign.is_silent:
        return ""
    way_out = (
        ""
        if status == lifecycle.STOPPING
        else " Cancel ends it, by force if need be after " + (f"{format_rough_duration(watchdog.CANCEL_LIMIT_S)}.")
    )
    return (
        f"No sign of life for {format_duration(sign.age_s)}: the worker was paused, hangs, or waits for the network. "
        f"It may go on by itself.{way_out}"
    )


def waiting(ahead: queue.QueueStatus) -> str:
    """`Waiting for run a and 1 more to finish`; of several runs beside each other, one may be enough."""
    if ahead.error_message:
        return f"Waiting in line. {ahead.error_message.rstrip('.')}"
    if len(ahead.running_ids) > 1 or ahead.num_devices > 1:
        free = "a device" if ahead.num_devices == 1 else f"{ahead.num_devices} devices"
        first = f", {len(ahead.queued_ids)} before it in line" if ahead.queued_ids else ""
        return f"Waiting for {free} to be free, {len(ahead.running_ids)} runs are under way{first}"
    every = [*ahead.running_ids, *ahead.queued_ids]
    others = f" and {len(every) - 1} more" if len(every) > 1 else ""
    return f"Waiting for run {every[0]}{others} to finish" if every else "Waiting to start"


def said(status: str, seen: RunView) -> str:
    """What is read out to who does not see the page: the status and the phase, which change seldom, no figures."""
    doing = PHASES.get(str(seen.phase.data.get("phase"))) if seen.phase and status in lifecycle.ACTIVE else None
    return f"{STATUS[status]}: {doing}" if doing else STATUS[status]


def progress_line(seen: RunView, status: str, elapsed_s: float) -> str:
    """`step 120 of 300 · epoch 2.4 · 1 min 10 s so far · about 50 s left`."""
    parts = []
    if seen.total_steps:
        parts += [f"step {seen.step} of {seen.total_steps}", f"epoch {seen.epoch:.1f}"]
    if seen.last_time is not None:
        going = status in lifecycle.ACTIVE
        elapsed = elapsed_s if going else seen.elapsed_s
        so_far = going or status == lifecycle.QUEUED
        parts.append(f"{format_duration(elapsed)} so far" if so_far else f"ended after {format_duration(elapsed)}")
        left = seen.eta_s(elapsed_s) if going and status != lifecycle.STOPPING else None
        if left is not None and seen.step < (seen.total_steps or 0):
            parts.append(f"about {format_rough_duration(left)} left")
    return " · ".join(parts)


def machine(load: SystemLoad | None, run_bytes: int, free: int) -> str:
    """`CPU 93 % · memory 3.1 GB of 16 GB · GPU 87 %, 11 GB of 24 GB, 64 °C · this run 54 MB, 210 GB free`."""
    parts = []
    if load:
        parts += [
            f"CPU {load.cpu:.0%}".replace("%", " %"),
            f"memory {format_size(load.memory_used_bytes)} of {format_size(load.memory_total_bytes)}",
        ]
        for number, gpu in enumerate(load.gpus):
            told = [
                f"{gpu.utilization * 100:.0f} %" if gpu.utilization is not None else "",
                f"{format_size(gpu.memory_used_bytes)} of {format_size(gpu.memory_total_bytes)}"
                if gpu.memory_used_bytes and gpu.memory_total_bytes
                else "",
                f"{gpu.temperature_c:.0f} °C" if gpu.temperature_c is not None else "",
            ]
            name = f"GPU {number}" if len(load.gpus) > 1 else "GPU"
            parts.append(f"{name} {', '.join(filter(None, told))}")
    return " · ".join([*parts, f"this run takes {format_size(run_bytes)}, {format_size(free)} free"])


def outcome(run: Run, status: str, seen: RunView) -> str:
    """One line for a run that ended as it was asked to; empty for any other."""
    if status not in (lifecycle.FINISHED, lifecycle.STOPPED):
        return ""
    best, has_model = summary.get_best_evaluation(run, seen), run.has_model()
    score = f" {_capital(figure(seen.metric, best.data.get(seen.metric)))} (best at step {best.step})." if best else ""
    if status == lifecycle.FINISHED:
        text = f"Finished.{score}"
    elif (told := summary.get_end_event(run, seen)) and (
        told.data.get("forced") or not told.data.get("saved", has_model)
    ):
        return told.data.get("message") or "Cancelled; only the history was kept."
    else:
        text = f"Stopped and saved at step {seen.step}.{score} {summary.describe_model_step(run, seen)}".rstrip()
    return f"{text} Talk to it in the Transcribe tab." if has_model else text


def error(run: Run, status: str, seen: RunView) -> dict[str, str] | None:
    """`{"message", "remedy", "traceback"}` of a run that failed or vanished, else None."""
    if status == lifecycle.CRASHED and run.has_flag(CANCEL):
        return {"message": "Ended at once, as asked. Its history is kept.", "remedy": "", "traceback": ""}
    return summary.describe_failure(run, status, seen)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
