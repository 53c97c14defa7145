"""The app as a process, Chromium with a fake microphone, and pages that may reach nothing but the app.

To start Chromium and to compile the page's scripts takes most of the time of a short test. So the tests of a process
share one Chromium and its windows, from which each removes what it stored.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, expect, sync_playwright

from asrkit import config
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.browser import fake_run
from tests.support.ports import find_free_port
from tests.support.runs import end_runs
from tests.support.tokens import AUTHORIZATION, add_token
from tests.support.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
VIEWPORT = {"width": 1280, "height": 900}
MAX_INSTANT_STEPS = 12  # of a faked run that needs no process
MAX_WAIT_MS = 60_000  # for what takes a second where nothing else runs
expect.set_options(timeout=MAX_WAIT_MS)


class App:
    """`python app.py` on a free port over a directory of runs."""

    def __init__(self, runs_dir: Path, log: Path | None = None, options: Sequence[str] = ()) -> None:
        self.store = RunStore(runs_dir)
        self.options = options
        self.port = find_free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = log or runs_dir.with_name("app.log")
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            "app.py",
            "--port",
            str(self.port),
            "--runs-dir",
            str(self.store.root),
            *self.options,
        ]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT)
        wait_for(self._answers, "the app to answer")

    def link(self, query: str = "") -> str:
        """Return the link that opens the page as its operator."""
        return add_token(self.url + query)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        request = urllib.request.Request(self.url, headers=AUTHORIZATION)
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status == 200
        return False

    def kill(self, how: int = signal.SIGKILL) -> None:
        if self.process and self.process.poll() is None:
            os.kill(self.process.pid, how)
            self.process.wait(30)


@pytest.fixture(scope="session", autouse=True)
def forked_workers(fork_server: None) -> None:
    """Runs save the imports of their workers, and apps do not start a fork server each."""


@pytest.fixture(scope="session")
def session_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    started = App(tmp_path_factory.mktemp("app") / "runs")
    started.start()
    yield started
    started.kill()


@pytest.fixture
def app(session_app: App) -> Iterator[App]:
    """The app, with no runs before and none left after."""
    yield session_app
    end_runs(session_app.store)
    for run in session_app.store.all():
        session_app.store.delete(run)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


def find_chromium() -> str | None:
    """Return the Chromium to start, None for Playwright's own. One without windows takes a third less CPU time."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


def launch(playwright: Playwright, microphone: Path, loops: bool = False) -> Browser:
    """Start a Chromium whose microphone plays a WAV file whenever it is opened: in a loop, else silence follows."""
    sound = f"--use-file-for-fake-audio-capture={microphone}{'' if loops else '%noloop'}"
    return playwright.chromium.launch(executable_path=find_chromium(), args=[*FLAGS, sound])


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file is that the session's browser reads when its microphone is opened."""
    return tmp_path_factory.mktemp("microphone") / "spoken.wav"


@pytest.fixture(scope="session")
def browser(playwright: Playwright, spoken: Path) -> Iterator[Browser]:
    started = launch(playwright, spoken)
    yield started
    started.close()


@pytest.fixture
def mic_browser(playwright: Playwright, browser: Browser, spoken: Path) -> Iterator[Callable[..., Browser]]:
    """Return a Chromium whose microphone plays a WAV file once it is opened; then silence, unless it `loops`.

    The first that does not is the session's; others are started.
    """
    browsers: list[Browser] = []
    spoken.unlink(missing_ok=True)

    def start(speech: Path, loops: bool = False) -> Browser:
        if not loops and not spoken.exists():
            shutil.copy(speech, spoken)
            return browser
        browsers.append(launch(playwright, speech, loops))
        return browsers[-1]

    yield start
    for started in browsers:
        started.close()


@pytest.fixture(scope="session")
def shared_pages(browser: Browser) -> Iterator[list[Page]]:
    """Pages in windows of their own that no test uses now, in which the scripts are compiled already."""
    pages: list[Page] = []
    yield pages
    for page in pages:
        page.context.close()


