"""The normalisation that references and hypotheses go through where a model is evaluated: that of the model's run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asrkit.errors import ModelError
from asrkit.languages import guess_dotless_i
from asrkit.models import resolution
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.text.normalisers import add_case, has_case


@dataclass(frozen=True)
class ScoringRules:
    """rules: a normaliser's name and further steps. run_id: of the run that they are from, if any.

    language: that the texts seem to be in, whose lower case the rules lack; empty if they need none.
    """

    rules: str
    run_id: str = ""
    language: str = ""


def choose(normaliser: str | None, model: str, store: RunStore, texts: Iterable[str]) -> ScoringRules:
    """Return the given normaliser or, for None, that of the model's run, else basic, with lower case by language.

    A given normaliser stays as it is. Raises ConfigError for an unknown one.
    """
    run = None if normaliser is not None else _find_run(model, store)
    rules = run.config().text_rules if run else normaliser or "basic"
    language = "" if has_case(rules) else guess_dotless_i(texts)
    if language and normaliser is None:
        rules = add_case(rules, language)
    return ScoringRules(rules, run.id if run else "", language)


def _find_run(model: str, store: RunStore) -> Run | None:
    """Return the run that a model was trained by; None for one of the Hub, and any other checkpoint."""
    try:
        checkpoint = resolution.resolve(model, store)
    except ModelError:  # loading the model says so
        return None
    return Run.of_checkpoint(checkpoint) if checkpoint else None
