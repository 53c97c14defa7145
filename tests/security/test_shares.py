"""What one visitor may keep or have under way, so that others find room: recordings, jobs, runs, pages."""

import errno
import tempfile
import threading

import numpy as np
import pytest

from asrkit.config import TrainConfig
from asrkit.errors import DataError, QuotaError
from asrkit.jobs import JobRegistry
from asrkit.runs import ownership
from asrkit.runs.ownership import Ownership
from asrkit.runs.queue import enqueue, next_position
from asrkit.runs.store import RunStore
from asrkit.ui.common import viewers
from asrkit.ui.common.viewers import Viewers
from asrkit.ui.security import quotas
from asrkit.ui.security.permissions import OPERATOR, Identity, Role, as_identity
from asrkit.ui.security.quotas import Quotas, admit_job, owner_name
from asrkit.ui.train.run_quota import run_admitted
from asrkit.ui.transcribe import recordings
from asrkit.ui.transcribe.api import TranscribeApi
from asrkit.ui.transcribe.evaluate import EvaluateApi
from asrkit.ui.transcribe.recordings import DONE, Recording, Recordings


def visitor(letter):
    return Identity(Role.VISITOR, letter, letter * 24, "visitor:" + letter * 24)


ANN, BOB = visitor("a"), visitor("b")


@pytest.fixture
def limit(monkeypatch):
    def limit_to(**values):
        monkeypatch.setattr(quotas, "_current", Quotas(**values))

    return limit_to


def test_recordings_under_way_are_bounded_and_room_is_made_again(limit, tmp_path):
    limit(visitor_recordings=3, visitors_recordings=5)
    api, request = TranscribeApi(RunStore(tmp_path)), {"model": "none", "rate": 16_000}
    with as_identity(ANN):
        replies = [api.start(request) for _ in range(188)]
    ids = [reply["id"] for reply in replies if "id" in reply]
    assert len(ids) == 3 and "as many recordings under way as this app accepts; wait" in replies[-1]["error"]
    with as_identity(BOB):
        assert ["id" in api.start(request) for _ in range(3)] == [True, True, False]
    with as_identity(OPERATOR):
        assert "id" in api.start(request)
    api.recordings.get(ids[1]).state = DONE
    with as_identity(ANN):
        assert "id" in api.start(request)
        assert api.recordings.find(ids[1]) is None and api.recordings.find(ids[0]) is not None


def test_recordings_of_others_stay_when_one_visitor_has_most(limit):
    limit(visitor_recordings=9, visitors_recordings=6)
    kept = Recordings()
    first = kept.add(Recording("bob's", "m", owner="bob", state=DONE))
    own = [kept.add(Recording("ann's", "m", owner="ann", state=DONE)) for _ in range(20)]
    assert kept.find(first.id) is first
    assert [kept.find(each.id) is not None for each in own] == [False] * 15 + [True] * 5


def test_recording_without_a_file_handle_is_refused_and_the_next_one_works(monkeypatch):
    recording, samples = Recording("a", "m"), np.zeros(160, np.float32)

    def fail(**options):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", fail)
        with pytest.raises(DataError, match=r"cannot be stored \(Too many open files\)"):
            recording.append(samples)
    recording.append(samples)
    assert recording.duration_s == 0.01


def test_live_recording_whose_page_is_gone_is_deleted(monkeypatch, tmp_path):
    api = TranscribeApi(RunStore(tmp_path))
    gone, here = (api.start({"model": "none", "rate": 16_000})["id"] for _ in range(2))
    api.recordings.get(gone).touched_at -= recordings.LIVE_IDLE_S + 1
    api.recordings.delete_idle()
    assert api.recordings.find(gone) is None and api.recordings.find(here) is not None


def test_live_recording_of_a_visitor_is_shorter(limit):
    limit(live_minutes=2)
    assert Recording("a", "m", owner="ann").max_live_s == 120
    assert Recording("a", "m").max_live_s == recordings.MAX_LIVE_S


def test_evaluations_that_wait_are_bounded(limit, tmp_path, monkeypatch):
    limit(visitor_jobs=2, visitors_jobs=3)
    api, release = EvaluateApi(RunStore(tmp_path)), threading.Event()
    monkeypatch.setattr(api, "_evaluate", lambda *args: release.wait())
    request = {"dataset": "", "model": "", "normaliser": "basic"}
    try:
        with as_identity(ANN):
            replies = [api.evaluate(request) for _ in range(60)]
        assert sum("id" in reply for reply in replies) == 2 and "You have 2 unfinished jobs" in replies[-1]["error"]
        with as_identity(BOB):
            others = [api.evaluate(request) for _ in range(2)]
        assert "id" in others[0] and "Others are waiting" in others[1]["error"]
        assert all("id" in api.evaluate(request) for _ in range(5))  # the operator
    finally:
        release.set()


def test_refused_job_leaves_the_one_that_has_ended(limit):
    limit(visitor_jobs=1)
    registry, release = JobRegistry("audit", max_running=None, admit=admit_job("audit")), threading.Event()
    with as_identity(ANN):
        done = registry.join("a", lambda job: "result", owner=owner_name())
        assert done.wait(60)
        registry.join("b", lambda job: release.wait(), owner=owner_name())
        with pytest.raises(QuotaError):
            registry.join("a", lambda job: "again", restart=True, owner=owner_name())
        assert registry.join("a", lambda job: "again", owner=owner_name()) is done
    release.set()


def test_runs_of_visitors_are_bounded_however_fast_they_are_sent(limit, tmp_path):
    limit(visitor_runs=1, visitors_runs=2)
    store, outcomes = RunStore(tmp_path), []

    def start(who):
        with as_identity(who):
            try:
                with run_admitted(store, TrainConfig()):
                    run = store.create(TrainConfig())
                    ownership.write_ownership(run, Ownership(who.owner_id))
                    enqueue(run, next_position(store))
                outcomes.append(who.name)
            except QuotaError as error:
                outcomes.append(str(error))

    threads = [threading.Thread(target=start, args=[ANN]) for _ in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert outcomes.count("a") == 1 and sum("start another when it has ended" in each for each in outcomes) == 11
    start(BOB)
    start(visitor("c"))
    assert outcomes[-2] == "b" and "as many runs as this app accepts" in outcomes[-1]
    start(OPERATOR)
    assert outcomes[-1] == ""


def test_invented_pages_do_not_slow_others():
    pages = Viewers()
    for number in range(300):
        pages.poll_interval_ms(f"invented {number}", 1000, "eve", max_pages=8)
    assert pages.poll_interval_ms("ann's", 1000, "ann", max_pages=8) <= 4_000
    for number in range(300):
        pages.poll_interval_ms("page", 1000, f"visitor {number}", max_pages=8)
    assert pages.poll_interval_ms("ann's", 1000, "ann", max_pages=8) <= viewers.MAX_INTERVAL_MS + 2_000
