"""A model runs in the engine that was measured to be the fastest on this machine; PyTorch runs it until then."""

import gc
import json
import logging
import os
import subprocess
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asrkit.audio import SAMPLING_RATE
from asrkit.data import access
from asrkit.errors import ModelError
from asrkit.runs import cache, pace
from asrkit.transcription import acceleration, model_cache
from asrkit.transcription.acceleration import choices, measurement
from asrkit.transcription.acceleration.choices import Choice
from asrkit.transcription.export import graph
from asrkit.transcription.model_cache import get_transcriber
from asrkit.transcription.transcriber import Transcriber
from tests.support import tiny
from tests.support.noise import make_noise
from tests.support.waiting import wait_for

WHOLE, SMALL = choices.GRAPHS


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(choices.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(acceleration, "MIN_HALF_PARAMETERS", 0)


@pytest.fixture
def folder(tmp_path):
    return tiny.write_checkpoint(tmp_path / "model")


@pytest.fixture(scope="module")
def graph_bytes(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "float32.onnx"
    transcriber = Transcriber(str(checkpoint), "cpu", torch.float32)
    graph.export_onnx(transcriber.engine.model, transcriber.processor, path, "clip")
    return path.read_bytes()


def keep(folder, choice):
    choices.remember(folder, choice, choices.read_weights(folder))


def keep_graph(folder, content, engine=WHOLE):
    """Keep a graph as the choice for a checkpoint; return its path."""
    path = choices.graph_path(folder, engine)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    keep(folder, Choice(engine))
    return path


def test_choice_is_of_a_machine_and_of_these_weights(folder, monkeypatch):
    assert choices.recall(folder) is None
    keep(folder, Choice("pytorch-bfloat16", {"pytorch-bfloat16": 9.0}, "why"))
    assert choices.recall(folder) == Choice("pytorch-bfloat16", {"pytorch-bfloat16": 9.0}, "why")
    assert choices.recall_dtype(folder) == "bfloat16"
    with monkeypatch.context() as patch:
        patch.setattr(pace.platform, "node", lambda: "another")
        assert choices.recall(folder) is None
    with monkeypatch.context() as patch:
        patch.setenv(choices.VARIABLE, choices.PYTORCH)
        assert choices.recall(folder) is None
    weights = folder / "model.safetensors"
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1))
    assert choices.recall(folder) is None


def test_damaged_book_is_as_good_as_none(folder):
    keep(folder, Choice("pytorch-float32"))
    path = choices._path()
    book = json.loads(path.read_text())
    for broken in ("[]", "{", json.dumps(dict.fromkeys(book, 5)), json.dumps({key: {"weights": 1} for key in book})):
        path.write_text(broken)
        assert choices.recall(folder) is None
        keep(folder, Choice("pytorch-float32"))
        assert choices.recall(folder) == Choice("pytorch-float32")


def test_graph_that_this_machine_has_not_checked_is_not_used(folder):
    path = keep_graph(folder, b"a graph")
    assert choices.recall(folder).engine == WHOLE and choices.is_checked(folder, WHOLE)
    path.write_bytes(b"b graph")
    os.utime(path, ns=(0, 1))
    assert choices.recall(folder) is None and not choices.is_checked(folder, WHOLE)


def test_graphs_that_no_machine_uses_are_deleted(folder, monkeypatch):
    used = keep_graph(folder, b"small", SMALL)
    monkeypatch.setattr(pace.platform, "node", lambda: "another")
    unused = choices.graph_path(folder, WHOLE)
    unused.write_bytes(b"whole")
    keep(folder, Choice("pytorch-float32"))
    assert used.exists() and not unused.exists()
    assert choices.is_checked(folder, SMALL), "the first machine has"


def test_graph_of_a_run_is_hidden_in_its_directory(store, tmp_path):
    run_dir = store.root / "run"
    model, other = (tiny.write_checkpoint(run_dir / name) for name in ("model", "checkpoints/checkpoint-5"))
    (run_dir / "config.json").write_text("{}")
    assert choices.graph_path(model, WHOLE) == run_dir / ".graphs" / "float32.onnx"
    assert choices.is_keepable(model) and not choices.is_keepable(other)


