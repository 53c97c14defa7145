"""How much a visitor may ask for: requests, connections, and bodies of requests."""

import asyncio
import socket
from dataclasses import fields, replace
from pathlib import Path

import orjson
import pytest
from gradio.state_holder import StateHolder

from asrkit.errors import ConfigError
from asrkit.ui.security import guard, permissions, rates
from asrkit.ui.security.deployment import make_deployment
from asrkit.ui.security.permissions import Identity, Role
from asrkit.ui.security.quotas import Quotas, read_quotas
from tests.support import coroutines

HOST, CANCEL = "127.0.0.1:7860", "/gradio_api/cancel"
GUIDE = Path(__file__).parents[2] / "assets/guide/deployment.md"


class Sender:
    """Sends requests to a guard whose app reads the whole body and answers 200."""

    def __init__(self, **quotas):
        deployment = make_deployment("127.0.0.1", 7860, is_public=True, environ={"ASRKIT_ANONYMOUS_DATA": "1"})
        self.guard = guard.Guard(self._app, replace(deployment, quotas=Quotas(**quotas)))
        self.state_holder = StateHolder()
        self.token, self.bodies, self.on_request = deployment.token, [], None

    async def _app(self, scope, receive, send):
        if self.on_request:
            await self.on_request()
        body, has_more = b"", scope["method"] == "POST"
        while has_more:
            message = await receive()
            body += message["body"]
            has_more = message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(self, method="GET", path="/config", parts=(b"",), visitor="a" * 32, address="1.2.3.4", **headers):
        """Return the status. parts: of the body; after a part that is None nothing comes any more."""
        statuses, pending = [], list(parts)

        async def receive():
            part = pending.pop(0)
            if part is None:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": part, "more_body": bool(pending)}

        async def send(message):
            statuses.append(message.get("status"))

        headers = {"host": HOST, "content_type": "application/json"} | headers
        if visitor:
            headers["cookie"] = f"asrkit-visitor-7860={visitor}"
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "client": (address, 1),
            "app": self,
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        await self.guard(scope, receive, send)
        return statuses[0]

    def get(self, **options):
        return coroutines.run(self.send(**options))

    def post(self, *parts, path=CANCEL, **options):
        return coroutines.run(self.send("POST", path, parts, **options))


def test_sessions_of_a_visitor_are_bounded():
    """A session of an invented name takes memory, and would drive out the sessions of others."""
    sender, sessions = Sender(visitor_pages=2, sessions=3), None
    sessions = sender.state_holder.session_data
    for visitor in "abab":
        for number in range(5):
            name = f"{visitor}{number}"
            sessions[name] = number  # as Gradio does
            assert sender.post(orjson.dumps({"session_hash": name}), visitor=visitor * 32) == 200
    assert sorted(sessions) == ["a3", "a4", "b3", "b4"]
    for visitor in "cde":
        sender.post(b'{"session_hash": "x"}', visitor=visitor * 32)
    assert sorted(sessions) == []


@pytest.mark.parametrize("name", ["7", '["a"]', "{}", '"' + "x" * 65 + '"'])
def test_session_of_a_wrong_type_is_refused(name):
    assert Sender().post(f'{{"session_hash": {name}}}'.encode()) == 400


def test_bucket_is_filled_again_with_time():
    now = [0.0]
    buckets = rates.TokenBuckets(per_minute=60, clock=lambda: now[0])
    assert [buckets.take("ann") for _ in range(61)] == [True] * 60 + [False]
    assert buckets.take("bob")
    now[0] = 2.0
    assert [buckets.take("ann") for _ in range(3)] == [True, True, False]


def test_invented_senders_do_not_fill_memory(monkeypatch):
    monkeypatch.setattr(rates, "MAX_KEYS", 10)
    buckets = rates.TokenBuckets(1)
    for number in range(50):
        buckets.take(str(number))
    assert len(buckets) == 10


def test_flood_of_a_visitor_is_refused_and_others_are_answered():
    sender = Sender(requests_per_minute=5)
    assert [sender.get() for _ in range(6)] == [200] * 5 + [429]
    assert sender.get(visitor="b" * 32) == 200
    operator = {"authorization": f"Bearer {sender.token}"}
    assert {sender.get(**operator) for _ in range(20)} == {200}


def test_invented_cookies_do_not_evade_the_limit():
    sender = Sender(requests_per_minute=5, address_requests_per_minute=8)
    assert [sender.get(visitor=f"{number:032}") for number in range(9)] == [200] * 8 + [429]
    without_cookie = Sender(requests_per_minute=5)
    assert [without_cookie.get(visitor="") for _ in range(6)] == [200] * 5 + [429]
    assert without_cookie.get(visitor="", address="5.6.7.8") == 200


