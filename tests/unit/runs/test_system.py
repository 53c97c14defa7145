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
    """driver(script): install an nvidia-smi that runs the given shell script."""

    def install(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


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
    """Only the first caller waits for the driver, and no longer than the timeout."""
    monkeypatch.setattr(system, "TIMEOUT_S", 0.5, raising=False)
    calls = tmp_path / "calls"
    driver(f"echo >> {calls}; {script}")
    start = time.monotonic()
    assert [system.query_gpus() for _ in range(20)] == [[]] * 20
    assert time.monotonic() - start < 5 and calls.read_text() == "\n"
    driver("sleep 1; echo 'NVIDIA H100, 87, 11264, 81559, 64'")
    monkeypatch.setattr(system, "TIMEOUT_S", 30.0)
    monkeypatch.setattr(system, "RETRY_S", 0.0)
    assert system.query_gpus() == [], "the retry runs in the background"
    assert wait_for(system.query_gpus, "the repaired driver")[0].name == "NVIDIA H100"


def test_without_a_driver_there_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.query_gpus() == []


def test_load_does_not_wait_for_a_slow_driver(monkeypatch):
    is_released, calls = threading.Event(), []

    def measure_slowly(cpu):
        calls.append(1)
        is_released.wait(60)
        return system.SystemLoad(0.5, 1, 2)

    monkeypatch.setattr(system, "measure_load", measure_slowly)
    monitor = system.SystemMonitor()
    assert monitor.load() is None and monitor.load() is None
    is_released.set()
    assert wait_for(monitor.load, "the load").cpu == 0.5
    assert len(calls) == 1, "concurrent callers share one measurement"


Times = namedtuple("Times", "user system idle iowait guest")


@pytest.mark.parametrize(
    ("now", "utilization"),
    [
        (Times(16, 4, 20, 0, 0), 0.5),
        (Times(10, 0, 40, 0, 0), 0.0),
        (Times(10, 0, 10, 30, 0), 0.0),
        (Times(50, 0, 10, 0, 30), 1.0),
        (Times(10, 0, 10, 0, 0), 0.0),
    ],
)
def test_cpu_utilization(now, utilization):
    assert system.cpu_utilization(Times(10, 0, 10, 0, 0), now) == pytest.approx(utilization)


def test_busy_processor_is_measured():
    """One busy core raises the utilization over all cores."""
    monitor, min_utilization = system.SystemMonitor(), 0.3 / (os.cpu_count() or 1)
    monitor.load()
    wait_for(
        lambda: sum(range(10_000_000)) and (load := monitor.load()) and load.cpu > min_utilization,
        "the load of this test",
    )
