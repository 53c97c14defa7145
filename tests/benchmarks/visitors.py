"""Measure a public app under load: `python -m tests.benchmarks.visitors [--visitors 100] [--hostile 20]`.

Polite visitors open the page and poll its charts and table at the pace that the app asks for. Hostile ones flood it,
send headers, bodies and uploads without an end, invent pages, sessions and cookies, and start recordings and
evaluations without number. Each has an address of its own (127.0.0.0/8). Beside them a run trains on
the demo's clips, on the GPU where there is one; its speed is measured before the visitors come, while they are there,
and after they have left.

Prints one JSON object: seconds of the answers to polite visitors, statuses of all requests, peaks of the app's memory,
threads, open files and disk, its processor time in percent of one core, and how much slower the training was. The
visitors take processor time too, 0.7 of a core: on a machine with few cores that is most of the slowdown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from asrkit.runs import ownership, processes
from asrkit.runs.ownership import SHARED, Ownership
from asrkit.runs.store import RunStore
from tests.support.ports import find_free_port

PROJECT = Path(__file__).parents[2]
PUBLIC = {"ASRKIT_ANONYMOUS_DATA": "1"}
COMPONENT_SERVER = "/gradio_api/component_server"
SAMPLE_S = 0.25
WARM_STEPS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=100, help="all of them, the hostile ones among them")
    parser.add_argument("--hostile", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the app and the run end too
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as (port, process, store):
        print(json.dumps(measure(args, Path(folder), port, process, store), indent=2))


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[tuple[int, psutil.Process, RunStore]]:
    """Serve a public app."""
    store, port = RunStore(folder / "runs"), find_free_port()
    (folder / "temporary").mkdir()
    env = {**os.environ, **PUBLIC, "GRADIO_TEMP_DIR": str(folder / "temporary"), "TMPDIR": str(folder / "temporary")}
    command = [sys.executable, "app.py", "--public", "--port", str(port), "--runs-dir", str(store.root)]
    with (
        open(folder / "log", "wb") as log,
        subprocess.Popen(command, cwd=PROJECT, env=env, stdout=log, stderr=log) as child,
    ):
        try:
            while b"is ready" not in (folder / "log").read_bytes():
                if child.poll() is not None:
                    sys.exit((folder / "log").read_text())
                time.sleep(0.1)
            yield port, psutil.Process(child.pid), store
        finally:
            child.terminate()


class Training:
    """A real run on the embedded demo's clips that goes on until it is cancelled, on the GPU where there is one."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        settings = ("num_epochs=10000", "logging_steps=1", "eval_on_start=False", "eval_steps=1000000")
        self._asrkit("start", "--preset", "demo", "--run-id", "load", *(x for one in settings for x in ("--set", one)))
        self.run = store.get("load")
        ownership.write_ownership(self.run, Ownership(ownership.OPERATOR, SHARED))

    def _asrkit(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "asrkit", "runs", *arguments, "--runs-dir", str(self._store.root)]
        subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)

    def steps(self) -> int:
        return max((event.step or 0 for event in self.run.events()[0]), default=0)

    def measure_speed(self, during: Callable[[], None]) -> float:
        """Return steps per second while `during` runs."""
        first, started = self.steps(), time.monotonic()
        during()
        return (self.steps() - first) / (time.monotonic() - started)

    def stop(self) -> None:
        self._asrkit("cancel", "load")
        while processes.is_worker_alive(self.run):
            time.sleep(0.1)


class Visitor:
    """A browser with an address of its own."""

    def __init__(self, port: int, number: int) -> None:
        self.port, self.address = port, f"127.1.{number // 200}.{number % 200 + 1}"
        self.statuses: Counter[str] = Counter()
        self.answer_s: list[float] = []
        self.client = self.make_client()
        self.components: dict[str, int] = {}

    def make_client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(local_address=self.address)
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", transport=transport, timeout=60)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        started = time.monotonic()
        try:
            answer = self.client.request(method, path, **options)
        except httpx.TransportError as error:
            self.statuses[type(error).__name__] += 1
            return None
        finally:
            self.answer_s.append(time.monotonic() - started)
        self.statuses[str(answer.status_code)] += 1
        return answer

    def open_page(self) -> None:
        self.send("GET", "/")
        answer = self.send("GET", "/config")
        if answer is not None and answer.status_code == 200:
            parts = answer.json()["components"]
            self.components = {part["props"].get("elem_id"): part["id"] for part in parts}

    def call(self, element: str, name: str, session: str = "s", **request: Any) -> dict[str, Any]:
        body = {"session_hash": session, "component_id": self.components.get(element, 0), "fn_name": name}
        answer = self.send("POST", COMPONENT_SERVER, json=body | {"data": request})
        return answer.json() if answer is not None and answer.status_code == 200 else {}

    def browse(self, until: float) -> None:
        """Watch the charts and the table, at the pace that the app asks for."""
        session = secrets.token_hex(6)
        self.open_page()
        while time.monotonic() < until:
            paces = [
                self.call(element, "poll", session, page=session).get("pace_ms", 5000) for element in ("live", "runs")
            ]
            time.sleep(max(0.0, min(min(paces) / 1000, until - time.monotonic())))

    def attack(self, until: float, attack: Callable[[Visitor], None]) -> None:
        self.open_page()
        while time.monotonic() < until:
            attack(self)


