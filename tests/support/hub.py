"""A stand-in for the Hugging Face Hub on the loopback interface; clients read and write through `HF_ENDPOINT`.

Repositories are folders: `root/models/owner/name/...` and `root/datasets/owner/name/...`; another branch of one, such
as refs/convert/parquet, is `root/datasets/owner/name@refs/convert/parquet/...`. Routes, status codes and
`X-Error-Code` headers are those that huggingface_hub's client uses.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.http_server import serve_http
from tests.support.hub_responses import HttpError, JobsHandler, describe_file
from tests.support.xet_store import XetStore


class Hub:
    """`jobs` are those that were started, as the API describes them; a test changes their stage.

    `buckets` hold their files by path, as the API lists them; `xet` has the contents by their hashes. `put_file` adds a
    file, as a job does that has mounted a bucket.

    `gated` names need one of `tokens`, which are `user`'s; `users` has the tokens of others with their names; `broken`
    names answer 503; `forbidden` buckets answer 403; `private` are made so.

    Files are sent at `bytes_per_second`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gated: set[str] = set()
        self.broken: set[str] = set()
        self.forbidden: set[str] = set()
        self.tokens: set[str] = {"hf_good"}
        self.user: dict[str, Any] = {"name": "tiny", "orgs": [], "auth": {"accessToken": {"role": "write"}}}
        self.users: dict[str, str] = {}
        self.private: set[str] = set()
        self.bytes_per_second: float | None = None
        self.requests: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.buckets: dict[str, dict[str, dict[str, Any]]] = {}
        self.xet = XetStore()
        self.url = ""

    def env(self, home: Path, **variables: str) -> dict[str, str]:
        """Return the environment variables that point a process to this server, with its cache at `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            **variables,
        }

    def put_file(self, bucket: str, path: str, content: bytes) -> None:
        """Write a file of a bucket as if it were mounted somewhere."""
        self.buckets[bucket][path] = describe_file(path, self.xet.add_file(content), len(content), time.time())

    def read_file(self, bucket: str, path: str) -> bytes:
        """Return the content of a file of a bucket."""
        return self.xet.read(self.buckets[bucket][path]["xetHash"])

    def files(self, kind: str, name: str, revision: str = "main") -> dict[str, Path]:
        """Return the files by path in the repository, of a branch or of its current commit."""
        branches = {"main": self.root / kind / name}
        for folder in (self.root / kind).glob(f"{name}@*/*/*"):
            branches[folder.relative_to(self.root / kind).as_posix().partition("@")[2]] = folder
        for branch, folder in branches.items():
            files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
            if revision in (branch, hash_files(files)):
                return files
        raise HttpError(404, "RevisionNotFound")


def hash_files(files: dict[str, Path]) -> str:
    sha = hashlib.sha1()
    for path, file in files.items():
        sha.update(path.encode() + hash_file(file).encode())
    return sha.hexdigest()


def hash_file(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


AnyHub = TypeVar("AnyHub", bound=Hub)


@contextlib.contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """Serve the repositories below `root` on a free port, until the end of the block."""
    with serve_hub(Hub(root), _Handler) as hub:
        yield hub


@contextlib.contextmanager
def serve_hub(hub: AnyHub, handler: type[BaseHTTPRequestHandler]) -> Iterator[AnyHub]:
    """Serve a hub by requests that `handler` answers, which finds it as `self.hub`."""
    with serve_http(type("Handler", (handler,), {"hub": hub})) as port:
        hub.url = f"http://127.0.0.1:{port}"
        yield hub


class _Handler(JobsHandler):
    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        self.hub.requests.append(f"{self.command} {'/'.join(parts)}")
        try:
            if parts[:2] in (["api", "repos"], ["api", "validate-yaml"]) or "preupload" in parts or "commit" in parts:
                self._write(parts[1:], body)
            elif parts[0] in ("v1", "v2"):
                self._take_content(parts, body)
            elif parts[0] in ("buckets", "xet"):
                self._serve_bucket_file(parts)
            elif parts[0] == "api":
                self._serve_api(parts[1], parts[2:], body)
            else:
                kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
                self._serve_file(kind, parts)
        except HttpError as error:
            self._send_error(*error.args)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client was killed during a download

    def _repository(self, kind: str, parts: list[str]) -> str:
        """Return the repository's name. A missing one is 401, as on the Hub."""
        name = "/".join(parts[:2])
        if kind not in ("models", "datasets", "spaces") or not (self.hub.root / kind / name).is_dir():
            raise HttpError(401, "RepoNotFound")
        if name in self.hub.broken:
            raise HttpError(503, "")
        return name

    def _check_access(self, name: str) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if name in self.hub.gated and token not in self.hub.tokens:
            raise HttpError(403 if token else 401, "GatedRepo")

    def _serve_api(self, kind: str, parts: list[str], body: bytes) -> None:
        if kind == "whoami-v2":
            name = self._find_user()
            auth = {"auth": {"type": "oauth"}} if name != self.hub.user["name"] else {}
            self._send_json({"type": "user", **self.hub.user, **auth, "name": name})
            return
        if kind == "jobs":
            self._serve_jobs(parts, body)
            return
        if kind == "buckets":
            self._serve_bucket(parts, body)
            return
        name = self._repository(kind, parts)
        rest = parts[2:]
        if rest == ["auth-check"]:
            self._check_access(name)
            self._send_json({})
            return
        files = self.hub.files(kind, name, *rest[1:2])
        if rest[:1] == ["tree"]:
            self._check_access(name)
            self._send_json(self._tree(files, "/".join(rest[2:])))
        elif rest[:1] == ["paths-info"]:
            self._check_access(name)
            paths = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            self._send_json([entry for path in paths for entry in self._entry(files, path)])
        elif not rest or rest[0] == "revision":
            self._send_json(
                {
                    "_id": "0",
                    "id": name,
                    "modelId": name,
                    "private": name in self.hub.private,
                    "gated": "manual" if name in self.hub.gated else False,
                    "disabled": False,
                    "sha": hash_files(files),
                    "tags": [],
                    "downloads": 0,
                    "lastModified": "2026-01-01T00:00:00.000Z",
                    "siblings": [
                        {"rfilename": path, "size": file.stat().st_size, "blobId": hash_file(file)}
                        for path, file in files.items()
                    ],
                }
            )
        else:
            raise HttpError(404, "EntryNotFound")

    def _tree(self, files: dict[str, Path], folder: str) -> list[dict[str, Any]]:
        prefix = f"{folder}/" if folder else ""
        below = [path for path in files if path.startswith(prefix)]
        if folder and not below:
            raise HttpError(404, "EntryNotFound")
        if parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() not in ("true", "1"):
            children = {prefix + path.removeprefix(prefix).split("/")[0] for path in below}
            return [entry for path in sorted(children) for entry in self._entry(files, path)]
        folders = {"/".join(path.split("/")[:depth]) for path in below for depth in range(1, path.count("/") + 1)}
        inner = {folder for folder in folders if folder.startswith(prefix)}
        return [entry for path in sorted(inner | set(below)) for entry in self._entry(files, path)]

    @staticmethod
    def _entry(files: dict[str, Path], path: str) -> list[dict[str, Any]]:
        if path in files:
            file = files[path]
            return [{"type": "file", "path": path, "size": file.stat().st_size, "oid": hash_file(file)}]
        inside = any(other.startswith(f"{path}/") for other in files)
        return [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40}] if inside else []

    def _write(self, parts: list[str], body: bytes) -> None:
        """Make a repository, validate a card or commit files; files of any size come with the commit."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.hub.tokens:
            raise HttpError(401, "")
        if parts[0] == "repos":
            wanted = json.loads(body)
            name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
            kind = "spaces" if wanted.get("type") == "space" else "models"
            url = f"{self.hub.url}/{'spaces/' if kind == 'spaces' else ''}{name}"
            if (self.hub.root / kind / name).is_dir():
                self._send_json({"url": url, "error": "You already created this repo"}, 409)
                return
            (self.hub.root / kind / name).mkdir(parents=True)
            if wanted.get("private") or wanted.get("visibility") == "private":
                self.hub.private.add(name)
            self._send_json({"url": url, "name": name})
        elif parts[0] == "validate-yaml":
            self._send_json({"errors": [], "warnings": []})
        elif parts[3] == "preupload":
            files = json.loads(body)["files"]
            self._send_json(
                {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]}
            )
        else:
            for line in map(json.loads, body.splitlines()):
                path = self.hub.root / parts[0] / "/".join(parts[1:3]) / line["value"].get("path", "")
                if line["key"] == "file":
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(line["value"]["content"]))
                elif line["key"] == "deletedFile":
                    path.unlink()
            self._send_json({"commitUrl": f"{self.hub.url}/{'/'.join(parts[1:3])}/commit/0", "commitOid": "0" * 40})

    def _serve_file(self, kind: str, parts: list[str]) -> None:
        """Send the file at `owner/name/resolve/REVISION/path`, or a range of it."""
        name = self._repository(kind, parts)
        self._check_access(name)
        if parts[2:3] != ["resolve"]:
            raise HttpError(404, "EntryNotFound")
        files = self.hub.files(kind, name, parts[3])
        file = files.get("/".join(parts[4:]))
        commit = {"X-Repo-Commit": hash_files(files)}
        if file is None:
            raise HttpError(404, "EntryNotFound", commit)
        content = file.read_bytes()
        first, status = 0, 200
        requested = self.headers.get("Range", "")
        if requested.startswith("bytes="):
            start, _, end = requested.removeprefix("bytes=").partition("-")
            first, status = int(start), 206
            content = content[first : int(end) + 1 if end else None]
        self.send_response(status)
        content_range = (
            {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{file.stat().st_size}"} if first else {}
        )
        for header, value in {
            **commit,
            "ETag": f'"{hash_file(file)}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            **content_range,
        }.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self._send(content)
