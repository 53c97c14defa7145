"""Answers of the stand-in for the Hugging Face Hub (`hub.py`): how they are sent, and those about jobs and buckets."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.hub import Hub

CHUNK_BYTES = 1 << 16


class HttpError(Exception):
    """Status and error code of an error response."""


class Responder(BaseHTTPRequestHandler):
    """Sends bytes, JSON and errors as the Hub does."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Print nothing: `Hub.requests` has the requests."""

    def _send(self, content: bytes) -> None:
        for start in range(0, len(content), CHUNK_BYTES):
            chunk = content[start : start + CHUNK_BYTES]
            self.wfile.write(chunk)
            if self.hub.bytes_per_second:
                time.sleep(len(chunk) / self.hub.bytes_per_second)

    def _send_json(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        messages = {"RepoNotFound": "Repository not found", "GatedRepo": "Access to this repository is restricted"}
        content = json.dumps({"error": messages.get(code, code or "Service unavailable")}).encode()
        self.send_response(status)
        for header, value in {
            **({"X-Error-Code": code} if code else {}),
            **(headers or {}),
            "X-Error-Message": messages.get(code, code),
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
        }.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class JobsHandler(Responder):
    """Answers what concerns jobs and buckets."""

    def _serve_jobs(self, parts: list[str], body: bytes) -> None:
        """Answer as the API of Jobs does: hardware, and the start, the state and the cancelling of a job."""
        if parts == ["hardware"]:
            gpu = {"type": "gpu", "model": "T4", "quantity": "1", "vram": "16 GB", "manufacturer": "Nvidia"}
            machine = {"name": "t4-small", "prettyName": "Nvidia T4 - small", "cpu": "4 vCPU", "ram": "15 GB"}
            price = {"unitCostMicroUSD": 6667, "unitCostUSD": 0.006667, "unitLabel": "minute"}
            self._send_json([{**machine, "accelerator": gpu, **price}])
            return
        user = self._find_user()
        if len(parts) == 1:
            job_id = f"job{len(self.hub.jobs) + 1}"
            if parts[0] != user:
                raise HttpError(403, "")
            owner = {"id": "0", "name": user, "type": "user"}
            self.hub.jobs[job_id] = {
                "id": job_id,
                "owner": owner,
                "status": {"stage": "SCHEDULING", "message": None},
                **json.loads(body),
            }
        elif parts[1] not in self.hub.jobs or self.hub.jobs[parts[1]]["owner"]["name"] != user:
            raise HttpError(404, "")
        elif parts[2:] == ["cancel"]:
            self.hub.jobs[parts[1]]["status"] = {"stage": "CANCELED", "message": None}
        job = self.hub.jobs[job_id if len(parts) == 1 else parts[1]]
        self._send_json({name: value for name, value in job.items() if name != "secrets"})

    def _serve_bucket(self, parts: list[str], body: bytes) -> None:
        """Answer as the API of buckets does: a token for uploads, the files of a folder, and a batch of changes."""
        name = "/".join(parts[:2])
        if not parts[2:] and self.command == "POST":
            self._create_bucket(name)
            return
        self._check_bucket(name)
        files = self.hub.buckets[name]
        match parts[2:]:
            case ["xet-write-token"]:
                self._send_json({"casUrl": self.hub.url, "accessToken": "any", "exp": 1 << 32})
            case ["tree", *prefix]:
                self._send_json([file for path, file in files.items() if path.startswith("/".join(prefix))])
            case ["batch"]:
                for change in map(json.loads, body.splitlines()):
                    if change["type"] == "deleteFile":
                        files.pop(change["path"], None)
                        continue
                    path, content_hash = change["path"], change["xetHash"]
                    size = len(self.hub.xet.read(content_hash))
                    files[path] = describe_file(path, content_hash, size, change["mtime"] / 1000)
                self._send_json({"success": True, "failed": []})
            case _:
                raise HttpError(404, "EntryNotFound")

    def _find_user(self) -> str:
        """Return the name of the user whose token was sent. HttpError for another one."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token in self.hub.tokens:
            return str(self.hub.user["name"])
        if token not in self.hub.users:
            raise HttpError(401, "")
        return self.hub.users[token]

    def _check_bucket(self, name: str) -> None:
        """Raise HttpError for a bucket that the sender may not use: all are private."""
        if name in self.hub.forbidden:
            raise HttpError(403, "")
        if self._find_user() != name.partition("/")[0]:
            raise HttpError(404, "RepoNotFound")
        if name not in self.hub.buckets:
            raise HttpError(404, "RepoNotFound")

    def _create_bucket(self, name: str) -> None:
        url = f"{self.hub.url}/buckets/{name}"
        if self._find_user() != name.partition("/")[0]:
            raise HttpError(403, "")
        if name in self.hub.buckets:
            self._send_json({"url": url, "error": "You already created this bucket"}, 409)
            return
        self.hub.buckets[name] = {}
        self._send_json({"url": url, "name": name})

    def _take_content(self, parts: list[str], body: bytes) -> None:
        """Answer as the store of large files does to its client."""
        match parts:
            case ["v1", "xorbs", _, name]:
                self.hub.xet.add_xorb(name, body)
                self._send_json({"was_inserted": True})
            case ["v1", "shards"]:
                self.hub.xet.add_shard(body)
                self._send_json({"result": 1})
            case _:
                raise HttpError(404, "EntryNotFound")

    def _serve_bucket_file(self, parts: list[str]) -> None:
        """Redirect from `buckets/OWNER/NAME/resolve/PATH` to a signed address, and send the file from there."""
        if parts[0] == "xet":
            self._send_range(self.hub.xet.read(parts[1]))
            return
        name, path = "/".join(parts[1:3]), "/".join(parts[4:])
        self._check_bucket(name)
        if path not in self.hub.buckets[name]:
            raise HttpError(404, "EntryNotFound")
        self.send_response(302)
        self.send_header("Location", f"{self.hub.url}/xet/{self.hub.buckets[name][path]['xetHash']}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_range(self, content: bytes) -> None:
        requested, status = self.headers.get("Range", ""), 200
        if requested.startswith("bytes="):
            first, _, last = requested.removeprefix("bytes=").partition("-")
            if int(first) >= len(content):
                raise HttpError(416, "")
            content, status = content[int(first) : int(last) + 1 if last else None], 206
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self._send(content)


def describe_file(path: str, content_hash: str, size: int, mtime_s: float) -> dict[str, Any]:
    """Return a file of a bucket as the API lists it."""
    stamp = datetime.fromtimestamp(mtime_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"type": "file", "path": path, "xetHash": content_hash, "size": size, "mtime": stamp, "uploadedAt": stamp}
