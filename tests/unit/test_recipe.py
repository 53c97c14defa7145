"""The recipe of the starter and the demo runs with the app's modules of today; training itself takes hours."""

from __future__ import annotations

import importlib
import json
import pkgutil

import pytest

import assets.recipe
from asrkit.models import memory_format

torch = pytest.importorskip("torch")
MODULES = sorted(module.name for module in pkgutil.iter_modules(assets.recipe.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_the_recipe_can_be_imported(name):
    if name == "english":
        pytest.importorskip("wordfreq")  # only the recipe needs it
    importlib.import_module(f"assets.recipe.{name}")


def test_rate_stays_at_its_peak_and_then_falls_to_nothing():
    from assets.recipe import starter

    assert starter.rate(0.03, 1e-3, 0.5) == pytest.approx(1e-3, rel=2e-3)
    assert starter.rate(0.5, 1e-3, 0.5) == pytest.approx(1e-3, rel=2e-3)
    assert starter.rate(0.75, 1e-3, 0.5) == pytest.approx(5e-4, rel=5e-3)
    assert starter.rate(1.0, 1e-3, 0.5) < 2e-6


def test_rate_without_a_flat_part_falls_from_the_warm_up_on():
    from assets.recipe import starter

    rates = [starter.rate(done / 100, 1e-3, 0.03) for done in range(3, 101)]
    assert rates == sorted(rates, reverse=True)


def test_training_goes_on_from_its_state(tmp_path):
    from assets.recipe import starter

    first = starter.Training(tmp_path, 1e-3, None)
    memory_format.use(first.model, "channels-last")
    rng = torch.Generator().manual_seed(0)
    batch = starter.collate([(torch.randn(8000, generator=rng).numpy(), "ab"), (torch.ones(6000).numpy(), "c d")])
    loss, norm = first.update(batch, 1e-3)
    assert loss > 0 and norm > 0
    first.spent_s = 7.0
    first.save()
    second = starter.Training(tmp_path, 1e-3, None)
    assert (second.step, second.spent_s) == (1, 7.0)
    expected, found = first.average.state_dict(), second.average.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_held_out_readers_are_in_no_training_clip(tmp_path, monkeypatch):
    """A fifth of the readers, whatever source has more of them; all other speakers are trained on."""
    import numpy as np
    import soundfile

    from assets.recipe import human

    monkeypatch.setattr(human, "NUM_HELD_OUT", 2)
    readers = [f"reader{number}" for number in range(5)]
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype("float32")

    def write_source(name, rows):
        (tmp_path / name).mkdir()
        lines = ["file_name,text,speaker,source"]
        for number, (source, speaker) in enumerate(rows):
            soundfile.write(tmp_path / name / f"{number}.wav", noise, 16_000)
            lines.append(f"{number}.wav,Hello there,{speaker},{source}")
        (tmp_path / name / "metadata.csv").write_text("\n".join(lines) + "\n")
        return str(tmp_path / name)

    first = write_source("first", [*(("librispeech", reader) for reader in readers), ("words", "somebody")])
    second = write_source("second", [("more", reader) for reader in readers])
    monkeypatch.setattr("sys.argv", ["human", first, second, str(tmp_path / "train"), str(tmp_path / "held")])
    human.main()
    trained, held_out = (
        [json.loads(line)["voice"] for line in path.read_text().splitlines()]
        for path in (tmp_path / "train" / "human.jsonl", tmp_path / "held" / "readers.jsonl")
    )
    assert len(held_out) == 2 and len(trained) == 3 + 3 + 1
    assert not {voice.split(":")[1] for voice in trained} & {voice.split(":")[1] for voice in held_out}
    assert "human-words:somebody" in trained
