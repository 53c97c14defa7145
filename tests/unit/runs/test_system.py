import os
import stat
import threading
import time
from collections import namedtuple

import pytest

from asrkit.runs import system
from tests.support.waiting import wait_for


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """An nvidia-smi that says what it is told to."""

    def make(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return make


def test_gpus_are_parsed_from_the_driver(driver):
    driver("echo 'NVIDIA H100, 87, 11264, 81559, 64'; echo 'GRID, [N/A], 100, 200, [N/A]'")
    first, second = system.query_gpus()
    assert (first.name, first.utilization, first.temperature_c) == ("NVIDIA H100", 0.87, 64.0)
    assert first.memory_used_bytes == 11264 * 2**20
    assert (second.utilization, second.temperature_c) == (None, None)


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense"])
def test_failing_driver_means_no_gpu(driver, script):
    driver(script)
    assert system.query_gpus() == []


@pytest.mark.parametrize("script", ["exit 9", "sleep 60"])
def test_failing_driver_is_retried_later(driver, tmp_path, monkeypatch, script):
    """Of everybody who asks, only the first waits for it, and not for long."""
    monkeypatch.setattr(system, "TIMEOUT_S", 0.5, raising=False)
    asked = tmp_path / "asked"
    driver(f"echo >> {asked}; {script}")
    begun = time.monotonic()
    assert [system.query_gpus() for _ in range(20)] == [[]] * 20
    assert time.monotonic() - begun < 5 and asked.read_text() == "\n"
    driver("sleep 1; echo 'NVIDIA H100, 87, 11264, 81559, 64'")
    monkeypatch.setattr(system, "TIMEOUT_S", 30.0)
    monkeypatch.setattr(system, "RETRY_S", 0.0)
    assert system.query_gpus() == [], "it is asked again, and nobody waits for that"
    assert wait_for(system.query_gpus, "the driver that was mended")[0].name == "NVIDIA H100"


def test_without_a_driver_there_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.query_gpus() == []


def test_load_does_not_wait_for_a_slow_driver(monkeypatch):
    answers, asked = threading.Event(), []

    def slow(cpu):
        asked.append(1)
        answers.wait(60)
        return system.SystemLoad(0.5, 1, 2)

    monkeypatch.setattr(system, "measure_load", slow)
    found = system.SystemMonitor()
    assert found.load() is None and found.load() is None
    answers.set()
    assert wait_for(found.load, "the load").cpu == 0.5
    assert len(asked) == 1, "one look for all who ask within a moment"


Times = namedtuple("Times", "user system idle iowait guest")


@pytest.mark.parametrize(
    ("now", "share"),
    [
        (Times(16, 4, 20, 0, 0), 0.5),
        (Times(10, 0, 40, 0, 0), 0.0),
        (Times(10, 0, 10, 30, 0), 0.0),
        (Times(50, 0, 10, 0, 30), 1.0),
        (Times(10, 0, 10, 0, 0), 0.0),
    ],
)
def test_cpu_utilization(now, share):
    assert system.cpu_utilization(Times(10, 0, 10, 0, 0), now) == pytest.approx(share)


def test_busy_processor_is_measured():
    """One core at work all the time, seen among all of them."""
    found, wanted = system.SystemMonitor(), 0.3 / (os.cpu_count() or 1)
    found.load()
    wait_for(lambda: sum(range(10_000_000)) and (load := found.load()) and load.cpu > wanted, "the work of this test")