def flood(visitor: Visitor) -> None:
    visitor.send("GET", "/config")


def invent_cookies(visitor: Visitor) -> None:
    visitor.client.cookies.clear()
    visitor.send("GET", "/config")


def invent_pages(visitor: Visitor) -> None:
    visitor.call("live", "poll", secrets.token_hex(6), page=secrets.token_hex(6))


def send_long_bodies(visitor: Visitor) -> None:
    visitor.send("POST", COMPONENT_SERVER, content=b'{"data": "' + b"x" * 20_000_000 + b'"}', headers=JSON)


def start_recordings(visitor: Visitor) -> None:
    recording = visitor.call("recorder", "start", model="none", rate=48_000).get("id")
    if recording:
        visitor.call("recorder", "push_chunk", id=recording, number=0, pcm="AAAA" * 10_000)


def start_evaluations(visitor: Visitor) -> None:
    visitor.call("evaluation", "evaluate", dataset="callsigns", model="none", normaliser="basic")


def upload(visitor: Visitor) -> None:
    visitor.send("POST", "/gradio_api/upload", files={"files": ("a.wav", os.urandom(4_000_000))})


def send_wrong_types(visitor: Visitor) -> None:
    visitor.call("recorder", random.choice(("poll", "start", "push_chunk")), id=7, ids=3, rate="x", number=[])


def hold_headers(visitor: Visitor) -> None:
    hold(visitor, b"GET / HTTP/1.1\r\nx: ")


def hold_uploads(visitor: Visitor) -> None:
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1:{visitor.port}\r\nContent-Length: 900000\r\n"
    hold(visitor, head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n")


def hold(visitor: Visitor, content: bytes) -> None:
    """Open 40 connections that send something from time to time, until the app closes them or 20 s are over."""
    connections = []
    with contextlib.ExitStack() as opened:
        for _ in range(40):
            with contextlib.suppress(OSError):
                one = socket.create_connection(("127.0.0.1", visitor.port), 5, (visitor.address, 0))
                connections.append(opened.enter_context(one))
        for _ in range(20):
            for one in connections:
                with contextlib.suppress(OSError):
                    one.sendall(content)
            content = b"x"
            time.sleep(1)
    visitor.statuses["held connections"] += len(connections)


JSON = {"content-type": "application/json"}
ATTACKS = (
    flood,
    invent_cookies,
    invent_pages,
    send_long_bodies,
    start_recordings,
    start_evaluations,
    upload,
    send_wrong_types,
    hold_headers,
    hold_uploads,
)


def measure(
    args: argparse.Namespace, folder: Path, port: int, process: psutil.Process, store: RunStore
) -> dict[str, Any]:
    training = Training(store)
    try:
        while training.steps() < WARM_STEPS:
            time.sleep(0.1)
        before = training.measure_speed(lambda: time.sleep(args.seconds / 2))
        visitors = [Visitor(port, number) for number in range(args.visitors)]
        peaks: Counter[str] = Counter()
        app_s = sum(process.cpu_times()[:2])
        watched = training.measure_speed(lambda: send_visitors(args, folder, process, visitors, peaks))
        app_cpu_s = sum(process.cpu_times()[:2]) - app_s
        after = training.measure_speed(lambda: time.sleep(args.seconds / 2))
    finally:
        training.stop()
    polite, hostile = visitors[args.hostile :], visitors[: args.hostile]
    answers = sorted(seconds for visitor in polite for seconds in visitor.answer_s)
    return {
        "polite": {
            "answers": len(answers),
            "median_s": round(statistics.median(answers), 3),
            "p99_s": round(answers[int(0.99 * (len(answers) - 1))], 3),
            "longest_s": round(answers[-1], 3),
            "statuses": dict(sum((visitor.statuses for visitor in polite), Counter())),
        },
        "hostile": {
            f"{number} {ATTACKS[number % len(ATTACKS)].__name__}": dict(visitor.statuses)
            for number, visitor in enumerate(hostile)
        },
        "peaks": dict(peaks),
        "app_cpu_percent": round(100 * app_cpu_s / args.seconds, 1),
        "training": {
            "steps_per_s_before": round(before, 2),
            "steps_per_s_with_visitors": round(watched, 2),
            "steps_per_s_after": round(after, 2),
            "slower_percent": round(100 * (1 - 2 * watched / (before + after)), 1),
        },
    }


def send_visitors(
    args: argparse.Namespace, folder: Path, process: psutil.Process, visitors: list[Visitor], peaks: Counter[str]
) -> None:
    until = time.monotonic() + args.seconds
    threads = [
        threading.Thread(target=visitor.attack, args=[until, ATTACKS[number % len(ATTACKS)]])
        if number < args.hostile
        else threading.Thread(target=visitor.browse, args=[until])
        for number, visitor in enumerate(visitors)
    ]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        sizes = [path.stat().st_size for path in (folder / "temporary").rglob("*") if path.is_file()]
        now = {
            "memory_mb": round(process.memory_info().rss / 1e6),
            "threads": process.num_threads(),
            "open_files": process.num_fds(),
            "temporary_mb": round(sum(sizes) / 1e6),
        }
        for name, value in now.items():
            peaks[name] = max(peaks[name], value)
        time.sleep(SAMPLE_S)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
