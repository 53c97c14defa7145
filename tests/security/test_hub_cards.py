"""READMEs of datasets on the Hub that attack: they name no file of this machine, and `datasets` never sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from asrkit import hub
from asrkit.data.readers import hub_cards, hub_datasets
from asrkit.errors import DataError

COMMIT = "a" * 40


def serve(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> hub.Repository:
    """Return the repository owner/name with these files, which is the only one on the Hub."""
    repository = hub.Repository("owner/name", "dataset", COMMIT, {path: len(text) for path, text in files.items()})
    monkeypatch.setattr(hub, "inspect_repository", lambda *_: repository)
    monkeypatch.setattr(hub, "read_text", lambda _, path: files[path])
    return repository


def make_card(data_files: Any) -> str:
    return yaml.safe_dump({"configs": [{"config_name": "default", "data_files": data_files}]})


@pytest.mark.parametrize(
    "files",
    [
        "/etc/passwd",
        "/etc/no-such-file",
        "../other/*.csv",
        "a/../../b.csv",
        "file:///etc/passwd",
        "https://example.com/a.csv",
        [{"split": "train", "path": ["ok.csv", "/etc/passwd"]}],
    ],
)
@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
def test_card_with_files_outside_its_repository_is_refused(
    monkeypatch: pytest.MonkeyPatch, files: Any, name: str
) -> None:
    card = make_card(files)
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda *_, **__: pytest.fail("`datasets` read the card"))
    serve(monkeypatch, {name: f"---\n{card}---\n# Data\n" if name == "README.md" else card})
    with pytest.raises(DataError, match="outside its repository"):
        hub_datasets.fetch("hub:owner/name")


def test_card_is_read_as_datasets_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lone carriage return ends a line there, too."""
    repository = serve(monkeypatch, {"README.md": f"---\r{make_card('/etc/passwd')}\r---\n"})
    with pytest.raises(DataError, match="outside its repository"):
        hub_cards.check_cards(repository)


def test_datasets_reads_the_commit_that_was_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    revisions = []

    def get_names(name: str, revision: str, **_: Any) -> list[str]:
        revisions.append(revision)
        raise ValueError("no more is needed")

    monkeypatch.setattr(datasets, "get_dataset_config_names", get_names)
    serve(monkeypatch, {"README.md": ""})
    with pytest.raises(DataError, match="no more is needed"):
        hub_datasets.fetch("hub:owner/name")
    assert revisions == [COMMIT]


@pytest.mark.parametrize("card", ["---\n: [\n---\n", "---\n- a\n---\n"])
def test_card_that_is_not_a_mapping_is_refused(monkeypatch: pytest.MonkeyPatch, card: str) -> None:
    with pytest.raises(DataError, match="not valid YAML"):
        hub_cards.check_cards(serve(monkeypatch, {"README.md": card}))


def test_huge_card_is_refused_before_it_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "read_text", lambda *_: pytest.fail("it was fetched"))
    with pytest.raises(DataError, match=r"has a README\.md of 5 MB"):
        hub_cards.check_cards(hub.Repository("owner/name", "dataset", COMMIT, {"README.md": 5 << 20}))


@pytest.mark.parametrize(
    "card",
    [
        "",
        "# Data",
        "---\nlicense: mit\n---\n",
        "---\nconfigs:\n- config_name: en\n  data_dir: clips/en\n  data_files:\n  - split: train\n"
        "    path: en/train-*.parquet\n---\n",
    ],
)
def test_card_without_foreign_paths_passes(monkeypatch: pytest.MonkeyPatch, card: str) -> None:
    hub_cards.check_cards(serve(monkeypatch, {"README.md": card}))


def test_repeated_lists_are_visited_once() -> None:
    """Each level repeats the one below ten times: 10**30 paths."""
    files: Any = ["a.csv"]
    for _ in range(30):
        files = [files] * 10
    hub_cards.check_configs({"configs": [{"data_files": files}]}, "owner/name")
