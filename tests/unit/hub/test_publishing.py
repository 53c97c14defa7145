"""Publishing on the stand-in of the Hub."""

import dataclasses

import pytest

from asrkit import hub
from asrkit.config import TrainConfig
from asrkit.errors import ExistsOnHubError, HubError, RunError
from asrkit.hub import credentials
from asrkit.jobs import JobCancelled
from asrkit.runs import events, lifecycle, ownership
from asrkit.runs.store import RunStore
from asrkit.transcription.export import exporter, publishing


@pytest.fixture
def writable(served, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    return served


def space(name="tiny/page", **options):
    return hub.Target(name, "space", **options)


def model(name="tiny/tones", **options):
    return hub.Target(name, "model", **options)


def files_of(writable, target):
    folder = writable.root / f"{target.kind}s" / target.name
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_private_space_is_made_with_its_files(writable):
    files = {"index.html": b"<p>", "runtime/a.wasm": b"\0"}
    assert hub.publish(space(), files, "static") == f"{writable.url}/spaces/tiny/page"
    assert files_of(writable, space()) == files and "tiny/page" in writable.private


def test_public_space_is_not_private(writable):
    hub.publish(space(private=False), {"index.html": b""}, "static")
    assert "tiny/page" not in writable.private


@pytest.mark.parametrize(("target", "noun"), [(space(), "Space"), (model("tiny/page"), "model")])
def test_existing_repository_is_replaced_only_if_asked(writable, target, noun):
    hub.publish(target, {"old.html": b"", "words.txt": b"one"}, "static" if noun == "Space" else None)
    with pytest.raises(ExistsOnHubError, match=f"There is a {noun} tiny/page already; choose another name, or replace"):
        hub.publish(target, {"index.html": b""})
    assert set(files_of(writable, target)) == {"old.html", "words.txt"}
    hub.publish(
        dataclasses.replace(target, replace=True), {"index.html": b"new"}, "static" if noun == "Space" else None
    )
    kept = {} if noun == "Space" else {"old.html": b""}
    assert files_of(writable, target) == {"index.html": b"new", **kept}, "what would be loaded too is removed"


def test_public_model_is_not_replaced_by_a_private_one(writable):
    hub.publish(model(private=False), {"config.json": b"{}"})
    with pytest.raises(HubError, match="is public on the Hugging Face Hub; make it private in its settings first"):
        hub.require_writable(model(replace=True))
    assert hub.require_writable(model(private=False, replace=True)) == ["config.json"]


def test_token_that_may_only_read_is_refused(writable):
    writable.user["auth"]["accessToken"]["role"] = "read"
    with pytest.raises(HubError, match="the token may only read"):
        hub.require_writable(space())


@pytest.mark.parametrize(
    ("permissions", "entity", "allowed"),
    [
        (["repo.content.read"], "tiny", False),
        (["repo.content.read", "repo.write"], "tiny", True),
        (["repo.write"], "others", False),
        (["repo.write"], "tiny/page", True),
    ],
)
def test_fine_grained_token_needs_the_permission_to_write_there(writable, permissions, entity, allowed):
    scopes = [{"entity": {"type": "user", "name": entity}, "permissions": permissions}]
    writable.user["auth"]["accessToken"] = {"role": "fineGrained", "fineGrained": {"scoped": scopes}}
    if allowed:
        assert hub.require_writable(space()) == []
        return
    with pytest.raises(HubError, match="the token may not write repositories of tiny"):
        hub.require_writable(space())


def test_owner_must_be_the_user_or_one_of_their_organizations(writable):
    with pytest.raises(HubError, match="belongs to tiny, who is not in others"):
        hub.require_writable(space("others/page"))
    writable.user["orgs"] = [{"name": "others"}]
    hub.require_writable(space("others/page"))


def test_missing_token_is_asked_for(served):
    with pytest.raises(HubError, match="without a token; log in with `hf auth login`"):
        hub.require_writable(model())
    with (
        credentials.as_reader(credentials.Reader(False)),
        pytest.raises(HubError, match="without a token; sign in again"),
    ):
        hub.require_writable(model())


@pytest.mark.parametrize("name", ["page", "a/b/c"])
def test_repository_needs_owner_and_name(name):
    with pytest.raises(HubError, match="is not a valid name of a Space; write OWNER/NAME"):
        hub.require_writable(space(name))


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
        publishing.publish_run(run, "tiny/page", "page", on_progress=print)
    add_model(run)
    assert publishing.publish_run(run, "tiny/page", "page", on_progress=print) == f"{writable.url}/spaces/tiny/page"
    folder = writable.root / "spaces/tiny/page"
    assert (folder / "index.html").read_text() == "page" and "tiny/page" in writable.private
    assert "sdk: static\napp_file: index.html" in (folder / "README.md").read_text()


def test_run_is_published_with_the_app_and_without_its_history(writable, run, tmp_path, monkeypatch):
    project = tmp_path / "project"
    for name in ("app.py", "requirements.txt", "README.md", "asrkit/cli/__init__.py", "asrkit/__pycache__/a.pyc"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    monkeypatch.setattr(publishing, "PROJECT", project)
    add_model(run)
    publishing.publish_run(run, "tiny/app", "app", private=False, on_progress=print)
    folder = writable.root / "spaces/tiny/app"
    assert (folder / "asrkit/cli/__init__.py").exists() and not (folder / "asrkit/__pycache__").exists()
    published = RunStore(folder / "runs").get("one")
    assert published.has_model() and lifecycle.get_status(published) == lifecycle.FINISHED
    assert ownership.read_ownership(published).visibility == ownership.SHARED
    texts = [path.read_text() for path in published.path.rglob("*") if path.is_file()]
    assert not any("secret" in text or "/home/ana" in text for text in texts)


def test_model_is_published_with_a_card_of_its_name_and_without_transcripts(writable, run):
    add_model(run)
    steps = []
    address = publishing.publish_run(
        run, "tiny/tones", "model", on_progress=lambda text, done, total: steps.append(text)
    )
    assert address == f"{writable.url}/tiny/tones" and "tiny/tones" in writable.private
    files = files_of(writable, model())
    assert set(files) == {"README.md", "config.json", "model.safetensors"}
    assert 'from_pretrained("tiny/tones")' in files["README.md"].decode() and b"/home/ana" not in files["README.md"]
    assert steps[0] == "Checking whether tiny/tones can be written" and steps[-1].startswith("Uploading ")


def test_access_is_checked_before_the_work(writable, run, monkeypatch):
    add_model(run)
    monkeypatch.setattr(exporter, "export_files", lambda *arguments, **options: pytest.fail("the work was begun"))
    writable.user["auth"]["accessToken"]["role"] = "read"
    with pytest.raises(HubError, match="may only read"):
        publishing.publish_run(run, "tiny/page", "page", on_progress=print)


def test_cancelled_publication_uploads_nothing(writable, run):
    add_model(run)

    def cancel(message, done, total):
        if message.startswith("Uploading"):
            raise JobCancelled

    with pytest.raises(JobCancelled):
        publishing.publish_run(run, "tiny/tones", "model", on_progress=cancel)
    assert not (writable.root / "models/tiny/tones").exists()
