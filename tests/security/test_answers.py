"""What answers hold: no formulas in tables, no more in the content policy than Gradio forces."""

import csv
import io
import os
import re
import sysconfig
import zipfile
from pathlib import Path

import gradio
import pytest

from asrkit.config import TrainConfig
from asrkit.data import access
from asrkit.data.collection import Collection
from asrkit.decoding.transcript import Transcript, Word
from asrkit.files import FORMULA_STARTS, disarm_formula
from asrkit.runs import events, ownership
from asrkit.runs.ownership import Ownership
from asrkit.runs.report import export
from asrkit.runs.store import RunStore
from asrkit.transcription.writers import to_tsv
from asrkit.ui.security import pages, paths
from asrkit.ui.security.guard import Guard
from asrkit.ui.security.permissions import OPERATOR, Identity, Role, as_identity
from asrkit.ui.train.api import TrainApi
from tests.security.test_visitors import Browser, folder_of, record, wav
from tests.support.landlock import needs_landlock

HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =HYPERLINK(0)", "\uff1d1+1")


@pytest.mark.parametrize("text", HOSTILE)
def test_formula_is_disarmed(text):
    assert disarm_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "one", "a=b", "1-1", "'=1", "don't"])
def test_other_text_stays(text):
    assert disarm_formula(text) == text


def test_table_of_words_has_no_formula_and_no_cell_more():
    """What a checkpoint's vocabulary, or a correction, makes a word of."""
    words = [*HOSTILE, "one\t=1+1", "two\n=1+1", "plain"]
    text = to_tsv(Transcript([Word(word, 0.0, 0.5, 1.0) for word in words], 1.0))
    rows = [line.split("\t") for line in text.splitlines()]
    assert len(rows) == 1 + len(words) and {len(row) for row in rows} == {4}
    assert not [row for row in rows if row[2].startswith(FORMULA_STARTS)]
    assert rows[1][2] == "'=1+1" and rows[-1] == ["0", "500", "plain", "1.0000"]


def test_metrics_table_has_no_formula(tmp_path):
    run = RunStore(tmp_path).create(TrainConfig())
    run.append(events.make_event(events.EVAL, step=1, epoch=0.1, loss="=cmd|' /C calc'!A0", wer=-0.5))
    rows = list(csv.reader(io.StringIO("".join(export.iter_metrics_csv(run)))))
    values = {row[3]: row[4] for row in rows[1:]}
    assert values["eval/loss"] == "'=cmd|' /C calc'!A0" and values["eval/wer"] == "-0.5"


def test_table_of_recordings_is_data_and_stays_as_it_is(tmp_path):
    import numpy as np

    from asrkit.audio import Waveform
    from asrkit.data import collection

    dataset: Collection = collection.open_collection(tmp_path, "mine")
    dataset.add(Waveform(np.sin(np.arange(16_000) / 9).astype(np.float32) / 3), "-5 degrees")
    assert [clip.text for clip in dataset.clips()] == ["-5 degrees"]
    assert "'-5" not in (dataset.folder / "metadata.csv").read_text()


def test_gradio_still_compiles_the_scripts_of_components():
    """The reason for 'unsafe-eval': where it is gone, the policy can do without it."""
    assets = Path(gradio.__file__).parent / "templates/frontend/assets"
    sources = [path.read_text(encoding="utf-8") for path in assets.glob("HTML-*.js")]
    assert any("Function(" in source for source in sources)
    assert "'unsafe-eval'" in pages._DIRECTIVES["script-src"]


def test_policy_names_no_other_host():
    assert all("http" not in value and "*" not in value for value in pages._DIRECTIVES.values())
    unsafe = {name: value.count("unsafe-") for name, value in pages._DIRECTIVES.items() if "unsafe-" in value}
    assert unsafe == {"script-src": 2, "style-src": 1}