def test_network_of_an_ipv6_sender_counts_as_one():
    sender = Sender(requests_per_minute=2)
    statuses = [sender.get(visitor="", address=f"2001:db8::{number}") for number in range(3)]
    assert statuses == [200, 200, 429] and sender.get(visitor="", address="2001:db8:1::1") == 200


def test_open_requests_of_a_visitor_are_bounded():
    sender = Sender(open_requests=2)

    async def flood():
        release = asyncio.Event()
        sender.on_request = release.wait
        waiting = [asyncio.create_task(sender.send()) for _ in range(2)]
        await asyncio.sleep(0)
        third = await sender.send()
        release.set()
        return third, await asyncio.gather(*waiting), await sender.send()

    assert coroutines.run(flood()) == (429, [200, 200], 200)


@pytest.mark.parametrize("parts", [(b"{", b'"a":1}'), (b"{}",), (b"",)])
def test_json_body_reaches_the_app_whole(parts):
    sender = Sender()
    assert sender.post(*parts) == 200 and sender.bodies == [b"".join(parts)]
    assert sender.guard.limits.received_bytes == 0


def test_long_json_body_is_refused_before_it_is_read():
    sender, start = Sender(json_bytes=100), b'{"data": "'
    assert sender.post(b"", content_length="101") == 413  # it would fail if it read on
    assert sender.post(start, b"x" * 60, b"x" * 60, b'"}') == 413
    assert sender.post(start, b"x" * 60, b'"}', content_length="-7") == 200
    assert len(sender.bodies) == 1 and sender.guard.limits.received_bytes == 0


def test_bodies_of_all_senders_together_are_bounded():
    sender = Sender(all_json_bytes=100)
    assert sender.post(b'"' + b"x" * 120 + b'"') == 503
    assert sender.post(b"{}") == 200


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"text"', b"{", b"\xff", b"[" * 9999])
def test_body_that_is_no_object_is_refused(body):
    sender = Sender()
    assert sender.post(body) == 400 and sender.bodies == []


def test_body_that_never_ends_is_given_up():
    sender = Sender()
    limits = sender.guard.limits
    limits.quotas = replace(limits.quotas, body_timeout_s=0)
    assert sender.post(b'{"data":', None) == 408 and limits.received_bytes == 0


def test_upload_that_stops_is_given_up():
    sender = Sender(body_timeout_s=0)
    form = {"content_type": "multipart/form-data", "path": "/gradio_api/upload"}
    assert sender.post(b"part", None, **form) == 408
    longest = Sender(visitors_disk_bytes=10)
    assert longest.post(b"x" * 6, b"x" * 6, **form) == 413
    assert longest.post(b"x" * 6, b"x", **form) == 200


def test_each_quota_has_a_variable():
    environ = {each.metadata["variable"]: "7" for each in fields(Quotas)}
    assert len(environ) == len(fields(Quotas)) and set(vars(read_quotas(environ)).values()) == {7}
    assert read_quotas({"ASRKIT_VISITOR_DISK": "3 GB"}).visitor_disk_bytes == 3 * 10**9
    for wrong in ("0", "-1", "many", "1e9", "3 xb"):
        with pytest.raises(ConfigError, match="ASRKIT_VISITOR_RUNS is"):
            read_quotas({"ASRKIT_VISITOR_RUNS": wrong})


def format_default(name, value):
    if not name.endswith("_bytes"):
        return str(value)
    return f"{value // 10**9}gb" if value >= 10**9 else f"{value // 10**6}mb"


def test_guide_names_each_variable_with_its_default():
    rows = {
        cells[1].strip(" `"): cells[3].strip(" `")
        for cells in (line.split("|") for line in GUIDE.read_text().splitlines() if line.startswith("| `ASRKIT_"))
    }
    for each in fields(Quotas):
        assert rows[each.metadata["variable"]] == format_default(each.name, each.default), each.name


def test_operator_is_not_limited_by_requests():
    limits = rates.RequestLimits(Quotas(requests_per_minute=1, address_requests_per_minute=1))
    assert all(limits.allows(permissions.OPERATOR, "1.2.3.4") for _ in range(5))
    assert [limits.allows(Identity(Role.NOBODY), "1.2.3.4") for _ in range(2)] == [True, False]


def test_slow_headers_and_many_connections_do_not_stop_the_app(serve):
    """Connections that send nothing, or a header without an end, are closed; those beyond the limit get 503."""
    page = serve(ASRKIT_HEADER_TIMEOUT="1", ASRKIT_CONNECTIONS="6")
    port = int(page.url.rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
    try:
        for one in idle[:3]:
            one.sendall(b"GET / HTTP/1.1\r\nx: ")
        for one in idle:
            one.settimeout(30)
            assert one.recv(10) in (b"", b"HTTP/1.1 4")  # closed by the app
    finally:
        for one in idle:
            one.close()
    answer = page.operator().post(CANCEL, content=orjson.dumps([]), headers={"content-type": "application/json"})
    assert answer.status_code == 400 and "must be a JSON object" in answer.text
