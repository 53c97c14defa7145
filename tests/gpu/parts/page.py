"""Whole: the page shows a run on the GPU, stops it and resumes it, as its script does."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import httpx

from asrkit.runs.store import RunStore
from tests.gpu.machine import PROJECT
from tests.gpu.pack import Pack, asrkit, set_flags
from tests.support.ports import find_free_port
from tests.support.waiting import wait_for

URL = re.compile(r"http://\S+")


class Page:
    """A client of the app. It follows the printed link first, which may set a cookie."""

    def __init__(self, link: str) -> None:
        address = httpx.URL(link)
        self.client = httpx.Client(base_url=f"http://{address.host}:{address.port}", timeout=60, follow_redirects=True)
        self.status = self.client.get(link).status_code
        components = self.client.get("/config").json()["components"]
        self.panels = [one["id"] for one in components if "poll" in (one["props"].get("server_fns") or [])]

    def call(self, name: str, **request: Any) -> dict[str, Any]:
        """Call a function of the live panel."""
        for panel in self.panels:
            reply = self.client.post(
                "/gradio_api/component_server",
                json={"session_hash": "pack", "component_id": panel, "fn_name": name, "data": request},
            )
            if reply.is_success and "pace_ms" in reply.json() or name != "poll":
                return reply.raise_for_status().json()
        raise RuntimeError("the page has no live panel")


def run(pack: Pack) -> None:
    store = RunStore(pack.folder / "runs")
    log = open(pack.folder / "app.txt", "w+", encoding="utf-8")  # noqa: SIM115  # as long as the app
    command = [sys.executable, str(PROJECT / "app.py"), "--port", str(find_free_port()), "--runs-dir", str(store.root)]
    app = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        link = wait_for(lambda: find_link((pack.folder / "app.txt").read_text(encoding="utf-8")), "the app's link")
        page = Page(link)
        pack.check("the page answers", page.status == 200, str(page.status))
        follow_run(pack, page, store)
    finally:
        app.terminate()
        app.wait()
        log.close()


def find_link(text: str) -> str | None:
    found = URL.search(text)
    return found.group() if found else None


def follow_run(pack: Pack, page: Page, store: RunStore) -> None:
    """Start a run, and follow, stop and resume it through the page."""
    settings = {"num_epochs": 1000, "eval_on_start": False, "eval_steps": 10**6, "logging_steps": 1}
    asrkit("runs", "start", "--preset", "demo", "--run-id", "seen", "--runs-dir", str(store.root), *set_flags(settings))

    def poll() -> dict[str, Any]:
        return page.call("poll", run="seen", after=0, page="pack", at_step=None, log=False)

    def is_running() -> dict[str, Any] | None:
        reply = poll()
        return reply if reply.get("status") == "running" else None

    reply = wait_for(is_running, "the page to show the run")
    machine = wait_for(lambda: poll().get("machine"), "the page's system figures")
    pack.check("the page shows the run", reply["run"] == "seen", str(machine))
    if pack.has_gpu:
        wait_for(lambda: "GPU" in (poll().get("machine") or "") or None, "the GPU among the system figures", 30.0)
        pack.check("the page shows the GPU's load", True, str(poll().get("machine")))
    page.call("perform_action", run="seen", action="stop")
    wait_for(lambda: poll().get("status") == "stopped" or None, "the page to show the stopped run")
    pack.check("stop on the page stops and saves", store.get("seen").has_model())
    page.call("perform_action", run="seen", action="resume")
    wait_for(is_running, "the resumed run")
    page.call("perform_action", run="seen", action="cancel")
    wait_for(lambda: poll().get("status") == "stopped" or None, "the page to show the cancelled run")
    pack.check("cancel on the page keeps the history only", not store.get("seen").has_model())
