"""Range requests over a link that breaks, to a server that is busy."""

import email.utils
import time

import pytest

from asrkit.errors import HubError, NotOnHubError
from asrkit.hub import ranges
from asrkit.hub.ranges import RemoteFile
from tests.support import streams

PATH = "data/train-0.parquet"


@pytest.fixture
def remote(served):
    repository = served.repository()
    return RemoteFile(streams.NAME, "dataset", repository.commit, PATH, repository.sizes[PATH])


@pytest.fixture
def content(served):
    return (served.root / "datasets" / streams.NAME / PATH).read_bytes()


def test_a_range_is_read(remote, content):
    assert remote.read(100, 2000) == content[100:2000]
    assert remote.read(0, remote.size) == content
    assert remote.read(5, 5) == b""


@pytest.mark.parametrize("faults", [[503], [429, 500, 502], ["break"], ["break", 503, "break"]])
def test_broken_links_and_busy_servers_are_waited_for(served, remote, content, waits, faults):
    served.faults.extend(faults)
    texts = []
    assert remote.read(1000, 60_000, texts.append) == content[1000:60_000]
    assert len(set(texts)) > 1
    assert texts[0].startswith("Waiting for tiny/streamed: ") and texts[-1] == ""


def test_what_has_arrived_is_not_fetched_again(served, remote, waits):
    served.faults.append("break")
    remote.read(0, 60_000)
    assert sum(served.sent.values()) == 60_000


def test_waits_grow_up_to_a_minute(served, remote, waits):
    served.faults.extend([503] * 8)
    remote.read(0, 10)
    assert waits == [1] * sum([1, 2, 4, 8, 16, 32, 60, 60])


def test_server_says_how_long_to_wait(served, remote, waits):
    served.faults.append(429)
    served.retry_after = "7"
    texts = []
    remote.read(0, 10, texts.append)
    assert sum(waits) == 7
    assert texts[0] == "Waiting for tiny/streamed: it answers 429; trying again in 7 s."
    served.faults.append(503)
    served.retry_after = email.utils.formatdate(time.time() + 90, usegmt=True)
    remote.read(0, 10)
    assert 80 < sum(waits[7:]) <= 90


def test_whoever_is_told_may_stop_the_wait(served, remote, waits):
    def stop(text):
        if len(waits) >= 3:
            raise KeyError("stop")

    served.faults.append(429)
    served.retry_after = "3600"
    with pytest.raises(KeyError):
        remote.read(0, 10, stop)
    assert len(waits) == 3


def test_long_outage_is_an_error(served, remote, waits, monkeypatch):
    monkeypatch.setattr(ranges, "MAX_OUTAGE_S", -1.0)
    served.faults.append(503)
    with pytest.raises(HubError, match="has sent nothing for .* check the network"):
        remote.read(0, 10)


def test_refusal_is_not_waited_for(served, remote, waits):
    served.gated.add(streams.NAME)
    with pytest.raises(HubError, match="is gated"):
        remote.read(0, 10)
    missing = RemoteFile("tiny/nothing", "dataset", remote.commit, PATH, 100)
    with pytest.raises(NotOnHubError):
        missing.read(0, 10)
    assert not waits
