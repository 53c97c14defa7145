"""The section "Use it elsewhere", without a browser."""

import zipfile

import pytest

from asrkit.errors import DataError
from asrkit.jobs import JobCancelled
from asrkit.models.resolution import STARTER_DIR
from asrkit.runs.store import RunStore
from asrkit.transcription.export import exporter
from asrkit.ui.transcribe.export import ExportApi
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
    return job, wait_for(
        lambda: (reply := api.poll({"id": job})) and (reply["lines"] or reply["failed"]) and reply, job
    )


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
