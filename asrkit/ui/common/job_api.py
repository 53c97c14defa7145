"""What the sections of the page that start a job in the background have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from asrkit.errors import DataError
from asrkit.jobs import CANCELLED, WAITING, Job, JobRegistry
from asrkit.ui import strings
from asrkit.ui.common.component import Reply, Request, with_error_reply
from asrkit.ui.strings.messages import translate

Result = TypeVar("Result")


class JobApi(Generic[Result]):
    """Finds, describes and cancels jobs by the ids that only their page knows."""

    def __init__(self, jobs: JobRegistry[Result]) -> None:
        self.jobs = jobs

    @with_error_reply
    def cancel(self, request: Request) -> Reply:
        """Cancel job {id}."""
        self.find(request).cancel()
        return {}

    def find(self, request: Mapping[str, Any]) -> Job[Result]:
        """Return the job that the `id` of a request or an address names. Raises DataError if there is none."""
        job = self.jobs.find(str(request.get("id")))
        if job is None:
            raise DataError(strings.text(f"gone.{self.jobs.kind}"))
        return job

    def describe(self, job: Job[Result]) -> Reply:
        """Return how far a job is.

        waits: whether it waits for another one. words: what it does. share: how much of that is done. failed: why it
        did not work.
        """
        return {
            "waits": job.state == WAITING,
            "words": translate(job.message),
            "share": job.share,
            "failed": strings.text("common.cancelled") if job.state == CANCELLED else translate(str(job.error or "")),
        }
