"""What visitors may store, and when it is deleted."""

import os
import socket
import time
from pathlib import Path

import pytest

from asrkit.data import access
from asrkit.errors import QuotaError
from asrkit.ui.common import upload_folder
from asrkit.ui.security import paths, quotas
from asrkit.ui.security import storage as storages
from asrkit.ui.security.permissions import OPERATOR, Identity, Role, as_identity
from asrkit.ui.security.quotas import Quotas
from asrkit.ui.security.storage import VisitorStorage
from tests.security.test_visitors import Browser, folder_of, record, wav
from tests.support.landlock import needs_landlock
from tests.support.waiting import wait_for

ANN = Identity(Role.ANONYMOUS, "", "a" * 24, "visitor:" + "a" * 24)
BOB = Identity(Role.ANONYMOUS, "", "b" * 24, "visitor:" + "b" * 24)
HOUR_S = 3600


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv(access.VISITORS_VARIABLE, str(tmp_path / ".visitors"))
    return tmp_path / ".visitors"


@pytest.fixture
def limit(monkeypatch):
    return lambda **values: monkeypatch.setattr(quotas, "_current", Quotas(**values))


def write(path, num_bytes=100, age_s=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(num_bytes))
    for one in (path, path.parent):
        os.utime(one, times=(time.time() - age_s,) * 2)
    return path


def test_visitor_may_store_so_much_in_all_places_together(root, limit, tmp_path):
    limit(visitor_disk_bytes=1000, visitors_disk_bytes=1500)
    kept = VisitorStorage()
    write(root / ANN.folder / "clips/a.flac", 600)
    kept.note_file(write(tmp_path / "uploads/x/a.wav", 300), f"visitor {ANN.folder}")
    with as_identity(ANN):
        kept.check_room(100)
        with pytest.raises(QuotaError, match="as much as this app accepts from one visitor"):
            kept.check_room(101)
    with as_identity(BOB):
        kept.check_room(600)
        with pytest.raises(QuotaError, match="try again later"):
            kept.check_room(601)
    with as_identity(OPERATOR):
        kept.check_room(10**15)
    (tmp_path / "uploads/x/a.wav").unlink()
    with as_identity(ANN):
        kept.check_room(400)


def test_links_of_a_visitor_are_not_followed(root, tmp_path):
    write(tmp_path / "big/a", 10_000)
    (root / "a").mkdir(parents=True)
    (root / "a/link").symlink_to(tmp_path / "big")
    assert sum(stat.st_size for _, stat in storages.iter_files(root / "a")) < 1000


def test_old_uploads_and_anonymous_data_are_deleted(root, limit, tmp_path):
    limit(upload_hours=1, anonymous_hours=24)
    uploads = tmp_path / "uploads"
    old, new, used = (write(uploads / name / "a.wav", age_s=age) for name, age in (("o", 3700), ("n", 60), ("u", 3700)))
    part = write(uploads / "tmp1-x", age_s=2 * HOUR_S)
    gone = write(root / ANN.folder / "clips/a.flac", age_s=25 * HOUR_S)
    user = write(root / f"{access.USER_PREFIX}x" / "clips/a.flac", age_s=99 * HOUR_S)
    here = write(root / BOB.folder / "clips/a.flac", age_s=25 * HOUR_S)
    for folder in (root / ANN.folder, root / BOB.folder):
        os.utime(folder, times=(time.time() - 25 * HOUR_S,) * 2)
    kept = VisitorStorage()
    kept.hold(used)
    kept.note_seen(BOB)
    kept.clean(uploads)
    assert not old.parent.exists() and not part.exists() and new.exists() and used.exists()
    assert not gone.exists() and user.exists() and here.exists()
    kept.release(used)
    kept.clean(uploads)
    assert not used.exists() and uploads.exists()


def test_upload_beyond_the_quota_is_refused(serve):
    page = serve(is_public=True, ASRKIT_ANONYMOUS_DATA="1", ASRKIT_VISITOR_DISK="50000")
    browser, files = Browser(page), {"files": ("a.wav", wav())}
    assert browser.client.post("/gradio_api/upload", files=files).status_code == 200
    answer = browser.client.post("/gradio_api/upload", files={"files": ("b.wav", wav() + b"b")})
    assert answer.status_code == 413 and "delete some of your data" in answer.text
    assert Browser(page).client.post("/gradio_api/upload", files=files).status_code == 200
    assert page.operator().post("/gradio_api/upload", files={"files": ("b.wav", bytes(10**6))}).status_code == 200


@needs_landlock
def test_visitor_deletes_their_data_and_no_one_elses(serve):
    page = serve(is_public=True, ASRKIT_ANONYMOUS_DATA="1")
    ann, bob = Browser(page), Browser(page)
    for browser in (ann, bob):
        record(browser, "voice")
    folders = [folder_of(browser) / "voice" for browser in (ann, bob)]
    (name,) = ann.client.post("/gradio_api/upload", files={"files": ("a.wav", wav())}).json()
    path = paths.reveal_uploads(name)
    assert os.path.exists(path)
    answer = page.call(ann.client, "visitor", "delete_data", {}).json()
    assert "are deleted" in answer["done"]
    assert [os.path.exists(each) for each in (*folders, path)] == [False, True, False]
    assert record(ann, "voice")["kept"] == 1
    refused = page.call(page.operator(), "visitor", "delete_data", {}).json()
    assert "no data of yours" in refused["error"]


def test_slow_upload_does_not_keep_the_parts_of_others(tmp_path, monkeypatch):
    """Each upload names its own parts, so the end of one removes what is its own, and no other."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    slow = write(tmp_path / "tmpslow-1")
    with upload_folder._make_partial_file(delete=False, dir=tmp_path) as file:
        assert len(list(tmp_path.glob("tmpother-*"))) == 1 and file
    upload_folder._remove_partial_files("tmpother-*")
    assert list(tmp_path.iterdir()) == [slow]


def test_interrupted_upload_leaves_no_part_while_another_is_slow(serve):
    page = serve(is_public=True)
    browser = page.client()
    browser.get("/")
    head = (
        "POST /gradio_api/upload HTTP/1.1\r\n"
        f"Host: {page.url.removeprefix('http://')}\r\nContent-Length: 900000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    ).encode()
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    port = int(page.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(head + bytes(200_000))
        wait_for(lambda: len(list(folder.glob("tmp*"))) == 1, "the part of the slow upload")
        with socket.create_connection(("127.0.0.1", port)) as interrupted:
            interrupted.sendall(head + bytes(200_000))
            wait_for(lambda: len(list(folder.glob("tmp*"))) == 2, "the part of the other upload")
        wait_for(lambda: len(list(folder.glob("tmp*"))) == 1, "the part to be removed")
    wait_for(lambda: not list(folder.glob("tmp*")), "the last part to be removed")
