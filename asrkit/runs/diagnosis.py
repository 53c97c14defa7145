"""What is going wrong with a run, why, and what to do: pure functions over what it has told.

The same rules read a run of ours and anybody's published results table (`published.py`), so a run that fails quietly
can be shown to have been recognisable at its second evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from asrkit.audit.findings import Finding

COLLAPSED_RATE = 0.98
"""Error rates from here on say that nothing is recognised: hypotheses are empty, or one letter."""

PRIOR_SHARE = 0.95
"""A loss above this share of the label entropy means that only the letters' frequencies were learned. A model whose
output does not depend on its input reaches the entropy plus about 0.1 nat."""

NEAR_PRIOR = 0.5
"""Nats above the label entropy within which a loss that falls is still falling towards nothing but the entropy; from
further up it may be on its way past it."""

STILL = 0.05
"""Relative change of the evaluation loss below which two evaluations are the same."""

PLATEAU_EVALUATIONS, PLATEAU_GAIN = 5, 0.01
OVERFIT_EVALUATIONS, OVERFIT_RISE = 3, 0.2
DIVERGED_RISE = 1.5
MASKED_SHARE = 0.5
"""Of a clip: hidden by one mask, or by all of them, from which on SpecAugment leaves too little to read."""

FRAME_S = 0.02
UNKNOWN_SHARE = 0.02
VAGUE = 0.1
"""Half the width of WER's 95 % interval from which on an evaluation set is too small to compare anything by."""

BIG_MODEL = re.compile(r"(?<![a-z0-9])(large|xls-?r|xlsr|mms|300m|1b|2b|w2v-bert)(?![a-z0-9])", re.IGNORECASE)
BIG_PARAMETERS = 200_000_000
BIG_MODEL_RATE = 2e-4
"""Above this, models of 300 M parameters rarely leave the blank; recipes that work take 5e-5 to 1e-4."""

SMALL_UPDATE_S = 60.0
"""Seconds of audio an update below which the gradient of a big model's CTC loss is mostly noise."""

TINY_UPDATE_S = 15.0
"""Below this it is said before the first step; between the two some recipes work, at low rates."""


@dataclass(frozen=True)
class EvaluationScore:
    """One evaluation. Rates are fractions; None where the number was not told or not finite."""

    step: int
    epoch: float
    loss: float | None
    wer: float | None = None
    cer: float | None = None
    mer: float | None = None
    blank_share: float | None = None
    length_ratio: float | None = None
    wer_interval: tuple[float, float] | None = None
    unknown_share: float | None = None


@dataclass(frozen=True)
class RunHistory:
    """What the rules look at. settings: names as in TrainConfig. losses: (step, epoch, training loss or None).

    label_entropy: nats a label, of the training texts. update_s: seconds of audio an optimizer step. parameters: of the
    model, where they were counted. clip_s: median length of the training clips.
    """

    settings: dict[str, Any]
    scores: list[EvaluationScore]
    losses: list[tuple[int, float, float | None]] = field(default_factory=list)
    label_entropy: float | None = None
    update_s: float | None = None
    parameters: int | None = None
    clip_s: float | None = None

    @property
    def big(self) -> bool:
        """Whether what is trained is of the size that wants small learning rates: by count, else by its name."""
        if str(self.settings.get("freeze", "")).startswith("all-but-"):
            return False
        if self.parameters is not None:
            return self.parameters >= BIG_PARAMETERS
        return bool(BIG_MODEL.search(str(self.settings.get("model", ""))))

    @property
    def learning_rate(self) -> float:
        return float(self.settings.get("learning_rate") or 0)

    @property
    def has_high_learning_rate(self) -> bool:
        """Whether the learning rate is far above what a model of this size takes."""
        return self.big and self.learning_rate > BIG_MODEL_RATE

    @property
    def warmup_steps(self) -> int:
        return int(self.settings.get("warmup_steps") or 0)


def diagnose(history: RunHistory) -> list[Finding]:
    """The findings, each once and where it first held, in order of step."""
    found = (next(rule(history), None) for rule in _RULES)
    return sorted((one for one in found if one), key=lambda one: one.step)


def _non_finite(history: RunHistory) -> Iterator[Finding]:
    broken = [(step, epoch) for step, epoch, loss in history.losses if loss is None]
    broken += [(score.step, score.epoch) for score in history.scores if score.loss is None]
    for step, epoch in sorted(broken):
        yield Finding(
            "non-finite",
            step=step,
            epoch=epoch,
            cause="The loss is not a finite number any more: the weights are lost.",
            remedy="Go back to the last checkpoint with a third of the learning rate; with fp16, use bf16 instead.",
        )


