import csv
import io

from asrkit.runs.events import Event
from asrkit.runs.report import export

HISTORY = [
    Event("started", 1000.0, 0, 0.0, {"total_steps": 4}),
    Event("train", 1001.0, 1, 0.1, {"loss": 2.5}),
    Event("train", 1002.0, 2, 0.2, {"loss": float("nan"), "grad_norm": 1.5}),
    Event("eval", 1003.0, 2, 0.2, {"loss": 1.0, "wer": 0.5, "samples": []}),
]


def rows(run):
    return list(csv.reader(io.StringIO("".join(export.iter_metrics_csv(run)))))


def test_metrics_csv_has_a_row_for_each_value(make_run):
    result = rows(make_run(history=HISTORY))
    assert result[0] == ["step", "epoch", "time", "series", "value"]
    assert result[1:] == [
        ["1", "0.1000", "1001.000", "train/loss", "2.5"],
        ["2", "0.2000", "1002.000", "train/loss", ""],
        ["2", "0.2000", "1002.000", "train/grad_norm", "1.5"],
        ["2", "0.2000", "1003.000", "eval/loss", "1.0"],
        ["2", "0.2000", "1003.000", "eval/wer", "0.5"],
    ]


def test_metrics_csv_has_the_wer_of_each_dataset_and_the_interval(make_run):
    data = {"wer": 0.5, "wer_interval": [0.4, 0.6], "datasets": {"/data/mine": {"wer": 0.25}}}
    assert [row[3:] for row in rows(make_run(history=[Event("eval", 1003.0, 2, 0.2, data)]))[1:]] == [
        ["eval/wer", "0.5"],
        ["eval/wer_low", "0.4"],
        ["eval/wer_high", "0.6"],
        ["eval/wer/mine", "0.25"],
    ]


def test_rewound_steps_are_left_out(make_run, monkeypatch):
    monkeypatch.setattr(export, "BLOCK_BYTES", 100)
    again = [Event("started", 2000.0, 1, 0.1, {}), Event("train", 2001.0, 2, 0.2, {"loss": 7.0})]
    result = rows(make_run(history=[*HISTORY, *again]))
    assert [(row[0], row[3], row[4]) for row in result[1:]] == [("1", "train/loss", "2.5"), ("2", "train/loss", "7.0")]


def test_restart_from_step_0_repeats_no_row(make_run):
    first = [Event("started", 1000.0, 0, 0.0), Event("eval", 1001.0, 0, 0.0, {"wer": 1.0})]
    assert len(rows(make_run(history=[*first, *first]))) == 2


def test_disk_usage_counts_all_files(make_run):
    run = make_run(history=HISTORY)
    assert export.measure_disk_usage(run.path) >= run.events_path.stat().st_size + run.config_path.stat().st_size
