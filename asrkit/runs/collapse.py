"""Diagnosis of a collapse: a CTC model that outputs only blanks, or the same whatever its input, and why."""

from __future__ import annotations

from collections.abc import Iterator

from asrkit.audit.findings import Finding
from asrkit.runs.history import EvaluationScore, RunHistory

COLLAPSED_RATE = 0.98
"""Error rates from here on mean that nothing is recognised: hypotheses are empty, or one letter."""

PRIOR_SHARE = 0.95
"""A loss above this share of the label entropy means that only the letters' frequencies were learned. A model whose
output does not depend on its input reaches the entropy plus about 0.1 nat."""

NEAR_PRIOR_NATS = 0.5
"""A falling loss that is less than this above the label entropy is still falling towards the entropy; one that is
further above may be on its way past it."""

MIN_LOSS_CHANGE = 0.05
"""Relative change of the evaluation loss below which two evaluations are the same."""


def find_collapse(history: RunHistory) -> Iterator[Finding]:
    """After warm-up, error rates are near 1, and the loss does not change or is still the entropy of the labels."""
    later = [score for score in history.scores if score.step > history.warmup_steps and score.step > 0]
    for earlier, now in zip(later, later[1:], strict=False):
        if earlier.loss is None or now.loss is None or not (_is_collapsed(earlier) and _is_collapsed(now)):
            continue
        entropy = history.label_entropy
        is_prior = entropy is not None and PRIOR_SHARE * entropy < now.loss < entropy + NEAR_PRIOR_NATS
        if is_prior or now.loss > (1 - MIN_LOSS_CHANGE) * earlier.loss:
            yield Finding(
                "blank-collapse",
                step=now.step,
                epoch=now.epoch,
                cause=_explain_collapse(history, now),
                remedy=" ".join(_list_collapse_remedies(history)),
            )


def _is_collapsed(score: EvaluationScore) -> bool:
    rates = [rate for rate in (score.wer, score.cer) if rate is not None]
    is_blank = score.blank_share is not None and score.blank_share > COLLAPSED_RATE
    return bool(rates) and (is_blank or min(rates) >= COLLAPSED_RATE)


def _explain_collapse(history: RunHistory, score: EvaluationScore) -> str:
    evidence = [f"the evaluation loss is {score.loss:.2f}"]
    if history.label_entropy:
        evidence.append(f"knowing only the letters' frequencies gives about {history.label_entropy + 0.1:.2f}")
    rates = {"WER": score.wer, "CER": score.cer}
    evidence += [f"{name} is {rate:.0%}" for name, rate in rates.items() if rate is not None]
    if score.blank_share is not None:
        evidence.append(f"{score.blank_share:.0%} of the frames are blank")
    reasons = [reason for reason, _ in _iter_suspects(history)]
    is_babble = score.blank_share is not None and score.blank_share < 0.5 and (score.length_ratio or 0) > 0.5
    symptom = (
        "The model's output does not depend on its input"
        if is_babble
        else "The model outputs only blanks or one letter, whatever its input"
    )
    observed = f"{symptom}: {', '.join(evidence)}."
    likely = f"Likely because {'; '.join(reasons)}."
    return f"{observed} {likely}" if reasons else observed


def _list_collapse_remedies(history: RunHistory) -> list[str]:
    return [
        *(remedy for _, remedy in _iter_suspects(history)),
        "Train the output layer alone first (head_first_steps), or start from a checkpoint that is fine-tuned for CTC "
        "already.",
    ]


def _iter_suspects(history: RunHistory) -> Iterator[tuple[str, str]]:
    """Yield (reason, remedy) for each setting that is known to keep models on the blank."""
    settings, rate = history.settings, history.learning_rate
    if history.has_high_learning_rate:
        yield (
            f"the learning rate, {rate:g}, is several times what works for models of this size (5e-5 to 1e-4)",
            f"Divide the learning rate by 3 to 5 (to about {rate / 4:.0e}).",
        )
    if history.has_small_updates:
        yield (
            f"an update has only {history.update_s:.0f} s of audio",
            "Raise the batch or the gradient accumulation to 100 s of audio per update or more.",
        )
    if 0 < history.warmup_steps < 1000 and history.has_high_learning_rate:
        yield (f"warm-up is short ({history.warmup_steps} steps) for that rate", "Warm up for 1,000 to 2,000 steps.")
    is_masked = float(settings.get("mask_time_prob") or 0) and int(settings.get("mask_time_length") or 10) >= 10
    if is_masked and history.has_small_updates:
        yield "masks of 200 ms hide much of short clips", "Set mask_time_length to 2."
