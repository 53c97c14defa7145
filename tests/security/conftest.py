"""The page behind its guard, on a real server of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from asrkit.data import access
from asrkit.hub import credentials
from asrkit.runs.store import RunStore
from asrkit.sandbox import REQUIRED_VARIABLE
from asrkit.ui import app
from asrkit.ui.security import paths, permissions, quotas
from asrkit.ui.security.deployment import Deployment, make_deployment
from tests.support.ports import find_free_port
from tests.support.runs import end_runs

TOKEN = "operator-token-of-the-security-tests"


class Served:
    """A page that is served, with how it is deployed."""

    def __init__(self, store: RunStore, page: gr.Blocks, deployment: Deployment) -> None:
        self.store, self.page, self.deployment = store, page, deployment
        self.url = f"http://127.0.0.1:{deployment.url.rstrip('/').rpartition(':')[2]}"

    def client(self, **headers: str) -> httpx.Client:
        """Return a browser that is not signed in."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def operator(self) -> httpx.Client:
        return self.client(Authorization=f"Bearer {TOKEN}")

    def call(self, client: httpx.Client, element: str, name: str, request: dict[str, Any]) -> httpx.Response:
        """Call a server function of a component, as the page's script does."""
        (component,) = (block for block in self.page.blocks.values() if getattr(block, "elem_id", "") == element)
        body = {"session_hash": "x", "component_id": component._id, "fn_name": name, "data": request}
        return client.post("/gradio_api/component_server", json=body)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Serve a page as `app.launch` does, and undo what that changes in this process."""
    started: list[Served] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_runs_root", "_data_dir"):
            patch.setattr(paths, name, getattr(paths, name))
        for module, name in ((permissions, "_default"), (quotas, "_current")):
            patch.setattr(module, name, getattr(module, name))
        patch.setattr(credentials, "_operators_token", None)
        for name in credentials.TOKEN_VARIABLES:
            patch.delenv(name, raising=False)
        for name in ("GRADIO_TEMP_DIR", access.READABLE_VARIABLE, access.VISITORS_VARIABLE, REQUIRED_VARIABLE):
            patch.setenv(name, "")  # restored afterwards, whatever the app sets
        for name in ("GRADIO_TEMP_DIR", access.READABLE_VARIABLE):
            patch.delenv(name)

        def start(host: str = "127.0.0.1", is_public: bool = False, **environ: str) -> Served:
            folder: Path = tmp_path_factory.mktemp("served")
            port = find_free_port()
            deployment = make_deployment(host, port, is_public=is_public, token=TOKEN, environ=environ)
            store = RunStore(folder / "runs")
            served = Served(store, app.serve(store, host, port, deployment), deployment)
            started.append(served)
            return served

        yield start
        for served in started:
            served.page.close()
            end_runs(served.store)
