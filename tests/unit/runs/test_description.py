"""Names, tags and notes of runs in `run.json`."""

import json

import pytest

from asrkit.config import load_preset
from asrkit.errors import RunError
from asrkit.runs import model_choices, ownership
from asrkit.runs.description import Description, make_description, read_description, write_description
from asrkit.runs.ownership import SHARED, Ownership
from asrkit.runs.store import RunStore


@pytest.fixture
def run(tmp_path):
    return RunStore(tmp_path / "runs").create(load_preset("demo").config, "one")


def test_whitespace_is_tidied_and_tags_are_named_once():
    tidy = make_description("  first\n try ", ["a  b", "", "a b", "c"], "\n two\nlines \n")
    assert tidy == Description("first try", ("a b", "c"), "two\nlines")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "n" * 101}, "The name of a run can have 100 characters, not 101; shorten it."),
        ({"notes": "n" * 5001}, "The notes on a run can have 5,000 characters, not 5,001; shorten it."),
        ({"tags": ["t" * 41]}, f"The tag {'t' * 20}… can have 40 characters, not 41; shorten it."),
        ({"tags": map(str, range(21))}, "A run can have 20 tags, not 21; remove some."),
    ],
)
def test_values_that_are_too_long_are_refused(values, message):
    with pytest.raises(RunError) as caught:
        make_description(**values)
    assert str(caught.value) == message


def test_description_and_ownership_share_a_file(run):
    assert read_description(run) == Description()
    ownership.write_ownership(run, Ownership("ann", SHARED))
    described = make_description("first", ["a"], "note")
    write_description(run, described)
    write_description(run, described)
    assert (read_description(run), ownership.read_ownership(run)) == (described, Ownership("ann", SHARED))
    assert json.loads((run.path / "run.json").read_text())["tags"] == ["a"]
    write_description(run, Description())
    assert read_description(run) == Description()


@pytest.mark.parametrize("content", ["{", "[]", '{"name": 7, "tags": "a", "notes": null}'])
def test_values_of_wrong_types_count_as_none(run, content):
    (run.path / "run.json").write_text(content)
    assert read_description(run) == Description()


def test_menus_show_the_name_of_a_run_with_its_id(run):
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    store = RunStore(run.path.parent)
    assert model_choices.list_models(store)[0] == ("Run one", "one")
    write_description(run, make_description("first"))
    assert model_choices.list_models(store)[0] == ("first (run one)", "one")
