"""The status of a run as text."""

from __future__ import annotations

import re

from asrkit.runs import heartbeat, launchers, lifecycle, queue, summary, watchdog
from asrkit.runs.events import Event
from asrkit.runs.heartbeat import HeartbeatStatus
from asrkit.runs.history import METRICS
from asrkit.runs.run import CANCEL, Run
from asrkit.runs.system import SystemLoad
from asrkit.runs.view import RunView
from asrkit.ui import strings
from asrkit.ui.strings.messages import translate, translate_fields
from asrkit.units import format_duration, format_rate, format_rough_duration, format_size

PHASES = ("loading", "preparing", "auditing", "training", "evaluating", "saving")
LONG_S = 15.0
"""After this time the text shows how long a phase has taken, so that a slow one does not look as if it hangs."""
DAY_S = 86_400
OLD_HEARTBEAT_S = 60.0
"""From this age on, the last heartbeat is shown: before, all is as it should be."""


def format_status(run: Run, status: str) -> str:
    """Format a status of `lifecycle`, such as `Running`; of a run that was stopped, whether by Cancel."""
    if status == lifecycle.STOPPED and run.has_flag(CANCEL):
        return strings.text("status.cancelled")
    return strings.text(f"status.{status}")


def format_metric(metric: str, value: float | None) -> str:
    """Format `WER 3.1 %`, or `evaluation loss 0.412`."""
    name = strings.text(f"metric.{metric}") if metric in METRICS else metric
    if metric != "loss":
        return f"{name} {format_rate(value)}"
    return f"{name} {strings.text('common.unknown') if value is None else f'{value:.3f}'}"


def format_clips(event: Event) -> str:
    """Format the clips of an evaluation: `100 clips`, `500 of 16,398 clips`; empty where they are unknown."""
    clips, total = summary.count_clips(event)
    if clips is None or total is None or clips == total:
        return "" if clips is None else strings.text("common.clips", count=clips)
    return strings.text("common.sample", clips=f"{clips:,}", total=f"{total:,}")


def format_best(view: RunView, best: Event) -> str:
    """Format the metric of an evaluation, and its clips where they are a sample: `WER 3.1 % on 500 of 16,398 clips`."""
    metric, (clips, total) = format_metric(view.metric, best.data.get(view.metric)), summary.count_clips(best)
    return metric if clips == total else strings.text("common.on_sample", metric=metric, sample=format_clips(best))


def describe_sample(view: RunView) -> str:
    """Say on which clips the latest evaluation was made, for the chart; empty where it is unknown."""
    clips = format_clips(view.evaluations[-1]) if view.evaluations else ""
    return clips and strings.text("charts.sample", clips=clips)


def format_phase(event: Event) -> str:
    """Format a phase event, with its progress."""
    name = str(event.data.get("phase", ""))
    known = strings.text(f"phase.{name}") if name in PHASES else name.capitalize()
    english = str(event.data.get("text") or "")
    text = translate(english) or known or strings.text("activity.working")
    done, total = event.data.get("done"), event.data.get("total")
    if done is None or not total or re.search(r"\d+ of \d+|\d+ ?%", english):
        return text
    if str(total) in text:
        return strings.text("activity.phase_share", phase=text, share=f"{done / total:.0%}")
    return strings.text("activity.phase_count", phase=text, done=done, total=total)


def describe_activity(
    run: Run,
    status: str,
    view: RunView,
    elapsed_s: float,
    queue_status: queue.QueueStatus | None = None,
    heartbeat_status: HeartbeatStatus | None = None,
) -> str:
    """Describe what a run that has not ended is doing.

    elapsed_s: seconds of work until now. queue_status: of a queued run. heartbeat_status: of an active run.
    """
    if queue_status:
        return f"{describe_queue(queue_status)}…"
    if status == lifecycle.STOPPING:
        return _describe_shutdown(run, view, heartbeat_status)
    if view.phase is not None:
        elapsed = _format_elapsed(elapsed_s - view.phase_started_s, heartbeat_status)
        return f"{format_phase(view.phase).rstrip('.…')}…{elapsed}"
    if status == lifecycle.STARTING:
        return strings.text("activity.starting")
    return strings.text("activity.training") + _format_elapsed(elapsed_s - view.elapsed_s, heartbeat_status)


def _describe_shutdown(run: Run, view: RunView, heartbeat_status: HeartbeatStatus | None) -> str:
    is_cancelled, limit_s = run.has_flag(CANCEL), watchdog.shutdown_limit_s(run)
    usual_s = watchdog.CANCEL_LIMIT_S if is_cancelled else watchdog.STOP_LIMIT_S
    is_saving = view.phase is not None and view.phase.data.get("phase") == "saving"
    name = "cancelling" if is_cancelled else "saving" if is_saving else "stopping"
    activity = strings.text(f"shutdown.{name}")
    limit = format_rough_duration(limit_s)
    if heartbeat_status and limit_s > usual_s:
        step = format_duration(heartbeat_status.longest_s)
        return strings.text("activity.shutdown_slow", activity=activity, limit=limit, step=step)
    return strings.text("activity.shutdown", activity=activity, limit=limit)


def _format_elapsed(elapsed_s: float, heartbeat_status: HeartbeatStatus | None) -> str:
    """Format ` (3 min)`, with the last heartbeat if it is old; empty if short, or if the clock was changed."""
    if not LONG_S < elapsed_s < DAY_S:
        return ""
    elapsed = format_duration(elapsed_s)
    if heartbeat_status and heartbeat_status.age_s > OLD_HEARTBEAT_S:
        age = format_duration(heartbeat_status.age_s)
        return f" ({strings.text('activity.elapsed_heartbeat', elapsed=elapsed, age=age)})"
    return f" ({elapsed})"


