"""CTC models of checkpoints, built of what their files really hold. torch is imported on the first call.

A checkpoint's folder may come from anybody. Its config.json is taken key by key, where the values are plain, for the
class that its type names: transformers would follow some keys to other folders, to code on the Hub and to other
libraries. Before any memory is spent, the model is built without any ("meta") and compared with the shapes in the
weight files: a file of 2 kB could otherwise ask for a model of 4 GB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.data import access
from asrkit.errors import ModelError, first_line
from asrkit.hub import credentials
from asrkit.models import checkpoints, frames, pickled
from asrkit.models.anatomy import HEAD_NAMES
from asrkit.models.libraries import find_config_class, find_model_class

if TYPE_CHECKING:
    import torch

OWN_KEYS = ("blank_token_id", "architectures", "vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")
IGNORED_KEYS = frozenset(
    "_name_or_path transformers_version model_type dtype torch_dtype id2label label2id num_labels problem_type "
    "output_attentions output_hidden_states return_dict is_encoder_decoder chunk_size_feed_forward".split()
)
"""Of config.json: nothing of a CTC model for fine-tuning depends on them, or they are ours to set."""
MAX_NUMBER, MAX_LAYERS, MAX_ENTRIES, MAX_TEXT = 1_000_000, 1_000, 1_000, 100
"""Of config.json: each number, each count of layers, entries of a list, length of a text."""
SPARE_VALUES = 4_000_000
"""Values that a model may have beside those of its files: tables of positions and a new output layer."""
MIN_FRAME_MS = 5.0
"""Of an output frame; published models have 20 to 80 ms. Memory for a clip grows with the square of its frames."""
LANGUAGE = re.compile(r"[\w-]+")
WEIGHT_NORM = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
"""Names of parameters, and how older versions of torch called them."""


def load_config(folder: Path) -> Any:
    """Return the configuration of a checkpoint, of the class of its type. Raises ModelError where it is damaged."""
    checkpoints.check_type(folder, f"directory {folder}")
    settings = checkpoints.read_config(folder) or {}
    kind = find_config_class(settings["model_type"])
    try:
        config = kind(**_accepted(kind(), settings, folder))
    except ModelError:
        raise
    except Exception as error:  # the classes of transformers raise anything for impossible values
        raise ModelError(
            f"The config.json of the model {folder} is damaged ({first_line(error).rstrip('.')}); copy all files again."
        ) from error
    if (frame_ms := frames.read(folder).frame_ms) < MIN_FRAME_MS:
        raise ModelError(
            f"The model {folder} has an output frame every {frame_ms:.3g} ms by its config.json, which no speech model "
            "has; the checkpoint is damaged."
        )
    return config


def _accepted(default: Any, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings that the class of `default` has, those of its parts with it. Raises ModelError."""
    known = {*default.to_dict(), *default.attribute_map, *OWN_KEYS} - IGNORED_KEYS
    accepted: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in known:
            continue
        part: Any = getattr(default, key, None)
        if hasattr(part, "to_dict"):
            value = type(part)(**_accepted(part, value if isinstance(value, dict) else {}, folder))
        elif not _is_plain(key, value):
            raise ModelError(f"The config.json of the model {folder} has an impossible {key}: {value!r:.80}.")
        accepted[key] = value
    return accepted


def _is_plain(key: str, value: Any) -> bool:
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int | float):
        is_count = key.endswith("layers") or key == "num_conv_pos_embeddings"  # which are layers in some types
        return abs(value) <= (MAX_LAYERS if is_count else MAX_NUMBER)
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, dict):
        return key == "rope_parameters" and all(isinstance(one, str | int | float) for one in value.values())
    return len(value) <= MAX_ENTRIES and all(isinstance(one, str | int | float) and _is_plain("", one) for one in value)


def load_model(
    folder: Path, config: Any, *, target_lang: str = "", ignore_mismatched_sizes: bool = False
) -> tuple[Any, list[str]]:
    """Return (the CTC model of a checkpoint in float32, names of its weights that the checkpoint lacks).

    config: of `load_config`, changed or not. target_lang: of an MMS model. ignore_mismatched_sizes: give the model a
    new output layer where its size has changed. Raises ModelError for weights that do not belong to the config.json.
    """
    import torch

    kind = find_model_class(config.model_type)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of tensors that are loaded, in the terminal of the app
    if target_lang and not LANGUAGE.fullmatch(target_lang):
        raise ModelError(f"{target_lang!r:.80} is no language of the model {folder}.")
    if (folder / "adapter_config.json").exists():
        raise ModelError(f"The model {folder} is an adapter for another one (adapter_config.json); merge it with that.")
    files = _weight_files(folder, target_lang)
    options: dict[str, Any] = {"target_lang": target_lang} if target_lang else {}
    with pickled.as_safetensors(files, folder) as (source, files):
        _compare(_build_without_memory(kind, load_config(folder), folder), _read_shapes(files, folder), folder)
        model, info = kind.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            output_loading_info=True,
            **options,
        )
    return model, list(info["missing_keys"])


