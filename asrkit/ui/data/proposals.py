"""Settings that the page proposes for a dataset: a recipe for little speech, and a word list for commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from asrkit import config as configs
from asrkit.config import TrainConfig
from asrkit.data.manifest import Column
from asrkit.data.sources import Source
from asrkit.decoding import lexicon
from asrkit.errors import ConfigError
from asrkit.languages import guess_language
from asrkit.models import resolution
from asrkit.ui.common import form
from asrkit.ui.common.form import DEFAULTS

FEW_CLIPS = "few-clips"
MAX_FEW_CLIPS_S = 300.0
"""Seconds of speech up to which the preset `FEW_CLIPS` is proposed."""
MIN_REPEATED_SHARE = 0.9
"""Share of the words that must occur in more than one clip, for a word list to be proposed."""
RECIPE_SETTINGS = tuple(
    name for name in form.NAMES if configs.FIELDS[name].metadata["group"] != "Data" or name == "eval_share"
)
"""Settings of the training, as opposed to those of the data."""


def read_settings(settings: Any) -> TrainConfig:
    """Return the form of Train as the page sent it; the defaults for invalid settings, which Start reports."""
    if not isinstance(settings, dict):
        return DEFAULTS
    try:
        return DEFAULTS.replace({name: value for name, value in settings.items() if name in form.NAMES})
    except ConfigError:
        return DEFAULTS


def propose_recipe(config: TrainConfig, model: str, source: Source) -> dict[str, Any]:
    """Return the settings to change for little speech; empty if the visitor has changed the recipe of the form."""
    speech_s = float(Column("duration_s", source.train).to_numpy().clip(min=0).sum())
    is_changed = any(getattr(config, name) != getattr(DEFAULTS, name) for name in RECIPE_SETTINGS if name != "decoding")
    if model != resolution.STARTER or is_changed or speech_s > MAX_FEW_CLIPS_S:
        return {}
    preset = configs.load_preset(FEW_CLIPS).config
    return {"preset": FEW_CLIPS} | {name: getattr(preset, name) for name in RECIPE_SETTINGS}


def propose_text_settings(texts: Sequence[str]) -> dict[str, str]:
    """Return the language that the texts are in, if it is recognised, and that of their numbers if they have digits."""
    language = guess_language(texts)
    has_digits = any(character.isdecimal() for text in texts for character in text)
    numbers = {"spell_numbers": language} if has_digits else {}
    return {"language": language, **numbers} if language else {}


def is_word_list(texts: Iterable[str]) -> bool:
    """Return whether these are commands, names or digits: few words, nearly all of which occur in several clips.

    Running sentences are not: others have other words, which a word list would never recognise.
    """
    counts = Counter(word for text in texts for word in set(text.lower().split()))
    num_repeated = sum(count for count in counts.values() if count > 1)
    num_letters = sum(map(len, lexicon.collect_words(counts)))
    return num_repeated >= MIN_REPEATED_SHARE * counts.total() and num_letters <= lexicon.MAX_LETTERS
