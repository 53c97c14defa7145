"""Measuring a machine before its first run."""

from asrkit.runs import pace
from asrkit.training import calibration


def test_speed_of_the_starter_is_measured_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(pace.VARIABLE, str(tmp_path / "pace.json"))
    monkeypatch.setattr(calibration, "MEASURED_S", 0.01)
    assert calibration.main() == 0
    measured = pace.recall("cpu", 5_440_000, "feature-encoder")
    assert measured.is_calibration and measured.matches(5_440_000, "feature-encoder")
    assert measured.eval_speed > measured.train_speed > 0 and measured.startup_s > 0
