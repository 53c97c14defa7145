"""Uploads that are too large, to the app as it is started: refused, and nothing left behind."""

import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from asrkit.data import archives, uploads
from asrkit.errors import DataError
from tests.support.disks import mounted
from tests.support.ports import find_free_port
from tests.support.waiting import wait_for

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def serve(tmp_path):
    """serve(folder for uploads) -> the address of an app that takes files of a megabyte."""
    started = []

    def start(folder):
        port = find_free_port()
        env = {**os.environ, "GRADIO_TEMP_DIR": str(folder), "ASRKIT_MOST_UPLOAD": "1mb"}
        with open(tmp_path / "log", "wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "app.py", "--port", str(port), "--runs-dir", str(tmp_path / "runs")],
                    cwd=PROJECT,
                    env=env,
                    stdout=log,
                    stderr=log,
                )
            )
        wait_for(lambda: b"is ready" in (tmp_path / "log").read_bytes(), "the app")
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


def files_in(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def send(address, size):
    return httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.wav", bytes(size))}, timeout=60)


def test_a_file_over_the_limit_is_refused(serve, tmp_path):
    address = serve(tmp_path / "sent")
    assert send(address, 900_000).status_code == 200
    kept = files_in(tmp_path / "sent")
    answer = send(address, 3 << 20)
    assert answer.status_code == 413, answer.text
    assert files_in(tmp_path / "sent") == kept


def test_a_full_disk_while_a_file_is_sent_leaves_nothing(serve, tmp_path):
    with mounted(tmp_path / "small", "700k") as disk:
        address = serve(disk)
        assert send(address, 900_000).status_code >= 400
        assert not files_in(disk)
        assert send(address, 100_000).status_code == 200, "and the app goes on"


def test_an_upload_that_is_broken_off_leaves_nothing(serve, tmp_path):
    address = serve(tmp_path / "sent")
    host, port = address.removeprefix("http://").split(":")
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\nContent-Type: "
            b"multipart/form-data; boundary=b\r\n\r\n" + head + bytes(200_000)
        )
        wait_for(lambda: files_in(tmp_path / "sent"), "the first part")
    wait_for(lambda: not files_in(tmp_path / "sent"), "the part to be gone")


def test_a_full_disk_while_files_are_taken_leaves_nothing(tmp_path):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(bytes(500_000))
    sent = [(tmp_path / name, name) for name in ("a.wav", "b.wav")]
    with mounted(tmp_path / "small", "700k") as disk:
        with pytest.raises(DataError, match="cannot be written .*free some space"):
            uploads.save_upload(sent, disk / "data")
        assert not files_in(disk) and not list((disk / "data").iterdir())


@pytest.mark.parametrize("spare", [1 << 30, 0])
def test_a_full_disk_while_an_archive_is_unpacked_leaves_nothing(tmp_path, monkeypatch, spare):
    """Known before it is full where it can be; spare = 0: somebody else fills it at the same time."""
    monkeypatch.setattr(archives, "SPARE_BYTES", spare)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for number in range(4):
            packed.writestr(f"{number}.wav", os.urandom(300_000))
    with mounted(tmp_path / "small", "900k") as disk:
        if not spare:
            free = archives.shutil.disk_usage(disk)
            monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: free._replace(free=1 << 40))
        with pytest.raises(DataError, match="unpacks to more than the 0.0 GB" if spare else "cannot be unpacked into"):
            uploads.save_upload([(tmp_path / "a.zip", "a.zip")], disk / "data")
        assert not files_in(disk) and not list((disk / "data").iterdir())
