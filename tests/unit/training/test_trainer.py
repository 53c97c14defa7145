"""The training loop on a model of ten thousand parameters and clips of half a second, with a real run directory."""

import dataclasses
import itertools
import multiprocessing
import types

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCTC, AutoProcessor, Trainer, TrainerCallback, TrainingArguments

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError
from asrkit.runs import events
from asrkit.runs.run import CANCEL, EVALUATE, PREEMPT, SAVE, STOP
from asrkit.runs.store import RunStore
from asrkit.training import evaluator
from asrkit.training.arguments import choose_optimizer, resolve_precision
from asrkit.training.data import Collator, SpeechDataset
from asrkit.training.evaluator import Evaluator
from asrkit.training.model import load, reload
from asrkit.training.resume import ResumeState
from asrkit.training.schedule import BestTracker
from asrkit.training.trainer import CtcTrainer
from tests.support.evaluation import evaluate

LENGTHS, TEXTS = (0.9, 0.4, 0.7, 0.55), ("ab", "a cab bad", "deed", "c")
"""Clips and texts of different lengths, so that the mean of batch means differs from the mean over clips."""


class Observed(Exception):
    """Ends training after the gradient of the first update."""


class GradientOfFirstUpdate(TrainerCallback):
    def __init__(self):
        self.gradient = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        self.gradient = {
            name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None
        }
        raise Observed


@pytest.fixture
def base(checkpoint):
    return checkpoint()


@pytest.fixture
def build(base, clips, tmp_path):
    """build(count, settings) -> a CtcTrainer on the first `count` clips, evaluated on the last two."""
    store, rows = RunStore(tmp_path / "runs"), clips(*LENGTHS, texts=TEXTS)

    def make(count=4, run=None, resume_state=None, model_of=None, num_workers=0, **changes):
        settings = {
            "preset": "",
            "model": str(base),
            "freeze": "nothing",
            "mixed_precision": "no",
            "max_steps": 3,
            "train_batch_size": count,
            "learning_rate": 1e-3,
            "max_grad_norm": 1e6,
            "logging_steps": 1,
            "eval_on_start": False,
            "eval_steps": 1000,
            **changes,
        }
        config = TrainConfig(**settings)
        torch.manual_seed(0)  # the matrices of LoRA are drawn
        processor, model = model_of(config) if model_of else load(str(base), config, TEXTS)
        run = run or store.create(config)
        trainer = CtcTrainer(run, config, model, processor, rows[:count], rows[2:], resume_state)
        trainer.args.dataloader_num_workers = num_workers
        return trainer

    return make