def test_graphs_of_other_models_are_trimmed_with_the_cache(folder, store):
    path = keep_graph(folder, b"a graph")
    assert path.is_relative_to(os.environ["XDG_CACHE_HOME"])
    for old in (path, path.parent):
        os.utime(old, (0, 0))
    assert cache.trim(store, 10**9, 10 * 24 * 3600.0) == [path.parent] and not path.exists()


def test_graph_of_a_model_that_a_visitor_fetched_is_not_kept(folder):
    with access.as_visitor("visitor"):
        assert not choices.is_keepable(folder) and choices.is_keepable(access.ASSETS / "starter")
        assert choices.graph_path(folder, WHOLE).is_relative_to(os.environ["XDG_CACHE_HOME"])


@pytest.mark.parametrize(
    ("speeds", "is_same", "expected"),
    [
        ((50, 9, 100, 130), True, SMALL),
        ((50, 9, 100, 130), False, WHOLE),
        ((50, 9, 100, 105), True, WHOLE),
        ((50, 200, 100, 130), True, "pytorch-bfloat16"),
        ((50, 200, 100, 230), False, "pytorch-bfloat16"),
        ((50, 9, 52, 53), True, "pytorch-float32"),
    ],
)
def test_fastest_engine_with_the_same_text_is_chosen(speeds, is_same, expected):
    names = (*choices.DTYPES, *choices.GRAPHS)
    choice = measurement.select(dict(zip(names, map(float, speeds), strict=True)), lambda: is_same)
    assert choice.engine == expected
    assert ("another text" in choice.reason) == (not is_same)


def test_measurement_keeps_a_graph_that_gives_the_same_scores(folder, monkeypatch):
    monkeypatch.setattr(measurement, "MEASURED_S", 0.0)
    monkeypatch.setattr(measurement, "MAX_BUSY_SHARE", 1.0)
    monkeypatch.setattr(measurement, "select", lambda speeds, is_same, reason: Choice(WHOLE, dict(speeds), reason))
    with ThreadPoolExecutor(1) as measuring:
        measurement.main(folder, measuring)
        choice = choices.recall(folder)
        assert choice.engine == WHOLE and choice.reason == ""
        assert set(choice.speeds) == {*choices.DTYPES, *choices.GRAPHS} and min(choice.speeds.values()) > 0
        monkeypatch.setattr(measurement, "choose", lambda *arguments: pytest.fail("measured twice"))
        measurement.main(folder, measuring)


def test_choice_for_a_model_that_was_replaced_meanwhile_is_not_used(store, folder, monkeypatch):
    """Its graph has other weights than the model that is in memory, and than the one that is there now."""

    def replace(*arguments):
        os.utime(folder / "model.safetensors", (0, 0))
        return Choice("pytorch-float32")

    monkeypatch.setattr(measurement, "choose", replace)
    with ThreadPoolExecutor(1) as measuring:
        measurement.main(folder, measuring)
    assert choices.recall(folder) is None
    loaded = choices.read_weights(folder)
    os.utime(folder / "model.safetensors", (1, 1))
    keep_graph(folder, b"a graph of the new weights")
    transcriber = Transcriber(str(folder), "cpu")
    acceleration._measure(folder, loaded, weakref.ref(transcriber))
    assert choices.recall(folder) is not None and transcriber.engine.graph is None


def test_measurement_on_a_busy_machine_is_repeated_twice(folder, monkeypatch):
    engines = iter(["pytorch-float32", "pytorch-bfloat16", "pytorch-float32"])
    monkeypatch.setattr(measurement, "choose", lambda *arguments: Choice(next(engines), num_busy=1))
    for num_busy, engine in ((1, "pytorch-float32"), (2, "pytorch-bfloat16"), (3, "pytorch-float32")):
        measurement.main(folder, None)
        assert choices.recall(folder) == Choice(engine, num_busy=num_busy)
        assert choices.recall(folder).is_provisional == (num_busy < 3)
    measurement.main(folder, None)
    assert next(engines, None) is None and choices.recall(folder).num_busy == 3


