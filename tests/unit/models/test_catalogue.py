import dataclasses

import pytest

from asrkit import config as configs
from asrkit.models import catalogue, checkpoints
from asrkit.models.resolution import HUB_ID


def test_entries_are_complete():
    models = catalogue.list_models()
    assert len({model.id for model in models}) == len(models) >= 12
    for model in models:
        assert HUB_ID.fullmatch(model.id) and model.title and model.num_languages > 0
        assert model.kind in checkpoints.CTC_TYPES and model.preset in configs.list_presets()
        # float32 or bf16
        assert 0.9 < model.download_gb * 1e9 / (4 * model.weights) < 1.2
        assert set(model.shape) == {"hidden_size", "num_hidden_layers", "intermediate_size"}


def test_presets_train_models_of_the_catalogue():
    bases = {configs.load_preset(name).config.model for name in configs.list_presets()}
    assert bases - {"starter"} <= {model.id for model in catalogue.list_models()}


def test_languages_have_their_own_codes():
    languages = catalogue.list_languages()
    for key in ("code", "name"):
        values = [getattr(language, key) for language in languages]
        assert len(set(values)) == len(values)
    assert all(len(language.code) == 3 and len(language.short) in (0, 2) for language in languages)
    assert sum("fleurs" in language.lists for language in languages) == 102


@pytest.mark.parametrize("name", ["Swahili", "sw", "swh", "sw-KE", " SWAHILI "])
def test_find_language_by_name_or_code(name):
    language = catalogue.find_language(name)
    assert language and language.label == "Swahili (sw, swh)"
    known = {model.id for model in catalogue.list_models() if model.knows(language)}
    assert {"facebook/mms-1b-all", "facebook/wav2vec2-xls-r-300m", "hf-audio/omniasr-ctc-300m-v2"} <= known
    assert "facebook/wav2vec2-base-960h" not in known


def test_unknown_names_are_no_languages_or_models():
    assert [catalogue.find_language(name) for name in ("", "-", "xx", "Klingon")] == [None] * 4
    assert catalogue.find_model("starter") is None and catalogue.describe_licence("starter") == ""


def test_licences_that_forbid_selling_are_described():
    for name in ("facebook/mms-1b-all", "facebook/mms-1b-l1107"):
        assert catalogue.describe_licence(name).startswith(
            f"{name} has a licence for non-commercial use (CC-BY-NC-4.0)"
        )
    sold = dataclasses.replace(catalogue.list_models()[0], is_commercial=True)
    assert "not for commercial use" in catalogue.list_models()[0].label and "commercial" not in sold.label