@needs_landlock
def test_visitors_see_names_instead_of_paths(serve):
    page = serve(is_public=True, ASRKIT_ANONYMOUS_DATA="1")
    ann, data = Browser(page), page.store.data_dir
    hidden = (str(data), str(page.store.root), str(Path.home()), "Traceback")
    recorded = record(ann, "voice")["data"]
    answers = [ann.client.get(path) for path in ("/", "/config", "/gradio_api/info")]
    for named in (recorded, f"{page.store.root}/x", f"{data}/x", "my-data:../..", "runs:..", "/etc/x", "my-data:gone"):
        for name in ("load", "preview", "check", "list_datasets", "prepare_training"):
            answers.append(page.call(ann.client, "data", name, {"data": named}))
        answers.append(ann.play(named))
        answers.append(page.call(ann.client, "evaluation", "evaluate", {"dataset": named, "model": named}))
        answers.append(ann.client.post("/gradio_api/run/transcribe", json={"data": [None, named, "", ""]}))
    assert all(answer.status_code in (200, 400, 404) for answer in answers)
    assert [text for text in hidden for answer in answers if text in answer.text] == []
    assert ann.play(recorded).status_code == 200 and ann.call("load", {"data": recorded})["train"] == 1
    assert str(data) in page.call(page.operator(), "data", "load", {"data": f"{data}/x"}).json()["error"]


@needs_landlock
def test_answer_to_an_upload_has_no_path_and_leads_to_the_file(serve):
    page = serve(is_public=True, ASRKIT_ANONYMOUS_DATA="1")
    ann, folder = Browser(page), os.environ["GRADIO_TEMP_DIR"]
    answer = ann.client.post("/gradio_api/upload", files={"files": ("a.wav", wav())})
    (name,) = answer.json()
    assert re.fullmatch(r"uploads:\w+/a\.wav", name) and folder not in answer.text
    file = {"path": name, "meta": {"_type": "gradio.FileData"}}
    sent = ann.client.post("/gradio_api/run/transcribe", json={"data": [file, "no such model", "", ""]})
    assert "There is no model 'no such model'" in sent.text  # so the file was found, and a format may be left out
    sent = ann.client.post("/gradio_api/run/transcribe", json={"data": [file, "starter", "", "", "doc"]})
    assert sent.status_code == 400 and "There is no format 'doc'; choose one of txt" in sent.json()["error"]
    for wrong in ("uploads:../../etc/passwd", "uploads:/etc/passwd", f"uploads:{folder}/x", "uploads:gone/a.wav"):
        assert "was not uploaded here" in ann.call("add_upload", {"files": [{"path": wrong, "name": "a.wav"}]})["error"]
        sent = ann.client.post("/gradio_api/run/transcribe", json={"data": [file | {"path": wrong}, "", "", ""]})
        assert sent.status_code == 400 and folder not in sent.text and "root:" not in sent.text
    assert ann.call("add_upload", {"files": [{"path": name, "name": "a.wav"}]})["data"].startswith("my-data:")
    (path,) = page.operator().post("/gradio_api/upload", files={"files": ("b.wav", wav())}).json()
    assert path.startswith(f"{folder}/")