def test_measurement_on_a_quiet_machine_ends_the_repetition(folder, monkeypatch):
    keep(folder, Choice("pytorch-float32", num_busy=1))
    monkeypatch.setattr(measurement, "choose", lambda *arguments: Choice("pytorch-bfloat16"))
    measurement.main(folder, None)
    assert choices.recall(folder) == Choice("pytorch-bfloat16") and not choices.recall(folder).is_provisional


@pytest.mark.parametrize(("busy_share", "num_busy"), [(0.1, 0), (0.6, 1)])
def test_choice_remembers_whether_other_work_took_the_processor(checkpoint, monkeypatch, busy_share, num_busy):
    monkeypatch.setattr(measurement, "_export", lambda *arguments: {})
    speeds = {"pytorch-float32": 1.0, "pytorch-bfloat16": 2.0}
    monkeypatch.setattr(measurement, "measure", lambda *arguments: (speeds, busy_share))
    with ThreadPoolExecutor(1) as measuring:
        choice = measurement.choose(checkpoint, measuring)
    assert choice == Choice("pytorch-bfloat16", speeds, num_busy=num_busy)


def test_interrupted_turns_do_not_count():
    """The best time of each part counts, as other work makes any turn slower and none faster."""
    waves = [make_noise(SAMPLING_RATE), make_noise(4 * SAMPLING_RATE)]
    turns = [measurement.Turn(0.1, 9.0), measurement.Turn(5.0, 0.3), measurement.Turn(0.2, 0.4)]
    assert measurement.compute_speed(waves, turns) == 15.0


def test_time_of_other_processes_is_told_from_our_own(monkeypatch):
    """Ten seconds of four cores: 22 s were used, 12 of them by this process."""
    clock = iter([100.0, 110.0])
    own = iter([3.0, 15.0])
    system = iter([(50.0, 1.0, 9.0, 500.0), (65.0, 3.0, 14.0, 518.0)])
    monkeypatch.setattr(measurement.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(measurement.time, "process_time", lambda: next(own))
    monkeypatch.setattr(measurement.psutil, "cpu_times", lambda: next(system))
    monkeypatch.setattr(measurement.psutil, "cpu_count", lambda: 4)
    assert measurement.BusyMeter().read_share() == pytest.approx(0.25)


def test_pytorch_goes_on_where_a_model_cannot_be_exported(checkpoint, monkeypatch):
    def refuse(*arguments):
        raise ModelError("The model x cannot be exported to ONNX: no operator.")

    monkeypatch.setattr(measurement, "MEASURED_S", 0.0)
    monkeypatch.setattr(graph, "export_onnx", refuse)
    with ThreadPoolExecutor(1) as measuring:
        choice = measurement.choose(checkpoint, measuring)
    assert choice.engine in choices.DTYPES and set(choice.speeds) == set(choices.DTYPES)
    assert choice.describe(checkpoint).endswith("is not used: The model x cannot be exported to ONNX: no operator.")


def test_no_export_without_memory(tmp_path):
    with pytest.raises(ModelError, match=r"needs 6\d+ GB of memory, and .* are free"):
        measurement._require_room(10**18, tmp_path)


def test_measured_model_runs_its_graph_and_frees_its_weights(store, checkpoint, graph_bytes):
    plain = Transcriber(str(checkpoint), "cpu", torch.float32)
    keep_graph(checkpoint, graph_bytes)
    engine = get_transcriber(str(checkpoint), store).engine
    assert engine.graph is not None and {part.device.type for part in engine.model.parameters()} == {"meta"}
    clips = [make_noise(length, seed).samples for seed, length in enumerate([9_000, 16_000, 300, 15_000, 64_000])]
    together = engine.log_probabilities(clips)
    for clip, found, wanted in zip(clips, together, plain.engine.log_probabilities(clips), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(found, engine.log_probabilities([clip])[0])


def test_graph_uses_one_thread_while_a_run_is_active(store, checkpoint, graph_bytes, monkeypatch):
    keep_graph(checkpoint, graph_bytes)
    opened, real = [], acceleration.OnnxGraph.open
    monkeypatch.setattr(
        acceleration.OnnxGraph, "open", lambda self, threads: (opened.append(threads), real(self, threads))
    )
    monkeypatch.setattr(model_cache, "ALL_THREADS", 2)
    get_transcriber(str(checkpoint), store).transcribe(make_noise(SAMPLING_RATE))
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: object())
    for _ in range(2):
        get_transcriber(str(checkpoint), store).transcribe(make_noise(SAMPLING_RATE))
    assert opened[-2:] == [2, 1]


def test_dropped_model_closes_its_session(store, tmp_path, checkpoint, graph_bytes):
    keep_graph(checkpoint, graph_bytes)
    model = get_transcriber(str(checkpoint), store)
    model.transcribe(make_noise(SAMPLING_RATE))
    opened = weakref.ref(model.engine.graph)
    del model
    model_cache._cached.clear()
    gc.collect()
    assert opened() is None
    wait_for(lambda: not any(one.name.startswith("onnx") for one in threading.enumerate()), "its threads to end")


def test_unmeasured_model_is_measured_in_the_background(store, checkpoint, graph_bytes, monkeypatch, caplog):
    """PyTorch transcribes until the program has ended, and the log says what is used from then on."""
    caplog.set_level(logging.INFO)
    release, commands = threading.Event(), []

    def measure(command, **options):
        commands.append(command)
        release.wait(60)
        keep_graph(checkpoint, graph_bytes)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(acceleration.subprocess, "run", measure)
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: object())
    assert get_transcriber(str(checkpoint), store).engine.graph is None and not commands, "a run is active"
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: None)
    transcriber = get_transcriber(str(checkpoint), store)
    before = transcriber.transcribe(make_noise(SAMPLING_RATE))
    assert transcriber.engine.graph is None
    release.set()
    wait_for(lambda: transcriber.engine.graph is not None, "the graph")
    assert transcriber.transcribe(make_noise(SAMPLING_RATE)).text == before.text
    get_transcriber(str(checkpoint), store)
    assert len(commands) == 1 and Path(commands[0][-1]) == checkpoint
    assert f"onnxruntime-float32 transcribes with {checkpoint}" in caplog.text


