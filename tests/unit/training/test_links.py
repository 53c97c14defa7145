"""The exchange of gradients and the machines of a run, with a store that is a dictionary."""

import pytest

from asrkit.training import links
from asrkit.training.failures import explain
from asrkit.training.links import GradientExchange, LinkMonitor


class FakeStore(dict):
    """Has all numbers, and no network after `is_down`."""

    is_down = False

    def set(self, key, value):
        self._check()
        self[key] = value.encode()

    def get(self, key):
        self._check()
        return self.setdefault(key, b"0")

    def _check(self):
        if self.is_down:
            raise RuntimeError("Broken pipe\nand a long trace")


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is set."""
    times = [100.0]
    monkeypatch.setattr(links.time, "monotonic", lambda: times[0])
    return times


@pytest.fixture
def lost():
    return []


def test_machines_whose_numbers_change_are_there(clock, lost):
    store = FakeStore()
    first, second = (LinkMonitor(store, rank, [1 - rank], lost.append) for rank in (0, 1))
    for _ in range(10):
        clock[0] += links.MAX_SILENCE_S * 0.9
        first.exchange()
        second.exchange()
        assert not first.has_lost_machine() and not second.has_lost_machine()
    assert lost == []


def test_machine_whose_number_stands_still_is_lost(clock, lost):
    monitor = LinkMonitor(FakeStore(), 0, [1, 2], lost.append)
    monitor.exchange()
    clock[0] += links.MAX_SILENCE_S + 1
    monitor._store["asrkit/link/1"] = b"7"
    monitor.exchange()
    assert monitor.has_lost_machine()
    assert "machine of process 2 has not answered for 120 s" in str(lost[0])
    failure = explain(lost[0])
    assert failure.error == "machine-lost" and "Resume the run" in failure.remedy


def test_short_break_of_the_network_is_no_loss(clock, lost):
    store = FakeStore()
    first, second = (LinkMonitor(store, rank, [1 - rank], lost.append) for rank in (0, 1))
    for is_down in (False, True, True, False):
        store.is_down = is_down
        first.exchange()
        second.exchange()
        clock[0] += links.MAX_SILENCE_S * 0.3
        assert not first.has_lost_machine() and not second.has_lost_machine()
    store.is_down = True
    clock[0] += links.MAX_SILENCE_S
    first.exchange()
    assert first.has_lost_machine() and second.has_lost_machine()


def test_exchange_that_takes_much_of_an_update_is_a_bottleneck():
    exchange = GradientExchange(2.0, 1_200_000_000)
    cause, remedy = exchange.explain_bottleneck(3.0)
    assert cause == (
        "The processes exchange 1.2 GB of gradients an update, at 600 MB a second: 2 of the 3 s of an update."
    )
    assert "gradient_accumulation_steps" in remedy and "freeze=lora" in remedy
    assert exchange.explain_bottleneck(10.0) is None and exchange.explain_bottleneck(0.0) is None


def test_single_process_exchanges_nothing():
    assert links.measure_exchange(1_000, "cpu") is None
