"""Diagnose a run: problems, their causes and their remedies. Pure functions of its history.

The same rules read a run of ours and a published results table (`report/published.py`), which shows that a run that
fails quietly can be recognised at its second evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from asrkit.audit.findings import Finding
from asrkit.runs.collapse import COLLAPSED_RATE, find_collapse
from asrkit.runs.history import EvaluationScore, RunHistory

PLATEAU_EVALUATIONS, PLATEAU_GAIN = 5, 0.01
OVERFIT_EVALUATIONS, OVERFIT_RISE = 3, 0.2
DIVERGED_RISE = 1.5
MASKED_SHARE = 0.5
"""Share of a clip, hidden by one mask or by all of them, from which on SpecAugment leaves too little to read."""

FRAME_S = 0.02
MAX_UNKNOWN_SHARE = 0.02
MAX_INTERVAL_HALF_WIDTH = 0.1
"""Half the width of WER's 95 % interval from which on an evaluation set is too small for comparisons."""

TINY_UPDATE_S = 15.0
"""Seconds of audio per update below which the finding comes before the first step; from here to `SMALL_UPDATE_S`, some
recipes work, at low rates."""


def diagnose(history: RunHistory) -> list[Finding]:
    """Return the findings in order of step, each once, at the evaluation where it first applied."""
    first = (next(rule(history), None) for rule in _RULES)
    return sorted((finding for finding in first if finding), key=lambda finding: finding.step)


def _find_non_finite(history: RunHistory) -> Iterator[Finding]:
    broken = [(step, epoch) for step, epoch, loss in history.losses if loss is None]
    broken += [(score.step, score.epoch) for score in history.scores if score.loss is None]
    if history.precision == "fp16":  # with loss scaling, which skips the update
        cause = "The loss overflowed in fp16 and is not a finite number; such an update is skipped."
        remedy = "If this keeps happening, start again with mixed_precision bf16, or no on a GPU without it."
    else:
        cause = "The loss is no longer a finite number: the weights are unusable."
        remedy = "Go back to the last checkpoint with a third of the learning rate; with fp16, use bf16 instead."
    for step, epoch in sorted(broken):
        yield Finding("non-finite", step=step, epoch=epoch, cause=cause, remedy=remedy)


def _find_divergence(history: RunHistory) -> Iterator[Finding]:
    """Two evaluations in a row have a loss half as high again as the best before them, or the first as the start."""
    yield from _find_early_divergence(history)
    known = [(score, score.loss) for score in history.scores if score.loss is not None and score.step > 0]
    for index in range(2, len(known)):
        score, loss = known[index]
        best = min(loss for _, loss in known[: index - 1])
        if min(known[index - 1][1], loss) > DIVERGED_RISE * best and any(
            _is_worse(score, earlier) for earlier, _ in known[:index]
        ):
            yield Finding(
                "divergence",
                step=score.step,
                epoch=score.epoch,
                cause=f"The evaluation loss rose from {best:.2f} to {loss:.2f}, and WER with it.",
                remedy="Resume from an earlier checkpoint with a third of the learning rate.",
            )


def _find_early_divergence(history: RunHistory) -> Iterator[Finding]:
    """One evaluation is enough where the base model was better by more than chance."""
    start = history.start
    if start is None or len(history.scores) < 2:
        return
    first = history.scores[1]
    if start.loss and first.loss and first.loss > DIVERGED_RISE * start.loss and _is_worse(first, start):
        yield Finding(
            "divergence",
            step=first.step,
            epoch=first.epoch,
            cause=f"The first {first.step} steps made the model worse: the evaluation loss rose from "
            f"{start.loss:.2f} to {first.loss:.2f}, and WER from {start.wer:.1%} to {first.wer:.1%}.",
            remedy=_advise_lower_rate(history),
        )


def _advise_lower_rate(history: RunHistory) -> str:
    """Return the remedy for steps so large that they undo what the base model has learned."""
    return f"Start again with a tenth of the learning rate ({history.learning_rate / 10:.0e})."


def _is_worse(score: EvaluationScore, earlier: EvaluationScore) -> bool:
    """Whether WER has risen by more than chance explains."""
    return (score.wer or 0) > (earlier.wer or 0) and score.differs_from(earlier)


def _find_no_gain(history: RunHistory) -> Iterator[Finding]:
    """Training has ended, and no evaluation is better than that before the first step by more than chance explains."""
    start, later, metric = history.start, history.scores[1:], history.metric
    if not (history.is_over and start and later and start.get(metric)):  # a start without an error cannot improve
        return
    scores = [*later, *filter(None, [history.final])]
    if all(score.get(metric) is None for score in scores) or any(
        score.is_improvement_on(start, metric) for score in scores
    ):
        return
    is_lower = any(score.is_better_than(start, metric) for score in later)
    last = later[-1]
    name = metric.upper() if metric != "loss" else "the evaluation loss"
    before, now = (_format_metric(score, metric) for score in (start, last))
    yield Finding(
        "no-gain",
        step=last.step,
        epoch=last.epoch,
        cause=f"Training has not improved the model{' by more than chance explains' if is_lower else ''}: {name} was "
        f"{before} before the first step and {now} at the last evaluation."
        + ("" if is_lower else " The model that is kept is the one that training started from."),
        remedy=_advise_lower_rate(history)
        if _is_worse(last, start)
        else "Train for longer, or on more clips; if the model already does well on this speech, there is nothing to "
        "gain.",
    )


def _format_metric(score: EvaluationScore, metric: str) -> str:
    value = score.get(metric)
    return "not finite" if value is None else f"{value:.3f}" if metric == "loss" else f"{value:.1%}"


