"""What training does on a GPU, with simulated devices and errors: no test needs one."""

import contextlib

import pytest
import torch
from transformers import TrainerCallback

from asrkit.config import TrainConfig
from asrkit.models import memory_format
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training import (
    arguments,
    clip_decoding,
    failures,
    loaders,
    loss_scaling,
    micro_batching,
    prefetch,
)
from asrkit.training import model as model_module
from asrkit.training import trainer as trainer_module
from asrkit.training.arguments import resolve_precision
from asrkit.training.data import SpeechDataset
from asrkit.training.findings import FindingReporter
from asrkit.training.model import load
from asrkit.training.trainer import CtcTrainer
from tests.support.evaluation import evaluate
from tests.support.half_precision import simulate_fp16

LENGTHS, TEXTS = (0.9, 0.4, 0.7, 0.55), ("ab", "a cab bad", "deed", "c")


@pytest.fixture
def build(checkpoint, clips, tmp_path):
    """build(settings) -> a CtcTrainer in float32 on four clips."""
    base, rows, store = checkpoint(), clips(*LENGTHS, texts=TEXTS), RunStore(tmp_path / "runs")

    def make(**changes):
        config = TrainConfig(
            **{
                "preset": "",
                "model": str(base),
                "mixed_precision": "no",
                "max_steps": 3,
                "train_batch_size": 2,
                "logging_steps": 1,
                "eval_on_start": False,
                "eval_steps": 1000,
                **changes,
            }
        )
        trainer = CtcTrainer(store.create(config), config, *reversed(load(str(base), config, TEXTS)), rows, rows[2:])
        trainer.args.dataloader_num_workers = 0
        return trainer

    return make


def finding_codes(trainer):
    return [event.data["code"] for event in trainer.run.events()[0] if event.kind == events.FINDING]


# Precision


@pytest.mark.parametrize(
    ("has_bf16", "capability", "expected"),
    [
        (True, (8, 0), "bf16"),
        (True, (9, 0), "bf16"),
        (False, (7, 5), "fp16"),
        (False, (7, 0), "fp16"),
        (False, (6, 1), "no"),
    ],
    ids=["A100", "H100", "T4", "V100", "P40"],
)
def test_auto_precision_follows_the_card(monkeypatch, has_bf16, capability, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert resolve_precision("auto") == expected
    assert [resolve_precision(wanted) for wanted in ("no", "bf16", "fp16")] == ["no", "bf16", "fp16"]


class SimulatedFp16(TrainerCallback):
    """Trains in fp16 on the CPU, and makes the loss overflow in some steps."""

    def __init__(self, trainer, overflows):
        simulate_fp16(trainer, init_scale=1024.0)
        self.weights = []
        trainer.add_callback(self)
        forward = trainer.model.forward

        def overflowing(*args, **batch):
            output = forward(*args, **batch)
            if trainer.state.global_step in overflows:
                output.loss = output.loss * float("inf")
            return output

        trainer.model.forward = overflowing

    def on_train_begin(self, args, state, control, model=None, **_):
        self.weights.append(model.lm_head.weight.detach().clone())

    def on_step_end(self, args, state, control, model=None, **_):
        self.weights.append(model.lm_head.weight.detach().clone())


def test_loss_scaling_skips_an_overflowing_update_and_goes_on(build):
    trainer = build(max_steps=4)
    fp16 = SimulatedFp16(trainer, {1})
    trainer.train()
    has_changed = [not torch.equal(*pair) for pair in zip(fp16.weights, fp16.weights[1:], strict=False)]
    assert has_changed == [True, False, True, True]
    reports = [event.data for event in trainer.run.events()[0] if event.kind == events.TRAIN]
    assert [report["loss_scale"] for report in reports] == [1024, 512, 512, 512]
    assert [report["loss"] is None for report in reports] == [False, True, False, False]
    assert "fp16-overflow" not in finding_codes(trainer)


def test_loss_scaling_keeps_the_gradient(build):
    plain, scaled = build(max_steps=2), build(max_steps=2)
    SimulatedFp16(scaled, frozenset())
    norms = []
    for trainer in (plain, scaled):
        trainer.train()
        norms.append([event.data["grad_norm"] for event in trainer.run.events()[0] if event.kind == events.TRAIN])
    assert norms[0] == pytest.approx(norms[1], rel=0.02)


def test_permanent_overflow_is_reported_once(build):
    trainer = build(max_steps=20)
    fp16 = SimulatedFp16(trainer, set(range(2, 20)))
    trainer.train()
    assert torch.equal(fp16.weights[2], fp16.weights[-1])
    assert finding_codes(trainer).count("fp16-overflow") == 1
    (finding,) = [event for event in trainer.run.events()[0] if event.data.get("code") == "fp16-overflow"]
    assert finding.step == 13, "after 11 skipped updates, which halve 1,024 to a half"
    assert "bf16" in finding.data["remedy"]


def test_scale_of_one_is_no_overflow(tmp_path):
    found = []
    reporter = FindingReporter(None, lambda kind, **data: found.append(data["code"]))
    loss_scaling.report_overflow(1.0, reporter)
    assert found == []
    loss_scaling.report_overflow(0.5, reporter)
    assert found == ["fp16-overflow"]


def test_training_without_loss_scaling_reports_no_scale(build):
    trainer = build(max_steps=1)
    trainer.train()
    (report,) = [event.data for event in trainer.run.events()[0] if event.kind == events.TRAIN]
    assert "loss_scale" not in report and loss_scaling.get_loss_scale(None) is None


# Batches on their way to the GPU


class FakeStream:
    """A CUDA stream whose work is a list of names."""

    def __init__(self, log, name):
        self.log, self.name = log, name

    def record_event(self):
        self.log.append(("event", self.name))
        return len(self.log)

    def wait_event(self, event):
        self.log.append(("wait", self.name, event))


@pytest.fixture
def fake_cuda(monkeypatch):
    """Streams of a GPU that is the CPU; -> the log of what they were asked to do."""
    log, main = [], None

    @contextlib.contextmanager
    def use(stream):
        log.append(("begin", stream.name))
        yield
        log.append(("end", stream.name))

    main = FakeStream(log, "main")
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream(log, "copy"))
    monkeypatch.setattr(torch.cuda, "stream", use)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: log.append(("in use by", stream.name)))
    to = torch.Tensor.to

    def copy(self, device, non_blocking=False):
        log.append(("copy", non_blocking))
        return to(self, "cpu")

    monkeypatch.setattr(torch.Tensor, "to", copy)
    return log


