"""Webhooks, against a server on the loopback."""

import http.server
import io
import json
import stat
import threading
import zipfile

import pytest

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, RunError
from asrkit.runs import lifecycle, supervisor, webhook
from asrkit.runs.events import Event
from asrkit.runs.report import archive

END = Event("finished", 20.0, 8, 2.0, {"message": "Finished."})
HISTORY = [
    Event("started", 10.0, 0, 0.0, {"total_steps": 8}),
    Event("eval", 12.0, 4, 1.0, {"loss": 1.0, "wer": 0.049, "cer": 0.01, "mer": 0.049, "utterances": 100}),
]


@pytest.fixture
def hooks(monkeypatch):
    """A server that keeps what is posted to it and answers with the next of `answers`, else 200."""
    posted, answers = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, self.headers["Host"], json.loads(body)))
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("Location", "http://127.0.0.1/elsewhere")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.posted, server.answers = posted, answers
    server.url = f"http://127.0.0.1:{server.server_port}/hook?key=s3cret"
    monkeypatch.setenv("ASRKIT_WEBHOOK_LOCAL", "1")
    monkeypatch.setattr(webhook, "RETRY_DELAYS_S", (0.0, 0.0))
    monkeypatch.setattr(webhook, "POLL_INTERVAL_S", 0.01)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_end_of_a_run_is_sent_as_json(make_run, hooks):
    run = make_run("one", [*HISTORY, END])
    webhook.write_url(run, hooks.url)
    assert webhook.send(run, wait=True)
    ((path, host, message),) = hooks.posted
    assert path == "/hook?key=s3cret" and host == f"127.0.0.1:{hooks.server_port}"
    assert message["text"] == "Run one finished. WER 4.9% at its best, step 4 on 100 clips."
    assert message["status"] == "finished" and message["best"]["wer"] == 0.049 and message["findings"] == []


def test_message_waits_for_the_end_of_the_run(make_run, hooks, monkeypatch):
    run = make_run("one", HISTORY)
    webhook.write_url(run, hooks.url)
    statuses = iter(["queued", "running", "stopping"])
    real_status = lifecycle.get_status
    monkeypatch.setattr(lifecycle, "get_status", lambda run: next(statuses, None) or real_status(run))
    run.append(END)
    assert webhook.send(run, wait=True) and next(statuses, None) is None
    assert len(hooks.posted) == 1


def test_only_one_process_waits(make_run, hooks, monkeypatch):
    run = make_run("one", HISTORY)
    webhook.write_url(run, hooks.url)

    def get_status(run):
        assert not webhook.send(run, wait=True)
        return "finished"

    monkeypatch.setattr(lifecycle, "get_status", get_status)
    webhook.send(run, wait=True)
    assert len(hooks.posted) == 1


def test_busy_host_gets_the_message_again(make_run, hooks):
    hooks.answers += [503, 429]
    assert webhook.send(make_run("one", [*HISTORY, END]), hooks.url)
    assert len(hooks.posted) == 3


@pytest.mark.parametrize(("answers", "tries"), [([404], 1), ([302], 1), ([500, 500, 500], 3)])
def test_refused_message_is_an_error_without_the_address(make_run, hooks, answers, tries):
    hooks.answers += answers
    with pytest.raises(RunError, match=f"127.0.0.1 answered {answers[0]}.*was not delivered") as error:
        webhook.send(make_run("one", [*HISTORY, END]), hooks.url)
    assert len(hooks.posted) == tries and "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("hooks.slack.com", {"text": "Done."}),
        ("discord.com", {"content": "Done.", "allowed_mentions": {"parse": []}}),
        ("hooks.example.org", {"text": "Done.", "status": "finished"}),
    ],
)
def test_slack_and_discord_get_what_they_take(host, message):
    target = webhook._parse(f"https://{host}/services/1")
    assert json.loads(webhook._format(target, {"text": "Done.", "status": "finished"})) == message


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.0.0.5",
        "192.168.1.1",
        "169.254.169.254",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "0.0.0.0",
    ],
)
def test_addresses_of_this_network_are_refused(host, monkeypatch):
    monkeypatch.delenv("ASRKIT_WEBHOOK_LOCAL", raising=False)
    with pytest.raises(ConfigError, match="on this machine or its network"):
        webhook.resolve_url(f"http://{host}/hook")


def test_name_that_leads_into_this_network_is_refused(monkeypatch, make_run):
    """Also when it did not at the start: the address is looked at again for the message, and used as it was seen."""
    monkeypatch.delenv("ASRKIT_WEBHOOK_LOCAL", raising=False)
    found = [
        [(2, 1, 6, "", ("93.184.215.14", 443))],
        [(2, 1, 6, "", ("93.184.215.14", 443)), (2, 1, 6, "", ("10.0.0.1", 443))],
    ]
    monkeypatch.setattr(webhook.socket, "getaddrinfo", lambda *args, **kwargs: found.pop(0))
    assert webhook.resolve_url("https://example.org/hook")
    with pytest.raises(ConfigError, match="network"):
        webhook.send(make_run("one", [*HISTORY, END]), "https://example.org/hook")


@pytest.mark.parametrize(
    "url", ["example.org/hook", "ftp://example.org", "https://", "https://[1", "https://a b/", "http://a:99999/", "x"]
)
def test_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="Webhook"):
        webhook.resolve_url(url)


def test_address_is_neither_in_the_settings_nor_in_the_archive(store, config, worker, hooks, tmp_path):
    run = supervisor.start(store, config.replace({"webhook": hooks.url}))
    try:
        assert stat.S_IMODE((run.path / ".webhook").stat().st_mode) == 0o600
        packed = zipfile.ZipFile(io.BytesIO(b"".join(archive.iter_archive(run))))
        assert f"{run.id}/.webhook" not in packed.namelist() and f"{run.id}/config.json" in packed.namelist()
        seen = [path for path in run.path.rglob("*") if path.is_file() and path.name != ".webhook"]
        assert not [path for path in seen if b"s3cret" in path.read_bytes()] and run.config().webhook == ""
    finally:
        supervisor.cancel(run)


def test_address_of_the_installation_is_the_default(monkeypatch, hooks):
    monkeypatch.setenv("ASRKIT_WEBHOOK", hooks.url)
    assert webhook.resolve_url("") == hooks.url
    assert webhook.resolve_url(TrainConfig(webhook="http://127.0.0.1:1/").webhook) == "http://127.0.0.1:1/"


def test_failure_is_told_with_its_cause(make_run, hooks):
    failed = Event("failed", 20.0, 8, 2.0, {"message": "The GPU is out of memory.", "remedy": "Lower batch_seconds."})
    webhook.send(make_run("one", [*HISTORY, failed]), hooks.url)
    message = hooks.posted[0][2]
    assert message["status"] == "failed" and "The GPU is out of memory." in message["text"]
