"""The live panel's API, which its script calls: the state of a run, actions on it, and its command line."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Mapping
from typing import Any

from asrkit import config as configs
from asrkit.errors import AsrkitError, RunError
from asrkit.files import free_bytes
from asrkit.runs import launchers, lifecycle, ownership, queue, supervisor, watchdog
from asrkit.runs.description import make_description, read_description, write_description
from asrkit.runs.events import Event
from asrkit.runs.report import export
from asrkit.runs.run import CANCEL, Run
from asrkit.runs.store import RunStore
from asrkit.runs.summary import get_best_evaluation
from asrkit.runs.system import SystemMonitor
from asrkit.runs.view import RunView
from asrkit.ui import strings
from asrkit.ui.common import form, run_list, status_text, verdict
from asrkit.ui.common.component import Reply, Request
from asrkit.ui.common.viewers import Viewers
from asrkit.ui.security.permissions import Action, can, check
from asrkit.ui.security.quotas import page_owner
from asrkit.ui.security.store import GuardedStore
from asrkit.ui.strings.messages import translate, translate_fields
from asrkit.ui.train import run_settings, slowdown
from asrkit.ui.train.followers import FollowerCache, RunFollower
from asrkit.ui.train.run_quota import run_admitted
from asrkit.ui.train.start import start_admitted
from asrkit.units import format_size

RUN_ACTIONS = {
    "stop": supervisor.stop,
    "cancel": supervisor.cancel,
    "dequeue": supervisor.stop,
    "force_stop": watchdog.force_stop,
    "save": supervisor.save_now,
    "evaluate": supervisor.evaluate_now,
    "score": supervisor.evaluate_now,
}
RESUME = "resume"
STORE_ACTIONS = {RESUME: supervisor.resume, "delete": supervisor.delete}
"""Actions that need the other runs as well."""

SHARE_ACTIONS = {"share": ownership.SHARED, "unshare": ownership.PRIVATE}
"""Actions that set who may see a run, and to what."""

MOVE = "move"
"""Moves a run to a named position in the queue, so that a repeated request has no further effect."""

QUEUE_ACTIONS = {MOVE, "next", "force_stop"}
"""Actions that concern the runs of others as well."""

MAX_LISTED = 100
"""Runs in the dropdown; older ones are in the Runs tab."""

LIVE_MS, ENDED_MS = 1_000, 5_000
DISK_INTERVAL_S = 20.0


class TrainApi:
    """The server's side of the live panel. Requests come from the page and are validated here.

    can_share: there are others whom a run can be shared with.
    """

    def __init__(self, store: RunStore, can_share: bool = False) -> None:
        self.store, self.can_share = GuardedStore(store.root), can_share
        self.followers = FollowerCache(self.store)
        self.run_list = run_list.RunList(store)
        self.system, self.viewers = SystemMonitor(), Viewers()
        self._disk_usage: dict[str, tuple[float, int]] = {}

    def poll(self, request: Request) -> Reply:
        """Return the state of run `run`, with what is new after byte `after` of its events.

        Without a run, the one under way is chosen, or the newest.
        """
        rows, queued, notice = self._start_ready_runs()
        visible = [row for row in rows if can(Action.SEE_RUN, row.run)]
        run_id = str(request.get("run") or run_list.choose_default_run(visible))
        listed = visible[:MAX_LISTED] + [row for row in visible[MAX_LISTED:] if row.run_id == run_id]
        labels = {row.run_id: row.label for row in listed}
        queued_ids = [run.id for run in queued if can(Action.SEE_RUN, run)]
        listing = "|".join([*labels, *labels.values(), *queued_ids])
        signature = hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()
        reply: Reply = {"run": "", "notice": notice, "signature": signature}
        if signature != request.get("signature"):
            reply["runs"] = [{"id": run_id, "label": label} for run_id, label in labels.items()]
            names = {row.run_id: row.name for row in visible}
            reply["queue"] = [{"id": queued_id, "name": names[queued_id]} for queued_id in queued_ids]
        if run_id:
            try:
                follower = self.followers.get(run_id)
                reply |= describe_run(follower, request, [row.run for row in rows if row.is_active], queued)
                if self.can_share and can(Action.CONTROL_RUN, follower.run):
                    visibility = ownership.read_ownership(follower.run).visibility
                    reply["visibility"] = strings.text(f"train.visibility.{visibility}")
                    reply["can"] += [name for name, becomes in SHARE_ACTIONS.items() if becomes != visibility]
                reply["machine"] = self._describe_machine(follower.run, follower.view, reply["status"])
            except RunError as error:
                reply["notice"] = translate(str(error))
        base_ms = LIVE_MS if run_id and not reply.get("ended", True) else ENDED_MS
        reply["pace_ms"] = self.viewers.poll_interval_ms(str(request.get("page")), base_ms, *page_owner())
        return reply

    def start_demo(self, request: Request) -> Reply:
        """Start a run with the demo's preset. Return its id as `run`, or as `notice` why it cannot be started."""
        try:
            return {"run": start_admitted(self.store, configs.load_preset("demo").config).id}
        except (AsrkitError, OSError) as error:
            return {"notice": translate(str(error))}

    def _start_ready_runs(self) -> tuple[list[run_list.Row], list[Run], str]:
        """Start the queued runs whose devices are free; return all rows, the queue, and why a start failed."""
        rows, notice = self.run_list.rows(), ""
        queued = run_list.list_queue(rows)
        try:
            if queue.find_startable([row.run for row in rows if row.is_active], queued) and queue.start_ready_runs(
                self.store.unguarded
            ):
                rows = self.run_list.rows(refresh=True)
                queued = run_list.list_queue(rows)
        except (AsrkitError, OSError) as error:
            notice = strings.text("queue.not_started", error=translate(str(error)))
        return rows, queued, notice

    def _describe_machine(self, run: Run, view: RunView, status: str) -> str:
        """Describe the load of the machine while the run is under way, and the disk space that the run takes."""
        measured_s, size_bytes = self._disk_usage.get(run.id, (float("-inf"), 0))
        if time.monotonic() - measured_s > DISK_INTERVAL_S:
            size_bytes = export.measure_disk_usage(run.path)
            self._disk_usage[run.id] = (time.monotonic(), size_bytes)
        is_active, launcher = status in lifecycle.ACTIVE, launchers.of_run(run)
        job = launcher.status(run).text if is_active else ""  # of a job, this machine's load says nothing
        load = self.system.load() if is_active and not job else None
        slow = slowdown.describe_slowdown(run, view) if is_active and not job else ""
        parts = [slow, job, launcher.cost(run), status_text.format_machine(load, size_bytes, free_bytes(run.path))]
        return " · ".join(filter(None, parts))

    def perform_action(self, request: Request) -> Reply:
        """Do `action` with run `run`; return `{"notice": error}`, empty if it was done."""
        action = request.get("action")
        if action not in (*RUN_ACTIONS, *STORE_ACTIONS, *SHARE_ACTIONS, MOVE):
            return {"notice": strings.text("train.unknown_action")}
        try:
            run = self.store.get(str(request.get("run")))
            check(Action.MANAGE_QUEUE if action in QUEUE_ACTIONS else Action.CONTROL_RUN, run)
            if action == MOVE:
                queue.move(self.store.unguarded, run, int(request.get("position") or 1))
            elif action in SHARE_ACTIONS:
                owned = ownership.read_ownership(run)
                ownership.write_ownership(run, dataclasses.replace(owned, visibility=SHARE_ACTIONS[action]))
            elif action in STORE_ACTIONS:
                store = self.store.unguarded
                with run_admitted(store, run.config()) if action == RESUME else contextlib.nullcontext():
                    STORE_ACTIONS[action](store, run)
            else:
                RUN_ACTIONS[action](run)
        except (AsrkitError, OSError) as error:
            return {"notice": translate(str(error))}
        finally:
            self.run_list.rows(refresh=True)
        return {"notice": ""}

    def save_description(self, request: Request) -> Reply:
        """Call run `run` by `name`, with `tags` and `notes`; return `{"notice": error}`, empty if that is done."""
        try:
            run = self.store.get(request["run"])
            check(Action.CONTROL_RUN, run)
            write_description(run, make_description(request["name"], request["tags"], request["notes"]))
        except (AsrkitError, OSError) as error:
            return {"notice": translate(str(error))}
        self.run_list.rows(refresh=True)
        return {"notice": ""}

    def list_settings(self, request: Request) -> Reply:
        """Return the settings of run `run`, those that differ from its preset first, or an error as `notice`."""
        try:
            return {"settings": run_settings.list_settings(self.store.get(str(request.get("run")))), "notice": ""}
        except AsrkitError as error:
            return {"settings": [], "notice": translate(str(error))}

    def make_command(self, request: Request) -> Reply:
        """Return the command line that starts a run with the settings of run `run`, or an error as `notice`."""
        try:
            return {
                "command": form.make_command(self.store.get(str(request.get("run"))).config(), self.store),
                "notice": "",
            }
        except AsrkitError as error:
            return {"command": "", "notice": translate(str(error))}


