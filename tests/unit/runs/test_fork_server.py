"""The fork server with a stand-in for the training worker, so that it need not import PyTorch."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from asrkit import child
from asrkit.runs import fork_server, lifecycle, processes, supervisor
from asrkit.runs.fork_server import ForkedWorker, ForkServerProcess
from asrkit.training import fork_server as program
from tests.support.waiting import wait_for

STAND_IN = """
import os, sys, threading, time, types
import asrkit.training
from asrkit.training import fork_server

def main(arguments):
    print("folder", os.getcwd())
    print("arguments", sys.argv[1:], "input", repr(sys.stdin.read()))
    print("mark", os.environ.get("ASRKIT_MARK"), "threads", THREADS)
    print("trouble", file=sys.stderr)
    if arguments[0].isdecimal():
        return int(arguments[0])
    time.sleep(600)

THREADS = []
worker = types.ModuleType("asrkit.training.worker")
worker.main, worker.__file__ = main, "worker.py"
sys.modules[worker.__name__] = asrkit.training.worker = worker
fork_server._import_libraries = lambda: {IMPORT}
fork_server._check_cuda = lambda: None
fork_server._set_threads = lambda requested, present: THREADS.append(requested)
sys.exit(fork_server.main(sys.argv[1]))
"""


@pytest.fixture
def start_server(tmp_path, monkeypatch) -> Iterator[Callable[..., ForkServerProcess]]:
    """start_server("code that stands for the imports") -> the server, which is ended after the test."""
    servers: list[ForkServerProcess] = []
    (tmp_path / "code").mkdir()
    monkeypatch.setattr(fork_server, "_PROGRAM", "stand_in")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))

    def start(imports: str = "None") -> ForkServerProcess:
        (tmp_path / "code" / "stand_in.py").write_text(STAND_IN.replace("{IMPORT}", imports))
        servers.append(ForkServerProcess())
        return servers[-1]

    yield start
    for server in servers:
        server.close()
    assert fork_server.SOCKET not in os.environ


@pytest.fixture
def server(start_server) -> ForkServerProcess:
    started = start_server()
    wait_for(started.path.exists, "the fork server")
    return started


@pytest.fixture
def log(tmp_path) -> Iterator[IO[bytes]]:
    with open(tmp_path / "log.txt", "ab") as file:
        yield file


@pytest.fixture
def fork(server, log) -> Iterator[Callable[..., ForkedWorker | None]]:
    """fork("0", ASRKIT_MARK="x") -> a worker with these arguments and changes of the environment."""
    workers: list[ForkedWorker] = []

    def start(*arguments: str, **changes: str) -> ForkedWorker | None:
        environment = child.environment({**os.environ, "PYTHONUNBUFFERED": "1", **changes})
        worker = fork_server.fork_worker(list(arguments), environment, log)
        workers.extend([worker] if worker else [])
        return worker

    yield start
    for worker in workers:
        worker.kill()


def test_forked_worker_resembles_a_started_one(server, fork, log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worker = fork("some/run", ASRKIT_MARK="red", OMP_NUM_THREADS="3")
    output = wait_for(lambda: (text := Path(log.name).read_text()).endswith("trouble\n") and text, "the output")
    assert output.splitlines() == [
        f"folder {tmp_path}",
        "arguments ['some/run'] input ''",
        "mark red threads ['3']",
        "trouble",
    ]
    process = psutil.Process(worker.pid)
    assert process.ppid() == server.process.pid
    assert os.getsid(worker.pid) == os.getpgid(worker.pid) == worker.pid
    assert process.name() == "asrkit-worker"
    assert process.cmdline()[:2] == [sys.executable, "-m"], "as far as there is room for the command"
    descriptors = {os.readlink(path) for path in Path(f"/proc/{worker.pid}/fd").iterdir()}
    assert not any(target.startswith("socket:") for target in descriptors), "none of the server's"


@pytest.mark.parametrize("code", [0, 3])
def test_exit_code_is_reported(fork, code):
    assert fork(str(code)).wait() == code


def test_signal_is_reported(fork):
    worker = fork("sleeps")
    worker.kill()
    assert worker.wait() == -signal.SIGKILL
    worker.kill()  # it is gone


def test_workers_run_side_by_side(fork):
    first, second, third = fork("sleeps"), fork("sleeps"), fork("4")
    assert third.wait() == 4
    second.kill()
    assert second.wait() == -signal.SIGKILL
    assert psutil.Process(first.pid).is_running()


def test_environment_that_libraries_have_read_on_import_is_refused(fork, caplog):
    with caplog.at_level("DEBUG", logger="asrkit"):
        assert fork("0", HF_HOME="/elsewhere") is None
        assert fork("0", OMP_NUM_THREADS="many") is None
    assert ["HF_HOME differ" in caplog.messages[0], "OMP_NUM_THREADS differs" in caplog.messages[1]] == [True] * 2
    for name in ("CUDA_VISIBLE_DEVICES", "ASRKIT_SLOTS", "PATH", "PYTEST_CURRENT_TEST"):
        assert fork("0", **{name: "1"}).wait() == 0, name


def test_variable_that_a_library_sets_on_import_is_accepted(start_server, log):
    server = start_server("os.environ.update(TORCHINDUCTOR_CACHE_DIR='/cache')")
    wait_for(server.path.exists, "the fork server")
    for changes in ({}, {"TORCHINDUCTOR_CACHE_DIR": "/cache"}):
        environment = child.environment({**os.environ, "PYTHONUNBUFFERED": "1", **changes})
        assert fork_server.fork_worker(["0"], environment, log).wait() == 0


def test_worker_outlives_the_server(server, fork):
    worker = fork("sleeps")
    server.process.kill()
    assert worker.wait() is None, "nobody knows how it will end"
    assert psutil.Process(worker.pid).status() != psutil.STATUS_ZOMBIE
    assert fork("0") is None, "the next one is started as a program"


APP = """
import os, sys, time
from asrkit import child
from asrkit.runs import fork_server
fork_server._PROGRAM = "stand_in"
server = fork_server.ForkServerProcess()
while not server.path.exists():
    time.sleep(0.01)
