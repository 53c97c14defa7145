"""Requests of wrong types: one sentence and status 400, and never an exception that is not AsrkitError."""

import random
import re
from pathlib import Path

import orjson
import pytest

from asrkit import jobs
from asrkit.config import TrainConfig
from asrkit.ui.common import form, request_fields
from asrkit.ui.common.request_fields import FIELDS, RequestError, check_request
from asrkit.ui.security.endpoints import FUNCTIONS
from asrkit.ui.security.permissions import OPERATOR, Identity, Role, as_identity

UI = Path(__file__).parents[2] / "asrkit/ui"
WRONG = (None, True, 7, -1, 2**60, 1.5, 1e308, "", "x", "\0", "../..", [], ["x"], [1], [{}], {}, {"x": 1}, {"": [None]})
SANE = [value for value in WRONG if value != "\0"]
RUN = "a-run"
VISITOR = Identity(Role.VISITOR, "ann", "a" * 24, "visitor:" + "a" * 24)


@pytest.fixture(scope="module")
def page(serve):
    return serve(is_public=True)


@pytest.fixture(scope="module")
def functions(page):
    """Return the server functions of a page as Gradio calls them."""
    page.store.create(TrainConfig(), RUN)
    blocks = {id(block): block for block in page.page.blocks.values()}.values()
    found = [
        getattr(block, name)
        for block in blocks
        if getattr(block, "elem_id", "") != "train-export"  # has the functions of "export"
        for name in vars(block)
        if getattr(vars(block)[name], "_is_server_fn", False)
    ]
    assert len(found) == len(FUNCTIONS)
    return found


def call(function, request, who=OPERATOR):
    with as_identity(who):
        response = function(request)
    return response.status_code, orjson.loads(response.body)


@pytest.mark.parametrize("request_", [value for value in WRONG if not isinstance(value, dict)], ids=repr)
def test_request_that_is_no_object_is_refused(functions, request_):
    for function in functions:
        status, reply = call(function, request_)
        assert status == 400 and reply == {"error": "The data of this request must be a JSON object."}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_field_of_a_wrong_type_is_refused(name):
    kind, is_valid = FIELDS[name]
    wrong = [value for value in WRONG if value is not None and not is_valid(value)]
    assert len(wrong) > 5
    for value in wrong:
        with pytest.raises(
            RequestError, match=f"The field {name} of this request must be {request_fields._describe(kind)}"
        ):
            check_request({name: value})


def test_missing_field_and_nul_are_refused(functions):
    by_name = {function.__name__: function for function in functions}
    assert call(by_name["push_chunk"], {}) == (400, {"error": "This request lacks the field id."})
    assert call(by_name["push_chunk"], {"id": None})[0] == 400
    for request in ({"data": "a\0b"}, {"settings": {"a": ["\0"]}}, {"compare": {"\0": 1}}, {"without": ["\0"]}):
        with pytest.raises(RequestError, match="NUL"):
            check_request(request)


def test_each_field_that_is_read_has_a_type():
    source = "\n".join(path.read_text() for path in UI.rglob("*.py"))
    read = set(re.findall(r'request(?:\.get\(|\[)"(\w+)"', source))
    assert len(read) > 30 and read - set(FIELDS) == set()
    assert "secret" not in check_request({"secret": 1})