def test_provisional_choice_is_used_and_measured_again(store, checkpoint, graph_bytes, monkeypatch):
    commands = []
    monkeypatch.setattr(
        acceleration.subprocess,
        "run",
        lambda command, **options: commands.append(command) or subprocess.CompletedProcess(command, 0, "", ""),
    )
    keep_graph(checkpoint, graph_bytes)
    choice = choices.recall(checkpoint)
    keep(checkpoint, replace(choice, num_busy=2))
    assert get_transcriber(str(checkpoint), store).engine.graph is not None
    wait_for(lambda: commands, "the measurement")
    keep(checkpoint, replace(choice, num_busy=3))
    model_cache._cached.clear()
    assert get_transcriber(str(checkpoint), store).engine.graph is not None and len(commands) == 1


def test_failed_measurement_and_unreadable_graph_leave_pytorch(store, checkpoint, monkeypatch, caplog):
    monkeypatch.setattr(
        acceleration.subprocess,
        "run",
        lambda command, **options: subprocess.CompletedProcess(command, 1, "", "Error\nkilled\n"),
    )
    transcriber = get_transcriber(str(checkpoint), store)
    wait_for(lambda: "could not be measured: killed" in caplog.text, "the warning")
    keep_graph(checkpoint, b"no graph")
    model_cache._cached.clear()
    again = get_transcriber(str(checkpoint), store)
    assert again is not transcriber and "graph cannot be opened" in caplog.text
    assert again.engine.graph is None and again.transcribe(make_noise(SAMPLING_RATE)).duration_s == 1.0


def test_gpu_stays_with_pytorch(checkpoint, graph_bytes, monkeypatch):
    keep_graph(checkpoint, graph_bytes)
    transcriber = Transcriber(str(checkpoint), "cpu")
    monkeypatch.setattr(acceleration, "best_device", lambda: "cuda")
    acceleration.accelerate(transcriber, may_measure=True)
    assert transcriber.engine.graph is None


def test_measured_number_format_is_used(checkpoint):
    keep(checkpoint, Choice("pytorch-bfloat16"))
    assert Transcriber(str(checkpoint), "cpu").engine.dtype == torch.bfloat16