def _find_overfitting(history: RunHistory) -> Iterator[Finding]:
    """Find overfitting: the loss rises for several evaluations while WER no longer falls."""
    known = [
        (score, score.loss, score.wer)
        for score in history.scores
        if score.loss is not None and score.wer is not None and score.step > 0
    ]
    for index in range(OVERFIT_EVALUATIONS, len(known)):
        past, recent = known[: index - OVERFIT_EVALUATIONS + 1], known[index - OVERFIT_EVALUATIONS + 1 : index + 1]
        lowest, (best_score, _, best) = min(loss for _, loss, _ in past), min(past, key=lambda row: row[2])
        if all(
            loss > (1 + OVERFIT_RISE) * lowest and not score.is_improvement_on(best_score, "wer")
            for score, loss, _ in recent
        ):
            yield Finding(
                "overfitting",
                step=known[index][0].step,
                epoch=known[index][0].epoch,
                cause=f"For {OVERFIT_EVALUATIONS} evaluations the loss has been {OVERFIT_RISE:.0%} above its "
                f"lowest ({lowest:.2f}) and WER has not clearly fallen below {best:.1%}.",
                remedy="Stop here and keep the best model; more data, augmentation or dropout would help.",
            )


def _find_plateau(history: RunHistory) -> Iterator[Finding]:
    """WER is still high and has not improved for a while, though something was learned."""
    known = [
        (score, score.wer) for score in history.scores if score.wer is not None and score.step > history.warmup_steps
    ]
    for index in range(PLATEAU_EVALUATIONS, len(known)):
        before = min(wer for _, wer in known[: index - PLATEAU_EVALUATIONS + 1])
        since = min(wer for _, wer in known[index - PLATEAU_EVALUATIONS + 1 : index + 1])
        if 0.3 < before < COLLAPSED_RATE and since > (1 - PLATEAU_GAIN) * before:
            yield Finding(
                "plateau",
                step=known[index][0].step,
                epoch=known[index][0].epoch,
                cause=f"WER has stayed at about {since:.1%} for {PLATEAU_EVALUATIONS} evaluations.",
                remedy="Listen to the worst clips and check their transcripts; then try more data, a better base "
                "model or a lower learning rate.",
            )


def _find_high_rate(history: RunHistory) -> Iterator[Finding]:
    """Reported before the first step, while it costs nothing to start again."""
    rate = history.learning_rate
    if history.has_high_learning_rate:
        yield Finding(
            "learning-rate-high",
            cause=f"The learning rate, {rate:g}, is several times what works for models like "
            f"{history.settings.get('model', '')} (5e-5 to 1e-4); at such rates they seldom learn more than to "
            "output blanks.",
            remedy=f"Start again with about {rate / 4:.0e}.",
        )


def _find_tiny_updates(history: RunHistory) -> Iterator[Finding]:
    """Reported before the first step, too."""
    if history.is_big and history.update_s is not None and history.update_s < TINY_UPDATE_S:
        yield Finding(
            "update-tiny",
            cause=f"An update has only {history.update_s:.0f} s of audio; a model of this size learns from such "
            "noisy gradients slowly or not at all.",
            remedy="Raise the batch or the gradient accumulation to 100 s of audio per update.",
        )


def _find_over_masking(history: RunHistory) -> Iterator[Finding]:
    """Reported before the first step: masks hide most of a typical clip of this data."""
    share = float(history.settings.get("mask_time_prob") or 0)
    length = int(history.settings.get("mask_time_length") or 10)
    if not share or not history.clip_s:
        return
    share_of_one = length * FRAME_S / history.clip_s
    if max(share, share_of_one) >= MASKED_SHARE:
        evidence = (
            f"one mask of {length} frames hides {min(share_of_one, 1):.0%} of a typical clip ({history.clip_s:.1f} s)"
            if share_of_one >= MASKED_SHARE
            else f"masks hide {share:.0%} of every clip"
        )
        yield Finding(
            "over-masking",
            cause=f"SpecAugment leaves too little to read: {evidence}.",
            remedy="Set mask_time_length to 2 and mask_time_prob to 0.05.",
        )


def _find_unknown_tokens(history: RunHistory) -> Iterator[Finding]:
    """Find outputs of the unknown token, which readers never see."""
    for score in history.scores:
        if score.step > 0 and (score.unknown_share or 0) > MAX_UNKNOWN_SHARE:
            yield Finding(
                "unknown-tokens",
                step=score.step,
                epoch=score.epoch,
                cause=f"{score.unknown_share:.0%} of the model's output is the token for unknown letters, which the "
                "text omits: it was trained on letters that its vocabulary lacks.",
                remedy="Set Vocabulary to auto or fresh, or choose a normaliser that removes those letters.",
            )


def _find_small_evaluation_set(history: RunHistory) -> Iterator[Finding]:
    """Find an evaluation set that is too small to compare models by."""
    for score in history.scores:
        if score.wer_interval and score.step > 0:
            low, high = score.wer_interval
            if (
                high - low
            ) / 2 > MAX_INTERVAL_HALF_WIDTH and high < 1:  # above, hypotheses are random and vary for that reason
                yield Finding(
                    "evaluation-set-small",
                    step=score.step,
                    epoch=score.epoch,
                    cause=f"With so few clips, WER is only known to lie between {low:.0%} and {high:.0%}; "
                    "smaller differences mean nothing.",
                    remedy="Evaluate on more clips: a few hundred words at least.",
                )


_RULES: tuple[Callable[[RunHistory], Iterator[Finding]], ...] = (
    _find_high_rate,
    _find_tiny_updates,
    _find_over_masking,
    _find_non_finite,
    find_collapse,
    _find_divergence,
    _find_no_gain,
    _find_overfitting,
    _find_plateau,
    _find_unknown_tokens,
    _find_small_evaluation_set,
)
