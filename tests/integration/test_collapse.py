"""The run that failed quietly, for real and scaled down: told at its first evaluations, and mended by what is advised.

The starter stands for XLS-R and the demo's speech for ASCEND. The published rate was several times what XLS-R takes;
here it is several times what the starter takes. All else is as in the presets.
"""

import pytest

from asrkit import config
from asrkit.runs import lifecycle, supervisor, view
from tests.support.runs import wait_for_end

SCALED = {
    "model": "starter",
    "train": "callsigns",
    "normaliser": "basic",
    "mixed_precision": "auto",
    "warmup_steps": 20,
    "logging_steps": 10,
    "num_epochs": 2,
}


@pytest.fixture
def outcome(store):
    """outcome(preset, settings) -> the view of the finished run."""

    def make(preset, **changes):
        run = supervisor.start(store, config.load_preset(preset).config.replace(SCALED | changes), preset)
        assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
        return run

    return make


def test_what_failed_is_flagged_by_its_second_evaluation(outcome):
    run = outcome("ascend-xls-r-300m", learning_rate=0.02, vocabulary="fresh")
    seen = view.load_view(run)
    assert seen.evaluations[-1].data["wer"] > 0.95, "it collapses indeed"
    (finding,) = [one for one in seen.findings if one["code"] == "blank-collapse"]
    assert finding["epoch"] <= 2 and "blank" in finding["cause"]
    assert "head_first_steps" in finding["remedy"] and "tuned for CTC" in finding["remedy"]
    assert "blank-collapse" in (run.model_dir / "README.md").read_text() and "blank-collapse" in run.log_tail()


def test_what_is_advised_learns(outcome):
    """A lower rate, the head first, short masks, and a start from a checkpoint that is tuned for CTC."""
    seen = view.load_view(outcome("ascend-repaired", learning_rate=1e-3, head_first_steps=10))
    start, end = seen.evaluations[0].data, seen.evaluations[-1].data
    assert end["cer"] < 0.75 * start["cer"] and end["wer"] < 0.95
    # Sentences on both sides, which these few words cannot avoid, are told; that it learns badly is not.
    assert {one["code"] for one in seen.findings} <= {"leak-text"}
