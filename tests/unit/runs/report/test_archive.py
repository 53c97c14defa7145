"""Archives of runs and of models, written and read back in."""

import io
import tracemalloc
import zipfile

import pytest

from asrkit.data import manifest
from asrkit.data.manifest import Utterance
from asrkit.errors import DataError, RunError
from asrkit.files import write_json
from asrkit.runs import lifecycle, ownership, queue, supervisor
from asrkit.runs.events import Event
from asrkit.runs.ownership import Ownership
from asrkit.runs.report import archive
from asrkit.runs.store import RunStore

HISTORY = [
    Event("started", 1000.0, 0, 0.0, {"total_steps": 4}),
    Event("train", 1001.0, 1, 0.1, {"loss": 2.5}),
    Event("finished", 1003.0, 2, 0.2, {}),
]


def add_checkpoint(run, step=2):
    folder = run.checkpoints_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "optimizer.pt", "trainer_state.json"):
        (folder / name).write_bytes(b"w" * 3_000_000 if name == "model.safetensors" else b"{}")
    return folder


def add_model(run):
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    (run.model_dir / "model.safetensors").write_bytes(b"weights")
    (run.model_dir / "README.md").write_text("trained on /home/ana/clips")
    run.evaluation_path.write_text("a secret")


def unpack(blocks):
    return zipfile.ZipFile(io.BytesIO(b"".join(blocks)))


@pytest.fixture
def write(tmp_path):
    """write(run) -> the path of its archive."""

    def write(run, **options):
        path = tmp_path / "packed.zip"
        archive.write_zip(archive.iter_archive(run, **options), path)
        return path

    return write