def make_batch(number):
    return {"input_values": torch.full((2, 3), float(number)), "about": {"audio_seconds": 1.0, "clips": [number]}}


def test_batch_is_copied_before_the_one_before_it_is_used(fake_cuda):
    batches = prefetch.prefetch(iter([make_batch(number) for number in range(3)]), torch.device("cuda"))
    first = next(batches)
    assert first["input_values"][0, 0] == 0 and first["about"]["clips"] == [0]
    one_copy = [("begin", "copy"), ("copy", True), ("event", "copy"), ("end", "copy")]
    assert fake_cuda == [*one_copy, *one_copy, ("wait", "main", 3), ("in use by", "main")]
    assert [batch["about"]["clips"] for batch in batches] == [[1], [2]]
    assert fake_cuda.count(("copy", True)) == 3


def test_no_batches_are_prefetched_from_an_empty_loader(fake_cuda):
    assert list(prefetch.prefetch(iter([]), torch.device("cuda"))) == []


def test_batches_stay_on_the_cpu_without_a_gpu():
    batch = make_batch(0)
    assert next(prefetch.prefetch(iter([batch]), torch.device("cpu"))) is batch


def test_loaders_pin_their_batches_where_there_is_a_gpu(build, monkeypatch):
    trainers = build(), build()  # each makes its loader once
    for trainer, has_gpu in zip(trainers, (True, False), strict=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        evaluating = loaders.make_eval_loader(SpeechDataset(trainer.eval_rows, None), [[0]], trainer.processor, 0)
        assert [trainer.get_train_dataloader().pin_memory, evaluating.pin_memory] == [has_gpu, has_gpu]


@pytest.mark.parametrize(
    ("num_cores", "has_gpu", "num_workers", "prefetch_factor"),
    [(16, True, 8, 2), (4, True, 3, 4), (1, True, 1, 4), (16, False, 4, 4), (2, False, 0, None)],
)
def test_loader_processes_follow_cores_and_gpu(monkeypatch, num_cores, has_gpu, num_workers, prefetch_factor):
    monkeypatch.setattr(arguments, "count_cores", lambda: num_cores)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_gpu)
    assert arguments.num_loader_workers() == num_workers
    assert loaders.prefetch_factor(num_workers) == prefetch_factor


