"""The section "Use it elsewhere", without a browser."""

import zipfile

import pytest

from asrkit.config import TrainConfig
from asrkit.errors import DataError, ExistsOnHubError
from asrkit.jobs import JobCancelled
from asrkit.models.resolution import STARTER_DIR
from asrkit.runs import ownership
from asrkit.runs.store import RunStore
from asrkit.transcription.export import exporter, publishing
from asrkit.ui.export.api import ExportApi
from asrkit.ui.security import quotas
from asrkit.ui.security.permissions import Identity, Role, as_identity
from asrkit.ui.security.quotas import Quotas
from asrkit.ui.security.storage import storage
from tests.support.waiting import wait_for

RESULT = {
    "clips": 7,
    "clips_from": "run",
    "pytorch": {"wer": 0.1},
    "float32": {"wer": 0.1, "changed_texts": 0},
    "total_bytes": 1000,
}


@pytest.fixture
def api(tmp_path, monkeypatch):
    """With an exporter that writes one small file: a whole export is in tests/unit/transcription."""

    def export_model(checkpoint, target, name, *, quantized, on_progress):
        on_progress("Transcribing with PyTorch", 3, 7)
        if exporter.FORMATS[name].is_zip:
            with zipfile.ZipFile(target, "w") as archive:
                archive.writestr("index.html", "page")
        else:
            target.mkdir()
            (target / "model.onnx").write_text("graph")
        return RESULT | ({"int8": {"wer": 0.2, "changed_texts": 2}} if quantized else {})

    monkeypatch.setattr(exporter, "export_model", export_model)
    return ExportApi(RunStore(tmp_path / "runs"))


def export(api, **fields):
    job = api.export({"model": "starter", "format": "onnx", "int8": False} | fields)["id"]
    return job, wait_for_end(api, job)


def wait_for_end(api, job):
    return wait_for(lambda: (reply := api.poll({"id": job})) and (reply["lines"] or reply["failed"]) and reply, job)


def test_folder_is_downloaded_as_a_zip(api):
    job, reply = export(api, int8=True)
    assert reply["failed"] == ""
    assert "Checked against PyTorch on 7 of the run's evaluation clips." in reply["lines"]
    assert "WER 20.0%, in PyTorch 10.0%." in reply["lines"] and "Its text differs on 2 of 7 clips." in reply["lines"]
    with zipfile.ZipFile(api.open_file({"id": job})) as archive:
        assert archive.namelist() == ["onnx/model.onnx"]


def test_page_is_one_zip(api):
    job, reply = export(api, format="web")
    assert "Its text is the same on all of them." in reply["lines"]
    with zipfile.ZipFile(api.open_file({"id": job})) as archive:
        assert archive.namelist() == ["index.html"]


def test_checkpoint_with_a_language_model_has_no_error_rates(api, monkeypatch):
    def export_model(checkpoint, target, name, *, quantized, on_progress):
        target.mkdir()
        return {"total_bytes": 1000}

    monkeypatch.setattr(exporter, "export_model", export_model)
    _, reply = export(api, format="transformers-lm")
    assert reply["failed"] == "" and len(reply["lines"]) == 1


def test_unknown_formats_models_and_exports_are_refused(api):
    assert api.export({"model": "starter", "format": "exe"})["error"] == "There is no export format 'exe'."
    assert "There is no model" in api.export({"model": "../nothing", "format": "onnx"})["error"]
    assert "no longer available" in api.poll({"id": "none"})["error"]
    with pytest.raises(DataError, match="no longer available"):
        api.open_file({"id": "../../etc/passwd"})


def test_cancelled_export_has_no_file(api, monkeypatch):
    def cancelled(*arguments, **options):
        raise JobCancelled

    monkeypatch.setattr(exporter, "export_model", cancelled)
    job, reply = export(api)
    assert reply["failed"] == "Cancelled."
    with pytest.raises(DataError, match="not done"):
        api.open_file({"id": job})


def test_files_of_dropped_exports_are_deleted(api):
    first, _ = export(api)
    path = api.open_file({"id": first})
    api.jobs.forget(first, api.jobs.find(first))
    export(api)
    assert not path.exists()


def test_outlets_name_the_chosen_model(api):
    outlets = {outlet["name"]: outlet for outlet in api.list_outlets({"model": "starter"})["outlets"]}
    assert "python -m asrkit export starter" in outlets["onnx-asr"]["commands"]
    assert outlets["whisperX"]["commands"].endswith(str(STARTER_DIR)), "other programs know no starter"
    assert f'from_pretrained("{STARTER_DIR}")' in outlets["transformers"]["code"]


