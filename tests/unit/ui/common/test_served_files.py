"""Sounds over HTTP: ranges, missing sounds and access checks."""

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient

from asrkit.errors import DataError
from asrkit.ui.common import served_files
from asrkit.ui.common.served_files import AudioBytes, ServedFiles, parse_range

CONTENT = bytes(range(200))


def open_sound(query):
    if query.get("id") != "a":
        raise DataError("There is no such sound.")
    return AudioBytes(CONTENT)


def make_client(checks=(), archives=None):
    served, app = ServedFiles(), FastAPI()
    served.register("test", open_sound)
    for name, make_archive in (archives or {}).items():
        served.register_archive(name, make_archive)
    app.router.routes[:0] = served.routes(checks)
    return TestClient(app)


def fetch(client, header="", path="/audio/test.wav?id=a"):
    return client.get(path, headers={"Range": header} if header else {})


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("bytes=0-", (0, 200)),
        ("bytes=10-19", (10, 20)),
        ("bytes=190-999", (190, 200)),
        ("bytes=-5", (195, 200)),
        ("bytes=-999", (0, 200)),
        ("bytes=200-", (200, 200)),
        ("bytes=-0", (200, 200)),
        ("bytes=-", None),
        ("bytes=9-3", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_range_header_is_parsed(header, expected):
    assert parse_range(header, 200) == expected


def test_whole_file_without_range():
    response = fetch(make_client())
    assert (response.status_code, response.content) == (200, CONTENT)
    assert response.headers["accept-ranges"] == "bytes" and response.headers["content-type"] == "audio/wav"


def test_part_of_a_file(monkeypatch):
    monkeypatch.setattr(served_files, "BLOCK_BYTES", 16)
    response = fetch(make_client(), "bytes=10-89")
    assert (response.status_code, response.content) == (206, CONTENT[10:90])
    assert response.headers["content-range"] == "bytes 10-89/200" and response.headers["content-length"] == "80"


def test_range_beyond_the_end_is_refused():
    response = fetch(make_client(), "bytes=200-")
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */200")


def test_missing_sound_is_not_found():
    client = make_client()
    response = fetch(client, path="/audio/test.wav?id=b")
    assert (response.status_code, response.text) == (404, "There is no such sound.")
    assert fetch(client, path="/audio/other.wav?id=a").status_code == 404


def test_access_checks_come_first():
    def refuse():
        raise HTTPException(401)

    assert fetch(make_client([Depends(refuse)])).status_code == 401


def test_archive_is_an_attachment_and_an_unknown_one_is_not_found():
    client = make_client(archives={"notes": lambda query: query["ids"].encode()})
    response = fetch(client, path="/archive/notes.zip?ids=a,b")
    assert (response.status_code, response.content) == (200, b"a,b")
    assert response.headers["content-disposition"] == 'attachment; filename="notes.zip"'
    assert fetch(client, path="/archive/other.zip").status_code == 404
