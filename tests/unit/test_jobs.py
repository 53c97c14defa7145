"""Background jobs: progress, cancellation, errors, and jobs that several callers share."""

import threading

import pytest

from asrkit import jobs
from asrkit.errors import DataError
from asrkit.jobs import CANCELLED, DONE, FAILED, WAITING, Job, JobCancelled, JobQueue, JobRegistry
from tests.support.waiting import wait_for


def run(work, **options):
    job = Job("audit", work, **options)
    job.run()
    return job


def test_time_left_follows_the_pace_of_the_last_seconds(monkeypatch):
    seen, clock = [], [0.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock[0])

    def work(job):
        for second in range(120):
            clock[0] += 1
            # Half of them are known already; the others take a second each.
            job.on_progress("Reading", 100 + second if second else 0, 300)
            seen.append(job.left_s)
        job.on_progress("Comparing", 0, 10)
        seen.append(job.left_s)

    run(work)
    assert seen[0] is None, "nothing is known yet"
    assert seen[-2] == pytest.approx(300 - 219, rel=0.01)
    assert seen[-1] is None, "other work has another pace"


def test_job_reports_progress_and_result():
    seen = []

    def work(job):
        job.on_progress("Reading", 1, 4)
        seen.append((job.message, job.done, job.total, job.share))
        return "result"

    job = run(work)
    assert seen == [("Reading", 1, 4, 0.25)]
    assert (job.state, job.result, job.error, job.has_ended) == (DONE, "result", None, True)


def test_known_error_is_kept_as_it_is():
    error = DataError("There is no data.")

    def work(job):
        raise error

    job = run(work)
    assert (job.state, job.error) == (FAILED, error)


def test_unexpected_error_is_logged_and_worded(caplog):
    job = run(lambda job: 1 / 0)
    assert str(job.error) == "The audit failed with ZeroDivisionError; see the app's log."
    assert "The audit failed" in caplog.text and "ZeroDivisionError" in caplog.text


def test_cancelled_job_stops_at_its_next_progress():
    def work(job):
        job.cancel()
        with pytest.raises(JobCancelled):
            job.on_progress("Reading")
        job.check()

    assert run(work).state == CANCELLED


def test_waiting_job_is_cancelled_at_once_and_never_begins():
    ended, begun = [], []
    job = Job("audit", begun.append, on_end=ended.append)
    assert job.state == WAITING
    job.cancel()
    job.cancel()
    job.run()
    assert (job.state, ended, begun) == (CANCELLED, [job], [])


def test_queue_runs_as_many_jobs_as_it_has_threads():
    queue, gate = JobQueue("audit", 2), threading.Event()
    jobs = [Job("audit", lambda job: gate.wait(60)) for _ in range(3)]
    for job in jobs:
        queue.submit(job)
    wait_for(lambda: [job.state for job in jobs] == ["working", "working", WAITING], "two jobs at work")
    gate.set()
    assert all(job.wait(60) for job in jobs)


def test_working_jobs_are_kept_and_jobs_nobody_polls_are_abandoned():
    jobs, begun, go = JobRegistry("audit", max_jobs=4, abandon_after_s=100), [], threading.Event()

    def work(job):
        begun.append(1)
        while not go.wait(0.01):
            job.on_progress("Listening", 1, 2)
        return "found"

    def join_all():
        return [jobs.join(name, work) for name in "abcdef"]

    first = join_all()
    assert join_all() == first, "six callers, one job each"
    wait_for(lambda: begun, "the first job")
    for job in first:
        job.abandon_after_s = -1
    wait_for(lambda: all(job.state == CANCELLED for job in first), "the jobs to stop")
    assert len(begun) == 1, "those that waited do not begin"
    go.set()
    wait_for(lambda: jobs.join("a", work).result, "a job that is joined again")


def test_failed_job_is_returned_once():
    jobs = JobRegistry("audit")

    def fail(job):
        raise DataError("The disk is asleep.")

    job = jobs.join("a", fail)
    assert job.wait(60) and jobs.join("a", fail) is job
    assert jobs.join("a", lambda job: "found") is not job


def test_restart_replaces_only_a_job_that_has_ended():
    jobs, gate = JobRegistry("audit"), threading.Event()
    first = jobs.join("a", lambda job: gate.wait(60))
    assert jobs.join("a", lambda job: 2, restart=True) is first
    gate.set()
    assert first.wait(60)
    second = jobs.join("a", lambda job: 2, restart=True)
    assert second.wait(60) and second.result == 2


def test_ended_jobs_are_dropped_beyond_the_limit_and_when_they_expire():
    jobs = JobRegistry("audit", max_jobs=2, drop_after_s=1000)
    for key in "abc":
        assert jobs.join(key, lambda job: "found").wait(60)
    assert [jobs.find(key) is None for key in "abc"] == [True, False, False]
    jobs.drop_after_s = -1
    jobs.join("d", lambda job: "d")
    assert [jobs.find(key) is None for key in "abcd"] == [True, True, True, False]
