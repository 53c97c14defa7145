import json

import pytest

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, RunError
from asrkit.runs import lifecycle, sweeps
from asrkit.runs.description import read_description
from asrkit.runs.events import Event
from asrkit.runs.metadata import update_metadata


def test_parse_sweep():
    changes = ["learning_rate=1e-5,3e-5", "seed = 1, 2"]
    assert sweeps.parse_sweep(changes) == {"learning_rate": ["1e-5", "3e-5"], "seed": ["1", "2"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["seed"], "--sweep seed: write FIELD=A,B,C"),
        (["seed=1,,2"], "--sweep seed=1,,2: write FIELD=A,B,C"),
        (["seed=1,1"], "name each field and each of its values once"),
        (["seed=1", "seed=2"], "name each field and each of its values once"),
    ],
)
def test_malformed_sweep(changes, message):
    with pytest.raises(ConfigError, match=message):
        sweeps.parse_sweep(changes)


def test_every_combination_is_checked_before_the_first_start():
    values = {"learning_rate": ["1e-5", "3e-5"], "seed": ["1", "2"]}
    combinations = sweeps.list_configs(TrainConfig(), values)
    assert [chosen for chosen, _ in combinations] == [
        {"learning_rate": rate, "seed": seed} for rate in (1e-5, 3e-5) for seed in (1, 2)
    ]
    assert [(config.learning_rate, config.seed) for _, config in combinations][-1] == (3e-5, 2)
    with pytest.raises(ConfigError, match="Seed"):
        sweeps.list_configs(TrainConfig(), {"seed": ["1", "two"]})
    with pytest.raises(ConfigError, match="There is no setting 'lr'"):
        sweeps.list_configs(TrainConfig(), {"lr": ["1"]})
    with pytest.raises(ConfigError, match="has 121 runs, more than 100"):
        sweeps.list_configs(TrainConfig(), {name: list(map(str, range(1, 12))) for name in ("seed", "max_steps")})


def test_runs_of_a_sweep_wait_as_a_group(store, config, worker):
    name, runs = sweeps.start_sweep(store, config, {"learning_rate": ["1e-5", "3e-5"]}, "tuning")
    assert name == "tuning" and [run.id for run in runs] == ["tuning-1", "tuning-2"]
    assert [lifecycle.get_status(run) for run in runs] == ["starting", "queued"]
    assert read_description(runs[1]).name == "tuning: learning_rate=3e-05"
    assert [run.id for run in sweeps.find_sweep(store, "tuning")] == ["tuning-1", "tuning-2"]
    with pytest.raises(RunError, match="There is a sweep tuning in .* already"):
        sweeps.start_sweep(store, config, {"seed": ["1"]}, "tuning")


def test_imported_run_of_a_sweep_may_have_any_name(make_run, store):
    for run_id, number in (("copy", 2), ("tuning-1", 1), ("other", "x")):
        update_metadata(make_run(run_id), {"sweep": {"name": "tuning", "number": number, "values": {}}})
    assert [run.id for run in sweeps.find_sweep(store, "tuning")] == ["other", "tuning-1", "copy"]


@pytest.fixture
def swept(make_run):
    """Two learning rates with two seeds each; the last run has no evaluation yet."""
    runs = []
    for number, (rate, seed, wer) in enumerate([(1e-5, 1, 0.4), (1e-5, 2, 0.5), (3e-5, 1, 0.3), (3e-5, 2, None)], 1):
        scores = [Event("eval", 10.0, 4, 1.0, {"wer": wer, "cer": wer / 2, "loss": 1.0})] if wer else []
        run = make_run(f"tuning-{number}", scores)
        update_metadata(
            run, {"sweep": {"name": "tuning", "number": number, "values": {"learning_rate": rate, "seed": seed}}}
        )
        runs.append(run)
    return runs


def test_comparison_has_mean_and_spread_over_seeds(swept):
    best, other = (row.to_dict() for row in sweeps.compare(swept))
    assert best["values"] == {"learning_rate": 3e-5} and best["runs"] == ["tuning-3", "tuning-4"]
    assert best["wer"] == {"runs": 1, "mean": 0.3, "std": None, "min": 0.3, "max": 0.3}
    assert other["wer"]["mean"] == pytest.approx(0.45)
    assert other["wer"]["std"] == pytest.approx(0.0707107, abs=1e-6), "of a sample: sqrt(2 * 0.05 ** 2 / (2 - 1))"
    json.dumps([best, other])


def test_table_of_a_sweep(swept):
    assert sweeps.format_table(sweeps.compare(swept)).splitlines() == [
        "learning_rate  runs    WER             CER             loss",
        "3e-05          1 of 2  30.00 %         15.00 %         1.0000",
        "1e-05          2 of 2  45.00 ± 7.07 %  22.50 ± 3.54 %  1.0000 ± 0.0000",
    ]
    assert sweeps.format_table(sweeps.compare(swept[3:])).splitlines()[1] == "3e-05          0 of 1  -    -    -"
