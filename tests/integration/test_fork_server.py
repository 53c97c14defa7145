"""Workers forked from a server that has imported PyTorch, and the server of a real app."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from asrkit.runs import fork_server, lifecycle, processes, supervisor
from tests.support.ports import find_free_port
from tests.support.runs import evaluation_results, loss_curve, wait_for_end
from tests.support.waiting import wait_for

PROJECT = Path(__file__).parents[2]


def test_forked_worker_trains_like_a_started_one(store, settings, monkeypatch):
    forked = supervisor.start(store, settings(), "forked")
    parents = [psutil.Process(forked.process()["pid"]).ppid()]
    assert wait_for_end(forked) == lifecycle.FINISHED, forked.log_tail()

    monkeypatch.delenv(fork_server.SOCKET)
    started = supervisor.start(store, settings(), "started")
    parents.append(psutil.Process(started.process()["pid"]).ppid())
    assert wait_for_end(started) == lifecycle.FINISHED, started.log_tail()

    assert parents[0] != os.getpid() == parents[1]
    assert loss_curve(forked) == loss_curve(started)
    assert evaluation_results(forked) == evaluation_results(started)
    assert forked.process()["command"][:-1] == started.process()["command"][:-1]


def test_queued_run_is_forked_by_the_worker_that_ends(store, settings):
    first = supervisor.start(store, settings(max_steps=500, num_epochs=500), "first")
    second = supervisor.start(store, settings(max_steps=500, num_epochs=500), "second")
    server = psutil.Process(first.process()["pid"]).ppid()
    supervisor.stop(first)
    wait_for(second.process, "the queued run")
    assert psutil.Process(second.process()["pid"]).ppid() == server != os.getpid()
    supervisor.cancel(second)
    assert wait_for_end(second) == lifecycle.STOPPED


def test_app_keeps_a_fork_server(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != fork_server.SOCKET}
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(find_free_port()), "--runs-dir", str(tmp_path / "runs")],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )

    def find_server() -> psutil.Process | None:
        children = psutil.Process(app.pid).children()
        return next((child for child in children if "asrkit.training.fork_server" in child.cmdline()), None)

    try:
        server = processes.identify_process(wait_for(find_server, "the fork server").pid)
        assert processes.is_alive(server)
        app.send_signal(signal.SIGINT)
        app.wait(60)
        wait_for(lambda: not processes.is_alive(server), "the end of the server, which may have to finish its imports")
    finally:
        app.kill()
        app.wait()
