import pytest

from asrkit import hub
from asrkit.config import TrainConfig
from asrkit.errors import HubError, RunError
from asrkit.runs import events, lifecycle, ownership
from asrkit.runs.store import RunStore
from asrkit.transcription.export import exporter, space


@pytest.fixture
def writable(served, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    return served


def test_space_is_made_with_its_files(writable):
    address = hub.publish_space("tiny/page", {"index.html": b"<p>", "runtime/a.wasm": b"\0"}, "static", private=True)
    assert address == f"{writable.url}/spaces/tiny/page"
    folder = writable.root / "spaces/tiny/page"
    assert (folder / "index.html").read_bytes() == b"<p>" and (folder / "runtime/a.wasm").read_bytes() == b"\0"
    assert "tiny/page" in writable.private


def test_public_space_is_not_private(writable):
    hub.publish_space("tiny/page", {"index.html": b""}, "static", private=False)
    assert "tiny/page" not in writable.private


def test_existing_space_is_not_replaced(writable):
    folder = writable.root / "spaces/tiny/page"
    folder.mkdir(parents=True)
    with pytest.raises(HubError, match="There is a Space tiny/page already"):
        hub.publish_space("tiny/page", {"index.html": b""}, "static", private=True)
    assert list(folder.iterdir()) == []


def test_token_that_may_only_read_is_refused(writable):
    writable.user["auth"]["accessToken"]["role"] = "read"
    with pytest.raises(HubError, match="the token may only read"):
        hub.require_new_space("tiny/page")


def test_owner_must_be_the_user_or_one_of_their_organizations(writable):
    with pytest.raises(HubError, match="belongs to tiny, who is not in others"):
        hub.require_new_space("others/page")
    writable.user["orgs"] = [{"name": "others"}]
    hub.require_new_space("others/page")


def test_missing_token_is_asked_for(served):
    with pytest.raises(HubError, match="hf auth login"):
        hub.require_new_space("tiny/page")


@pytest.mark.parametrize("name", ["page", "a/b/c"])
def test_space_needs_owner_and_name(name):
    with pytest.raises(HubError, match="write OWNER/NAME"):
        hub.require_new_space(name)


@pytest.fixture
def run(tmp_path):
    run = RunStore(tmp_path / "runs").create(TrainConfig(train="/home/ana/clips"), "one")
    run.append(events.Event(events.EVAL, 1.0, 1, data={"samples": ["a secret"]}))
    return run


def add_model(run):
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    (run.model_dir / "model.safetensors").write_text("weights")
    (run.model_dir / "README.md").write_text("trained on /home/ana/clips")
    run.evaluation_path.write_text("a secret")


def test_run_is_published_as_a_private_page(writable, run, monkeypatch):
    def export_files(checkpoint, folder, name, *, quantized, on_progress):
        assert (checkpoint, name) == (run.model_dir, "web")
        (folder / "index.html").write_text("page")

    monkeypatch.setattr(exporter, "export_files", export_files)
    with pytest.raises(RunError, match="has no model yet"):
        space.publish_space(run, "tiny/page", "page", True, print)
    add_model(run)
    assert space.publish_space(run, "tiny/page", "page", True, print) == f"{writable.url}/spaces/tiny/page"
    folder = writable.root / "spaces/tiny/page"
    assert (folder / "index.html").read_text() == "page" and "tiny/page" in writable.private
    assert "sdk: static\napp_file: index.html" in (folder / "README.md").read_text()


def test_run_is_published_with_the_app_and_without_its_history(writable, run, tmp_path, monkeypatch):
    project = tmp_path / "project"
    for name in ("app.py", "requirements.txt", "README.md", "asrkit/cli/__init__.py", "asrkit/__pycache__/a.pyc"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    monkeypatch.setattr(space, "PROJECT", project)
    add_model(run)
    space.publish_space(run, "tiny/app", "app", False, print)
    folder = writable.root / "spaces/tiny/app"
    assert (folder / "asrkit/cli/__init__.py").exists() and not (folder / "asrkit/__pycache__").exists()
    published = RunStore(folder / "runs").get("one")
    assert published.has_model() and lifecycle.get_status(published) == lifecycle.FINISHED
    assert ownership.read_ownership(published).visibility == ownership.SHARED
    texts = [path.read_text() for path in published.path.rglob("*") if path.is_file()]
    assert not any("secret" in text or "/home/ana" in text for text in texts)
