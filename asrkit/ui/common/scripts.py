"""Serves the page's scripts, which are ES modules, and the catalogue of texts that they import.

The URL contains a hash of the content, so that browsers cache files forever and never mix two versions. It is relative
to the page, which may be served under any path.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import plotly
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asrkit.ui import strings

UI = Path(__file__).parents[1]
MEDIA_TYPES = {".js": "text/javascript", ".json": "application/json"}
CACHE_CONTROL = "public, max-age=31536000, immutable"
WORKLET = "common/capture_worklet.js"
"""Not a module of the page: it runs in the browser's audio thread during recording."""

PLOTLY = "plotly.min.js"
"""Comes with the package plotly."""

FAST_CLONE = "common/fast_clone.js"
"""Runs before Gradio, so the page waits for it."""


@functools.cache
def load_files() -> Mapping[str, bytes]:
    """Return the content of each script and catalogue by its path in this package, such as `train/live_panel.js`."""
    paths = sorted(path for path in UI.rglob("*") if path.suffix in MEDIA_TYPES)
    files = {path.relative_to(UI).as_posix(): path.read_bytes() for path in paths}
    return files | {PLOTLY: (Path(plotly.__file__).parent / "package_data" / PLOTLY).read_bytes()}


@functools.cache
def compute_version() -> str:
    """Return a hash of all files: a script's URL has to change with every file that it imports."""
    digest = hashlib.sha256()
    for name, content in load_files().items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def make_url(name: str) -> str:
    """Return the URL of a file, relative to the page."""
    return f"scripts/{compute_version()}/{name}"


def mount_module(name: str) -> str:
    """Return the `js_on_load` of a component: it imports a module and calls its `mount`."""
    return (
        f'import(new URL("{make_url(name)}", document.baseURI)).then(\n'
        "  (module) => module.mount({ element, trigger, props, server, upload, watch }),\n"
        ").catch((error) => console.error('asrkit: a script cannot be loaded', error));"
    )


def head_links() -> str:
    """Return HTML for the head: the page's language, the script that runs first, and links that make the browser fetch
    all modules at once.

    Plotly is fetched for the first chart: to parse it takes a third of the time in which the page loads.
    """
    others = (WORKLET, PLOTLY, FAST_CLONE)
    modules = [name for name in load_files() if name.endswith(".js") and name not in others]
    links = "".join(f'<link rel="modulepreload" href="{make_url(name)}">' for name in modules)
    first = f'<script src="{make_url(FAST_CLONE)}"></script>'
    return f'<meta name="asrkit-language" content="{strings.text("app.language_code")}">{first}{links}'


def route() -> Route:
    """Return the route that serves the files."""
    return Route("/scripts/{version}/{name:path}", _serve)


async def _serve(request: Request) -> Response:
    content = load_files().get(request.path_params["name"])
    if content is None or request.path_params["version"] != compute_version():
        return PlainTextResponse("There is no such script in this version of asrkit; reload the page.", status_code=404)
    media_type = MEDIA_TYPES[Path(request.path_params["name"]).suffix]
    return Response(content, media_type=media_type, headers={"Cache-Control": CACHE_CONTROL})