def test_manifests_of_large_data_are_lines(make_run, other, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "BLOCK_LINES", 2)
    run = make_run(history=HISTORY)
    rows = [Utterance(f"/home/ann/{number}.wav", "a", 1.0) for number in range(5)]
    manifest.write(run.table_path("train"), rows)
    packed = unpack(archive.iter_archive(run, lambda text: text.replace("/home/ann/", "")))
    assert packed.read("one/train.jsonl").count(b'"0.wav"') == 1 and b"/home" not in packed.read("one/train.jsonl")
    archive.write_zip(archive.iter_archive(run), tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip", "a") as zipped:
        zipped.writestr("one/eval.arrow", "from elsewhere")
    copy = archive.import_archive(other, tmp_path / "one.zip", "one.zip")
    assert manifest.read(copy.manifest_path("train")) == rows and not copy.has_table("eval")


@pytest.fixture
def other(tmp_path):
    """The runs of another machine."""
    return RunStore(tmp_path / "other")


def test_archive_contains_the_run_without_drafts(make_run):
    run = make_run(history=HISTORY)
    (run.checkpoints_dir / ".partial").mkdir(parents=True)
    (run.checkpoints_dir / ".partial" / "half").write_text("half")
    folder = add_checkpoint(run)
    with unpack(archive.iter_archive(run, with_optimizer=True)) as packed:
        assert packed.testzip() is None
        checkpoint = {f"one/checkpoints/checkpoint-2/{path.name}" for path in folder.iterdir()}
        assert set(packed.namelist()) == {"one/config.json", "one/events.jsonl", *checkpoint}
        weights = packed.read("one/checkpoints/checkpoint-2/model.safetensors")
        assert weights == (folder / "model.safetensors").read_bytes()
        assert packed.read("one/events.jsonl") == run.events_path.read_bytes()


def test_optimizer_state_is_left_out_unless_asked_for(make_run):
    run = make_run(history=HISTORY)
    add_checkpoint(run)
    state = "one/checkpoints/checkpoint-2/optimizer.pt"
    assert state not in unpack(archive.iter_archive(run)).namelist()
    assert state in unpack(archive.iter_archive(run, with_optimizer=True)).namelist()


def test_archive_is_streamed_with_bounded_memory(make_run, tmp_path):
    run = make_run(history=HISTORY)
    with open(run.path / "big.safetensors", "wb") as file:
        file.truncate(200_000_000)
    tracemalloc.start()
    size = sum(len(block) for block in archive.iter_archive(run))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 200_000_000 and peak < 20_000_000


def test_archive_is_written_to_a_file(make_run, write):
    path = write(make_run(history=HISTORY))
    assert zipfile.is_zipfile(path) and list(path.parent.glob(".*")) == []


def test_model_is_packed_without_transcripts_and_with_a_card_of_its_name(make_run):
    run = make_run(history=HISTORY, train="/home/ana/clips")
    with pytest.raises(RunError, match="has no model yet"):
        archive.iter_model(run)
    add_model(run)
    with unpack(archive.iter_model(run)) as packed:
        assert {name.partition("/")[2] for name in packed.namelist()} == {
            "README.md",
            "config.json",
            "model.safetensors",
        }
        card = packed.read("one/README.md").decode()
        assert 'from_pretrained("one")' in card and "/home/ana" not in card
        assert packed.read("one/model.safetensors") == b"weights"


def test_archive_is_read_back_in_on_another_machine(make_run, write, other):
    run = make_run(history=HISTORY)
    add_model(run)
    add_checkpoint(run)
    write_json(run.path / "run.json", {"name": "first try"})
    ownership.write_ownership(run, Ownership("visitor:ann", ownership.SHARED))
    write_json(run.process_path, {"host": "elsewhere", "pid": 1})
    write_json(run.job_path, {"id": "7"})
    found = archive.import_archive(other, write(run, with_optimizer=True), "packed.zip")
    assert found.id == "one" and found.path.parent == other.root
    assert found.config_path.read_bytes() == run.config_path.read_bytes()
    assert found.events()[0] == run.events()[0] and lifecycle.get_status(found) == lifecycle.FINISHED
    assert (found.model_dir / "model.safetensors").read_bytes() == b"weights" and len(found.checkpoints()) == 1
    assert found.process() is None and not found.job_path.exists(), "its worker was another machine's"
    assert ownership.read_ownership(found) == Ownership() and "first try" in (found.path / "run.json").read_text()
    assert [path.name for path in other.root.iterdir()] == ["one"]


def test_imported_run_takes_another_id_where_its_own_is_taken(make_run, write, store):
    path = write(make_run(history=HISTORY))
    with pytest.raises(RunError, match="Run one already exists"):
        archive.import_archive(store, path, "packed.zip")
    assert archive.import_archive(store, path, "packed.zip", "two").events()[0]


def test_imported_run_that_had_not_ended_is_stopped_and_not_queued(make_run, write, other):
    run = make_run(history=HISTORY[:2])
    with open(run.events_path, "a") as events:
        events.write('{"time": 1002.0, "kind": "tr')  # the worker was about to write a line
    write_json(run.queue_path, {"position": 1})
    (run.path / "control/stop").touch()
    found = archive.import_archive(other, write(run), "packed.zip")
    assert lifecycle.get_status(found) == lifecycle.STOPPED and queue.list_queue(other) == []
    assert [event.kind for event in found.events()[0]] == ["started", "train", "stopped"]
    assert not found.has_flag("stop")


def test_run_without_optimizer_state_is_not_resumed(make_run, write, other):
    run = make_run(history=HISTORY[:2])
    add_checkpoint(run)
    found = archive.import_archive(other, write(run), "packed.zip")
    with pytest.raises(RunError, match="without the states of its optimizer"):
        supervisor.resume(other, found)


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"a/clip.wav": b""}, RunError, "packed.zip is not the archive of a run"),
        ({"a/config.json": b"{}", "b/config.json": b"{}"}, RunError, "is not the archive of a run"),
        (
            {"a/config.json": b'{"learning_rate": "much"}'},
            RunError,
            "cannot read the settings of the run in packed.zip",
        ),
        ({"../a/config.json": b"{}"}, DataError, "leads out of it"),
        (None, DataError, "packed.zip is not a readable archive"),
    ],
)
def test_other_archives_are_refused(other, tmp_path, members, error, message):
    path = tmp_path / "packed.zip"
    if members is None:
        path.write_bytes(b"no zip")
    else:
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in members.items():
                packed.writestr(name, content)
    with pytest.raises(error, match=message):
        archive.import_archive(other, path, "packed.zip")
    assert list(other.root.iterdir()) == []
