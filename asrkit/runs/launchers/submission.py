"""What launchers with a queue of their own have in common: a record that is undone if a run is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from asrkit.files import readable_disk_errors, write_json
from asrkit.runs import heartbeat, processes
from asrkit.runs.launchers.interface import JobState, JobStatus
from asrkit.runs.run import Run


@contextlib.contextmanager
def submission(run: Run, launcher: str) -> Iterator[None]:
    """Write `process.json` for a worker that the block submits. If it raises, the earlier worker's record is back."""
    process, job_id = run.process(), run.job_id()
    with readable_disk_errors(run.path):
        run.job_path.unlink(missing_ok=True)
        run.heartbeat_path.unlink(missing_ok=True)
        processes.write_submission(run, launcher)
        try:
            yield
        except BaseException:
            for path, record in ((run.process_path, process), (run.job_path, job_id and {"id": job_id})):
                if record:
                    write_json(path, record)
                else:
                    path.unlink(missing_ok=True)
            raise


def status_by_heartbeat(run: Run, text: str) -> JobStatus:
    """Return the state where the launcher does not tell: alive by the heartbeat, waiting until a worker has begun."""
    if processes.is_worker_alive(run) or heartbeat.is_beating_elsewhere(run):
        return JobStatus(JobState.ALIVE, text)
    has_begun = "pid" in (run.process() or {})
    return JobStatus(JobState.GONE if has_begun else JobState.WAITING, text)
