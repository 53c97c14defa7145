"""A stand-in of the Hugging Face Hub on the loopback, for its real clients (`HF_ENDPOINT`), to read and to write.

Repositories are folders: `root/models/owner/name/...` and `root/datasets/owner/name/...`; another branch of one, such
as refs/convert/parquet, is `root/datasets/owner/name@refs/convert/parquet/...`. What the clients ask and how the Hub
answers, status codes and `X-Error-Code` included, is from huggingface_hub's own client.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PIECE = 1 << 16


class Hub:
    """`gated` names need one of the `tokens`; `broken` ones are answered with 503; a file takes `bytes_a_second`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gated: set[str] = set()
        self.broken: set[str] = set()
        self.tokens: set[str] = {"hf_good"}
        self.bytes_a_second: float | None = None
        self.asked: list[str] = []
        self.url = ""

    def env(self, home: Path, **more: str) -> dict[str, str]:
        """What a process needs to take this for the Hub, with a cache of its own at `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            **more,
        }

    def files(self, kind: str, name: str, revision: str = "main") -> dict[str, Path]:
        """Path in the repository -> file, of a branch or of the commit that it is at."""
        branches = {"main": self.root / kind / name}
        for other in (self.root / kind).glob(f"{name}@*/*/*"):
            branches[other.relative_to(self.root / kind).as_posix().partition("@")[2]] = other
        for branch, folder in branches.items():
            files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
            if revision in (branch, commit_of(files)):
                return files
        raise _Refused(404, "RevisionNotFound")


def commit_of(files: dict[str, Path]) -> str:
    commit = hashlib.sha1()
    for path, file in files.items():
        commit.update(path.encode() + digest(file).encode())
    return commit.hexdigest()


def digest(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextlib.contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """A Hub of the repositories below `root`, on a free port of the loopback, until the end of the block."""
    hub = Hub(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answering", (_Answering,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Refused(Exception):
    """Status and error code of an answer that is no."""


class _Answering(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing on the screen: `Hub.asked` has it."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        self.hub.asked.append(f"{self.command} {'/'.join(parts)}")
        try:
            if parts[:2] in (["api", "repos"], ["api", "validate-yaml"]) or "preupload" in parts or "commit" in parts:
                self._write(parts[1:], body)
            elif parts[0] == "api":
                self._api(parts[1], parts[2:], body)
            else:
                kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
                self._file(kind, parts)
        except _Refused as refused:
            self._no(*refused.args)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # a client that was killed while it fetched

    def _repository(self, kind: str, parts: list[str]) -> str:
        """The repository's name; refused as the Hub does: 401 for one that is not there, too."""
        name = "/".join(parts[:2])
        if kind not in ("models", "datasets") or not (self.hub.root / kind / name).is_dir():
            raise _Refused(401, "RepoNotFound")
        if name in self.hub.broken:
            raise _Refused(503, "")
        return name

    def _allowed(self, name: str) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if name in self.hub.gated and token not in self.hub.tokens:
            raise _Refused(403 if token else 401, "GatedRepo")

    def _api(self, kind: str, parts: list[str], body: bytes) -> None:
        name = self._repository(kind, parts)
        rest = parts[2:]
        if rest == ["auth-check"]:
            self._allowed(name)
            self._json({})
            return
        files = self.hub.files(kind, name, *rest[1:2])
        if rest[:1] == ["tree"]:
            self._allowed(name)
            self._json(self._tree(files, "/".join(rest[2:])))
        elif rest[:1] == ["paths-info"]:
            self._allowed(name)
            asked = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            self._json([entry for path in asked for entry in self._entry(files, path)])
        elif not rest or rest[0] == "revision":
            self._json(
                {
                    "_id": "0",
                    "id": name,
                    "modelId": name,
                    "private": False,
                    "gated": "manual" if name in self.hub.gated else False,
                    "disabled": False,
                    "sha": commit_of(files),
                    "tags": [],
                    "downloads": 0,
                    "lastModified": "2026-01-01T00:00:00.000Z",
                    "siblings": [
                        {"rfilename": path, "size": file.stat().st_size, "blobId": digest(file)}
                        for path, file in files.items()
                    ],
                }
            )
        else:
            raise _Refused(404, "EntryNotFound")

    def _tree(self, files: dict[str, Path], folder: str) -> list[dict[str, Any]]:
        prefix = f"{folder}/" if folder else ""
        below = [path for path in files if path.startswith(prefix)]
        if folder and not below:
            raise _Refused(404, "EntryNotFound")
        if parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() not in ("true", "1"):
            here = {prefix + path.removeprefix(prefix).split("/")[0] for path in below}
            return [entry for path in sorted(here) for entry in self._entry(files, path)]
        folders = {"/".join(path.split("/")[:depth]) for path in below for depth in range(1, path.count("/") + 1)}
        inner = {one for one in folders if one.startswith(prefix)}
        return [entry for path in sorted(inner | set(below)) for entry in self._entry(files, path)]

    @staticmethod
    def _entry(files: dict[str, Path], path: str) -> list[dict[str, Any]]:
        if path in files:
            file = files[path]
            return [{"type": "file", "path": path, "size": file.stat().st_size, "oid": digest(file)}]
        inside = any(other.startswith(f"{path}/") for other in files)
        return [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40}] if inside else []

    def _write(self, parts: list[str], body: bytes) -> None:
        """A repository is made, a card checked, and files come with the commit itself, however big they are."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.hub.tokens:
            raise _Refused(401, "")
        if parts[0] == "repos":
            name = "/".join(filter(None, (json.loads(body).get("organization"), json.loads(body)["name"])))
            (self.hub.root / "models" / name).mkdir(parents=True, exist_ok=True)
            self._json({"url": f"{self.hub.url}/{name}", "name": name})
        elif parts[0] == "validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif parts[3] == "preupload":
            files = json.loads(body)["files"]
            self._json(
                {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]}
            )
        else:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    path = self.hub.root / "models" / "/".join(parts[1:3]) / line["value"]["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(line["value"]["content"]))
            self._json({"commitUrl": f"{self.hub.url}/{'/'.join(parts[1:3])}/commit/0", "commitOid": "0" * 40})

    def _file(self, kind: str, parts: list[str]) -> None:
        """`owner/name/resolve/REVISION/path`"""
        name = self._repository(kind, parts)
        self._allowed(name)
        if parts[2:3] != ["resolve"]:
            raise _Refused(404, "EntryNotFound")
        files = self.hub.files(kind, name, parts[3])
        file = files.get("/".join(parts[4:]))
        commit = {"X-Repo-Commit": commit_of(files)}
        if file is None:
            raise _Refused(404, "EntryNotFound", commit)
        content = file.read_bytes()
        first, status = 0, 200
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, status = int(start), 206
            content = content[first : int(end) + 1 if end else None]
        self.send_response(status)
        more = {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{file.stat().st_size}"} if first else {}
        for header, value in {
            **commit,
            "ETag": f'"{digest(file)}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            **more,
        }.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self._send(content)

    def _send(self, content: bytes) -> None:
        for start in range(0, len(content), PIECE):
            piece = content[start : start + PIECE]
            self.wfile.write(piece)
            if self.hub.bytes_a_second:
                time.sleep(len(piece) / self.hub.bytes_a_second)

    def _json(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _no(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        words = {"RepoNotFound": "Repository not found", "GatedRepo": "Access to this repository is restricted"}
        content = json.dumps({"error": words.get(code, code or "Service unavailable")}).encode()
        self.send_response(status)
        for header, value in {
            **({"X-Error-Code": code} if code else {}),
            **(headers or {}),
            "X-Error-Message": words.get(code, code),
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
        }.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
