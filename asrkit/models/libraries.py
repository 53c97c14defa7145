"""Classes of transformers by their names. Nothing of it is imported before the first is asked for.

transformers imports its modules when one of their names is asked for, and they import each other. Where two threads do
so at once, one of them sees a half-imported module, which seems to lack the name.
"""

from __future__ import annotations

import threading
from typing import Any

_importing = threading.RLock()


def find_class(name: str) -> Any:
    """Return the class, or another thing, that transformers has under this name."""
    with _importing:
        import transformers

        return getattr(transformers, name)


def find_config_class(model_type: str) -> Any:
    """Return the class of the configuration of a type of models."""
    with _importing:
        return find_class("CONFIG_MAPPING")[model_type]


def find_model_class(model_type: str) -> Any:
    """Return the class of the CTC models of a type."""
    with _importing:
        from transformers.models.auto.modeling_auto import MODEL_FOR_CTC_MAPPING_NAMES

        return find_class(MODEL_FOR_CTC_MAPPING_NAMES[model_type])
