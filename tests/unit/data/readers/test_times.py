"""Columns of times: names, units and values."""

import pytest

from asrkit.data.readers import times

NAMES = {
    "start": ("start", None),
    "start_s": ("start", "s"),
    "Start (ms)": ("start", "ms"),
    "startTime": ("start", None),
    "starttime": ("start", None),
    "begin_sec": ("start", "s"),
    "audio_start": ("start", None),
    "offset": ("start", None),
    "onset": ("start", None),
    "tmin": ("start", None),
    "début": ("start", None),
    "Startzeit": ("start", None),
    "tc_in": ("start", None),
    "Out": ("end", None),
    "start_sample": ("start", "samples"),
    "end": ("end", None),
    "end_time_ms": ("end", "ms"),
    "stop": ("end", None),
    "xmax": ("end", None),
    "Ende": ("end", None),
    "duration": ("length", None),
    "duration_ms": ("length", "ms"),
    "num_samples": ("length", "samples"),
    "n_frames": ("length", None),
    "Dauer": ("length", None),
}


@pytest.mark.parametrize("name", NAMES)
def test_time_column_is_recognised_by_its_name(name):
    column = times.recognise(name)
    assert (column.kind, column.unit) == NAMES[name]


@pytest.mark.parametrize(
    "name", ["text", "text_length", "sample_rate", "sentence", "restart", "weekend", "samples", "s"]
)
def test_other_columns_are_no_times(name):
    assert times.recognise(name) is None


def test_offset_beside_onset_is_the_end():
    assert times.recognise("offset", ["onset", "offset"]).kind == "end"


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        (3, (3.0, None)),
        ("3.5", (3.5, None)),
        ("3,5", (3.5, None)),
        (" 3.5 s", (3.5, "s")),
        ("3500ms", (3500.0, "ms")),
        ("00:01:03.5", (63.5, "s")),
        ("1:03,5", (63.5, "s")),
        ("90:00", (5400.0, "s")),
        ("-1", (-1.0, None)),
        ("1e3", (1000.0, None)),
    ],
)
def test_times_are_parsed(value, parsed):
    assert times.parse(value) == parsed


@pytest.mark.parametrize("value", [None, "", "soon", True, float("nan"), "nan", "1:99", "00:00:00:12", [1]])
def test_other_values_are_no_times(value):
    assert times.parse(value) is None


@pytest.mark.parametrize(
    ("parts", "unit"),
    [
        ([(0.0, 3.5, 10.0, "a"), (3.5, 9.9, 10.0, "a")], "s"),
        ([(0, 3500, 10.0, "a"), (3500, 9900, 10.0, "a")], "ms"),
        ([(0, 28_000, 10.0, "a"), (28_000, 79_000, 10.0, "a")], "samples"),
        ([(0, 2000, 3600.0, "a"), (2000, 3500, 3600.0, "a")], "ms"),  # as seconds, half an hour each
        ([(0, 99e9, 10.0, "a")], "s"),
        ([], "s"),
    ],
)
def test_unit_is_the_one_in_which_parts_fit(parts, unit):
    assert times.infer_unit(parts, lambda file: 8_000) == unit
