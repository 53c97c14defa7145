"""The settings with which a model is trained a little more, on what was corrected."""

from __future__ import annotations

import math
from typing import Any

from asrkit import config as configs
from asrkit.data import dataset_names
from asrkit.errors import AsrkitError
from asrkit.runs.store import RunStore
from asrkit.ui.data.proposals import FEW_CLIPS

MORE_EPOCHS = 0.5
"""Share of a run's epochs that are enough to learn a few clips more."""
LOWER_RATE = 0.3
"""Share of a run's learning rate that does not unlearn what the run has learned."""


def propose_settings(store: RunStore, model: str, dataset: str) -> dict[str, Any]:
    """Return the settings of the form for training `model` on the folder `dataset` too.

    A run goes on with its own data beside the new clips and its own settings, at a lower rate and for fewer epochs. Any
    other model is trained on the new clips, by the recipe for few clips.
    """
    try:
        config = store.get(model).config()
    except AsrkitError:
        return {**configs.load_preset(FEW_CLIPS).config.to_dict(), "model": model, "train": dataset}
    return {
        **config.to_dict(),
        "model": model,
        "train": dataset_names.join(dict.fromkeys([*dataset_names.separate(config.train), dataset])),
        "learning_rate": float(f"{LOWER_RATE * config.learning_rate:.1g}"),
        "num_epochs": math.ceil(MORE_EPOCHS * config.num_epochs),
        "max_steps": 0,
        "vocabulary": "auto",
        "adapter_language": "",
    }