def _collapse(history: RunHistory) -> Iterator[Finding]:
    """After warm-up, error rates near 1 and a loss that stands still or still is the entropy of the labels."""
    later = [score for score in history.scores if score.step > history.warmup_steps and score.step > 0]
    for earlier, now in zip(later, later[1:], strict=False):
        if not (_hopeless(earlier) and _hopeless(now)):
            continue
        entropy = history.label_entropy
        prior = entropy and PRIOR_SHARE * entropy < now.loss < entropy + NEAR_PRIOR
        if prior or now.loss > (1 - STILL) * earlier.loss:
            yield Finding(
                "blank-collapse",
                step=now.step,
                epoch=now.epoch,
                cause=_collapse_cause(history, now),
                remedy=" ".join(_collapse_remedies(history)),
            )


def _hopeless(score: EvaluationScore) -> bool:
    rates = [rate for rate in (score.wer, score.cer) if rate is not None]
    silent = score.blank_share is not None and score.blank_share > COLLAPSED_RATE
    return score.loss is not None and bool(rates) and (silent or min(rates) >= COLLAPSED_RATE)


def _collapse_cause(history: RunHistory, score: EvaluationScore) -> str:
    evidence = [f"the evaluation loss stands at {score.loss:.2f}"]
    if history.label_entropy:
        evidence.append(f"knowing only the letters' frequencies gives about {history.label_entropy + 0.1:.2f}")
    rates = {"WER": score.wer, "CER": score.cer}
    evidence += [f"{name} is {rate:.0%}" for name, rate in rates.items() if rate is not None]
    if score.blank_share is not None:
        evidence.append(f"{score.blank_share:.0%} of the frames are blank")
    likely = [why for why, _ in _suspects(history)]
    babbles = score.blank_share is not None and score.blank_share < 0.5 and (score.length_ratio or 0) > 0.5
    seen = (
        "What the model writes has nothing to do with what it hears: "
        if babbles
        else "The model answers with blanks or one letter whatever it hears: "
    )
    return seen + ", ".join(evidence) + "." + (" Likely because " + "; ".join(likely) + "." if likely else "")


def _collapse_remedies(history: RunHistory) -> list[str]:
    known = [what for _, what in _suspects(history)]
    return [
        *known,
        "Train the output layer alone first (head_first_steps), or start from a checkpoint that is tuned "
        "for CTC already.",
    ]


def _suspects(history: RunHistory) -> Iterator[tuple[str, str]]:
    """(why, what to do) for each setting that is known to keep models on the blank."""
    settings, rate = history.settings, history.learning_rate
    if history.has_high_learning_rate:
        yield (
            f"the learning rate, {rate:g}, is several times what models of this size take (5e-5 to 1e-4)",
            f"Divide the learning rate by 3 to 5 (to about {rate / 4:.0e}).",
        )
    if history.update_s is not None and history.update_s < SMALL_UPDATE_S:
        yield (
            f"an update sees only {history.update_s:.0f} s of audio",
            "Raise the batch or the gradient accumulation to 100 s of audio an update or more.",
        )
    if 0 < history.warmup_steps < 1000 and history.has_high_learning_rate:
        yield (f"warm-up is short ({history.warmup_steps} steps) for that rate", "Warm up for 1,000 to 2,000 steps.")
    if (
        float(settings.get("mask_time_prob") or 0)
        and int(settings.get("mask_time_length") or 10) >= 10
        and (history.update_s is not None and history.update_s < SMALL_UPDATE_S)
    ):
        yield "masks of 200 ms hide much of short clips", "Set mask_time_length to 2."


def _diverged(history: RunHistory) -> Iterator[Finding]:
    """Two evaluations in a row whose loss is half as high again as the best before them."""
    known = [score for score in history.scores if score.loss is not None and score.step > 0]
    for index in range(2, len(known)):
        best = min(score.loss for score in known[: index - 1])
        if min(known[index - 1].loss, known[index].loss) > DIVERGED_RISE * best and _worse(known[: index + 1]):
            yield Finding(
                "divergence",
                step=known[index].step,
                epoch=known[index].epoch,
                cause=f"The evaluation loss rose from {best:.2f} to {known[index].loss:.2f}, and WER with it.",
                remedy="Resume from an earlier checkpoint with a third of the learning rate.",
            )


def _worse(scores: list[EvaluationScore]) -> bool:
    rates = [score.wer for score in scores if score.wer is not None]
    return len(rates) > 1 and rates[-1] > min(rates[:-1])


def _overfitting(history: RunHistory) -> Iterator[Finding]:
    """The loss rises for several evaluations while the error rate no longer falls."""
    known = [score for score in history.scores if score.loss is not None and score.wer is not None and score.step > 0]
    for index in range(OVERFIT_EVALUATIONS, len(known)):
        past, recent = known[: index - OVERFIT_EVALUATIONS + 1], known[index - OVERFIT_EVALUATIONS + 1 : index + 1]
        lowest, best = min(score.loss for score in past), min(score.wer for score in past)
        if all(score.loss > (1 + OVERFIT_RISE) * lowest and score.wer >= best for score in recent):
            yield Finding(
                "overfitting",
                step=known[index].step,
                epoch=known[index].epoch,
                cause=f"For {OVERFIT_EVALUATIONS} evaluations the loss has been {OVERFIT_RISE:.0%} above its "
                f"lowest ({lowest:.2f}) and WER has not fallen below {best:.1%}.",
                remedy="Stop here and keep the best model; more data, augmentation or dropout would help.",
            )


