"""Measure the cost of watching runs: `python -m tests.benchmarks.scale [--runs 500] [--points 1000000] [--viewers 50]`.

1. A store of `--runs` runs, one of which has `--points` points: the first answer for the table and for the long run's
   chart, then updates: server time, bytes per page, memory over many updates, and the cost for longer runs.
2. With `--browser`, the same first answers in Chromium: from the first request until everything is drawn.
3. `--viewers` pages that poll a run while it trains, alternating with no viewers in `--rounds` rounds: the slowdown of
   training with a 95 % interval, and the processor time of the app, which does not depend on other processes.

The figures depend on the machine and its load; compare the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import http.client
import json
import math
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from asrkit import config
from asrkit.files import write_json
from asrkit.runs import lifecycle, processes, supervisor
from asrkit.runs.events import Event
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui.common.viewers import GROUP_INTERVAL_S
from asrkit.ui.runs.api import RunsApi
from asrkit.ui.train.api import TrainApi

VALUES = 5
"""Points of one `train` event: loss, learning rate, gradient norm, speed, memory."""

TICKS = 200
SETTLE_S, WINDOW_S = 0.5, GROUP_INTERVAL_S  # one group of the pages asks in each window
FEW = 5
"""Steps without which a window says nothing of speed: others compute, and a step takes longer than the window."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument(
        "--rounds", type=int, default=48, help="pairs of turns with and without viewers; 0 leaves them out"
    )
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        looking(RunStore(Path(folder) / "many"), options.runs, options.points)
        if options.browser:
            painting(RunStore(Path(folder) / "many"), options.runs)
        for share in (100, 10, 1):
            tick_over_length(RunStore(Path(folder) / f"long-{share}"), options.points // share)
        if options.rounds:
            watching(RunStore(Path(folder) / "watched"), options.viewers, options.rounds)


def looking(store: RunStore, runs: int, points: int) -> None:
    """First looks and ticks, over all runs and one long one."""
    for number in range(runs - 1):
        tell(made(store, f"2026-{number:04d}", learning_rate=1e-5 * (1 + number % 7), seed=number % 3), 200, ended=True)
    long = made(store, "2027-long")
    tell(long, points // VALUES)
    process = psutil.Process()
    table, live = RunsApi(store), TrainApi(store)
    seconds, first = timed(lambda: table.poll({}))
    print(f"first look at {runs} runs: {seconds:.2f} s, {kilobytes(first)}")
    seconds, drawn = timed(lambda: whole(live, long))
    print(
        f"first look at a run of {points:,} points ({long.events_size() / 1e6:.0f} MB): {seconds:.2f} s, "
        f"{kilobytes(drawn)}"
    )
    before = process.memory_info().rss
    ticks = [tick(table, live, long, first, drawn, number) for number in range(TICKS)]
    grown = (process.memory_info().rss - before) / 1e6
    for name, place in (("table", 0), ("chart", 2)):
        spent, sent = [one[place] * 1e3 for one in ticks], [one[place + 1] for one in ticks]
        print(
            f"a tick of the {name}: median {statistics.median(spent):.1f} ms, worst {max(spent):.1f} ms, "
            f"{max(sent) / 1e3:.1f} kB at most"
        )
    print(f"memory after {TICKS} ticks: {grown:+.1f} MB")


def painting(store: RunStore, runs: int) -> None:
    from playwright.sync_api import sync_playwright

    drawn = {
        "compare=none": ("table", f"document.querySelectorAll('#runs tbody tr').length >= {runs}"),
        "run=2027-long": ("chart", "document.querySelector('#live [data-part=loss]')?.data?.[0].x.length > 5"),
    }
    with app(store) as (served, url, _), sync_playwright() as playwright:
        at_rest(served)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for query, (what, there) in drawn.items():
            page, asked = browser.new_page(), []
            page.on(
                "request",
                lambda one, asked=asked: asked.append(time.monotonic()) if "component_server" in one.url else None,
            )
            page.goto(f"{url}/?{query}")
            page.wait_for_function(there, polling=20, timeout=60_000)
            print(f"the {what} in Chromium: {time.monotonic() - asked[0]:.2f} s from its first question")
            page.close()


def at_rest(served: psutil.Process) -> None:
    """Wait until the app has done what it does after its start: it loads what transcription needs."""
    while served.cpu_percent(interval=1.0) > 10:
        pass


def tick(table: RunsApi, live: TrainApi, run: Run, found: dict, drawn: dict, number: int) -> tuple[float, ...]:
    """(seconds, bytes) of the table and of the chart after the run has written one more event."""
    run.append(training(10**7 + number))
    table.run_list.rows(refresh=True)
    spent, answer_data = timed(lambda: table.poll({**found, "compare": {}}))
    found.update(version=answer_data["version"], life=answer_data["life"])
    size = len(json.dumps(answer_data))
    live.run_list.rows(refresh=True)
    again, answer_data = timed(
        lambda: live.poll(
            {"run": run.id, "after": drawn["offset"], "signature": drawn["signature"], "evaluations": drawn["known"]}
        )
    )
    assert not answer_data["reset"] and answer_data["points"]["train/loss"]["x"] == [10**7 + number]
    drawn["offset"] = answer_data["offset"]
    return spent, size, again, len(json.dumps(answer_data))


def tick_over_length(store: RunStore, points: int) -> None:
    run = made(store, "one")
    tell(run, points // VALUES)
    live = TrainApi(store)
    drawn = whole(live, run)
    spent = []
    for number in range(TICKS):
        run.append(training(10**7 + number))
        seconds, answer_data = timed(lambda: live.poll({"run": run.id, "after": drawn["offset"]}))
        drawn["offset"] = answer_data["offset"]
        spent.append(seconds * 1e3)
    print(f"a tick of a run of {points:,} points: median {statistics.median(spent):.2f} ms")


def whole(live: TrainApi, run: Run) -> dict:
    """Poll as a page does until the whole history is drawn."""
    while True:
        answer_data = live.poll({"run": run.id})
        if answer_data["read"] == 1:
            return {**answer_data, "known": len(answer_data["evaluations"])}


def watching(store: RunStore, viewers: int, rounds: int) -> None:
    """Train with and without viewers in turns, many and short ones, so that what else goes on is in both: how much less
    audio a second is trained on in the half of a pair with viewers, and the time of a processor that the app takes."""
    with app(store) as (served, url, component), trained(store) as run, Pages(url, component, run, viewers) as pages:
        at_rest(served)
        slower, busy = [], {True: [], False: []}
        for number in range(rounds):
            speeds = {}
            for looked in (True, False) if number % 2 else (False, True):
                pages.looking(looked)
                time.sleep(SETTLE_S)
                spent, begun = cpu_seconds(served), time.monotonic()
                speeds[looked] = speed(run, WINDOW_S)
                busy[looked].append((cpu_seconds(served) - spent) / (time.monotonic() - begun))
            if all(speeds.values()):
                slower.append(1 - speeds[True] / speeds[False])
        print(f"training with {viewers} viewers ({pages.answers} answers): {told_between(slower)} slower")
    more = [found - alone for found, alone in zip(busy[True], busy[False], strict=True)]
    print(
        f"the app alone takes {statistics.mean(busy[False]):.1%} of one processor of {os.cpu_count()}, with the "
        f"viewers {told_between(more)} more, which is the most that training can lose where all wait for one another"
    )


@contextlib.contextmanager
def trained(store: RunStore) -> Iterator[Run]:
    """A run that is in the middle of its training."""
    run = supervisor.start(
        store,
        config.load_preset("demo").config.replace(
            {"num_epochs": 1000, "eval_on_start": False, "eval_steps": 100_000, "logging_steps": 1}
        ),
        "watched",
    )
    try:
        while not any(one.kind == "train" and one.step >= 30 for one in run.last_events()):
            time.sleep(0.5)
        yield run
    finally:
        processes.kill_worker(run)


def told_between(shares: list[float]) -> str:
    """The median, and its 95 % interval by the sign test, which outliers do not move: of 48 values, the 18th and the
    31st (Conover, Practical Nonparametric Statistics, section 3.2)."""
    if len(shares) < 6:  # of fewer, not even the least and the most are such an interval
        return f"unknown how much ({len(shares)} pairs)"
    place = max(0, math.floor(len(shares) / 2 - 1.96 * math.sqrt(len(shares)) / 2))
    low, high = sorted(shares)[place], sorted(shares)[-1 - place]
    return f"{statistics.median(shares):+.1%} (95 % interval {low:+.1%} to {high:+.1%}, {len(shares)} pairs)"


def cpu_seconds(served: psutil.Process) -> float:
    times = served.cpu_times()
    return times.user + times.system


def speed(run: Run, seconds: float) -> float | None:
    """Seconds of audio trained on a second, over a while; None where too few steps were reported."""
    since = time.time()
    time.sleep(seconds)
    assert lifecycle.get_status(run) == lifecycle.RUNNING, run.log_tail(2000)
    train_events = [one for one in run.last_events() if one.kind == "train" and one.time >= since]
    if len(train_events) <= FEW:
        return None
    spans = [
        (after.time - before.time, after.data["audio_seconds_per_second"])
        for before, after in zip(train_events, train_events[1:], strict=False)
    ]
    return sum(span * rate for span, rate in spans) / sum(span for span, _ in spans)


@contextlib.contextmanager
def app(store: RunStore) -> Iterator[tuple[psutil.Process, str, int]]:
    """The app; -> (its process, its address, the live panel's id in it)."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    served = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--runs-dir", str(store.root)], stdout=subprocess.DEVNULL
    )
    try:
        answer_data = None
        while answer_data is None:
            assert served.poll() is None, "the app has ended"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/config", timeout=5) as answer:
                answer_data = json.load(answer)
            time.sleep(0.2)
        panel = next(one for one in answer_data["components"] if one["props"].get("elem_id") == "live")
        yield psutil.Process(served.pid), url, panel["id"]
    finally:
        served.kill()
        served.wait()


class Pages:
    """Pages that poll at the pace the server sets, with Gradio's heartbeat stream open. One thread polls for all of
    them; its processor time counts against the viewers."""

    def __init__(self, url: str, component: int, run: Run, count: int) -> None:
        self.host, self.component, self.run = url.removeprefix("http://"), component, run
        self.pages = [
            {"page": f"page-{number}", "after": 0, "signature": "", "evaluation": None, "evaluations": 0}
            for number in range(count)
        ]
        self.answers, self._away_s = 0, 0.0
        self._look, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def looking(self, look: bool) -> None:
        (self._look.set if look else self._look.clear)()

    def __enter__(self) -> Pages:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._look.set()
        self._thread.join()

    def _ask(self) -> None:
        connections = [http.client.HTTPConnection(self.host, timeout=30) for _ in self.pages]
        streams = [http.client.HTTPConnection(self.host, timeout=30) for _ in self.pages]
        for page, stream in zip(self.pages, streams, strict=True):
            stream.request("GET", f"/gradio_api/heartbeat/{page['page']}")
        due = [(self._now() + 0.1 * place, place) for place in range(len(self.pages))]
        while not self._over.is_set():
            at, place = heapq.heappop(due)
            self._over.wait(max(0.0, at - self._now()))
            if not self._look.is_set():
                left = self._now()
                self._look.wait()
                self._away_s += self._now() - left
            pace_s = self._poll(connections[place], self.pages[place])
            heapq.heappush(due, (max(at, self._now() - 1) + pace_s, place))

    def _now(self) -> float:
        """Seconds by a clock that stands still while nobody looks: they are not asked for all at once afterwards."""
        return time.monotonic() - self._away_s

    def _poll(self, connection: http.client.HTTPConnection, page: dict) -> float:
        """Ask as the panel's script does; -> seconds until it asks again."""
        asked = {
            "data": {"run": self.run.id, "at_step": None, "log": False, **page},
            "component_id": self.component,
            "fn_name": "poll",
            "session_hash": page["page"],
        }
        connection.request(
            "POST", "/gradio_api/component_server", json.dumps(asked), {"Content-Type": "application/json"}
        )
        answer_data = json.load(connection.getresponse())
        connection.close()  # as the server does after 5 s, which is sooner than so many pages ask again
        page |= {"after": answer_data["offset"], "signature": answer_data["signature"]}
        if answer_data["evaluations"] is not None:
            page["evaluations"] = len(answer_data["evaluations"])
        if answer_data["evaluation"]:
            page["evaluation"] = answer_data["evaluation"]["key"]
        self.answers += 1
        return answer_data["pace_ms"] / 1e3


def made(store: RunStore, run_id: str, **changes) -> Run:
    run = store.create(config.load_preset("demo").config.replace(changes), run_id)
    write_json(run.process_path, {**processes.identify_process(os.getpid()), "host": socket.gethostname()})
    return run


def tell(run: Run, steps: int, ended: bool = False) -> None:
    """`steps` training events and an evaluation with samples after each twentieth part, written at once."""
    lines = [Event("started", time.time(), 0, 0.0, {"total_steps": steps, "metric_for_best_model": "wer"}).to_line()]
    samples = [
        {"id": str(n), "audio": "/a/clip.wav", "reference": "one two three", "hypothesis": "one too tree"}
        for n in range(8)
    ]
    for step in range(1, steps + 1):
        lines.append(training(step).to_line())
        if step % max(1, steps // 20) == 0:
            wer = math.exp(-3 * step / steps)
            lines.append(
                Event(
                    "eval", time.time(), step, step / 100, {"loss": wer, "wer": wer, "cer": wer / 2, "samples": samples}
                ).to_line()
            )
    if ended:
        lines.append(Event("finished", time.time(), steps, steps / 100, {"message": "", "saved": True}).to_line())
    run.events_path.write_text("".join(lines), encoding="utf-8")


def training(step: int) -> Event:
    return Event(
        "train",
        time.time(),
        step,
        step / 100,
        {
            "loss": 1 + random.random(),
            "learning_rate": 1e-4,
            "grad_norm": random.random(),
            "audio_seconds_per_second": 40.0,
            "memory_gb": 1.234,
        },
    )


def timed(work):
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def kilobytes(answer_data: dict) -> str:
    return f"{len(json.dumps(answer_data)) / 1e3:.0f} kB"


if __name__ == "__main__":
    main()
