"""The lines of the GPU pack that only a GPU reaches, with a simulated one."""

import os
import types

import pytest
import torch

from asrkit.runs import system
from tests.gpu.pack import Pack, RowFile
from tests.gpu.parts import demo, gradients, memory, speed
from tests.unit.test_gpu_pack import read_rows

SMI = """#!/bin/sh
case "$*" in
    *utilization*) echo 'NVIDIA H100 80GB HBM3, 10, 1234, 81559, 40' ;;
    *) echo 'NVIDIA H100 80GB HBM3, 1240, 81559' ;;
esac
"""
GB = 2**30


@pytest.fixture
def calls():
    return []


@pytest.fixture
def pack(tmp_path, monkeypatch, calls):
    """A pack that takes the CPU for a GPU of 80 GB."""
    properties = types.SimpleNamespace(total_memory=80 * GB, name="H100")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * GB)
    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: calls.append(name))
    pack = Pack(tmp_path, RowFile(tmp_path / "rows.jsonl"), small=False)
    pack.device = torch.device("cpu")
    return pack


def rows(pack):
    return {record["row"]["name"]: record["row"] for record in read_rows(pack.folder) if "row" in record}


def test_pack_measures_the_gpus_time_and_memory(pack, calls):
    assert not pack.is_small and pack.device_name == "H100" and pack.pick("full", "small") == "full"
    calls.clear()
    seconds, result = pack.time(lambda: calls.append("work") or 7, repeat=2)
    assert result == 7 and seconds >= 0 and calls == ["synchronize", "work", "synchronize"] * 2
    calls.clear()
    pack.reset_peak()
    assert calls == ["empty_cache", "reset_peak_memory_stats"]
    assert (pack.peak_gb(), pack.total_gb()) == (3.0, 80.0)
    assert [speed.update_seconds(size_gb) for size_gb in (80, 40, 15)] == [320, 80, 30]


def test_memory_is_taken_until_only_the_smaller_size_fits(pack, monkeypatch):
    free = 0.010
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free * GB, 80 * GB))
    taken = []
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda size, **more: taken.append((size, more["dtype"])) or empty(1))
    with memory.limited_memory(pack, 0.004, 0.002) as limit:
        limit(None)
    ((size, dtype),) = taken
    assert size / GB == pytest.approx(free - 0.003, abs=1e-6) and dtype is torch.uint8


class FakeEvent:
    """A CUDA event whose time is the number of events before it, in seconds."""

    count = 0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        FakeEvent.count += 1
        self.time_s = FakeEvent.count

    def elapsed_time(self, end):
        return 1000 * (end.time_s - self.time_s)


def test_stopwatch_adds_up_the_gaps_between_updates(pack, monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    FakeEvent.count = 0
    watch = speed.Stopwatch(pack, seconds=0.0)
    trainer = types.SimpleNamespace(training_step=lambda model, inputs, *others: inputs, add_callback=lambda one: None)
    watch.attach(trainer, lambda inputs: inputs.pop("audio_s"))
    control = types.SimpleNamespace(should_training_stop=False)
    for step in range(1, speed.WARM_STEPS + 3):
        for _ in range(2):  # two batches an update, of which the second does not wait for the device
            assert trainer.training_step(None, {"audio_s": 3.0, "x": 1}, None) == {"x": 1}
        watch.on_step_end(None, types.SimpleNamespace(global_step=step), control)
    assert control.should_training_stop and watch.steps == 2
    watch.on_train_end(None, None, None)
    assert watch.audio_s == 2 * 2 * 3.0 and watch.waiting_s == 2.0, "of two gaps of a second"
    found = watch.speed()
    assert found.peak_gb == 3.0 and found.audio_s_per_s == pytest.approx(12.0 / watch.elapsed_s)


def test_system_figures_are_compared_with_nvidia_smi(pack, tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(system, "query_gpus", system.NvidiaSmi().gpus)
    demo.compare_figures(pack)
    found = rows(pack)
    assert {row["status"] for row in found.values()} == {"passed"}
    assert found["used memory against nvidia-smi"]["value"] == 6.0
    assert found["memory by PyTorch, share of nvidia-smi's"]["value"] == pytest.approx(80 * 1024 / 81559)
    assert demo.used_mb(pack) == 1240.0


def test_cudnns_ctc_is_compared_where_torch_chooses_it(pack, monkeypatch):
    asked = []

    def use(log_probs, targets, input_lengths, target_lengths, blank):
        asked.append((targets.dtype, type(input_lengths), input_lengths[0], len(target_lengths), blank))
        return True

    monkeypatch.setattr(torch, "_use_cudnn_ctc_loss", use)
    gradients.compare_ctc(pack)
    assert asked == [(torch.int32, list, 200, 8, 0)]
    assert {name.partition(":")[0]: row["status"] for name, row in rows(pack).items()} == {
        "torch's CTC": "passed",
        "cuDNN's CTC": "passed",
    }