def test_training_fetches_each_batch_once_through_prefetch(build, monkeypatch):
    trainer, fetched = build(num_epochs=2, max_steps=0), []

    def spy(batches, device):
        for batch in batches:
            fetched.append(batch["about"]["clips"])
            yield batch

    monkeypatch.setattr("asrkit.training.trainer.prefetch", spy)
    trainer.train()
    assert sorted(clip for clips in fetched for clip in clips) == sorted([*range(4)] * 2)


def test_evaluation_leaves_the_random_state_alone(build):
    trainer = build()
    before = torch.get_rng_state()
    trainer.evaluate()
    assert torch.equal(torch.get_rng_state(), before)


# Optimizer and attention


def test_optimizer_is_fused(build):
    for rate in (0.0, 1e-3):
        optimizer = build(head_learning_rate=rate).create_optimizer()
        assert all(group["fused"] for group in optimizer.param_groups)


def test_model_keeps_sdpa_attention_where_there_is_a_gpu(checkpoint, monkeypatch):
    monkeypatch.setattr(model_module, "find_device_type", lambda config: "cuda")
    base = checkpoint()
    _, model = load(str(base), TrainConfig(model=str(base)), TEXTS)
    assert model.config._attn_implementation == "sdpa" and memory_format.find(model) == "products"


# Memory


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "GET was unable to find an engine to execute this computation",
        "MPS backend out of memory (MPS allocated: 1.00 GB)",
    ],
)
def test_full_memory_is_recognised(message):
    assert failures.is_out_of_memory(RuntimeError(message))
    assert failures.explain(RuntimeError(message)).error == "out-of-memory"


def test_other_errors_of_a_gpu_are_no_full_memory():
    for message in ("CUDA error: device-side assert triggered", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"):
        assert not failures.is_out_of_memory(RuntimeError(message))
        assert failures.explain(RuntimeError(message)).error in ("cuda", "unexpected")


@pytest.fixture
def freed(monkeypatch):
    """Count the calls that return unused memory to the GPU."""
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("freed"))
    return calls


def limit_memory(monkeypatch, model, num_clips):
    """Make the model's forward fail for more clips; -> the sizes that it was called with."""
    forward, sizes = model.forward, []

    def limited(*args, **batch):
        sizes.append(len(batch["labels"]))
        if sizes[-1] > num_clips:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*args, **batch)

    monkeypatch.setattr(model, "forward", limited)
    return sizes


def test_evaluation_frees_memory_before_it_continues_with_fewer_clips(build, monkeypatch):
    trainer = build()
    model, rows = trainer.model, trainer.train_rows
    wanted = evaluate(model, trainer.processor, rows, batch_size=4).to_event_data()
    sizes, freed = limit_memory(monkeypatch, model, 2), []
    monkeypatch.setattr(clip_decoding, "free_memory", lambda: freed.append(len(sizes)))
    found = evaluate(model, trainer.processor, rows, batch_size=4).to_event_data()
    assert sizes == [4, 2, 2] and freed == [1]
    assert found.pop("loss") == pytest.approx(wanted.pop("loss"), rel=1e-5)
    assert found | {"seconds": 0} == wanted | {"seconds": 0}, "and no second of audio counts twice"


def test_free_memory_empties_the_gpus_cache(freed):
    micro_batching.free_memory()
    assert freed == ["freed"]


def test_split_update_frees_memory_first(build, monkeypatch):
    trainer, freed = build(train_batch_size=4, max_steps=1), []
    sizes = limit_memory(monkeypatch, trainer.model, 2)
    monkeypatch.setattr(micro_batching, "free_memory", lambda: freed.append(len(sizes)))
    trainer.train()
    assert sizes[:3] == [4, 2, 2] and freed == [1] and "batch-split" in finding_codes(trainer)


def test_peak_memory_is_that_of_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**30)
    assert arguments.peak_memory_bytes() == 3 * 2**30


# The cache of frozen convolutions


@pytest.mark.parametrize(("device_type", "has_cache"), [("cpu", True), ("cuda", False)])
def test_frozen_convolutions_are_cached_for_the_cpu_alone(build, monkeypatch, device_type, has_cache):
    monkeypatch.setattr(trainer_module, "find_device_type", lambda config: device_type)
    assert (build(freeze="feature-encoder").encoder_cache is not None) == has_cache