environment = child.environment({**os.environ, "PYTHONUNBUFFERED": "1"})
worker = fork_server.fork_worker(["sleeps"], environment, open(sys.argv[1], "ab"))
print(server.process.pid, worker.pid, server.path, flush=True)
time.sleep(600)
"""


def test_killed_app_takes_the_server_with_it_but_no_worker(start_server, tmp_path):
    start_server().close()  # for the stand-in's file
    app = subprocess.Popen(
        [sys.executable, "-c", APP, str(tmp_path / "log.txt")],
        stdout=subprocess.PIPE,
        text=True,
        env=child.environment(os.environ),
    )
    server_pid, worker_pid, path = app.stdout.readline().split()
    app.kill()
    app.communicate()
    worker_pid = int(worker_pid)
    try:
        wait_for(lambda: not processes.is_alive(processes.identify_process(int(server_pid))), "the end of the server")
        wait_for(lambda: not Path(path).parent.exists(), "the end of its folder")
        assert processes.is_alive(processes.identify_process(worker_pid))
    finally:
        os.killpg(worker_pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("imports", "message"),
    [
        ("threading.Thread(target=time.sleep, args=[600], daemon=True).start()", "libraries have started threads"),
        ("sys.exit('cannot import')", "cannot import"),
    ],
)
def test_server_that_cannot_fork_safely_ends(start_server, log, capfd, imports, message):
    server = start_server(imports)
    assert server.process.wait(60) == 1 and message in capfd.readouterr().err
    assert fork_server.fork_worker(["0"], os.environ, log) is None


def test_second_server_is_not_started(server):
    assert fork_server.start_fork_server() is None


def test_request_of_another_user_is_refused(server, fork, monkeypatch):
    assert server.path.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert fork("0") is None, "nor does a client trust another user's server"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(theirs, [fork_server.LENGTH.pack(2)], [0])
        theirs.sendall(b"{}")
        with pytest.raises(ValueError, match="this user"):
            program._read_request(ours)


def test_incomplete_request_does_not_stop_the_server(server, fork):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.path))
        client.sendall(b"no")
    assert fork("0").wait() == 0


def test_supervisor_records_how_a_forked_worker_ended(server, store, config):
    run = supervisor.start(store, config, "one")
    process = run.process()
    assert psutil.Process(process["pid"]).ppid() == server.process.pid
    assert process["command"][1:] == ["-m", "asrkit.training.worker", str(run.path)]
    assert lifecycle.get_status(run) == lifecycle.STARTING
    wait_for(lambda: "trouble" in run.log_tail(), "the output")
    os.kill(process["pid"], signal.SIGSEGV)
    wait_for(lambda: run.process().get("exit") == -signal.SIGSEGV, "the exit code")
    assert lifecycle.get_status(run) == lifecycle.CRASHED