def describe_run(follower: RunFollower, request: Request, active: list[Run], queued: list[Run]) -> Reply:
    """Return what the panel shows of a run.

    request: `after`, the byte up to which the page has read; `evaluation`, the key of the evaluation it shows;
    `at_step`, the step of the evaluation to show; `evaluations`, how many it lists; `log`, whether the log is open.
    active: the runs under way. queued: the queue, next run first.
    """
    run = follower.run
    status = lifecycle.get_status(run)
    update = follower.read_update(int(request.get("after") or 0))
    view = follower.view
    has_ended = status not in lifecycle.UNFINISHED
    queue_status = queue.get_queue_status(run, active, queued) if status == lifecycle.QUEUED else None
    heartbeat_status = status_text.read_heartbeat(run, status)
    elapsed_s = follower.clock.elapsed_s(view)
    activity = (
        "" if has_ended else status_text.describe_activity(run, status, view, elapsed_s, queue_status, heartbeat_status)
    )
    is_list_known = request.get("evaluations") == len(view.evaluations) and not update.reset
    return {
        "run": run.id,
        "description": dataclasses.asdict(read_description(run)),
        "settings": run_settings.describe_settings(run),
        "can_describe": can(Action.CONTROL_RUN, run),
        "offset": update.offset,
        "reset": update.reset,
        "points": update.points,
        "read": update.read,
        "status": status,
        "status_word": status_text.format_status(run, status),
        "ended": has_ended,
        "can": [name for name in _list_actions(status, run, view, queue_status) if _may_act(name, run)],
        "announcement": status_text.format_announcement(run, status, view),
        "activity": activity,
        "silence": status_text.describe_silence(status, heartbeat_status),
        "progress": 1.0 if status == lifecycle.FINISHED else view.progress(),
        "line": status_text.format_progress(view, status, elapsed_s),
        "entropy": view.started.get("label_entropy"),
        "step": view.step,
        "total_steps": view.total_steps,
        "epoch": view.epoch,
        "best": _describe_best(view, get_best_evaluation(run, view)),
        "sample": status_text.describe_sample(view),
        "outcome": verdict.describe_outcome(run, status, view),
        "next_step": verdict.describe_next_step(run, status, view) if can(Action.CONTROL_RUN, run) else "",
        "has_improved": verdict.has_improved(view),
        "has_model": run.has_model(),
        "model_size": format_size(export.measure_disk_usage(run.model_dir)) if has_ended else "",
        "has_files": can(Action.READ_RUN_FILES, run),
        "visibility": "",
        "error": _describe_error(run, status, view) if update.read == 1.0 else None,
        "findings": [translate_fields(finding, "cause", "remedy") for finding in view.findings],
        "evaluations": None if is_list_known else [event.step or 0 for event in view.evaluations],
        "evaluation": _render_evaluation(follower, request.get("at_step"), request.get("evaluation")),
        "log": launchers.of_run(run).logs(run) if request.get("log") and can(Action.READ_RUN_FILES, run) else None,
    }