def read_heartbeat(run: Run, status: str) -> HeartbeatStatus | None:
    """Read the heartbeat of a run; None where it tells nothing: the run is not active, or nobody can fetch it now."""
    is_known = status in lifecycle.ACTIVE and not launchers.of_run(run).is_cut_off(run)
    return heartbeat.read_heartbeat(run) if is_known else None


def format_short_status(run: Run, status: str) -> str:
    """Format the status, and whether the worker is silent, for a table cell."""
    current = read_heartbeat(run, status)
    text = format_status(run, status)
    return strings.text("activity.silent", status=text) if current and current.is_silent else text


def describe_silence(status: str, heartbeat_status: HeartbeatStatus | None) -> str:
    """Explain why a worker is silent, and what helps; empty if it is not silent."""
    if status not in lifecycle.ACTIVE or heartbeat_status is None or not heartbeat_status.is_silent:
        return ""
    text = strings.text("activity.no_heartbeat", age=format_duration(heartbeat_status.age_s))
    if status == lifecycle.STOPPING:
        return text
    return f"{text} {strings.text('activity.cancel_helps', limit=format_rough_duration(watchdog.CANCEL_LIMIT_S))}"


def describe_queue(queue_status: queue.QueueStatus) -> str:
    """Format `Waiting for run a and 1 more to finish`, or with several devices how many have to become free."""
    if queue_status.launcher_text:
        return translate(queue_status.launcher_text)
    if queue_status.error_message:
        return strings.text("queue.blocked", reason=translate(queue_status.error_message).rstrip(".。।"))
    running, queued = queue_status.running_ids, queue_status.queued_ids
    if len(running) > 1 or queue_status.num_devices > 1:
        text = strings.text("queue.for_devices", count=queue_status.num_devices, running=len(running))
        return text + (strings.text("queue.ahead", num=len(queued)) if queued else "")
    blocking_ids = [*running, *queued]
    if not blocking_ids:
        return strings.text("queue.to_start")
    if len(blocking_ids) == 1:
        return strings.text("queue.for_run", run=blocking_ids[0])
    return strings.text("queue.for_runs", run=blocking_ids[0], others=len(blocking_ids) - 1)


def format_announcement(run: Run, status: str, view: RunView) -> str:
    """Format the text for screen readers: status and phase, without numbers, so that it changes rarely."""
    phase = str(view.phase.data.get("phase")) if view.phase and status in lifecycle.ACTIVE else ""
    text = format_status(run, status)
    return f"{text}: {strings.text(f'phase.{phase}')}" if phase in PHASES else text


def format_progress(view: RunView, status: str, elapsed_s: float) -> str:
    """Format `step 120 of 300 · epoch 2.4 · 1 min 10 s so far · about 50 s left`."""
    parts = []
    if view.total_steps:
        parts.append(strings.text("progress.step", step=view.step, total=view.total_steps))
        parts.append(strings.text("progress.epoch", epoch=f"{view.epoch:.1f}"))
    if view.last_time is not None:
        is_active = status in lifecycle.ACTIVE
        elapsed = format_duration(elapsed_s if is_active else view.elapsed_s)
        name = "so_far" if status in lifecycle.UNFINISHED else "ended"
        parts.append(strings.text(f"progress.{name}", elapsed=elapsed))
        left_s = view.eta_s(elapsed_s) if is_active and status != lifecycle.STOPPING else None
        if left_s is not None and view.step < (view.total_steps or 0):
            parts.append(strings.text("progress.left", left=format_rough_duration(left_s)))
    return " · ".join(parts)


def format_machine(load: SystemLoad | None, run_bytes: int, free_bytes: int) -> str:
    """Format `CPU 93 % · memory 3.1 GB of 16 GB · GPU 87 %, 11 GB of 24 GB, 64 °C · this run 54 MB, 210 GB free`."""
    parts = []
    if load:
        parts.append(strings.text("machine.cpu", share=f"{load.cpu * 100:.0f}"))
        used, total = format_size(load.memory_used_bytes), format_size(load.memory_total_bytes)
        parts.append(strings.text("machine.memory", used=used, total=total))
        for index, gpu in enumerate(load.gpus):
            values = [
                f"{gpu.utilization * 100:.0f} %" if gpu.utilization is not None else "",
                strings.text(
                    "machine.gpu_memory",
                    used=format_size(gpu.memory_used_bytes),
                    total=format_size(gpu.memory_total_bytes),
                )
                if gpu.memory_used_bytes and gpu.memory_total_bytes
                else "",
                strings.text("machine.temperature", celsius=f"{gpu.temperature_c:.0f}")
                if gpu.temperature_c is not None
                else "",
            ]
            name = (
                strings.text("machine.gpu_number", index=index) if len(load.gpus) > 1 else strings.text("machine.gpu")
            )
            parts.append(f"{name} {', '.join(filter(None, values))}")
    parts.append(strings.text("machine.disk", run=format_size(run_bytes), free=format_size(free_bytes)))
    return " · ".join(parts)


def describe_error(run: Run, status: str, view: RunView) -> dict[str, str] | None:
    """Return `{"message", "remedy", "traceback"}` of a run that failed or crashed, else None."""
    if status == lifecycle.CRASHED and run.has_flag(CANCEL):
        return {"message": strings.text("outcome.forced"), "remedy": "", "traceback": ""}
    failure = summary.describe_failure(run, status, view)
    return failure and translate_fields(failure, "message", "remedy")