def _weight_files(folder: Path, language: str) -> list[Path]:
    """Return the files with the weights. Raises ModelError where there are none, or they are not to be trusted."""
    name = next((name for name in checkpoints.WEIGHT_FILES if (folder / name).exists()), "")
    names = [name]
    if name.endswith(".index.json"):
        index = (checkpoints.read_settings(checkpoints.find_file(folder, name)) or {}).get("weight_map")
        names = sorted(set(index.values())) if isinstance(index, dict) else []
    elif not name:
        raise ModelError(f"The model {folder} has no weights (model.safetensors); give the complete checkpoint.")
    adapters = [f"adapter.{language}.{ending}" for ending in ("safetensors", "bin")] if language else []
    names += [adapter for adapter in adapters if (folder / adapter).exists()][:1]
    files = [checkpoints.find_file(folder, str(one)) for one in names]
    suffix = ".safetensors" if ".safetensors" in name else ".bin"
    if not names or any(file.suffix not in (suffix, ".safetensors") or not file.exists() for file in files[:1]):
        raise ModelError(f"{folder / name} names weights that are not there; copy all files of the checkpoint.")
    pickles = [file.name for file in files if file.suffix != ".safetensors"]
    # Those in the cache of the Hub's client were chosen by the operator.
    if (
        pickles
        and access.is_visitor()
        and not folder.resolve().is_relative_to(credentials.cache_dir("model").resolve())
    ):
        raise ModelError(
            f"The weights {pickles[0]} are a pickle, which could run code here; save the model again as "
            "model.safetensors."
        )
    return files


def _build_without_memory(kind: Any, config: Any, folder: Path) -> torch.nn.Module:
    import torch

    try:
        with torch.device("meta"):
            model: torch.nn.Module = kind(config)
    except Exception as error:  # whatever the classes of transformers and torch raise for impossible values
        raise ModelError(
            f"The config.json of the model {folder} describes no model ({first_line(error).rstrip('.')}); the "
            "checkpoint is damaged."
        ) from error
    return model


def _read_shapes(files: list[Path], folder: Path) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of the tensors that the files hold, without reading them."""
    from safetensors import safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    try:
        for file in files:
            with safe_open(file, framework="pt") as opened:  # which compares the header with the file's size
                shapes |= {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except Exception as error:  # SafetensorError
        raise ModelError(f"The weights of the model {folder} are damaged: {first_line(error).rstrip('.')}.") from error
    return shapes


def _compare(model: torch.nn.Module, shapes: Mapping[str, tuple[int, ...]], folder: Path) -> None:
    """Raise ModelError unless a model, built on "meta", is made of tensors of these shapes."""
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    num_new = 0
    for name, value in _tensors(model):
        for new, old in WEIGHT_NORM.items():
            if name.endswith(new) and name not in shapes:
                name = name.removesuffix(new) + old
        found = shapes.get(name, shapes.get(name.removeprefix(prefix)))
        if found == tuple(value.shape):
            continue
        if found is not None and name.partition(".")[0] not in HEAD_NAMES:
            raise ModelError(
                f"The weights of the model {folder} do not belong to its config.json: {name} has the shape "
                f"{list(found)}, not {list(value.shape)}; copy both from the same checkpoint."
            )
        num_new += value.numel()
    num_stored = sum(_product(shape) for shape in shapes.values())
    if num_new > num_stored + SPARE_VALUES:
        raise ModelError(
            f"The model {folder} has {num_new / 1e6:,.0f} million more values by its config.json than its weights "
            "hold; copy both from the same checkpoint."
        )


def _tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) of parameters, buffers, and tensors that modules keep beside them."""
    import torch

    yield from model.named_parameters()
    yield from model.named_buffers()
    for path, module in model.named_modules():
        yield from ((f"{path}.{key}", one) for key, one in vars(module).items() if isinstance(one, torch.Tensor))


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
