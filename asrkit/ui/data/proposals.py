"""What the page proposes for data where nobody has chosen: a recipe for little speech, a word list for commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from asrkit import config as configs
from asrkit.config import TrainConfig
from asrkit.data.sources import Source
from asrkit.decoding import lexicon
from asrkit.errors import ConfigError
from asrkit.models import resolution
from asrkit.ui.common import form
from asrkit.ui.common.form import DEFAULTS

FEW, FEW_S = "few-clips", 300.0
"""The preset for so many seconds of speech and less."""

KNOWN_SHARE = 0.9  # of the words of a clip that are in another clip too, where a word list will do
RECIPE = tuple(name for name in form.NAMES if configs.FIELDS[name].metadata["group"] != "Data" or name == "eval_share")
"""Settings that make a recipe: of the training, not of the data."""


def held(settings: Any) -> TrainConfig:
    """The form of Train as a page sent it; as it opens where it holds what cannot work, which Start will tell."""
    if not isinstance(settings, dict):
        return DEFAULTS
    try:
        return DEFAULTS.replace({name: value for name, value in settings.items() if name in form.NAMES})
    except ConfigError:
        return DEFAULTS


def recipe(config: TrainConfig, model: str, source: Source) -> dict[str, Any]:
    """The settings to change for a few clips, while the form still holds the recipe that it opens with."""
    seconds = sum(max(0.0, row.duration_s) for row in source.train)
    theirs = any(getattr(config, name) != getattr(DEFAULTS, name) for name in RECIPE if name != "decoding")
    if model != resolution.STARTER or theirs or seconds > FEW_S:
        return {}
    few = configs.load_preset(FEW).config
    return {"preset": FEW} | {name: getattr(few, name) for name in RECIPE}


def is_word_list(texts: Sequence[str]) -> bool:
    """Whether these are commands, names, digits: few words, nearly all of which are in more than one clip. Of running
    sentences the next one will have others, which a list would never let through."""
    clips = [set(text.lower().split()) for text in texts]
    count = Counter(word for words in clips for word in words)
    again = sum(count[word] > 1 for words in clips for word in words)
    return again >= KNOWN_SHARE * count.total() and sum(map(len, lexicon.collect_words(count))) <= lexicon.MAX_LETTERS
