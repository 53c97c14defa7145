"""Visitors of a public app cannot reach what others uploaded and recorded."""

import hashlib
import io
import secrets
import threading

import numpy as np
import pytest
import soundfile

from asrkit.sandbox import client as sandbox_client
from tests.support.landlock import needs_landlock


@pytest.fixture(scope="module")
def page(serve):
    """A public app whose operator lets anonymous visitors upload and record."""
    return serve(is_public=True, ASRKIT_ANONYMOUS_DATA="1")


class Browser:
    def __init__(self, page):
        self.page, self.client = page, page.client()
        self.first = self.client.get("/")

    def call(self, name, request):
        response = self.page.call(self.client, "data", name, request)
        response.raise_for_status()
        return response.json()

    def play(self, data):
        return self.client.get("/audio/dataset.wav", params={"data": data, "index": 0})

    def upload(self, name, content):
        (path,) = self.client.post("/gradio_api/upload", files={"files": (name, content)}).json()
        return self.call("add_upload", {"files": [{"path": path, "name": name}]})


def folder_of(browser):
    """Return the visitor's folder, which they are not shown."""
    name = hashlib.sha256(browser.client.cookies[cookie_name(browser.page)].encode()).hexdigest()[:24]
    return browser.page.store.data_dir / ".visitors" / name


def cookie_name(page):
    return f"asrkit-visitor-{page.url.rpartition(':')[2]}"


def wav():
    out = io.BytesIO()
    soundfile.write(out, 0.3 * np.sin(np.arange(16_000) / 9), 16_000, format="WAV")
    return out.getvalue()


def record(browser, name):
    browser.call("open_dataset", {"name": name, "text": "Mine."})
    (path,) = browser.client.post("/gradio_api/upload", files={"files": (f"{secrets.token_hex(4)}.wav", wav())}).json()
    return browser.call("save_take", {"name": name, "text": "Mine.", "path": path})


def test_visitor_gets_a_random_id_and_keeps_it(page):
    ann = Browser(page)
    cookie = ann.first.headers["set-cookie"]
    assert len(ann.client.cookies[cookie_name(page)]) == 32 and "HttpOnly; SameSite=Strict" in cookie
    assert "set-cookie" not in ann.client.get("/").headers
    assert Browser(page).client.cookies[cookie_name(page)] != ann.client.cookies[cookie_name(page)]
    assert "set-cookie" in page.client(cookie=f"{cookie_name(page)}=../../x").get("/").headers


@needs_landlock
@pytest.mark.parametrize("others", ['prefs={"a":1}', "flag", "a b=c", "a=b c", "k=(a;b)"])
def test_malformed_cookies_of_other_apps_are_ignored(page, others):
    """A browser sends the cookies of a host to each of its ports."""
    ann = Browser(page)
    recorded = record(ann, "kept")
    cookie = f"{cookie_name(page)}={ann.client.cookies[cookie_name(page)]}"
    ann.client.cookies.clear()
    ann.client.headers["cookie"] = f"{others}; {cookie}"
    assert "set-cookie" not in ann.client.get("/").headers
    assert ann.call("load", {"data": recorded["data"]})["train"] == 1


@needs_landlock
def test_uploads_and_recordings_are_private_to_their_visitor(page):
    ann, bob = Browser(page), Browser(page)
    reply = ann.upload("a.wav", wav())
    sent = ann.upload("clips.csv", b"file_name,text\n/nowhere.wav,secret words\n")
    assert (
        reply["data"].startswith("my-data:") and "may not be read" in ann.call("load", {"data": sent["data"]})["error"]
    )
    recorded = record(ann, "my voice")
    assert ann.call("load", {"data": recorded["data"]})["train"] == 1
    listed = [each["value"] for each in ann.call("list_datasets", {})["known"]]
    assert recorded["data"] in listed and ann.call("list_prompts", {})["collections"] == ["my voice"]
    assert not set(listed) & {each["value"] for each in bob.call("list_datasets", {})["known"]} - {"callsigns"}
    assert bob.call("list_prompts", {})["collections"] == []
    there, gone = (str(folder_of(ann) / name) for name in ("my voice", "no voice"))
    assert recorded["data"] == "my-data:my voice" and (folder_of(ann) / "my voice").is_dir()
    for name in ("load", "preview", "check", "prepare_training"):
        errors = {
            bob.call(name, {"data": path, "index": 0})["error"].replace(path.rpartition("/")[2], "")
            for path in (there, gone)
        }
        (error,) = errors
        assert "may not be read here" in error and str(page.store.data_dir) not in error, name
    clips = [ann.play(recorded["data"]), bob.play(there)]
    assert [clip.status_code for clip in clips] == [200, 404] and "may not be read here" in clips[1].text
    clip = next((page.store.data_dir / ".visitors").glob("*/my voice/clips/*.flac"))
    for path in (clip, clip.parents[1] / "metadata.csv", "app.py", "/etc/passwd"):
        for browser in (ann, bob):
            assert browser.client.get(f"/gradio_api/file={path}").status_code in (403, 404), path
    record(bob, "my voice")
    assert ann.call("describe_dataset", {"name": "my voice"})["kept"] == 1


def test_folder_name_does_not_give_access(page):
    """Runs, which everybody can see, name the folder."""
    ann = Browser(page)
    record(ann, "shown")
    folder = folder_of(ann).name
    thief = page.client(cookie=f"{cookie_name(page)}={folder}")
    assert ann.client.cookies[cookie_name(page)] not in folder
    thief.get("/")
    eve = Browser(page)
    eve.client.cookies.set(cookie_name(page), folder)
    path = f"{page.store.data_dir}/.visitors/{folder}/shown"
    assert "may not be read here" in eve.call("load", {"data": path})["error"]


@needs_landlock
def test_concurrent_visitors_are_kept_apart(page):
    browsers = [Browser(page) for _ in range(6)]
    replies = {}

    def work(number):
        for index in range(3):
            replies[number, index] = record(browsers[number], f"voice {index}")

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    homes = {folder_of(browser) for browser in browsers}
    assert len(homes) == 6
    assert all(
        sorted(path.name for path in home.iterdir()) == [f"voice {index}" for index in range(3)] for home in homes
    )
    assert all(each["kept"] == 1 for each in replies.values())


@needs_landlock
def test_no_file_is_read_where_the_kernel_confines_nothing(page, monkeypatch):
    ann = Browser(page)
    data = record(ann, "mine")["data"]
    monkeypatch.setattr(sandbox_client, "landlock_version", lambda: 0)
    for reply in (ann.call("load", {"data": data}), record(ann, "other")):
        assert "open to everybody and therefore reads no files, because the kernel" in reply["error"]
    assert ann.play(data).status_code == 404
    assert ann.call("load", {"data": "callsigns"})["train"] > 0
