"""Measure the cost of watching runs: `python -m tests.benchmarks.scale [--runs 500] [--points 1000000] [--viewers 50]`.

1. A store of `--runs` runs, one of which has `--points` points: the first answer for the table and for the long run's
   chart, then updates: server time, bytes per page, memory over many updates, and the cost for longer runs.
2. With `--browser`, the same first answers in Chromium, from the first request until the first rows or the chart are
   drawn, scrolling to the last row, the elements of the page, and the memory of the app.
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
from typing import Any

import psutil

from asrkit import config
from asrkit.files import write_json
from asrkit.runs import lifecycle, processes, supervisor
from asrkit.runs.events import Event
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui.common.viewers import GROUP_INTERVAL_S
from asrkit.ui.runs.api import MORE_MS, RunsApi
from asrkit.ui.train.api import TrainApi
from tests.support.tokens import AUTHORIZATION, add_token

POINTS_PER_EVENT = 5
"""Points of one `train` event: loss, learning rate, gradient norm, speed, memory."""

NUM_UPDATES = 200
SETTLE_S, WINDOW_S = 0.5, GROUP_INTERVAL_S  # in each window one group of pages polls
MIN_STEPS = 5
"""A window with no more training events than this is not measured: steps are too slow on a busy machine."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument(
        "--rounds", type=int, default=48, help="number of pairs of windows with and without viewers; 0 skips them"
    )
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure_polls(RunStore(Path(folder) / "runs"), options.runs, options.points)
        if options.browser:
            measure_browser(RunStore(Path(folder) / "runs"), options.runs)
        for share in (100, 10, 1):
            measure_update_of_length(RunStore(Path(folder) / f"long-{share}"), options.points // share)
        if options.rounds:
            measure_viewers(RunStore(Path(folder) / "watched"), options.viewers, options.rounds)


def measure_polls(store: RunStore, num_runs: int, num_points: int) -> None:
    """Measure first answers and updates, of the table of all runs and of one long run."""
    for number in range(num_runs - 1):
        write_events(
            make_run(store, f"2026-{number:04d}", learning_rate=1e-5 * (1 + number % 7), seed=number % 3),
            200,
            ended=True,
        )
    long = make_run(store, "2027-long")
    write_events(long, num_points // POINTS_PER_EVENT)
    process = psutil.Process()
    table, live = RunsApi(store), TrainApi(store)
    seconds, table_state = timed(lambda: table.poll({}))
    print(f"first answer for {num_runs} runs: {seconds:.2f} s, {format_size(table_state)}")
    seconds, table_state = timed(lambda: poll_rest(table, table_state))
    print(f"all others: {seconds:.2f} s")
    seconds, chart_state = timed(lambda: poll_history(live, long))
    print(
        f"first answer for a run of {num_points:,} points ({long.events_size() / 1e6:.0f} MB): {seconds:.2f} s, "
        f"{format_size(chart_state)}"
    )
    before = process.memory_info().rss
    updates = [measure_update(table, live, long, table_state, chart_state, number) for number in range(NUM_UPDATES)]
    growth_mb = (process.memory_info().rss - before) / 1e6
    for name, index in (("table", 0), ("chart", 2)):
        times_ms = [update[index] * 1e3 for update in updates]
        sizes_bytes = [update[index + 1] for update in updates]
        print(
            f"an update of the {name}: median {statistics.median(times_ms):.1f} ms, maximum {max(times_ms):.1f} ms, "
            f"{max(sizes_bytes) / 1e3:.1f} kB at most"
        )
    print(f"memory after {NUM_UPDATES} updates: {growth_mb:+.1f} MB")


def poll_rest(table: RunsApi, answer: dict) -> dict:
    """Poll as a page does until all runs are read; return the last answer."""
    while answer["pace_ms"] == MORE_MS:
        answer = table.poll({"instance": answer["instance"], "version": answer["version"]})
    return answer


def measure_browser(store: RunStore, num_runs: int) -> None:
    """Measure the first answers in Chromium, until everything is drawn."""
    from playwright.sync_api import sync_playwright

    views = {
        "tab=runs": ("table", "document.querySelector('#runs tbody[data-part=rows] tr')"),
        "run=2027-long": ("chart", "document.querySelector('#live [data-part=loss]')?.data?.[0].x.length > 5"),
    }
    with serve_app(store) as (app, url, _), sync_playwright() as playwright:
        wait_until_idle(app)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for query, (name, condition) in views.items():
            page, request_times = browser.new_page(), []
            page.on(
                "request",
                lambda request, times=request_times: (
                    times.append(time.monotonic()) if "component_server" in request.url else None
                ),
            )
            page.goto(add_token(f"{url}/?{query}"))
            page.wait_for_function(condition, polling=20, timeout=60_000)
            print(f"the {name} in Chromium: {time.monotonic() - request_times[0]:.2f} s from its first request")
            if name == "table":
                measure_scrolling(page, num_runs)
            page.close()
        print(f"the app with {num_runs} runs: {app.memory_full_info().uss / 1e6:.0f} MB")


def measure_scrolling(page: Any, num_runs: int) -> None:
    """Measure the elements of the table, and a jump to its end, once all rows have come."""
    count = f"document.querySelector('#runs [data-part=count]').textContent === '{num_runs:,} runs'"
    page.wait_for_function(count, polling=20, timeout=60_000)
    seconds = page.evaluate(
        """async () => {
            const scroll = document.querySelector("#runs .runs-scroll"), start = performance.now();
            scroll.scrollTop = scroll.scrollHeight;
            while (!scroll.querySelector("tr[data-run='2026-0000']")) await new Promise(requestAnimationFrame);
            return (performance.now() - start) / 1000;
        }"""
    )
    num_elements = page.evaluate("document.querySelectorAll('#runs *').length")
    print(f"{num_elements} elements; {seconds:.2f} s from a jump to the end of the table to its last row")


def wait_until_idle(app: psutil.Process) -> None:
    """Wait until the app has loaded what transcription needs, which it does after its start."""
    while app.cpu_percent(interval=1.0) > 10:
        pass


def measure_update(
    table: RunsApi, live: TrainApi, run: Run, table_state: dict, chart_state: dict, number: int
) -> tuple[float, ...]:
    """Append an event to the run; return (seconds, bytes) of the table and (seconds, bytes) of the chart."""
    run.append(make_train_event(10**7 + number))
    table.run_list.rows(refresh=True)
    table_s, answer = timed(lambda: table.poll({**table_state, "compare": {}}))
    table_state.update(version=answer["version"], instance=answer["instance"])
    table_bytes = len(json.dumps(answer))
    live.run_list.rows(refresh=True)
    request = {
        "run": run.id,
        "after": chart_state["offset"],
        "signature": chart_state["signature"],
        "evaluations": chart_state["num_evaluations"],
    }
    chart_s, answer = timed(lambda: live.poll(request))
    assert not answer["reset"] and answer["points"]["train/loss"]["x"] == [10**7 + number]
    chart_state["offset"] = answer["offset"]
    return table_s, table_bytes, chart_s, len(json.dumps(answer))


def measure_update_of_length(store: RunStore, num_points: int) -> None:
    """Measure an update of the chart of a run of `num_points` points."""
    run = make_run(store, "one")
    write_events(run, num_points // POINTS_PER_EVENT)
    live = TrainApi(store)
    chart_state = poll_history(live, run)
    times_ms = []
    for number in range(NUM_UPDATES):
        run.append(make_train_event(10**7 + number))
        seconds, answer = timed(lambda: live.poll({"run": run.id, "after": chart_state["offset"]}))
        chart_state["offset"] = answer["offset"]
        times_ms.append(seconds * 1e3)
    print(f"an update of a run of {num_points:,} points: median {statistics.median(times_ms):.2f} ms")


def poll_history(live: TrainApi, run: Run) -> dict:
    """Poll as a page does until the complete history is sent; return the last answer."""
    while True:
        answer = live.poll({"run": run.id})
        if answer["read"] == 1:
            return {**answer, "num_evaluations": len(answer["evaluations"])}


def measure_viewers(store: RunStore, viewers: int, rounds: int) -> None:
    """Measure the slowdown of training by viewers, and the processor time of the app.

    Short windows with and without viewers alternate, so that other load affects both alike. The slowdown of a pair is
    the relative loss of audio trained on per second.
    """
    with (
        serve_app(store) as (app, url, component_id),
        training_run(store) as run,
        Pages(url, component_id, run, viewers) as pages,
    ):
        wait_until_idle(app)
        slowdowns, cpu_shares = [], {True: [], False: []}
        for number in range(rounds):
            speeds = {}
            for has_viewers in (True, False) if number % 2 else (False, True):
                pages.set_active(has_viewers)
                time.sleep(SETTLE_S)
                cpu_start, start = cpu_seconds(app), time.monotonic()
                speeds[has_viewers] = measure_speed(run, WINDOW_S)
                cpu_shares[has_viewers].append((cpu_seconds(app) - cpu_start) / (time.monotonic() - start))
            if all(speeds.values()):
                slowdowns.append(1 - speeds[True] / speeds[False])
        print(f"training with {viewers} viewers ({pages.num_answers} answers): {format_interval(slowdowns)} slower")
    added_shares = [watched - unwatched for watched, unwatched in zip(cpu_shares[True], cpu_shares[False], strict=True)]
    print(
        f"the app alone takes {statistics.mean(cpu_shares[False]):.1%} of one processor of {os.cpu_count()}, with the "
        f"viewers {format_interval(added_shares)} more, an upper bound of the loss of training where all cores are busy"
    )


@contextlib.contextmanager
def training_run(store: RunStore) -> Iterator[Run]:
    """A run that trains until the end of the block."""
    run = supervisor.start(
        store,
        config.load_preset("demo").config.replace(
            {"num_epochs": 1000, "eval_on_start": False, "eval_steps": 100_000, "logging_steps": 1}
        ),
        "watched",
    )
    try:
        while not any(event.kind == "train" and event.step >= 30 for event in run.last_events()):
            time.sleep(0.5)
        yield run
    finally:
        processes.kill_worker(run)


def format_interval(shares: list[float]) -> str:
    """Format the median and its 95 % confidence interval by the sign test, which is robust to outliers.

    Of 48 values the bounds are the 18th and the 31st (Conover, Practical Nonparametric Statistics, section 3.2).
    """
    if len(shares) < 6:  # with fewer, even minimum and maximum cover less than 95 %
        return f"by an unknown share ({len(shares)} pairs)"
    index = max(0, math.floor(len(shares) / 2 - 1.96 * math.sqrt(len(shares)) / 2))
    low, high = sorted(shares)[index], sorted(shares)[-1 - index]
    return f"{statistics.median(shares):+.1%} (95 % interval {low:+.1%} to {high:+.1%}, {len(shares)} pairs)"


def cpu_seconds(app: psutil.Process) -> float:
    times = app.cpu_times()
    return times.user + times.system


def measure_speed(run: Run, seconds: float) -> float | None:
    """Return the seconds of audio trained on per second, or None if too few steps were reported."""
    start = time.time()
    time.sleep(seconds)
    assert lifecycle.get_status(run) == lifecycle.RUNNING, run.log_tail(2000)
    train_events = [event for event in run.last_events() if event.kind == "train" and event.time >= start]
    if len(train_events) <= MIN_STEPS:
        return None
    spans = [
        (after.time - before.time, after.data["audio_seconds_per_second"])
        for before, after in zip(train_events, train_events[1:], strict=False)
    ]
    return sum(span * rate for span, rate in spans) / sum(span for span, _ in spans)


@contextlib.contextmanager
def serve_app(store: RunStore) -> Iterator[tuple[psutil.Process, str, int]]:
    """Start the app; yield its process, its URL and the component id of its live panel."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--runs-dir", str(store.root)], stdout=subprocess.DEVNULL
    )
    try:
        answer = None
        config_request = urllib.request.Request(f"{url}/config", headers=AUTHORIZATION)
        while answer is None:
            assert app.poll() is None, "the app exited"
            with contextlib.suppress(OSError), urllib.request.urlopen(config_request, timeout=5) as response:
                answer = json.load(response)
            time.sleep(0.2)
        panel = next(item for item in answer["components"] if item["props"].get("elem_id") == "live")
        yield psutil.Process(app.pid), url, panel["id"]
    finally:
        app.kill()
        app.wait()


class Pages:
    """Pages that poll at the pace the server sets, with Gradio's heartbeat stream open.

    One thread polls for all of them; its processor time is part of the cost of the viewers.
    """

    def __init__(self, url: str, component_id: int, run: Run, count: int) -> None:
        self.host, self.component_id, self.run = url.removeprefix("http://"), component_id, run
        self.pages = [
            {"page": f"page-{number}", "after": 0, "signature": "", "evaluation": None, "evaluations": 0}
            for number in range(count)
        ]
        self.num_answers, self._paused_s = 0, 0.0
        self._active, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._poll_all, daemon=True)

    def set_active(self, active: bool) -> None:
        (self._active.set if active else self._active.clear)()

    def __enter__(self) -> Pages:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._active.set()
        self._thread.join()

    def _poll_all(self) -> None:
        connections = [http.client.HTTPConnection(self.host, timeout=30) for _ in self.pages]
        streams = [http.client.HTTPConnection(self.host, timeout=30) for _ in self.pages]
        for page, stream in zip(self.pages, streams, strict=True):
            stream.request("GET", f"/gradio_api/heartbeat/{page['page']}", headers=AUTHORIZATION)
        queue = [(self._now() + 0.1 * index, index) for index in range(len(self.pages))]
        while not self._closed.is_set():
            due_at, index = heapq.heappop(queue)
            self._closed.wait(max(0.0, due_at - self._now()))
            if not self._active.is_set():
                pause_start = self._now()
                self._active.wait()
                self._paused_s += self._now() - pause_start
            pace_s = self._poll(connections[index], self.pages[index])
            heapq.heappush(queue, (max(due_at, self._now() - 1) + pace_s, index))

    def _now(self) -> float:
        """Return the seconds of a clock that stops during pauses, so that pages do not all poll at once afterwards."""
        return time.monotonic() - self._paused_s

    def _poll(self, connection: http.client.HTTPConnection, page: dict) -> float:
        """Poll as the panel's script does; return the seconds until the next poll."""
        request = {
            "data": {"run": self.run.id, "at_step": None, "log": False, **page},
            "component_id": self.component_id,
            "fn_name": "poll",
            "session_hash": page["page"],
        }
        connection.request(
            "POST",
            "/gradio_api/component_server",
            json.dumps(request),
            AUTHORIZATION | {"Content-Type": "application/json"},
        )
        answer = json.load(connection.getresponse())
        connection.close()  # as the server does after 5 s, before the next poll
        page |= {"after": answer["offset"], "signature": answer["signature"]}
        if answer["evaluations"] is not None:
            page["evaluations"] = len(answer["evaluations"])
        if answer["evaluation"]:
            page["evaluation"] = answer["evaluation"]["key"]
        self.num_answers += 1
        return answer["pace_ms"] / 1e3


def make_run(store: RunStore, run_id: str, **changes) -> Run:
    run = store.create(config.load_preset("demo").config.replace(changes), run_id)
    write_json(run.process_path, {**processes.identify_process(os.getpid()), "host": socket.gethostname()})
    return run


def write_events(run: Run, steps: int, ended: bool = False) -> None:
    """Write `steps` training events, and an evaluation with samples after each twentieth of them."""
    lines = [Event("started", time.time(), 0, 0.0, {"total_steps": steps, "metric_for_best_model": "wer"}).to_line()]
    samples = [
        {"id": str(n), "audio": "/a/clip.wav", "reference": "one two three", "hypothesis": "one too tree"}
        for n in range(8)
    ]
    for step in range(1, steps + 1):
        lines.append(make_train_event(step).to_line())
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


def make_train_event(step: int) -> Event:
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


def timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def format_size(answer: dict) -> str:
    return f"{len(json.dumps(answer)) / 1e3:.0f} kB"


if __name__ == "__main__":
    main()
