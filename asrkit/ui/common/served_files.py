"""Files that the page gets by their address: sounds, `audio/<kind>.wav?…`, with Range requests, and archives,
`archive/<name>.zip?…`.

Each tab registers the kinds that it has: recordings, clips of a dataset, worst clips of an evaluation. A registered
function checks the query, which comes from the page, and opens one file; errors get status 404 and one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fastapi import Request
from fastapi.params import Depends
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.routing import APIRoute

from asrkit.errors import AsrkitError
from asrkit.ui.security.paths import hide_paths, reveal_paths
from asrkit.ui.strings.messages import translate

BLOCK_BYTES = 1 << 16
CACHE_CONTROL = "private, max-age=3600"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class AudioFile(Protocol):
    """A WAV file of which any part can be read."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, start: int, stop: int) -> bytes: ...


OpenAudio = Callable[[Mapping[str, str]], AudioFile]
MakeArchive = Callable[[Mapping[str, str]], bytes | Path]


class AudioBytes:
    """A WAV file in memory."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def read(self, start: int, stop: int) -> bytes:
        return self.content[start:stop]


class ServedFiles:
    """The kinds of sound and the archives, each with the function that opens it."""

    def __init__(self) -> None:
        self._openers: dict[str, OpenAudio] = {}
        self._archives: dict[str, MakeArchive] = {}

    def register(self, kind: str, open_audio: OpenAudio) -> None:
        """Serve a kind of sound. open_audio: query of the address -> the sound; raises AsrkitError for what it cannot
        open."""
        self._openers[kind] = open_audio

    def register_archive(self, name: str, make_archive: MakeArchive) -> None:
        """Serve a ZIP file as `<name>.zip`. make_archive: query of the address -> its content, or the file that has it;
        raises AsrkitError."""
        self._archives[name] = make_archive

    def routes(self, checks: Sequence[Depends]) -> list[APIRoute]:
        """Return the routes, which make `checks` of a request first."""

        def serve(request: Request) -> Response:
            open_audio = self._openers.get(request.path_params["kind"])
            if open_audio is None:
                return PlainTextResponse("There is no such kind of sound.", status_code=404)
            try:
                audio = open_audio(reveal_paths(dict(request.query_params)))
            except AsrkitError as error:
                return PlainTextResponse(hide_paths(translate(str(error))), status_code=404)
            return make_response(request, audio)

        def serve_archive(request: Request) -> Response:
            name = request.path_params["name"]
            if name not in self._archives:
                return PlainTextResponse("There is no such archive.", status_code=404)
            try:
                content = self._archives[name](request.query_params)
            except AsrkitError as error:
                return PlainTextResponse(hide_paths(translate(str(error))), status_code=404)
            headers = {"Content-Disposition": f'attachment; filename="{name}.zip"', "Cache-Control": "no-store"}
            if isinstance(content, Path):
                return FileResponse(content, headers=headers, media_type="application/zip")
            return Response(content, headers=headers, media_type="application/zip")

        return [
            APIRoute("/audio/{kind}.wav", serve, dependencies=checks, response_model=None),
            APIRoute("/archive/{name}.zip", serve_archive, dependencies=checks, response_model=None),
        ]


def make_response(request: Request, audio: AudioFile) -> Response:
    """Return a WAV file, or the part of it that the request's Range header names."""
    size = audio.size_bytes
    headers = {"Accept-Ranges": "bytes", "Cache-Control": CACHE_CONTROL}
    part = parse_range(request.headers.get("range", ""), size)
    if part is None:
        start, stop, status = 0, size, 200
    elif part[0] >= part[1]:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    else:
        (start, stop), status = part, 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    return StreamingResponse(_read_blocks(audio, start, stop), status, headers, media_type="audio/wav")


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of a Range header over `size` bytes; None for the whole file.

    start >= stop means that the range is outside of the file. Malformed headers and those of several ranges are ignored
    (RFC 9110, 14.2).
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1 if last else size)


def _read_blocks(audio: AudioFile, start: int, stop: int) -> Iterator[bytes]:
    while start < stop:
        block = audio.read(start, min(stop, start + BLOCK_BYTES))
        if not block:
            return
        yield block
        start += len(block)
