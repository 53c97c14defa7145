"""Base models to choose from: what each is, its languages, licence and size, and who recommends it on what evidence.

`catalogue.json` has the models, those that are recommended most first, and the languages by which they can be searched.
A model's languages are counted in full, but only those of two lists that its authors trained on are named: FLEURS (102)
and VoxLingua107. Sizes and licences are those of the models' pages on the Hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
MMS_ALL = "facebook/mms-1b-all"
LICENCES = {
    "starter": "apache-2.0",
    "facebook/wav2vec2-": "apache-2.0",
    "facebook/hubert-": "apache-2.0",
    "facebook/mms-": "cc-by-nc-4.0",
    "facebook/w2v-bert-": "mit",
    "hf-audio/omniasr-": "apache-2.0",
    "nvidia/parakeet-ctc-": "cc-by-4.0",
}
"""Prefix of the name of models that are not listed one by one -> their licence."""
NON_COMMERCIAL = "cc-by-nc-"
"""Prefix of the licences that forbid selling."""


@dataclass(frozen=True)
class Language:
    """code: ISO 639-3. short: ISO 639-1, where there is one. mms: what MMS calls it (`adapter_language`)."""

    code: str
    name: str
    short: str
    mms: str
    lists: frozenset[str]

    @property
    def label(self) -> str:
        """Return "Swahili (sw, swh)"."""
        return f"{self.name} ({', '.join(filter(None, (self.short, self.code)))})"


@dataclass(frozen=True)
class BaseModel:
    """shape: the part of its config.json that memory depends on. licence: empty where its page has to be read.

    is_commercial: whether what is made with it may be sold. preset: that it is trained with.
    """

    id: str
    title: str
    weights: int
    download_gb: float
    num_languages: int
    lists: frozenset[str]
    codes: frozenset[str]
    licence: str
    is_commercial: bool
    kind: str
    shape: Mapping[str, int]
    preset: str
    evidence: str

    def knows(self, language: Language) -> bool:
        """Return whether the model was trained on a language, as far as it is listed here."""
        return language.code in self.codes or not self.lists.isdisjoint(language.lists)

    @property
    def label(self) -> str:
        """Return the entry of a menu: id, what it is, size, and what its licence forbids."""
        licence = "" if self.is_commercial else "; not for commercial use"
        return f"{self.id}: {self.title}; {self.weights / 1e6:,.0f} M parameters, {self.download_gb:g} GB{licence}"


@cache
def list_models() -> tuple[BaseModel, ...]:
    """Return the models, those that are recommended most first."""
    return tuple(
        BaseModel(
            record["id"],
            record["title"],
            record["weights"],
            record["download_gb"],
            record["languages"]["count"],
            frozenset(record["languages"].get("in", ())),
            frozenset(record["languages"].get("codes", ())),
            record["licence"],
            record["commercial"],
            record["kind"],
            record["shape"],
            record["preset"],
            record["evidence"],
        )
        for record in _read()["models"]
    )


@cache
def list_languages() -> tuple[Language, ...]:
    """Return the languages by which models can be searched, by name."""
    return tuple(
        Language(
            record["code"],
            record["name"],
            record.get("short", ""),
            record.get("mms", record["code"]),
            frozenset(record["in"]),
        )
        for record in _read()["languages"]
    )


def find_model(name: str) -> BaseModel | None:
    """Return the model with this Hub id, None for any other name."""
    return next((model for model in list_models() if model.id == name), None)


def find_language(name: str) -> Language | None:
    """Return a language by its code (sw, swh, sw-KE) or its name in English, None for any other."""
    wanted = name.strip().casefold()
    primary = wanted.replace("_", "-").partition("-")[0]
    for language in list_languages() if primary else ():
        if wanted == language.name.casefold() or primary in (language.code, language.short):
            return language
    return None


def find_licence(name: str) -> str:
    """Return the licence of a base model, as the Hub writes it; empty where it is not known."""
    if model := find_model(name):
        return model.licence
    return next((licence for prefix, licence in LICENCES.items() if name.startswith(prefix)), "")


def describe_licence(name: str) -> str:
    """Return what has to be known of a base model's licence before the start, in one sentence; empty for nothing."""
    model, licence = find_model(name), find_licence(name)
    if licence.startswith(NON_COMMERCIAL) or (model and not model.is_commercial):
        return (
            f"{name} has a licence for non-commercial use ({licence.upper()}); so has everything that is trained from "
            "it."
        )
    return ""


@cache
def _read() -> dict[str, Any]:
    record: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return record
