import gc
import json
import os
import threading
import weakref

import pytest
import torch

from asrkit.audio import SAMPLING_RATE
from asrkit.errors import ModelError
from asrkit.transcription import model_cache
from asrkit.transcription.model_cache import get_transcriber
from tests.support import tiny
from tests.support.noise import make_noise


def test_replaced_checkpoint_is_loaded_again(store, checkpoint):
    first = get_transcriber(str(checkpoint), store)
    assert get_transcriber(str(checkpoint), store) is first
    config = checkpoint / "config.json"
    os.utime(config, ns=(0, config.stat().st_mtime_ns + 10**9))
    second = get_transcriber(str(checkpoint), store)
    assert second is not first and get_transcriber(str(checkpoint), store) is second


def test_least_recently_used_model_is_dropped(store, tmp_path, checkpoint):
    folders = [tiny.write_checkpoint(tmp_path / name) for name in ("one", "two", "three")]
    first, second = (get_transcriber(str(folder), store) for folder in folders[:2])
    assert get_transcriber(str(folders[0]), store) is first
    third = get_transcriber(str(folders[2]), store)
    assert len(model_cache._cached) == 2
    assert get_transcriber(str(folders[0]), store) is first and get_transcriber(str(folders[2]), store) is third
    assert get_transcriber(str(folders[1]), store) is not second


def test_dropped_model_is_freed(store, tmp_path):
    folders = [tiny.write_checkpoint(tmp_path / name) for name in ("one", "two", "three")]
    first = weakref.ref(get_transcriber(str(folders[0]), store))
    for folder in folders[1:]:
        get_transcriber(str(folder), store)
    gc.collect()
    assert first() is None


def test_one_thread_is_used_while_a_run_is_active(store, checkpoint, monkeypatch):
    assert get_transcriber(str(checkpoint), store).engine.num_threads == model_cache.ALL_THREADS
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: object())
    busy = get_transcriber(str(checkpoint), store)
    before = torch.get_num_threads()
    try:
        busy.transcribe(make_noise(SAMPLING_RATE))
        assert busy.engine.num_threads == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_loading_one_model_does_not_block_another(store, checkpoint, tmp_path, monkeypatch):
    other, release, begun = tiny.write_checkpoint(tmp_path / "slow"), threading.Event(), threading.Event()
    real = model_cache.Transcriber

    def load(name, device):
        if name == str(other):
            begun.set()
            release.wait(60)
        return real(name, device)

    monkeypatch.setattr(model_cache, "Transcriber", load)
    slow = threading.Thread(target=get_transcriber, args=[str(other), store], daemon=True)
    slow.start()
    begun.wait(60)
    quick = threading.Thread(target=get_transcriber, args=[str(checkpoint), store], daemon=True)
    quick.start()
    quick.join(20)
    stuck = quick.is_alive()
    release.set()
    slow.join(60)
    assert not stuck


def broken_weights(folder):
    (folder / "model.safetensors").write_bytes(b"half of it")


def no_tokenizer(folder):
    for path in [*folder.glob("*token*"), folder / "vocab.json"]:
        path.unlink()


def nothing_but_weights(folder):
    for path in folder.glob("*.json"):
        if path.name != "config.json":
            path.unlink()


@pytest.mark.parametrize("damage", [broken_weights, no_tokenizer, nothing_but_weights])
def test_broken_checkpoints_raise(store, tmp_path, damage):
    folder = tiny.write_checkpoint(tmp_path / "broken")
    damage(folder)
    with pytest.raises(ModelError, match=f"{folder} ") as caught:
        get_transcriber(str(folder), store)
    assert "\n" not in str(caught.value)


def test_encoder_without_output_layer_raises(store, tmp_path):
    folder = tiny.write_checkpoint(tmp_path / "broken")
    no_tokenizer(folder)
    data = json.loads((folder / "config.json").read_text()) | {"architectures": ["Wav2Vec2Model"]}
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(ModelError):
        get_transcriber(str(folder), store)