@pytest.mark.parametrize("seed", range(6))
def test_no_other_exception_escapes(functions, seed, monkeypatch):
    """Requests of right types with values that make no sense, one in five with a wrong type among them."""
    monkeypatch.setattr(jobs.JobQueue, "submit", lambda queue, job: job.run())
    monkeypatch.setattr(jobs.Job, "start", jobs.Job.run)  # no thread works on when the test has ended
    draw, num_answered = random.Random(seed), 0
    by_name = {function.__name__: function for function in functions}
    recording = call(by_name["start"], {"model": "gone", "rate": 16_000})[1]["id"]
    texts = ("", "x", "é\u202e", "../../etc/passwd", "=1+1", "x" * 5000, "checkpoints of x", "eval/wer", "move", "0")
    texts += ("delete", "basic", "callsigns", "srt", recording, RUN)
    draw_by_kind = {
        "text": lambda: draw.choice(texts),
        "integer": lambda: draw.choice((-(2**53), -1, 0, 1, 2**31, 2**53)),
        "flag": lambda: draw.random() < 0.5,
        "texts": lambda: draw.choices(texts, k=3),
        "object": lambda: {draw.choice((*texts, *form.NAMES)): draw.choice(SANE) for _ in range(4)},
        "files": lambda: [{"path": draw.choice(texts), "name": draw.choice(texts)}],
    }
    for function in functions:
        if function.__name__ == "list_hub_splits":  # would ask the Hub
            continue
        for who in (OPERATOR, VISITOR):
            names = draw.sample(sorted(FIELDS), draw.randint(20, len(FIELDS)))
            request = {name: draw_by_kind[FIELDS[name][0]]() for name in names}
            if draw.random() < 0.2:
                request[draw.choice(names)] = draw.choice(WRONG)
            status, reply = call(function, request, who)
            num_answered += status == 200
            assert status in (200, 400, 403) and isinstance(reply, dict)
            if status != 200:
                assert isinstance(reply["error"], str) and reply["error"].endswith(".")
    assert num_answered > len(functions)  # so that what is behind the check of types is tried too


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("component_server", {"session_hash": "x", "component_id": 0, "fn_name": "list_datasets", "data": {}}),
        ("queue/join", {"session_hash": "x", "fn_index": 0, "data": [], "event_id": "e", "trigger_id": 1}),
        ("run/transcribe", {"session_hash": "x", "data": [None, "", "", ""], "event_id": "e"}),
        ("call/transcribe", {"session_hash": "x", "data": [None, "", "", ""]}),
    ],
)
def test_protocol_of_gradio_answers_no_server_error(page, path, right):
    browser = page.client()
    browser.get("/")
    if "component_id" in right:
        ids = (block._id for block in page.page.blocks.values() if getattr(block, "elem_id", "") == "data")
        right = right | {"component_id": next(ids)}
    bodies = [right | {name: value} for name in right for value in (None, 7, -1, "x", [], ["x"], {}, 99_999_999)]
    for body in bodies:
        answer = browser.post(f"/gradio_api/{path}", json=body)
        assert answer.status_code in (200, 400, 403, 404), (body, answer.text)
        assert "Traceback" not in answer.text and "null" not in answer.text[:15]


FORM = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\nx\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/gradio_api/queue/data", 400),
        ("/gradio_api/upload_progress", 400),
        ("/gradio_api/call/transcribe/gone", 200),  # a stream, which ends
        ("/gradio_api/queue/data?session_hash=gone", 200),
        ("/pwa_icon/abc", 400),
        ("/pwa_icon/64", 404),
        (f"/static/{'a' * 5000}", 400),
        ("/static/gone", 404),
        ("/static/%00", 404),
        ("/login/callback", 404),
        ("/scripts/x/..%2f..%2fapp.py", 404),
        (f"/download/{'a' * 5000}/figures.csv", 404),
        ("/download/%00/run.zip", 404),
        (f"/download/{RUN}/clip/%00.wav", 404),
        ("/audio/dataset.wav?data=callsigns&index=1.5", 404),
        ("/audio/dataset.wav?data=%00&index=99999999999999999999", 404),
        ("/audio/recording.wav?id=%00", 404),
        ("/archive/gone.zip", 404),
    ],
)
def test_address_of_a_wrong_type_is_answered_with_a_message(page, caplog, path, status):
    browser = page.client()
    browser.get("/")
    answer = browser.get(path)
    assert answer.status_code == status, answer.text
    if status != 200:
        sentence = orjson.loads(answer.content)["error"] if answer.text.startswith("{") else answer.text
        assert re.fullmatch(r"[A-Z].{10,300}\.( [^.]*)?", sentence) or "shows them" in sentence, answer.text
    assert "Traceback" not in answer.text + caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"--b\r\n",
        PART % (b"files", b""),
        PART % (b"other", b'; filename="a.wav"'),
        PART % (b"files", b'; filename="../../a.wav"'),
        PART % (b"files", b'; filename="\xff\x00.wav"'),
        PART % (b"files", b'; filename="' + b"a" * 5000 + b'"'),
    ],
)
def test_upload_that_is_none_is_answered_with_a_message(page, caplog, body):
    browser = page.client()
    browser.get("/")
    answer = browser.post("/gradio_api/upload", content=body, headers=FORM)
    assert answer.status_code in (200, 400, 413) and "Traceback" not in answer.text + caplog.text
    if answer.status_code == 200:
        assert all(re.match(r"uploads:\w{64}/[^/]+$", path) for path in answer.json())
