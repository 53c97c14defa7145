"""Diagnosis rules, tested on two results tables copied from published model cards and on synthetic histories."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from asrkit.errors import DataError
from asrkit.runs.diagnosis import diagnose
from asrkit.runs.history import EvaluationScore, RunHistory
from asrkit.runs.report.published import load_card

COLLAPSED_CARD = """\
This model is a fine-tuned version of [facebook/wav2vec2-xls-r-300m](https://example.invalid) on an unknown dataset.
- learning_rate: 0.0003
- train_batch_size: 8
- gradient_accumulation_steps: 2
- lr_scheduler_warmup_steps: 500
- num_epochs: 20

| Training Loss | Epoch | Step  | Validation Loss | Wer    | Cer    |
|:-------------:|:-----:|:-----:|:---------------:|:------:|:------:|
| 16.9063       | 1.0   | 687   | 4.7768          | 1.0    | 1.0    |
| 5.0252        | 2.0   | 1374  | 4.7004          | 1.0    | 1.0    |
| 4.9378        | 3.0   | 2061  | 4.6715          | 1.0    | 1.0    |
| 5.1468        | 4.0   | 2748  | 4.6605          | 1.0    | 1.0    |
| 4.9353        | 5.0   | 3435  | 4.6470          | 1.0    | 1.0    |
"""

SUCCESSFUL_CARD = """\
This model is a fine-tuned version of [facebook/wav2vec2-large-xlsr-53](https://example.invalid) on the None dataset.
- learning_rate: 0.0001
- train_batch_size: 8
- lr_scheduler_warmup_steps: 1000
- num_epochs: 30

| Training Loss | Epoch | Step | Validation Loss | Wer    |
|:-------------:|:-----:|:----:|:---------------:|:------:|
| 4.6589        | 1.65  | 500  | 3.1548          | 1.0    |
| 2.5363        | 3.3   | 1000 | 1.0250          | 0.8707 |
| 0.849         | 4.95  | 1500 | 0.3964          | 0.4636 |
| 0.4812        | 6.6   | 2000 | 0.3341          | 0.3907 |
| 0.3471        | 8.25  | 2500 | 0.3351          | 0.3659 |
| 0.2797        | 9.9   | 3000 | 0.3104          | 0.3475 |
| 0.2336        | 11.55 | 3500 | 0.3545          | 0.3419 |
| 0.2116        | 13.2  | 4000 | 0.3577          | 0.3353 |
| 0.1688        | 14.85 | 4500 | 0.3383          | 0.3302 |
| 0.1587        | 16.5  | 5000 | 0.3431          | 0.3235 |
| 0.1358        | 18.15 | 5500 | 0.3504          | 0.3209 |
| 0.1323        | 19.8  | 6000 | 0.3468          | 0.3191 |
| 0.115         | 21.45 | 6500 | 0.3331          | 0.3127 |
| 0.108         | 23.1  | 7000 | 0.3497          | 0.3099 |
| 0.0938        | 24.75 | 7500 | 0.3532          | 0.3091 |
| 0.0974        | 26.4  | 8000 | 0.3461          | 0.3086 |
| 0.0867        | 28.05 | 8500 | 0.3422          | 0.3054 |
| 0.0852        | 29.7  | 9000 | 0.3430          | 0.3033 |
"""


@pytest.fixture
def card(tmp_path):
    def write(text: str) -> RunHistory:
        (tmp_path / "card.md").write_text(text)
        return load_card(tmp_path / "card.md")

    return write


def truncate_history(history: RunHistory, num_evaluations: int) -> RunHistory:
    """Return the history as it was after its first `num_evaluations` evaluations."""
    return dataclasses.replace(
        history, scores=history.scores[:num_evaluations], losses=history.losses[:num_evaluations]
    )


def test_published_collapse_is_detected_at_epoch_two(card):
    history = card(COLLAPSED_CARD)
    (warning,) = diagnose(truncate_history(history, 0))
    assert (warning.code, warning.step) == ("learning-rate-high", 0), "reported before the first step"
    assert diagnose(truncate_history(history, 1)) == [warning]
    _, finding = diagnose(truncate_history(history, 2))
    assert (finding.code, finding.epoch, finding.step) == ("blank-collapse", 2.0, 1374)
    assert "learning rate, 0.0003" in finding.cause and "Divide the learning rate" in finding.remedy


def test_published_success_has_no_findings(card):
    history = card(SUCCESSFUL_CARD)
    for num_evaluations in range(1, len(history.scores) + 1):
        assert diagnose(truncate_history(history, num_evaluations)) == []


def test_collapse_cause_depends_on_the_learning_rate(card):
    (finding,) = diagnose(truncate_history(card(COLLAPSED_CARD.replace("0.0003", "5e-05")), 2))
    assert "learning rate," not in finding.cause


def make_scores(*rows: tuple[float | None, float]) -> list[EvaluationScore]:
    return [EvaluationScore(100 * number, float(number), loss, wer) for number, (loss, wer) in enumerate(rows, start=1)]


def diagnose_codes(*rows: tuple[float | None, float], **changes) -> list[str]:
    return [finding.code for finding in diagnose(RunHistory({}, make_scores(*rows), **changes))]


def test_falling_loss_is_no_collapse():
    assert diagnose_codes((9.0, 1.0), (6.0, 1.0), (4.0, 1.0)) == []


def test_loss_near_the_label_entropy_is_a_collapse():
    assert diagnose_codes((3.4, 1.0), (3.0, 1.0), label_entropy=2.9) == ["blank-collapse"]
    assert diagnose_codes((3.4, 1.0), (2.0, 1.0), label_entropy=2.9) == []


def test_falling_loss_far_above_the_entropy_is_no_collapse():
    assert diagnose_codes((8.2, 1.0), (6.4, 1.0), (5.4, 1.0), label_entropy=1.8) == []


@pytest.mark.parametrize(
    ("settings", "parameters", "is_reported"),
    [
        ({"model": "facebook/wav2vec2-xls-r-300m"}, None, True),
        ({"model": "facebook/mms-1b-all"}, None, True),
        ({"model": "/tmp/tmpv2_2btqr/mmsen"}, None, False),
        ({"model": "starter"}, None, False),
        ({"model": "/data/base"}, 315_000_000, True),
        ({"model": "me/large-dreams"}, 5_000_000, False),
        ({"model": "facebook/mms-1b-all", "freeze": "all-but-adapters"}, 965_000_000, False),
        ({"model": "facebook/mms-1b-all", "freeze": "lora"}, 965_000_000, False),
    ],
)
def test_high_learning_rate_needs_a_big_model(settings, parameters, is_reported):
    findings = diagnose(RunHistory({**settings, "learning_rate": 1e-3}, [], parameters=parameters))
    assert [finding.code for finding in findings] == ["learning-rate-high"] * is_reported


@pytest.mark.parametrize(
    ("update_s", "parameters", "is_reported"),
    [
        (8.0, 315_000_000, True),
        (40.0, 315_000_000, False),
        (8.0, 5_000_000, False),
        (None, 315_000_000, False),
    ],
)
def test_tiny_updates_need_a_big_model(update_s, parameters, is_reported):
    findings = diagnose(RunHistory({}, [], parameters=parameters, update_s=update_s))
    assert [(finding.code, finding.step) for finding in findings] == [("update-tiny", 0)] * is_reported


@pytest.mark.parametrize(
    ("settings", "clip_s", "cause"),
    [
        ({"mask_time_prob": 0.05}, 0.35, "one mask of 10 frames hides 57% of a typical clip"),
        ({"mask_time_prob": 0.05, "mask_time_length": 2}, 0.35, None),
        ({"mask_time_prob": 0.05}, 4.0, None),
        ({"mask_time_prob": 0.6}, 4.0, "masks hide 60% of every clip"),
        ({"mask_time_prob": 0.0}, 0.2, None),
        ({"mask_time_prob": 0.05}, None, None),
    ],
)
def test_over_masking(settings, clip_s, cause):
    findings = diagnose(RunHistory(settings, [], clip_s=clip_s))
    assert [(finding.code, finding.step) for finding in findings] == [("over-masking", 0)] * bool(cause)
    assert not cause or cause in findings[0].cause


def test_non_finite_loss_has_its_step():
    (finding,) = diagnose(RunHistory({}, [], [(10, 0.1, 3.0), (20, 0.2, None), (30, 0.3, None)]))
    assert (finding.code, finding.step) == ("non-finite", 20)
    assert diagnose_codes((2.0, 0.9), (None, 1.0)) == ["non-finite"]


def test_overfitting_needs_rising_loss_and_flat_wer():
    rising = [(1.0, 0.40), (1.3, 0.41), (1.35, 0.42), (1.4, 0.41)]
    assert diagnose_codes(*rising) == ["overfitting"]
    assert diagnose_codes(*[(loss, 0.4 - 0.02 * index) for index, (loss, _) in enumerate(rising)]) == []


def test_divergence():
    assert diagnose_codes((1.0, 0.3), (1.6, 0.5), (1.7, 0.6)) == ["divergence"]
    assert diagnose_codes((1.0, 0.3), (1.6, 0.5), (0.9, 0.29)) == []


def test_plateau():
    assert diagnose_codes(*[(1.0, 0.6)] * 6) == ["plateau"]
    assert diagnose_codes(*[(1.0, 0.6 - 0.01 * index) for index in range(8)]) == []


@pytest.mark.parametrize(
    ("interval", "expected_codes"),
    [
        ((0.1, 0.4), ["evaluation-set-small"]),
        ((0.2, 0.3), []),
        ((1.1, 1.6), []),
        (None, []),
    ],
)
def test_small_evaluation_set(interval, expected_codes):
    scores = [
        EvaluationScore(0, 0.0, 3.0, 1.0, wer_interval=(0.0, 1.0)),
        EvaluationScore(10, 1.0, 1.0, 0.25, wer_interval=interval),
    ]
    assert [finding.code for finding in diagnose(RunHistory({}, scores))] == expected_codes


@pytest.mark.parametrize(("share", "expected_codes"), [(0.2, ["unknown-tokens"]), (0.01, []), (None, [])])
def test_unknown_tokens(share, expected_codes):
    """Step 0 is ignored: it evaluates the base model before any training."""
    scores = [
        EvaluationScore(0, 0.0, 2.0, 0.5, unknown_share=0.9),
        EvaluationScore(10, 1.0, 1.0, 0.4, unknown_share=share),
    ]
    assert [finding.code for finding in diagnose(RunHistory({}, scores))] == expected_codes


def test_babble_and_blanks_have_different_causes():
    """The cause mentions blanks only if the model outputs mostly blanks."""
    rows = [
        EvaluationScore(step, float(step), 5.0, 2.0, 1.5, blank_share=blanks, length_ratio=1.2)
        for blanks in (0.2, 0.97)
        for step in (1, 2)
    ]
    babble, silence = (diagnose(RunHistory({}, part))[0] for part in (rows[:2], rows[2:]))
    assert babble.cause.startswith("The model's output does not depend on its input")
    assert silence.cause.startswith("The model outputs only blanks")


def test_card_without_a_table_is_rejected(tmp_path):
    (tmp_path / "card.md").write_text("# A model\n")
    with pytest.raises(DataError, match="has no results table"):
        load_card(tmp_path / "card.md")
    with pytest.raises(DataError, match="cannot be read"):
        load_card(tmp_path / "missing.md")


def make_scores_from_start(*rows: tuple[float, float]) -> list[EvaluationScore]:
    """Evaluations of which the first is before the first step."""
    return [
        EvaluationScore(100 * number, float(number), loss, wer, wer_interval=(wer - 0.03, wer + 0.03))
        for number, (loss, wer) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("rows", "expected_codes"),
    [
        (((0.8, 0.216), (3.1, 0.955)), ["divergence"]),
        (((0.8, 0.216), (0.9, 0.25)), []),  # by chance, or on the way down
        (((0.8, 0.216), (3.1, 0.25)), []),  # less sure, but as good
        (((9.0, 1.0), (14.0, 1.0)), []),  # a new output layer
    ],
)
def test_worse_than_the_start_after_one_evaluation_is_a_divergence(rows, expected_codes):
    findings = diagnose(RunHistory({"learning_rate": 0.1}, make_scores_from_start(*rows)))
    assert [finding.code for finding in findings] == expected_codes
    assert all("21.6% to 95.5%" in finding.cause and "1e-02" in finding.remedy for finding in findings)


@pytest.mark.parametrize(
    ("rows", "is_over", "remedy"),
    [
        (((0.8, 0.216), (3.1, 0.955), (3.0, 0.94)), True, "a tenth of the learning rate"),
        (((0.8, 0.216), (0.9, 0.22)), True, "Train for longer, or on more clips"),
        (((0.8, 0.216), (0.9, 0.22)), False, None),
        (((0.8, 0.216), (0.7, 0.2), (0.9, 0.22)), True, "Train for longer, or on more clips"),  # by chance
        (((0.8, 0.216), (0.7, 0.15), (0.9, 0.3)), True, None),
        (((0.1, 0.0), (0.1, 0.0)), True, None),
    ],
)
def test_run_that_ends_no_better_than_it_began_is_reported(rows, is_over, remedy):
    history = RunHistory({"learning_rate": 0.1}, make_scores_from_start(*rows), is_over=is_over)
    found = [finding for finding in diagnose(history) if finding.code == "no-gain"]
    assert [remedy] * bool(remedy) == [remedy for finding in found if remedy and remedy in finding.remedy]
    assert len(found) == bool(remedy)


# A run that learns nothing: its evaluations differ by chance alone.

NUM_RUNS, NUM_EVALUATIONS, WORDS_PER_CLIP = 400, 6, 8


def simulate_runs(word_error_rate: float, num_clips: int, num_start_clips: int) -> list[list[EvaluationScore]]:
    """Simulate runs whose true WER stays: a clip has a difficulty, and each of its words is wrong or right by chance.

    The evaluation before the first step is on the first clips alone. The loss is half as high again after the start,
    as where the model is only less sure.
    """
    rng = np.random.default_rng(1)
    clip_rates = rng.beta(0.5, 0.5 / word_error_rate - 0.5, (NUM_RUNS, 1, num_clips))
    errors = rng.binomial(WORDS_PER_CLIP, clip_rates, (NUM_RUNS, NUM_EVALUATIONS, num_clips))

    start, later = (bootstrap(part, rng) for part in (errors[:, :1, :num_start_clips], errors[:, 1:]))
    on_start_clips = errors[:, :, :num_start_clips].mean(-1) / WORDS_PER_CLIP
    return [
        [
            EvaluationScore(
                step,
                float(step),
                1.6 if step else 1.0,
                wer,
                wer_interval=(low, high),
                clips=num_clips if step else num_start_clips,
                start_sample={"wer": on_start_clips[run, step]} if step else None,
            )
            for step, (wer, low, high) in enumerate([*start[run], *later[run]])
        ]
        for run in range(NUM_RUNS)
    ]


def bootstrap(errors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wrong words of (run, evaluation, clip) -> (run, evaluation, (WER and its 95 % interval by the bootstrap))."""
    num_clips = errors.shape[-1]
    counts = rng.multinomial(num_clips, np.full(num_clips, 1 / num_clips), 300)
    rates = errors.astype(np.float32) @ counts.T.astype(np.float32) / (WORDS_PER_CLIP * num_clips)
    low, high = np.percentile(rates, (2.5, 97.5), axis=-1)
    return np.stack([errors.mean(-1) / WORDS_PER_CLIP, low, high], axis=-1)


@pytest.mark.parametrize("word_error_rate", [0.1, 0.3])
@pytest.mark.parametrize("num_clips", [64, 500])
def test_chance_is_neither_divergence_nor_improvement(word_error_rate, num_clips):
    """In less than 1 % of the runs is something found, or an improvement counted that puts off early stopping."""
    runs = simulate_runs(word_error_rate, num_clips, 64)
    findings = [[finding.code for finding in diagnose(RunHistory({}, scores))] for scores in runs]
    assert sum("divergence" in codes for codes in findings) < 0.01 * NUM_RUNS
    assert sum(score.is_improvement_on(scores[0], "wer") for scores in runs for score in scores[1:2]) < 0.01 * NUM_RUNS
    improved = [score.is_improvement_on(scores[1], "wer") for scores in runs for score in scores[2:5]]
    assert sum(improved) < 0.01 * len(improved)


def test_final_evaluation_shows_a_gain_that_the_sample_does_not():
    start = EvaluationScore(0, 0.0, 1.0, 0.3, wer_interval=(0.22, 0.38))
    later = EvaluationScore(9, 0.0, 1.0, 0.2, wer_interval=(0.13, 0.28))
    final = EvaluationScore(9, 0.0, 1.0, 0.19, wer_interval=(0.18, 0.2))
    for found, expected_codes in ((None, ["no-gain"]), (final, [])):
        history = RunHistory({}, [start, later], is_over=True, final=found)
        assert [finding.code for finding in diagnose(history)] == expected_codes


def test_improvement_beyond_chance_is_found():
    """From 40 % to 10 % on 200 clips: every simulated run has gained, and none has diverged."""
    before, after = (simulate_runs(rate, 200, 64) for rate in (0.4, 0.1))
    for start, scores in zip(before, after, strict=True):
        history = RunHistory({}, [start[0], *scores[1:]], is_over=True)
        assert not {"no-gain", "divergence"} & {finding.code for finding in diagnose(history)}