def open_window(browser: Browser, **options) -> BrowserContext:
    options.setdefault("viewport", VIEWPORT)
    options.setdefault("reduced_motion", "reduce")  # to draw an animation takes as much CPU time as training
    window = browser.new_context(permissions=["microphone"], **options)
    window.set_default_timeout(MAX_WAIT_MS)
    return window


@pytest.fixture
def new_page(browser: Browser, mic_browser: object) -> Iterator[Callable[..., Page]]:
    """Open an empty page in a window of its own, which is another visitor's, for an app that is not the session's."""
    windows: list[BrowserContext] = []

    def open_it(within: Browser = browser, **options) -> Page:
        windows.append(open_window(within, **options))
        return windows[-1].new_page()

    yield open_it
    for window in windows:
        window.close()


def reset(page: Page, app: App) -> None:
    """Leave the app's page, and remove what it has stored and what a test has changed."""
    page.unroute_all(behavior="ignoreErrors")
    page.goto(app.link("nothing"))  # of the same origin, or its process and the compiled scripts would be lost
    page.evaluate("sessionStorage.clear()")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Storage.clearDataForOrigin", {"origin": app.url.rstrip("/"), "storageTypes": "all"})
    devtools.detach()
    page.context.clear_cookies()


@pytest.fixture
def open_page(
    browser: Browser, shared_pages: list[Page], mic_browser: object, app: App
) -> Iterator[Callable[..., Page]]:
    """Open the app in a window: one that tests share, or one of its own where that cannot have the options.

    The test fails if a page sends a request elsewhere, or raises an error. (It depends on `mic_browser` so that its
    windows are closed before the browsers that they are in.)
    """
    problems: list[str] = []
    windows: list[BrowserContext] = []
    shared: list[Page] = []

    def on_request(request: Request) -> None:
        if is_outside(request.url, app):
            problems.append(f"request to {request.url}")

    def on_error(error: Exception) -> None:
        problems.append(f"error in the page: {error}")

    def open_it(query: str = "", within: Browser = browser, **options) -> Page:
        if within is browser and options.keys() <= {"viewport", "color_scheme"}:
            page = shared_pages.pop() if shared_pages else open_window(browser).new_page()
            shared.append(page)
            page.set_viewport_size(options.get("viewport", VIEWPORT))
            page.emulate_media(color_scheme=options.get("color_scheme", "light"), reduced_motion="reduce")
        else:
            windows.append(open_window(within, **options))
            page = windows[-1].new_page()
        page.on("request", on_request)
        page.on("pageerror", on_error)
        page.goto(app.link(query))
        expect(page.locator("#start")).to_be_visible()
        return page

    yield open_it
    for window in windows:
        window.close()
    for page in shared:
        page.remove_listener("request", on_request)
        page.remove_listener("pageerror", on_error)
        try:
            reset(page, app)
        except BaseException:
            page.context.close()  # another test gets another window
            raise
        shared_pages.append(page)
    assert problems == []


def is_outside(url: str, app: App) -> bool:
    return not url.startswith((app.url, app.url.replace("http:", "ws:"), "data:", "blob:", "about:"))


@pytest.fixture
def play(app: App) -> Iterator[Callable[..., Run]]:
    """Start a faked run (`fake_run.py`) in a process of its own; one of a few steps is played to its end at once."""
    players: list[subprocess.Popen] = []

    def start(*options: str, run_id: str | None = None, run: Run | None = None) -> Run:
        played = run or app.store.create(config.load_preset("demo").config, run_id)
        if "--steps" in options and int(options[options.index("--steps") + 1]) <= MAX_INSTANT_STEPS:
            fake_run.play_instantly(played, options)
            return played
        command = [sys.executable, PROJECT / "tests/browser/fake_run.py", played.path, *options]
        players.append(subprocess.Popen(command, start_new_session=True))
        wait_for(lambda: (played.process() or {}).get("pid") == players[-1].pid, "the faked worker")
        return played

    yield start
    for player in players:
        if player.poll() is None:
            player.kill()
        player.wait(30)