def read_archive(page, who, run):
    answer = who.client.get(f"/download/{run.id}/run.zip")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def test_archive_of_own_run_hides_the_machine(serve, monkeypatch):
    page = serve(is_public=True, ASRKIT_ANONYMOUS_DATA="1")
    ann, weights = Browser(page), bytes(range(256)) * 99
    own = folder_of(ann)
    who = Identity(Role.VISITOR, "ann", own.name, f"visitor:{own.name}")
    run = page.store.create(TrainConfig(train=f"{own}/clips"))
    ownership.write_ownership(run, Ownership(who.owner_id))
    (run.path / "train.jsonl").write_text(f'{{"audio": "{own}/clips/a.wav", "text": "ü"}}\n' * 50_000)
    library = sysconfig.get_path("stdlib")
    log = f"{Path.home()}/x \udc80\n  File '{library}/os.py'\n"  # with a byte that is no UTF-8
    (run.path / "log.txt").write_bytes(log.encode("utf-8", "surrogateescape"))
    (run.path / "process.json").write_text('{"host": "machine-seven", "command": []}')
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text(f'{{"_name_or_path": "{run.path}/checkpoints/x"}}')
    (run.model_dir / "model.safetensors").write_bytes(str(own).encode() + weights)
    monkeypatch.setattr(Guard, "_identify", lambda guard, scope, headers, cookies: who)
    seen = read_archive(page, ann, run)
    hidden = (str(own), str(page.store.root), str(page.store.data_dir), str(Path.home()), library, "machine-seven")
    texts = {
        name: content.decode("utf-8", "surrogateescape")
        for name, content in seen.items()
        if name != "model/model.safetensors"
    }
    assert [(name, text) for name, text in texts.items() for each in hidden if each in text] == []
    assert "process.json" not in seen and texts["train.jsonl"].count('"my-data:clips/a.wav", "text": "ü"') == 50_000
    assert "x \udc80\n" in texts["log.txt"]
    assert texts["model/config.json"] == f'{{"_name_or_path": "runs:{run.id}/checkpoints/x"}}'
    assert seen["model/model.safetensors"].endswith(weights)
    monkeypatch.setattr(Guard, "_identify", lambda guard, scope, headers, cookies: OPERATOR)
    assert read_archive(page, ann, run) == {
        path.relative_to(run.path).as_posix(): path.read_bytes() for path in run.path.rglob("*") if path.is_file()
    }


def test_names_lead_back_to_their_paths(tmp_path, monkeypatch):
    monkeypatch.setenv(access.VISITORS_VARIABLE, str(tmp_path / "data/.visitors"))
    monkeypatch.setattr(paths, "_runs_root", tmp_path / "runs")
    monkeypatch.setattr(paths, "_data_dir", tmp_path / "data")
    ann = Identity(Role.ANONYMOUS, "", "a" * 24, "visitor:" + "a" * 24)
    own, run, other = (str(tmp_path / path) for path in ("data/.visitors/" + "a" * 24 + "/v", "runs/r", "data/x"))
    with as_identity(ann):
        assert paths.hide_paths([own, {"a": f"In {run}, row 3"}, f"{tmp_path}/runs-old", 7])[:2] == [
            "my-data:v",
            {"a": "In runs:r, row 3"},
        ]
        assert paths.hide_paths(other) == "data/x"
        assert paths.reveal_paths(paths.hide_paths([own, run])) == [own, run]
        assert paths.reveal_paths("hub:a/b") == "hub:a/b"
        several = f"callsigns + {own} + {run}"
        assert paths.hide_paths(several) == "callsigns + my-data:v + runs:r"
        assert paths.reveal_paths(paths.hide_paths(several)) == several
    with as_identity(OPERATOR):
        assert paths.hide_paths(own) == own and paths.reveal_paths("runs:r") == "runs:r"


def test_reason_of_a_failure_is_hidden_from_strangers(tmp_path):
    run = RunStore(tmp_path).create(TrainConfig())
    ownership.write_ownership(run, Ownership(ownership.OPERATOR, ownership.SHARED))
    secret = "/srv/secret on host seven"
    run.append(events.make_event(events.STARTED, step=0, total_steps=1))
    run.append(events.make_event(events.FAILED, message=secret, remedy=secret, traceback=f"Traceback {secret}"))
    request = {"run": run.id, "after": 0, "page": "p", "log": True}
    with as_identity(OPERATOR):
        assert secret in str(TrainApi(RunStore(tmp_path)).poll(request)["error"])
    with as_identity(Identity(Role.ANONYMOUS, "", "a" * 24, "visitor:" + "a" * 24)):
        reply = TrainApi(RunStore(tmp_path)).poll(request)
    assert reply["error"]["message"] == "This run has failed; only its owner sees the reason."
    assert "secret" not in str(reply) and reply["status"] == "failed"
