import pytest

from asrkit import config as configs
from asrkit.runs import advice, pace, system
from asrkit.runs.advice import Machine, advise

SMALL, TINY, LARGE = (Machine(size_gb, True, None) for size_gb in (8, 4, 80))
LAPTOP = Machine(16, False, 5e8)


@pytest.mark.parametrize(
    ("hours", "language", "machine", "base", "freeze"),
    [
        (0.7, "wo", SMALL, "facebook/mms-1b-all", "all-but-adapters"),
        (0.7, "", SMALL, "facebook/mms-1b-all", "all-but-adapters"),
        (0.7, "br", SMALL, "facebook/wav2vec2-xls-r-300m", "feature-encoder"),  # MMS is not known to have Breton
        (0.7, "wo", TINY, "facebook/wav2vec2-xls-r-300m", "lora"),
        (2.0, "sw", SMALL, "facebook/wav2vec2-xls-r-300m", "feature-encoder"),
        (2.0, "sw", TINY, "facebook/wav2vec2-xls-r-300m", "lora"),
        (100.0, "de", SMALL, "facebook/wav2vec2-xls-r-300m", "feature-encoder"),
        (100.0, "de", LARGE, "facebook/wav2vec2-xls-r-1b", "feature-encoder"),
        (3.0, "en", SMALL, "facebook/wav2vec2-base-960h", "feature-encoder"),
        (0.7, "wo", LAPTOP, "starter", "feature-encoder"),
        (100.0, "en", LAPTOP, "starter", "feature-encoder"),
    ],
)
def test_base_model_that_is_advised(hours, language, machine, base, freeze):
    result = advise(hours, language, machine)
    config = configs.load_preset(result.preset).config.replace({"model": result.base, **result.settings})
    assert (config.model, config.freeze) == (base, freeze)
    assert result.memory_gb < machine.memory_gb
    assert result.sentence.endswith(").") and "\n" not in result.sentence


def test_advice_gives_its_reason():
    assert advise(0.7, "wo", SMALL).sentence == (
        "42 minutes of Wolof, 8 GB: MMS 1B with adapters only, preset Low resource (best below one hour of speech; "
        "above one hour XLS-R does as well; not for commercial use)."
    )
    result = advise(0.7, "Wolof", SMALL)
    assert result.settings["adapter_language"] == "wol" and "2506.17459" in result.evidence
    assert "MMS 1B does not fit" in advise(0.7, "wo", TINY).sentence
    assert "would take" in advise(0.7, "wo", LAPTOP).sentence
    assert advise(2, "xx", SMALL).sentence.startswith("2 hours of a language (xx), 8 GB: XLS-R 300M, preset Small GPU")


def test_smaller_cards_get_smaller_batches_and_the_same_updates():
    batches = []
    for size_gb in (24, 6.8):
        config = advise(2, "sw", Machine(size_gb, True, None))
        settings = configs.load_preset(config.preset).config.replace(config.settings)
        batches.append(settings.batch_seconds * settings.gradient_accumulation_steps)
    assert batches[0] == batches[1]


@pytest.mark.parametrize(("sizes", "memory_gb"), [((8, 24), 24), ((), None)])
def test_machine_is_its_largest_gpu(monkeypatch, sizes, memory_gb):
    gpus = [system.Gpu("GPU", None, None, size * 2**30, None) for size in sizes]
    monkeypatch.setattr(advice.system, "query_gpus", lambda: gpus)
    monkeypatch.setattr(advice, "_query_gpu_memory_gb", advice._query_gpu_memory_gb.__wrapped__)
    machine = advice.find_machine()
    assert machine.is_gpu == bool(sizes) and (machine.speed is None) == machine.is_gpu
    assert machine.memory_gb == memory_gb if memory_gb else machine.memory_gb > 0


def test_processor_has_the_speed_that_was_measured_last(monkeypatch, tmp_path):
    monkeypatch.setenv(pace.VARIABLE, str(tmp_path / "pace.json"))
    monkeypatch.setattr(advice, "_query_gpu_memory_gb", lambda: 0.0)
    advice.find_machine()
    pace.remember(pace.Pace(5.0, 30.0, None, 100_000_000, "feature-encoder"), "cpu")
    assert advice.find_machine().speed == 30.0 * 100_000_000
