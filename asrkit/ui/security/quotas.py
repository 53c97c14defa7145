"""How much one visitor, and all of them together, may ask of the app. Operators are limited only where it is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from asrkit.errors import ConfigError, QuotaError
from asrkit.ui import strings
from asrkit.ui.security.permissions import Role, current_identity
from asrkit.units import parse_size


def _quota(default: int, variable: str, *settings: str) -> Any:
    return field(default=default, metadata={"variable": variable, "settings": settings})


class Over(Enum):
    """Which of two limits is reached."""

    VISITOR = 1
    ALL = 2


@dataclass(frozen=True)
class Quotas:
    """The limits, each with the environment variable that sets it, and the settings of a run that it limits, if any.

    One of a visitor is one of an address too for those who send no cookie.
    """

    requests_per_minute: int = _quota(600, "ASRKIT_VISITOR_REQUESTS")
    address_requests_per_minute: int = _quota(6000, "ASRKIT_ADDRESS_REQUESTS")  # of all visitors of one address
    open_requests: int = _quota(48, "ASRKIT_VISITOR_OPEN_REQUESTS")
    connections: int = _quota(500, "ASRKIT_CONNECTIONS")  # of everybody
    header_timeout_s: int = _quota(15, "ASRKIT_HEADER_TIMEOUT")  # of everybody
    body_timeout_s: int = _quota(60, "ASRKIT_BODY_TIMEOUT")  # of everybody: without a byte, and for a whole JSON body
    json_bytes: int = _quota(12 * 10**6, "ASRKIT_JSON_SIZE")  # of everybody
    all_json_bytes: int = _quota(200 * 10**6, "ASRKIT_ALL_JSON_SIZE")  # of everybody, being received
    visitor_disk_bytes: int = _quota(2 * 10**9, "ASRKIT_VISITOR_DISK")
    visitors_disk_bytes: int = _quota(20 * 10**9, "ASRKIT_VISITORS_DISK")
    visitor_recordings: int = _quota(30, "ASRKIT_VISITOR_RECORDINGS")
    visitors_recordings: int = _quota(200, "ASRKIT_VISITORS_RECORDINGS")
    live_minutes: int = _quota(60, "ASRKIT_VISITOR_LIVE_MINUTES")
    visitor_jobs: int = _quota(4, "ASRKIT_VISITOR_JOBS")  # unfinished, of each kind
    visitors_jobs: int = _quota(40, "ASRKIT_VISITORS_JOBS")
    visitor_runs: int = _quota(1, "ASRKIT_VISITOR_RUNS")  # queued or under way
    visitors_runs: int = _quota(10, "ASRKIT_VISITORS_RUNS")
    visitor_runs_bytes: int = _quota(10 * 10**9, "ASRKIT_VISITOR_RUNS_DISK")  # at the start of another
    visitors_runs_bytes: int = _quota(50 * 10**9, "ASRKIT_VISITORS_RUNS_DISK")
    run_hours: int = _quota(24, "ASRKIT_VISITOR_RUN_HOURS")
    run_epochs: int = _quota(100, "ASRKIT_VISITOR_EPOCHS", "num_epochs")
    run_steps: int = _quota(20_000, "ASRKIT_VISITOR_STEPS", "max_steps")
    run_batch_clips: int = _quota(32, "ASRKIT_VISITOR_BATCH", "train_batch_size", "eval_batch_size")
    run_batch_seconds: int = _quota(320, "ASRKIT_VISITOR_BATCH_SECONDS", "batch_seconds")
    run_accumulation: int = _quota(16, "ASRKIT_VISITOR_ACCUMULATION", "gradient_accumulation_steps")
    run_clip_seconds: int = _quota(60, "ASRKIT_VISITOR_CLIP_SECONDS", "max_duration_s")
    run_processes: int = _quota(1, "ASRKIT_VISITOR_PROCESSES", "processes")
    run_cache_gb: int = _quota(2, "ASRKIT_VISITOR_CACHE_GB", "cache_gb")
    run_checkpoints: int = _quota(3, "ASRKIT_VISITOR_CHECKPOINTS", "save_total_limit")
    visitor_pages: int = _quota(8, "ASRKIT_VISITOR_PAGES")
    sessions: int = _quota(400, "ASRKIT_SESSIONS")  # of everybody
    upload_hours: int = _quota(1, "ASRKIT_UPLOAD_HOURS")  # of everybody
    anonymous_hours: int = _quota(24, "ASRKIT_ANONYMOUS_HOURS")
    cache_days: int = _quota(30, "ASRKIT_CACHE_DAYS")  # of everybody
    cache_bytes: int = _quota(50 * 10**9, "ASRKIT_CACHE_SIZE")  # of everybody


def read_quotas(environ: Mapping[str, str] = os.environ) -> Quotas:
    """Return the limits of the environment. Raises ConfigError for one that is no number above zero."""
    given = {}
    for each in fields(Quotas):
        variable = each.metadata["variable"]
        if text := environ.get(variable, "").strip().lower():
            value = parse_size(text)
            if not value:
                raise ConfigError(f"{variable} is {text!r}; give a whole number above zero, with mb or gb for a size.")
            given[each.name] = value
    return Quotas(**given)


_current = Quotas()


def use_quotas(quotas: Quotas) -> None:
    """Limit the visitors of this process, from now on."""
    global _current
    _current = quotas


def current_quotas() -> Quotas:
    """Return the limits of this process."""
    return _current


def owner_name() -> str:
    """Return what the sender's jobs and recordings are counted by; empty for an operator."""
    who = current_identity()
    return "" if who.role == Role.OPERATOR else f"visitor {who.folder}"


def is_over_quota(owners: Sequence[str], per_visitor: int, in_all: int) -> Over | None:
    """Return which limit forbids the sender one more of what `owners` have. Operators have no limit."""
    me = owner_name()
    if not me:
        return None
    if owners.count(me) >= per_visitor:
        return Over.VISITOR
    return Over.ALL if sum(map(bool, owners)) >= in_all else None


def admit_job(kind: str) -> Callable[[list[str]], None]:
    """Return `admit` of a JobRegistry (`asrkit.jobs`): it raises QuotaError where a visitor has too many jobs."""

    def admit(owners: list[str]) -> None:
        quotas = current_quotas()
        match is_over_quota(owners, quotas.visitor_jobs, quotas.visitors_jobs):
            case Over.VISITOR:
                raise QuotaError(strings.text("quota.visitor_jobs", count=quotas.visitor_jobs, kind=kind))
            case Over.ALL:
                raise QuotaError(strings.text("quota.all_jobs", kind=kind))

    return admit


def page_owner() -> tuple[str, int | None]:
    """Return the sender of a poll, and how many pages they may have: None for an operator, who has any number."""
    me = owner_name()
    return me, current_quotas().visitor_pages if me else None
