"""Uploads to a running app: too large or interrupted ones are refused and leave no files."""

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
from asrkit.sandbox import confinement
from tests.support.disks import mount_tmpfs
from tests.support.ports import find_free_port
from tests.support.tokens import AUTHORIZATION, TOKEN
from tests.support.waiting import wait_for

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def serve(tmp_path):
    """Return serve(folder), which starts an app with an upload limit of 1 MB and returns its address."""
    processes = []

    def start(folder):
        port = find_free_port()
        env = {**os.environ, "GRADIO_TEMP_DIR": str(folder), "ASRKIT_MOST_UPLOAD": "1mb"}
        with open(tmp_path / "log", "wb") as log:
            processes.append(
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
    for process in processes:
        process.terminate()
        process.wait(30)


def list_files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def upload(address, size):
    return httpx.post(
        f"{address}/gradio_api/upload", headers=AUTHORIZATION, files={"files": ("a.wav", bytes(size))}, timeout=60
    )


def test_file_over_the_limit_is_refused(serve, tmp_path):
    address = serve(tmp_path / "uploads")
    assert upload(address, 900_000).status_code == 200
    files = list_files(tmp_path / "uploads")
    response = upload(address, 3 << 20)
    assert response.status_code == 413, response.text
    assert list_files(tmp_path / "uploads") == files


def test_full_disk_during_an_upload_leaves_no_files(serve, tmp_path):
    with mount_tmpfs(tmp_path / "small", "700k") as disk:
        address = serve(disk)
        assert upload(address, 900_000).status_code >= 400
        assert not list_files(disk)
        assert upload(address, 100_000).status_code == 200, "the app still works"


def test_interrupted_upload_leaves_no_files(serve, tmp_path):
    address = serve(tmp_path / "uploads")
    host, port = address.removeprefix("http://").split(":")
    part_header = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    )
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: "
            + f"{host}:{port}\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
            + b"Content-Length: 900000\r\nContent-Type: "
            b"multipart/form-data; boundary=b\r\n\r\n" + part_header + bytes(200_000)
        )
        wait_for(lambda: list_files(tmp_path / "uploads"), "the first part of the file")
    wait_for(lambda: not list_files(tmp_path / "uploads"), "the part to be removed")


def test_full_disk_while_saving_leaves_no_files(tmp_path):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(bytes(500_000))
    files = [(tmp_path / name, name) for name in ("a.wav", "b.wav")]
    with mount_tmpfs(tmp_path / "small", "700k") as disk:
        with pytest.raises(DataError, match="cannot be written .*free some space"):
            uploads.save_upload(files, disk / "data")
        assert not list_files(disk) and not list((disk / "data").iterdir())


@pytest.mark.parametrize("spare", [1 << 30, 0])
def test_full_disk_while_unpacking_leaves_no_files(tmp_path, monkeypatch, spare):
    """The free space is checked first; with spare = 0 the check passes and the disk fills while unpacking."""
    monkeypatch.setattr(confinement, "_is_confined", True)  # so that the disk below is that of the unpacking
    monkeypatch.setattr(archives, "SPARE_BYTES", spare)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.wav", os.urandom(300_000))
    with mount_tmpfs(tmp_path / "small", "900k") as disk:
        if not spare:
            free = archives.shutil.disk_usage(disk)
            monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: free._replace(free=1 << 40))
        with pytest.raises(
            DataError, match="more than the 0 MB that there is room" if spare else "cannot be unpacked into"
        ):
            uploads.save_upload([(tmp_path / "a.zip", "a.zip")], disk / "data")
        assert not list_files(disk) and not list((disk / "data").iterdir())