def _describe_error(run: Run, status: str, view: RunView) -> dict[str, str] | None:
    """Describe why a run failed: without what the log says, and on which host, for whoever may not read it."""
    error = status_text.describe_error(run, status, view)
    if error is None or can(Action.READ_RUN_FILES, run):
        return error
    return {"message": strings.text("outcome.failed_private"), "remedy": "", "traceback": ""}


def _describe_best(view: RunView, best: Event | None) -> dict[str, Any] | None:
    if best is None:
        return None
    return {"step": best.step or 0, "text": status_text.format_best(view, best)}


def _list_actions(status: str, run: Run, view: RunView, queue_status: queue.QueueStatus | None) -> list[str]:
    """Return the actions that the run allows now. queue_status: of a queued run."""
    if queue_status:
        if queue_status.launcher_text:
            return ["dequeue"]
        if not run.queue_path.exists():  # created, but interrupted before it was started
            return ["resume", "delete"]
        return ["next", "dequeue"] if queue_status.queued_ids else ["dequeue"]
    if status in (lifecycle.STARTING, lifecycle.RUNNING):
        return ["stop", "cancel", *(["evaluate", "save"] if status == lifecycle.RUNNING else [])]
    if status == lifecycle.STOPPING:
        return ["force_stop"] if run.has_flag(CANCEL) else ["cancel"]
    score = ["score"] if supervisor.can_score(run, status, view) else []
    return [*(["resume"] if status in lifecycle.RESUMABLE else []), *score, "delete"]


def _may_act(action: str, run: Run) -> bool:
    return can(Action.MANAGE_QUEUE if action in QUEUE_ACTIONS else Action.CONTROL_RUN, run)


def _render_evaluation(follower: RunFollower, at_step: int | None, shown_key: str | None) -> Mapping[str, Any] | None:
    """Render the evaluation of a step, else the latest; None if the panel shows it already or there is none."""
    evaluations = follower.view.evaluations
    matches = [event for event in evaluations if at_step is None or event.step == at_step] or evaluations
    if not matches:
        return None
    event = matches[-1]
    key = f"{event.step}@{event.time}"
    return None if key == shown_key else follower.render_evaluation(key, event)