def _plateau(history: RunHistory) -> Iterator[Finding]:
    """Much is still wrong and nothing has got better for a while, though something was learned."""
    known = [score for score in history.scores if score.wer is not None and score.step > history.warmup_steps]
    for index in range(PLATEAU_EVALUATIONS, len(known)):
        before = min(score.wer for score in known[: index - PLATEAU_EVALUATIONS + 1])
        since = min(score.wer for score in known[index - PLATEAU_EVALUATIONS + 1 : index + 1])
        if 0.3 < before < COLLAPSED_RATE and since > (1 - PLATEAU_GAIN) * before:
            yield Finding(
                "plateau",
                step=known[index].step,
                epoch=known[index].epoch,
                cause=f"WER has stood at about {since:.1%} for {PLATEAU_EVALUATIONS} evaluations.",
                remedy="Listen to the worst clips and check their transcripts; then try more data, a better base "
                "model or a lower learning rate.",
            )


def _high_rate(history: RunHistory) -> Iterator[Finding]:
    """Told before the first step, while it costs nothing to begin again."""
    rate = history.learning_rate
    if history.has_high_learning_rate:
        yield Finding(
            "learning-rate-high",
            cause=f"The learning rate, {rate:g}, is several times what models like "
            f"{history.settings.get('model', '')} take (5e-5 to 1e-4); at such rates they seldom learn more "
            "than to stay silent.",
            remedy=f"Begin again with about {rate / 4:.0e}.",
        )


def _tiny_update(history: RunHistory) -> Iterator[Finding]:
    """Told before the first step, too."""
    if history.big and history.update_s is not None and history.update_s < TINY_UPDATE_S:
        yield Finding(
            "update-tiny",
            cause=f"An update sees only {history.update_s:.0f} s of audio; a model of this size learns from such "
            "noisy gradients slowly or not at all.",
            remedy="Raise the batch or the gradient accumulation to 100 s of audio an update.",
        )


def _over_masked(history: RunHistory) -> Iterator[Finding]:
    """Told before the first step: masks that hide most of a usual clip of this data."""
    share = float(history.settings.get("mask_time_prob") or 0)
    length = int(history.settings.get("mask_time_length") or 10)
    if not share or not history.clip_s:
        return
    one = length * FRAME_S / history.clip_s
    if max(share, one) >= MASKED_SHARE:
        seen = (
            f"one mask of {length} frames hides {min(one, 1):.0%} of a usual clip ({history.clip_s:.1f} s)"
            if one >= MASKED_SHARE
            else f"masks hide {share:.0%} of every clip"
        )
        yield Finding(
            "over-masking",
            cause=f"SpecAugment leaves too little to read: {seen}.",
            remedy="Set mask_time_length to 2 and mask_time_prob to 0.05.",
        )


def _unknown(history: RunHistory) -> Iterator[Finding]:
    """The token for no letter is written, which a reader never sees."""
    for score in history.scores:
        if score.step > 0 and (score.unknown_share or 0) > UNKNOWN_SHARE:
            yield Finding(
                "unknown-tokens",
                step=score.step,
                epoch=score.epoch,
                cause=f"{score.unknown_share:.0%} of what the model writes is the token for unknown letters, which "
                "is left out of the text: it was trained on letters that its vocabulary lacks.",
                remedy="Set Vocabulary to extend or fresh, or choose a normaliser that removes those letters.",
            )


def _small_evaluation(history: RunHistory) -> Iterator[Finding]:
    """The evaluation set cannot tell good from bad."""
    for score in history.scores:
        if score.wer_interval and score.step > 0:
            low, high = score.wer_interval
            if (high - low) / 2 > VAGUE and high < 1:  # above, the hypotheses are babble and vary for that reason
                yield Finding(
                    "evaluation-set-small",
                    step=score.step,
                    epoch=score.epoch,
                    cause=f"With these few clips WER is known no better than between {low:.0%} and {high:.0%}; "
                    "smaller differences mean nothing.",
                    remedy="Evaluate on more clips: a few hundred words at least.",
                )


_RULES: tuple[Callable[[RunHistory], Iterator[Finding]], ...] = (
    _high_rate,
    _tiny_update,
    _over_masked,
    _non_finite,
    _collapse,
    _diverged,
    _overfitting,
    _plateau,
    _unknown,
    _small_evaluation,
)
