import json
import math

import numpy as np
import pytest

from asrkit.runs import events
from asrkit.runs.events import Event, make_event


def test_round_trip():
    result = Event(
        "eval",
        1763766000.123,
        40,
        1.25,
        {
            "loss": 0.5,
            "samples": [{"reference": "नमस्ते “two”\u2028lines\n", "hypothesis": ""}],
            "deep": {"a": [1, None]},
        },
    )
    line = result.to_line()
    assert line.endswith("\n") and line.count("\n") == 1
    assert Event.from_line(line) == result


def test_missing_step_epoch_and_elapsed_time_are_left_out():
    record = json.loads(Event("phase", 1.0, data={"text": "Loading"}).to_line())
    assert record == {"time": 1.0, "kind": "phase", "text": "Loading"}
    assert Event.from_line(json.dumps(record)) == Event("phase", 1.0, None, None, {"text": "Loading"})


def test_step_zero_is_kept():
    assert json.loads(Event("train", 1.0, 0, 0.0).to_line())["step"] == 0


def test_non_finite_numbers_become_null_and_are_named():
    result = Event(
        "train",
        1.0,
        3,
        data={
            "loss": math.nan,
            "grad_norm": -math.inf,
            "learning_rate": 0.1,
            "deep": {"list": [1.0, math.inf]},
            "numpy": np.float64("nan"),
        },
    )
    record = json.loads(result.to_line(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert record["loss"] is None and record["grad_norm"] is None and record["learning_rate"] == 0.1
    assert record["deep"] == {"list": [1.0, None]}
    assert record["non_finite"] == ["loss", "grad_norm", "deep.list[1]", "numpy"]


def test_finite_events_have_no_list_of_non_finite_names():
    assert "non_finite" not in json.loads(Event("train", 1.0, 3, data={"loss": 1.0}).to_line())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "{",
        '{"kind": "train", "time": 1',
        "[1, 2]",
        '"train"',
        "null",
        "3",
        '{"time": 1}',
        '{"kind": "train"}',
        '{"kind": 3, "time": 1}',
        '{"kind": "train", "time": "now"}',
        '{"kind": "train", "time": null}',
        "\x00\x00",
        "Traceback (most recent call last):",
    ],
)
def test_invalid_line_is_no_event(line):
    assert Event.from_line(line) is None


def test_unknown_kinds_and_fields_survive():
    result = Event.from_line('{"kind": "alignment", "time": 5, "step": 2, "quality": {"mean": 0.5}}')
    assert result == Event("alignment", 5.0, 2, None, {"quality": {"mean": 0.5}})
    assert Event.from_line(result.to_line()) == result


def test_make_event_rejects_unknown_kinds():
    assert make_event(events.TRAIN, 3, 0.5, loss=1.0).data == {"loss": 1.0}
    with pytest.raises(ValueError, match="unknown event kind 'trian'"):
        make_event("trian")