def gradient(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Return the gradient of the first update, before the optimizer step."""
    watcher = GradientOfFirstUpdate()
    trainer.add_callback(watcher)
    with pytest.raises(Observed):
        trainer.train()
    return watcher.gradient


def gradient_by_clip(trainer: CtcTrainer) -> dict[str, torch.Tensor]:
    """Return the gradient of the mean over clips, computed clip by clip."""
    rows, model = trainer.train_rows, trainer.model
    dataset, collator = SpeechDataset(rows, trainer.processor), Collator(trainer.processor)
    model.train().zero_grad()
    for index in range(len(rows)):
        batch = collator([dataset[index]])
        batch.pop("about")
        (model(**batch).loss / len(rows)).backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad()
    return found


def assert_same(found, wanted):
    assert set(found) == set(wanted)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-3, atol=1e-5, msg=f"gradient of {name} differs")


@pytest.mark.parametrize(
    ("count", "clips_a_batch", "accumulation"),
    [
        (4, 4, 1),
        (4, 2, 2),
        (4, 1, 4),
        (3, 3, 1),
        (3, 2, 2),
        (3, 1, 3),
    ],
)
def test_gradient_is_mean_over_clips_for_any_split(build, count, clips_a_batch, accumulation):
    trainer = build(count, train_batch_size=clips_a_batch, gradient_accumulation_steps=accumulation)
    wanted = gradient_by_clip(trainer)
    assert sum(part.abs().sum() for part in wanted.values()) > 1
    assert_same(gradient(trainer), wanted)


def test_gradient_is_mean_over_clips_for_unequal_batches(build):
    """1.9 s of padded audio hold clips in twos at most, of 0.9 and 0.7 s; 4 clips in 2 to 4 batches, one update."""
    trainer = build(4, batch_seconds=1.9, gradient_accumulation_steps=4)
    wanted = gradient_by_clip(trainer)
    assert 2 <= len(trainer.get_train_dataloader()) < 4
    assert_same(gradient(trainer), wanted)


def norm(parts):
    return torch.stack([part.norm() for part in parts.values()]).norm().item()


def test_plain_trainer_scales_gradient_by_accumulation_steps(build, tmp_path):
    """Why CtcTrainer scales the loss itself: Trainer's update of 1 clip x 4 is 4 times that of 4 clips x 1."""
    norms = []
    for clips_a_batch, accumulation in ((4, 1), (1, 4)):
        ours = build(4)
        del ours.model.accepts_loss_kwargs
        collator = Collator(ours.processor)
        plain = Trainer(
            ours.model,
            TrainingArguments(
                str(tmp_path / "plain"),
                per_device_train_batch_size=clips_a_batch,
                max_steps=1,
                report_to="none",
                gradient_accumulation_steps=accumulation,
                remove_unused_columns=False,
                max_grad_norm=1e6,
                use_cpu=True,
                disable_tqdm=True,
            ),
            train_dataset=SpeechDataset(ours.train_rows, ours.processor),
            data_collator=lambda items, collator=collator: {
                name: value for name, value in collator(items).items() if name != "about"
            },
        )
        norms.append(norm(gradient(plain)))
    assert norms[1] / norms[0] == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_out_of_memory_splits_batch_and_keeps_gradient(build, monkeypatch, accumulation):
    """A model with memory for one clip only: the gradient is that of the whole update, and the run reports it once."""
    changes = {"train_batch_size": 4 // accumulation, "gradient_accumulation_steps": accumulation}
    expected = gradient_by_clip(build(4, **changes))
    trainer = build(4, **changes)
    forward = trainer.model.forward

    def limited_forward(*args, **batch):
        answer = forward(*args, **batch)
        if len(batch["labels"]) > 1:
            answer.loss.backward(retain_graph=True)  # a gradient that was begun is not counted twice
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return answer

    monkeypatch.setattr(trainer.model, "forward", limited_forward)
    assert_same(gradient(trainer), expected)
    actual = [event.data for event in trainer.run.events()[0] if event.kind == events.FINDING]
    assert [finding["code"] for finding in actual] == ["batch-split"] and "computed in 2 parts" in actual[0]["cause"]


def test_non_finite_loss_names_its_clips(build, monkeypatch):
    trainer = build(4, train_batch_size=2, max_steps=2, logging_steps=2)
    forward, seen = trainer.model.forward, []

    def broken(*args, **batch):
        answer = forward(*args, **batch)
        seen.append(len(batch["labels"]))
        return type(answer)(loss=answer.loss * float("nan"), logits=answer.logits) if len(seen) == 2 else answer

    monkeypatch.setattr(trainer.model, "forward", broken)
    trainer.train()
    (finding,) = [event.data for event in trainer.run.events()[0] if event.kind == events.FINDING]
    second = [trainer.train_rows[index].id for _, index in list(trainer.get_train_dataloader().batch_sampler)[1]]
    assert finding["code"] == "non-finite" and len(second) == 2
    assert finding["cause"].endswith(f"It began with a batch of {second[0]}, {second[1]}.")


def test_non_finite_loss_does_not_affect_later_losses(build, monkeypatch):
    """As with fp16: the loss overflows and the step is skipped."""
    trainer = build(4, max_steps=4, logging_steps=1)
    forward, seen = trainer.model.forward, []

    def overflowing(*args, **batch):
        answer = forward(*args, **batch)
        seen.append(answer)
        return type(answer)(loss=answer.loss + float("nan"), logits=answer.logits) if len(seen) == 2 else answer

    monkeypatch.setattr(trainer.model, "forward", overflowing)
    trainer.train()
    actual = [event.data["loss"] is None for event in trainer.run.events()[0] if event.kind == events.TRAIN]
    assert actual == [False, True, False, False]


def test_resumed_run_keeps_number_of_parts(build):
    trainer = build(4, resume_state=ResumeState(num_parts=2))
    seen, forward = [], trainer.model.forward
    trainer.model.forward = lambda **batch: seen.append(len(batch["labels"])) or forward(**batch)
    trainer.train()
    assert set(seen[:2]) == {2} and trainer.micro_batcher.num_parts == 2


def test_single_clip_out_of_memory_raises(build, monkeypatch):
    trainer = build(1)
    monkeypatch.setattr(
        trainer.model, "forward", lambda **batch: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory."))
    )
    with pytest.raises(torch.OutOfMemoryError):
        trainer.train()


@pytest.mark.parametrize(("clips_a_batch", "accumulation"), [(4, 1), (1, 4)])
def test_reported_loss_is_mean_over_clips(build, clips_a_batch, accumulation):
    trainer = build(train_batch_size=clips_a_batch, gradient_accumulation_steps=accumulation, max_steps=1)
    rows = evaluate(trainer.model, trainer.processor, trainer.train_rows, batch_size=1)
    trainer.train()
    (event,) = [event for event in trainer.run.events()[0] if event.kind == events.TRAIN]
    assert event.step == 1 and event.epoch == 1.0
    assert event.data["loss"] == pytest.approx(rows.loss, rel=1e-3)
    assert event.data["grad_norm"] > 0 and event.data["audio_seconds_per_second"] > 0


# Events of a run


def event_steps(run):
    """(kind, step) of every event, phases by their name."""
    return [(event.data.get("phase", event.kind), event.step) for event in run.events()[0]]


def test_run_emits_events_and_saves_checkpoints(build):
    trainer = build(max_steps=3, eval_on_start=True, eval_steps=2, save_total_limit=1)
    trainer.train()
    actual = [(kind, step) for kind, step in event_steps(trainer.run) if kind not in ("evaluating", "finding")]
    assert actual == [
        ("eval", 0),
        ("training", 0),
        ("train", 1),
        ("train", 2),
        ("eval", 2),
        ("saving", 2),
        ("checkpoint", 2),
        ("train", 3),
        ("eval", 3),
        ("saving", 3),
        ("checkpoint", 3),
    ]
    assert [path.name for path in trainer.run.checkpoints()] == ["checkpoint-3"]
    assert list((trainer.run.checkpoints_dir / ".partial").glob("*")) == []
    for folder in (trainer.run.model_dir, trainer.run.checkpoints()[0]):
        assert AutoModelForCTC.from_pretrained(folder).config.vocab_size == 8
        assert AutoProcessor.from_pretrained(folder).tokenizer("ab").input_ids == [3, 4]


def test_zero_eval_steps_evaluates_after_each_epoch(build):
    trainer = build(max_steps=0, num_epochs=2, eval_steps=0, train_batch_size=2)
    trainer.train()
    assert [step for kind, step in event_steps(trainer.run) if kind == "eval"] == [2, 4]
    assert [path.name for path in trainer.run.checkpoints()] == ["checkpoint-2", "checkpoint-4"]


def look_ahead(batches, device):
    """Yield each batch when the next one is there, as `prefetch` does on a GPU."""
    pairs = itertools.pairwise(itertools.chain(batches, [None]))
    yield from (batch for batch, _ in pairs)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_every_epoch_has_all_clips_with_and_without_loader_processes(build, monkeypatch, num_workers):
    monkeypatch.setattr("asrkit.training.trainer.prefetch", look_ahead)
    trainer, seen = build(max_steps=0, num_epochs=3, train_batch_size=2, num_workers=num_workers), []
    compute_loss = trainer.compute_loss

    def spy(model, inputs, **more):
        seen.append(inputs["about"]["clips"])
        return compute_loss(model, inputs, **more)

    monkeypatch.setattr(trainer, "compute_loss", spy)
    trainer.train()
    assert trainer.state.global_step == trainer.state.max_steps == 6
    assert not multiprocessing.active_children()  # those that the program's end waits for
    for epoch in range(3):
        assert sorted(clip for clips in seen[2 * epoch : 2 * epoch + 2] for clip in clips) == [0, 1, 2, 3]


def test_training_without_a_batch_for_an_update_is_an_error(build, monkeypatch):
    trainer = build(max_steps=3)
    monkeypatch.setattr("asrkit.training.trainer.prefetch", lambda batches, device: iter([]))
    with pytest.raises(RuntimeError, match="no batch for the update after step 0"):
        trainer.train()


def fake_evaluations(monkeypatch, *rates):
    """Make evaluations return these WERs in turn."""
    left = list(rates)

    def evaluate(*_, **__):
        rate = left.pop(0)
        return types.SimpleNamespace(to_event_data=lambda: {"loss": 1.0, "wer": rate, "cer": rate, "mer": rate})

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)


def weights(folder):
    return load_file(folder / "model.safetensors")["lm_head.weight"]


def test_best_model_is_kept(build, monkeypatch):
    fake_evaluations(monkeypatch, 0.5, 0.3, 0.3, 0.4)
    trainer = build(max_steps=4, eval_steps=1, save_total_limit=9)
    trainer.train()
    steps = {int(path.name[11:]): weights(path) for path in trainer.run.checkpoints()}
    assert not torch.equal(steps[2], steps[3])
    assert torch.equal(weights(trainer.run.model_dir), steps[2])


def test_resumed_run_keeps_best_result(build, monkeypatch):
    fake_evaluations(monkeypatch, 0.5, 0.4)
    best = events.Event("eval", 1.0, 7, 0.5, {"wer": 0.3})
    trainer = build(max_steps=2, eval_steps=1, resume_state=ResumeState(evaluations=[best]))
    trainer.train()
    assert not trainer.run.has_model()


def test_early_stopping_waits_for_patience(build, monkeypatch):
    """Two evaluations without improvement after that of step 2; an equal result is no improvement."""
    fake_evaluations(monkeypatch, 0.5, 0.3, 0.3, 0.4, 0.1)
    trainer = build(max_steps=9, eval_steps=1, early_stopping_patience=2)
    trainer.train()
    assert trainer.state.global_step == 4 and not trainer.interrupted


def test_difference_within_the_interval_is_the_best_but_no_improvement():
    """Small steps count together once they are beyond the interval of the difference, 0.028 to both sides."""
    record, rates = BestTracker("wer"), (0.4, 0.38, 0.375, 0.37)
    evaluations = [{"wer": wer, "loss": 1.0, "wer_interval": [wer - 0.02, wer + 0.02]} for wer in rates]
    assert [(record.add(metrics), record.num_stale) for metrics in evaluations] == [
        (True, 0),
        (True, 1),
        (True, 2),
        (True, 0),
    ]


def test_best_is_chosen_on_the_clips_of_the_start():
    """Before training 10 clips were evaluated, of which a model that is worse on all 50 makes fewer errors."""
    record = BestTracker("wer")
    assert record.add({"wer": 0.3, "loss": 1.0, "utterances": 10})
    assert not record.add({"wer": 0.2, "loss": 1.0, "utterances": 50, "start_sample": {"wer": 0.4}})
    assert record.add({"wer": 0.35, "loss": 1.0, "utterances": 50, "start_sample": {"wer": 0.25}})
    assert not record.add({"wer": 0.36, "loss": 1.0, "utterances": 50, "start_sample": {"wer": 0.2}})


@pytest.mark.parametrize(("losses", "stale"), [((9.0, 7.0, 5.0), 0), ((9.0, 7.0, 7.1), 1), ((9.0, 9.0, 9.0), 2)])
def test_falling_loss_resets_patience_while_collapsed(losses, stale):
    record = BestTracker("wer")
    assert [record.add({"wer": 1.0, "loss": loss}) for loss in losses] == [True, False, False]
    assert record.num_stale == stale


def test_falling_loss_does_not_reset_patience_after_collapse():
    record = BestTracker("wer")
    assert [record.add({"wer": rate, "loss": loss}) for rate, loss in ((0.5, 3.0), (0.5, 2.0), (None, 1.0))] == [
        True,
        False,
        False,
    ]
    assert record.num_stale == 2 and record.best.wer == 0.5


@pytest.mark.parametrize(("flag", "saved"), [(STOP, ["checkpoint-2"]), (PREEMPT, ["checkpoint-2"]), (CANCEL, [])])
def test_stop_and_cancel_flags_end_training_after_step(build, flag, saved):
    trainer = build(max_steps=9)

    class Ask(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 1:
                trainer.run.set_flag(flag)

    trainer.add_callback(Ask())
    trainer.train()
    assert trainer.interrupted and trainer.state.global_step == 2
    assert [path.name for path in trainer.run.checkpoints()] == saved
    assert "eval" not in [kind for kind, _ in event_steps(trainer.run)], "a stop does not wait for an evaluation"


@pytest.mark.parametrize(("flag", "kind"), [(SAVE, "checkpoint"), (EVALUATE, "eval")])
def test_save_and_evaluate_flags_are_handled_once(build, flag, kind):
    """Each is handled once, after the step."""
    trainer = build(max_steps=4)
    trainer.run.set_flag(flag)
    trainer.train()
    steps = [step for what, step in event_steps(trainer.run) if what == kind and step < 4]
    assert steps == [1] and not trainer.run.has_flag(flag)


def test_cancel_during_evaluation_saves_nothing(build, monkeypatch):
    trainer = build(max_steps=9, eval_steps=2, save_steps=2)
    real = evaluator.decode_clips

    def cancelled(*arguments, **more):
        trainer.run.set_flag(CANCEL)
        return real(*arguments, **more)

    monkeypatch.setattr(evaluator, "decode_clips", cancelled)
    trainer.train()
    assert trainer.interrupted and "saving" not in [kind for kind, _ in event_steps(trainer.run)]


def test_stop_flag_ends_evaluation(build):
    trainer = build(max_steps=9, eval_on_start=True)
    trainer.run.set_flag(STOP)
    trainer.train()
    assert trainer.interrupted and "eval" not in [kind for kind, _ in event_steps(trainer.run)]


@pytest.mark.parametrize(("eval_steps", "stop_at"), [(2, 2), (0, 4)])
def test_interrupted_evaluation_is_repeated_after_resume(build, monkeypatch, eval_steps, stop_at):
    """Evaluations by steps and by epochs."""
    trainer = build(4, train_batch_size=1, max_steps=8, eval_steps=eval_steps, save_steps=0)
    real = evaluator.decode_clips

    def stopped(*arguments, **more):
        if trainer.state.global_step == stop_at:
            trainer.run.set_flag(STOP)
        return real(*arguments, **more)

    monkeypatch.setattr(evaluator, "decode_clips", stopped)
    trainer.train()
    assert trainer.interrupted and [step for kind, step in event_steps(trainer.run) if kind == "eval"] == []
    monkeypatch.setattr(evaluator, "decode_clips", real)
    trainer.run.clear_flags()
    again = build(4, run=trainer.run, train_batch_size=1, max_steps=8, eval_steps=eval_steps, save_steps=0)
    again.train(resume_from_checkpoint=str(trainer.run.checkpoints()[-1]))
    assert [step for kind, step in event_steps(trainer.run) if kind == "eval"] == list(range(stop_at, 9, stop_at))


def test_head_first_steps_train_only_the_head(build):
    trainer = build(max_steps=3, head_first_steps=2, learning_rate=1e-2, lr_scheduler_type="constant")
    states = [{name: part.detach().clone() for name, part in trainer.model.named_parameters()}]

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            states.append({name: part.detach().clone() for name, part in model.named_parameters()})

    trainer.add_callback(Keep())
    trainer.train()
    moved = [
        {name for name in after if not torch.equal(before[name], after[name])}
        for before, after in zip(states, states[1:], strict=False)
    ]
    assert moved[0] == moved[1] == {"lm_head.weight", "lm_head.bias"}
    assert len(moved[2]) > 20


def test_head_learning_rate_applies_to_head_only(build):
    """Adam's first step is the learning rate for every weight with a gradient, so the size of a step shows its rate."""
    trainer = build(4, learning_rate=1e-3, head_learning_rate=1e-2, lr_scheduler_type="constant", max_steps=1)
    before = {name: one.clone() for name, one in trainer.model.state_dict().items()}
    trainer.train()
    moved = {name: (one - before[name]).abs().median().item() for name, one in trainer.model.state_dict().items()}
    assert moved["lm_head.weight"] == pytest.approx(1e-2, rel=0.05)
    assert moved["wav2vec2.encoder.layers.0.feed_forward.output_dense.weight"] == pytest.approx(1e-3, rel=0.05)
    assert [event.data["learning_rate"] for event in trainer.run.events()[0] if event.kind == events.TRAIN] == [1e-3]


def test_frozen_parameters_do_not_change(build):
    trainer = build(max_steps=1, freeze="feature-encoder", learning_rate=1e-2, lr_scheduler_type="constant")
    before = {name: part.detach().clone() for name, part in trainer.model.named_parameters()}
    trainer.train()
    still = {name for name, part in trainer.model.named_parameters() if torch.equal(part, before[name])}
    assert {name for name in before if ".feature_extractor." in name} <= still
    assert "lm_head.weight" not in still


def test_short_clips_can_be_masked(build):
    trainer = build(max_steps=1, mask_time_prob=0.5, mask_time_length=60)
    trainer.train()
    assert trainer.state.global_step == 1


@pytest.mark.parametrize(("freeze", "num_workers"), [("nothing", 0), ("lora", 0), ("nothing", 1)])
def test_resumed_run_continues_the_same_losses(build, freeze, num_workers):
    """Same batches, same augmentation, same optimizer: the losses of steps 3 and 4 are those of one long run."""
    settings = {
        "max_steps": 4,
        "train_batch_size": 2,
        "augmentation": "light",
        "save_steps": 2,
        "num_epochs": 9,
        "num_workers": num_workers,
    }
    settings |= {"freeze": freeze, "learning_rate": 0.05 if freeze == "lora" else 1e-3}
    long, broken = build(**settings), build(**settings)
    long.train()

    class Kill(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 3:
                raise Observed

    broken.add_callback(Kill())
    with pytest.raises(Observed):
        broken.train()
    checkpoint = broken.run.checkpoints()[-1]
    resumed = build(run=broken.run, model_of=lambda config: reload(checkpoint, config), **settings)
    resumed.train(resume_from_checkpoint=str(broken.run.checkpoints()[-1]))

    def losses(run):
        return [(event.step, round(event.data["loss"], 4)) for event in run.events()[0] if event.kind == events.TRAIN]

    assert [step for step, _ in losses(broken.run)] == [1, 2, 3, 3, 4]
    assert losses(broken.run)[:3] == losses(long.run)[:3]
    assert losses(broken.run)[3:] == losses(long.run)[2:]


def test_model_of_a_run_with_lora_is_an_ordinary_checkpoint(build):
    """What was evaluated is what `model/` computes when it is loaded without LoRA."""
    trainer = build(max_steps=2, eval_steps=2, freeze="lora", learning_rate=0.05, metric_for_best_model="loss")
    trainer.train()
    plain = AutoModelForCTC.from_pretrained(trainer.run.model_dir)
    names = set(plain.state_dict())
    assert not [name for name in names if "lora" in name or "base_layer" in name]
    result = evaluate(plain, trainer.processor, trainer.eval_rows, batch_size=2)
    best = [event.data["loss"] for event in trainer.run.events()[0] if event.kind == events.EVAL][-1]
    assert result.loss == pytest.approx(best, abs=1e-4)


def test_optimizer_in_8_bits_asks_for_its_package(build, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the package bitsandbytes; run `pip install bitsandbytes`"):
        build(optimizer="adamw-8bit")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs an NVIDIA GPU; set optimizer to adamw"):
        choose_optimizer("adamw-8bit")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (choose_optimizer("adamw-8bit"), choose_optimizer("adamw")) == ("adamw_bnb_8bit", "adamw_torch_fused")


# Settings and files


def test_config_reaches_training_arguments(build):
    trainer = build(
        max_steps=0,
        num_epochs=2.5,
        warmup_steps=7,
        lr_scheduler_type="cosine",
        weight_decay=0.1,
        adam_beta2=0.98,
        gradient_accumulation_steps=2,
        seed=5,
        max_grad_norm=2.0,
    )
    found = dataclasses.asdict(trainer.args)
    assert {
        name: found[name]
        for name in (
            "max_steps",
            "num_train_epochs",
            "warmup_steps",
            "weight_decay",
            "adam_beta2",
            "gradient_accumulation_steps",
            "seed",
            "max_grad_norm",
            "learning_rate",
            "bf16",
            "fp16",
        )
    } == {
        "max_steps": -1,
        "num_train_epochs": 2.5,
        "warmup_steps": 7,
        "weight_decay": 0.1,
        "adam_beta2": 0.98,
        "gradient_accumulation_steps": 2,
        "seed": 5,
        "max_grad_norm": 2.0,
        "learning_rate": 1e-3,
        "bf16": False,
        "fp16": False,
    }
    assert trainer.args.lr_scheduler_type == "cosine"


def test_auto_precision_is_bf16_only_with_hardware_support(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [resolve_precision(wanted) for wanted in ("no", "bf16", "fp16")] == ["no", "bf16", "no"]
    assert resolve_precision("auto") in ("no", "bf16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    for native, wanted in ((True, "bf16"), (False, "no")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert resolve_precision("auto") == wanted
    assert resolve_precision("fp16") == "fp16"