@pytest.fixture
def run(api):
    run = api.store.create(TrainConfig(train="/home/ana/clips"), "one")
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    return run


def test_run_is_published_privately_unless_asked(api, run, monkeypatch):
    def publish_run(asked, name, form, *, private, replace, on_progress):
        on_progress("Uploading 22 MB", 0, 0)
        assert asked.id == "one"
        if not replace:
            raise ExistsOnHubError(f"There is a model {name} already.")
        return f"https://example.org/{name}?{form}&{private}"

    monkeypatch.setattr(publishing, "publish_run", publish_run)
    request = {"run": "one", "name": " tiny/tones ", "format": "model"}
    refused = wait_for_end(api, api.publish(request)["id"])
    assert (refused["failed"], refused["exists"], refused["address"]) == (
        "There is a model tiny/tones already.",
        True,
        "",
    )
    done = wait_for_end(api, api.publish(request | {"replace": True})["id"])
    assert done["address"] == "https://example.org/tiny/tones?model&True" and not done["exists"]
    done = wait_for_end(api, api.publish(request | {"replace": True, "public": True, "format": "page"})["id"])
    assert done["address"] == "https://example.org/tiny/tones?page&False"
    assert "There is no export format" in api.publish(request | {"format": "exe"})["error"]


def test_card_is_shown_as_it_will_be_published(api, run):
    card = api.preview_card({"run": "one", "name": "tiny/tones"})["card"]
    assert 'from_pretrained("tiny/tones")' in card and "/home/ana" not in card
    assert 'from_pretrained("one")' in api.preview_card({"run": "one", "name": ""})["card"]


def test_only_owner_and_operator_may_publish(api, run):
    assert api.list_outlets({"model": "one"})["can_publish"]
    assert not api.list_outlets({"model": "starter"})["can_publish"]
    ann, eve = (Identity(Role.VISITOR, name, name, f"visitor:{name}") for name in ("ann", "eve"))
    ownership.write_ownership(run, ownership.Ownership(ann.owner_id, ownership.SHARED))
    request = {"run": "one", "name": "tiny/tones", "format": "model"}
    with as_identity(eve):
        assert not api.list_outlets({"model": "one"})["can_publish"]
        assert "You may not publish this model" in api.publish(request)["error"]
        assert "You may not publish this model" in api.preview_card(request)["error"]
    with as_identity(ann):
        assert api.list_outlets({"model": "one"})["can_publish"] and "card" in api.preview_card(request)


def test_exports_count_in_the_quota_of_the_visitor_who_made_them(api, monkeypatch):
    ann, bob = (Identity(Role.VISITOR, name, name, f"visitor:{name}") for name in ("ann", "bob"))
    monkeypatch.setattr(quotas, "_current", Quotas(visitor_disk_bytes=200))
    with as_identity(ann):
        kept, reply = export(api)
        assert reply["failed"] == "" and 0 < api.open_file({"id": kept}).stat().st_size < 200
        refused, reply = export(api)
        assert "as much as this app accepts from one visitor" in reply["failed"], "two are larger than 200 bytes"
        assert not api._path(refused).exists()
    with as_identity(bob):
        assert export(api)[1]["failed"] == ""
    monkeypatch.setattr(quotas, "_current", Quotas(visitor_disk_bytes=1))
    with as_identity(ann):
        assert "as much as this app accepts" in api.export({"model": "starter", "format": "onnx"})["error"]
        storage.delete_own()
        with pytest.raises(DataError, match="no longer available"):
            api.open_file({"id": kept})


def test_exports_of_the_operator_are_not_limited(api, monkeypatch):
    monkeypatch.setattr(quotas, "_current", Quotas(visitor_disk_bytes=1, visitors_disk_bytes=1))
    assert export(api)[1]["failed"] == ""


def test_link_opens_the_page_with_the_model(api):
    reply = api.make_link({"model": "starter", "page": "https://me.example.org/"})
    assert reply["link"] == "https://me.example.org/?tab=transcribe&model=starter"
    assert reply["code"].startswith("data:image/svg+xml") and "script" not in reply["code"]


def test_model_that_is_not_listed_has_no_link(api):
    assert api.make_link({"model": "/some/folder", "page": "https://me.example.org/"})["link"] == ""


@pytest.mark.parametrize("page", ["javascript:alert(1)", "", "https://a.org/" + "x" * 1000])
def test_address_that_is_none_has_no_code(api, page):
    assert "missing or too long" in api.make_link({"model": "starter", "page": page})["error"]
