"""Resolution of model names, lists of models, and vocabularies."""

import json
import re

import pytest

from asrkit.data import access
from asrkit.errors import ModelError
from asrkit.files import write_json
from asrkit.models import checkpoints, resolution, vocabularies
from asrkit.runs import model_choices
from asrkit.runs.events import Event


def checkpoint(folder, config='{"model_type": "wav2vec2"}', weights="model.safetensors", **files):
    folder.mkdir(parents=True)
    if config is not None:
        (folder / "config.json").write_text(config)
    if weights:
        (folder / weights).write_bytes(b"weights")
    return folder


def add_model(run):
    checkpoint(run.model_dir)
    return run


def resolution_error(name, store):
    with pytest.raises(ModelError) as error:
        resolution.resolve(str(name), store)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["", "starter"])
def test_starter_resolves_to_its_directory(store, name):
    assert resolution.resolve(name, store) == resolution.STARTER_DIR


def test_run_resolves_by_id_and_directory(store, make_run):
    run = add_model(make_run("one"))
    (run.checkpoints_dir / "checkpoint-9").mkdir(parents=True)
    assert resolution.resolve("one", store) == resolution.resolve(str(run.path), store) == run.model_dir


def test_run_without_best_model_resolves_to_last_checkpoint(store, make_run):
    run = make_run("one")
    for step in (9, 10):
        (run.checkpoints_dir / f"checkpoint-{step}").mkdir(parents=True)
    assert resolution.resolve("one", store) == run.checkpoints_dir / "checkpoint-10"


def test_run_without_a_model_raises(store, make_run):
    make_run("one")
    assert resolution_error("one", store) == (
        "Run one has no model yet; wait for its first evaluation, or choose another."
    )


@pytest.mark.parametrize("weights", checkpoints.WEIGHT_FILES)
def test_checkpoint_directory_resolves_to_itself(store, tmp_path, weights):
    folder = checkpoint(tmp_path / "model", weights=weights)
    assert resolution.resolve(str(folder), store) == folder


@pytest.mark.parametrize("kind", ["hubert", "wavlm", "wav2vec2-bert", "wav2vec2-conformer", "data2vec-audio"])
def test_every_ctc_family_is_accepted(store, tmp_path, kind):
    folder = checkpoint(tmp_path / "model", json.dumps({"model_type": kind}))
    assert resolution.resolve(str(folder), store) == folder


def test_home_directory_is_expanded(store, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = checkpoint(tmp_path / "model")
    assert resolution.resolve("~/model", store) == folder


@pytest.mark.parametrize("name", ["facebook/wav2vec2-xls-r-300m", "owner/name.with_dots-2"])
def test_hub_id_resolves_to_none(store, name):
    assert resolution.resolve(name, store) is None


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "./owner/name",
        "/owner/name",
        "../name",
        "owner/name/more",
        "owner/",
        "owner name/x",
        "~no-such-user/x",
        "a/" + "b" * 300 + "/c",
        "a\0b",
    ],
)
def test_invalid_names_raise(store, name):
    assert re.match(
        r"There is no model .*: it is neither a run in .*runs, nor a directory, nor a Hub id",
        resolution_error(name, store),
    )


