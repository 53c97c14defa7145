"""The guard in front of an app that listens to the loopback: host, origin, body, token."""

import asyncio

import httpx
import pytest
from gradio import route_utils

from asrkit.ui.security import endpoints
from asrkit.ui.security.page_cache import PageCache
from tests.security.conftest import TOKEN
from tests.support import coroutines


@pytest.fixture(scope="module")
def local(serve):
    return serve()


HTML = {"accept": "text/html"}


def test_page_asks_for_the_token(local):
    answer = local.client().get("/", headers=HTML)
    assert answer.status_code == 401 and "Open the link that asrkit printed" in answer.text
    assert local.client().get("/config").status_code == 401
    assert local.client(authorization="Bearer wrong").get("/config").status_code == 401
    assert local.operator().get("/config").status_code == 200


def test_link_becomes_a_strict_cookie(local):
    browser = local.client()
    answer = browser.get(f"/?token={TOKEN}&run=one", headers=HTML)
    assert answer.status_code == 200 and "url=./?run=one" in answer.text and TOKEN not in answer.text
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    assert browser.get("/", headers=HTML).status_code == 200
    wrong = local.client().get("/?token=wrong", headers=HTML)
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers


def test_sign_out_ends_the_session(local):
    browser = local.client()
    browser.get(f"/?token={TOKEN}")
    browser.post("/sign-out", json={})
    assert browser.get("/config").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:7860", ""])
def test_foreign_host_name_is_refused(local, host):
    """DNS rebinding: the name of another site leads to this machine."""
    answer = local.operator().get("/config", headers={"host": host})
    assert answer.status_code in (400, 403) and "--public-url" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
)
def test_request_of_another_site_is_refused(local, headers):
    answer = local.call(
        local.client(Authorization=f"Bearer {TOKEN}", **headers),
        "live",
        "perform_action",
        {"action": "delete", "run": "x"},
    )
    assert answer.status_code == 403 and "Another site" in answer.text


def test_link_from_another_site_opens_the_page(local):
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", **HTML}
    assert local.operator().get("/", headers=headers).status_code == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_body_of_a_simple_request_is_refused(local, media_type):
    """What a page of another site can post without asking first."""
    answer = local.operator().post("/gradio_api/component_server", content=b"{}", headers={"content-type": media_type})
    assert answer.status_code == 415 and "application/json" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/gradio_api/token",
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/deep_link",
        "/gradio_api/vibe-code",
        "/docs",
        "/openapi.json",
    ],
)
def test_what_the_app_does_not_need_is_closed(local, path):
    assert local.operator().get(path).status_code == 404


def test_answers_have_security_headers(local):
    for answer in (local.operator().get("/", headers=HTML), local.client().get("/"), local.operator().get("/nothing")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy and "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_route_has_a_row(local):
    """A route that a later version of Gradio adds is closed until somebody has decided what it needs."""
    known = {endpoint.path for endpoint in (*endpoints.ENDPOINTS, *endpoints.CLOSED)}
    paths = set()

    def collect(routes, prefix=""):
        for route in routes:
            if hasattr(route, "original_router"):
                collect(route.original_router.routes)
            else:
                paths.add(route.path.rstrip("/") or "/")

    collect(local.page.app.routes)
    assert len(paths) > 50
    assert sorted(paths - known) == []


def test_every_function_and_event_has_a_row(local):
    events = {function.name for function in local.page.fns.values() if function.fn is not None and not function.js}
    assert sorted(events - set(endpoints.EVENTS)) == []
    names = {
        name
        for block in local.page.blocks.values()
        for name in dir(block)
        if getattr(getattr(block, name, None), "_is_server_fn", False)
    }
    known = {name.partition(".")[2] for name in endpoints.FUNCTIONS}
    assert sorted(names - known) == [] and len(names) > 20


def test_wrong_method_is_refused(local):
    assert local.operator().post("/config", json={}).status_code == 405
    assert local.operator().delete("/").status_code == 405


def test_program_sends_the_token(local):
    assert httpx.get(f"{local.url}/gradio_api/info", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200


def test_kept_page_is_that_of_its_address_and_has_nothing_of_its_first_visitor(serve, monkeypatch):
    public = serve(is_public=True)
    built = []
    update_root = route_utils.update_root_in_config
    monkeypatch.setattr(route_utils, "update_root_in_config", lambda *given: built.append(1) or update_root(*given))
    ann, bob = public.client(), public.client()
    forged = ann.get("/config", headers={"x-forwarded-host": "evil.example"})
    answers = [each.get("/config") for each in (ann, bob, ann, public.operator())]
    assert len(built) == 2  # one for each address
    assert "evil.example" in forged.text and "evil.example" not in answers[0].text
    assert len({answer.content for answer in answers}) == 1 and answers[1].json()["root"] == public.url
    cookies = {name: [each.cookies.get(name) for each in (ann, bob)] for name in ann.cookies}
    assert cookies and all(hers != his for hers, his in cookies.values())
    assert "set-cookie" not in answers[2].headers and "content-security-policy" in answers[2].headers
    for query in ("deep_link=x", "page=x", "run=one"):
        assert ann.get(f"/config?{query}").content == answers[0].content
    assert len(built) == 2
    assert ann.head("/config").text == ""


def test_page_is_built_once_for_all_who_come_at_once():
    cache, built = PageCache(), []

    async def build(send):
        built.append(1)
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", b"a=b")]})
        await send({"type": "http.response.body", "body": b"page"})

    async def visit():
        got = []

        async def send(message):
            got.append(message)

        await cache.answer(("/", "host"), build, send)
        return got

    async def all_at_once():
        return await asyncio.gather(*(visit() for _ in range(100)))

    answers = coroutines.run(all_at_once())
    assert built == [1] and all(answer == answers[0] for answer in answers)
    assert answers[0][0]["headers"] == [(b"content-length", b"4")] and answers[0][1]["body"] == b"page"


def test_server_functions_make_no_session(local):
    operator, sessions = local.operator(), local.page.app.state_holder.session_data
    before = set(sessions)
    for name in ("one", "two"):
        (live,) = (block for block in local.page.blocks.values() if getattr(block, "elem_id", "") == "live")
        body = {"session_hash": name, "component_id": live._id, "fn_name": "poll", "data": {"page": name}}
        assert operator.post("/gradio_api/component_server", json=body).status_code == 200
    assert len(set(sessions) - before) <= 1 and not {"one", "two"} & set(sessions)
