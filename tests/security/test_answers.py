"""What answers hold: no formulas in tables, no more in the content policy than Gradio forces."""

import csv
import io
from pathlib import Path

import gradio
import pytest

from asrkit.config import TrainConfig
from asrkit.data.collection import Collection
from asrkit.files import disarm_formula
from asrkit.runs import events
from asrkit.runs.report import export
from asrkit.runs.store import RunStore
from asrkit.ui.security import pages

HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =HYPERLINK(0)", "\uff1d1+1")


@pytest.mark.parametrize("text", HOSTILE)
def test_formula_is_disarmed(text):
    assert disarm_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "one", "a=b", "1-1", "'=1", "don't"])
def test_other_text_stays(text):
    assert disarm_formula(text) == text


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