def test_file_raises(store, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert "is a file; give the checkpoint's directory" in resolution_error(tmp_path / "model.safetensors", store)


@pytest.mark.parametrize(
    ("config", "weights", "message"),
    [
        (None, "model.safetensors", "is not a model: it has no config.json"),
        (
            '{"model_type": "bert"}',
            "model.safetensors",
            "is of type 'bert', which is not a CTC speech model; choose one of",
        ),
        ('{"hidden_size": 8}', "model.safetensors", "is of type None, which is not a CTC speech model"),
        ('{"model_type": "wav2vec2"}', None, "has a config.json but no weights (model.safetensors)"),
        ("{", "model.safetensors", "config.json is not valid JSON"),
        ("[]", "model.safetensors", "config.json holds no settings; the checkpoint is damaged"),
    ],
)
def test_broken_checkpoint_directories_raise(store, tmp_path, config, weights, message):
    error = resolution_error(checkpoint(tmp_path / "model", config, weights), store)
    assert message in error and str(tmp_path / "model") in error


def test_choices_list_runs_with_a_model_newest_first(store, make_run):
    assert model_choices.list_models(store) == [("Starter (general English, small)", "starter")]
    add_model(make_run("20260101-000000-demo"))
    add_model(make_run("20260103-000000-demo"))
    make_run("20260104-000000-demo")
    assert [value for _, value in model_choices.list_models(store)] == [
        "20260103-000000-demo",
        "20260101-000000-demo",
        "starter",
    ]
    assert model_choices.list_models(store)[0][0].startswith("Run 20260103-000000-demo")


def test_default_model_is_the_newest_finished_run(store, make_run):
    def make_ended_run(run_id, *kinds):
        return make_run(run_id, [Event(kind, 1000.0, 1) for kind in kinds])

    assert model_choices.find_default_model(store) == "starter"
    add_model(make_ended_run("20260101-000000-demo", "started", "eval"))
    add_model(make_ended_run("20260102-000000-demo", "started", "failed"))
    make_ended_run("20260103-000000-demo", "started", "finished")
    assert model_choices.find_default_model(store) == "starter"
    add_model(make_ended_run("20260104-000000-demo", "started", "finished"))
    assert model_choices.find_default_model(store) == "20260104-000000-demo"
    add_model(make_ended_run("20260105-000000-demo", "started", "stopped"))
    assert model_choices.find_default_model(store, include_stopped=True) == "20260105-000000-demo"
    add_model(make_ended_run("20260106-000000-demo", "started", "train"))
    add_model(make_ended_run("20260107-000000-demo", "started", "failed"))
    resumed = make_ended_run("20260108-000000-demo", "started", "finished")
    add_model(resumed)
    write_json(resumed.process_path, {"pid": 1, "events_from": resumed.events_size()})
    assert model_choices.find_default_model(store) == "20260104-000000-demo"


# Vocabularies


def vocabulary(folder, content, **settings):
    folder.mkdir()
    (folder / "vocab.json").write_text(content if isinstance(content, str) else json.dumps(content))
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return vocabularies.read_vocabulary(folder)


def test_read_vocabulary(tmp_path):
    assert vocabulary(tmp_path / "one", {"<pad>": 0, "a": 1}) == {"<pad>": 0, "a": 1}
    assert vocabularies.read_vocabulary(tmp_path) is None


def test_nested_vocabulary_of_the_default_language_is_read(tmp_path):
    content = {"eng": {"<pad>": 0, "a": 1}, "spa": {"<pad>": 0, "ñ": 1}}
    assert vocabulary(tmp_path / "spa", content, target_lang="spa") == content["spa"]
    assert vocabulary(tmp_path / "none", content) == content["eng"]


@pytest.mark.parametrize("content", ["{", "[]", "3"])
def test_damaged_vocabulary_raises(tmp_path, content):
    with pytest.raises(ModelError, match=r"vocab\.json .*the checkpoint is damaged"):
        vocabulary(tmp_path / "one", content)


def test_error_does_not_reveal_whether_a_directory_exists(store, make_run, tmp_path, monkeypatch):
    monkeypatch.setenv(access.READABLE_VARIABLE, str(store.data_dir))
    checkpoint(tmp_path / "other")
    names = [tmp_path / "other", tmp_path / "gone", tmp_path / "other/config.json", "nonsense", "a\0b"]
    content = {resolution_error(name, store).replace(repr(str(name)), "") for name in names}
    assert len(content) == 1 and "may be read here" in content.pop()
    run = add_model(make_run())
    run.checkpoints_dir.mkdir()
    for name in (run.id, run.path):
        assert resolution.resolve(str(name), store) == run.model_dir
    checkpoint(store.data_dir / "model")
    assert resolution.resolve(str(store.data_dir / "model"), store) == store.data_dir / "model"
    assert resolution.resolve("owner/name", store) is None


BIN = ["pytorch_model.bin"]
SHARDS = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
SETTINGS = ["config.json", "preprocessor_config.json", "vocab.json", "tokenizer_config.json"]
ADAPTERS = [f"adapter.{language}.{kind}" for language in ("deu", "eng") for kind in ("bin", "safetensors")]


@pytest.mark.parametrize(
    ("paths", "language", "weights"),
    [
        (["model.safetensors", *BIN, "flax_model.msgpack", "tf_model.h5"], "", ["model.safetensors"]),
        ([*BIN, "flax_model.msgpack", "language_model/5gram.bin"], "", BIN),
        ([*SHARDS, "pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"], "", SHARDS),
        (["model.safetensors", *ADAPTERS], "deu", ["model.safetensors", "adapter.deu.safetensors"]),
        (["model.safetensors", *ADAPTERS], "", ["model.safetensors"]),
        (
            ["model.safetensors", "adapter.deu.bin", "optimizer.pt", "README.md"],
            "deu",
            ["model.safetensors", "adapter.deu.bin"],
        ),
    ],
)
def test_only_needed_files_are_selected(paths, language, weights):
    """One form of the weights, the adapter of the language, and no files of other frameworks."""
    assert sorted(resolution._select_files([*SETTINGS, *paths], language)) == sorted([*SETTINGS, *weights])
