"""The loop, on a model of ten thousand parameters and clips of half a second, with a real run directory."""

import dataclasses
import types

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCTC, AutoProcessor, Trainer, TrainerCallback, TrainingArguments

from asrkit.config import TrainConfig
from asrkit.runs import events
from asrkit.runs.run import CANCEL, EVALUATE, SAVE, STOP
from asrkit.runs.store import RunStore
from asrkit.training import evaluation
from asrkit.training.arguments import resolve_precision
from asrkit.training.data import Collator, SpeechDataset
from asrkit.training.model import load
from asrkit.training.resume import ResumeState
from asrkit.training.schedule import BestTracker
from asrkit.training.trainer import CtcTrainer

LENGTHS, TEXTS = (0.9, 0.4, 0.7, 0.55), ("ab", "a cab bad", "deed", "c")
"""Clips and texts of unlike lengths: a mean of the means of batches would be another number."""


class Seen(Exception):
    """The gradient of the first update was seen; nothing more is needed."""


class GradientOfFirstUpdate(TrainerCallback):
    def __init__(self):
        self.gradient = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        self.gradient = {
            name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None
        }
        raise Seen


@pytest.fixture
def base(checkpoint):
    return checkpoint()


@pytest.fixture
def build(base, clips, tmp_path):
    """build(count, settings) -> a CtcTrainer on the first `count` clips, evaluated on the last two."""
    store, rows = RunStore(tmp_path / "runs"), clips(*LENGTHS, texts=TEXTS)

    def make(count=4, run=None, resume_state=None, **changes):
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
        processor, model = load(str(base), config, TEXTS)
        run = run or store.create(config)
        made = CtcTrainer(run, config, model, processor, rows[:count], rows[2:], resume_state)
        made.args.dataloader_num_workers = 0
        return made

    return make


def gradient(made: Trainer) -> dict[str, torch.Tensor]:
    """Of the first update, before the optimizer."""
    watcher = GradientOfFirstUpdate()
    made.add_callback(watcher)
    with pytest.raises(Seen):
        made.train()
    return watcher.gradient


def by_hand(made: CtcTrainer) -> dict[str, torch.Tensor]:
    """The gradient of the mean over clips, each clip on its own."""
    rows, model = made.train_rows, made.model
    dataset, collator = SpeechDataset(rows, made.processor), Collator(made.processor)
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
def test_an_update_is_the_mean_over_its_clips_however_it_is_split(build, count, clips_a_batch, accumulation):
    made = build(count, train_batch_size=clips_a_batch, gradient_accumulation_steps=accumulation)
    wanted = by_hand(made)
    assert sum(part.abs().sum() for part in wanted.values()) > 1
    assert_same(gradient(made), wanted)


def test_seconds_batches_of_unlike_sizes_too(build):
    """1.9 s of padded audio hold clips in twos at most, of 0.9 and 0.7 s; 4 clips in 2 to 4 batches, one update."""
    made = build(4, batch_seconds=1.9, gradient_accumulation_steps=4)
    wanted = by_hand(made)
    assert 2 <= len(made.get_train_dataloader()) < 4
    assert_same(gradient(made), wanted)


def norm(parts):
    return torch.stack([part.norm() for part in parts.values()]).norm().item()


def test_what_plain_trainer_makes_of_the_same_update(build, tmp_path):
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
def test_out_of_memory_splits_the_batch_and_changes_nothing(build, monkeypatch, accumulation):
    """A model that has room for one clip only: the gradient is that of the whole update, and the run says so, once."""
    changes = {"train_batch_size": 4 // accumulation, "gradient_accumulation_steps": accumulation}
    expected = by_hand(build(4, **changes))
    made = build(4, **changes)
    forward = made.model.forward

    def cramped(*args, **batch):
        answer = forward(*args, **batch)
        if len(batch["labels"]) > 1:
            answer.loss.backward(retain_graph=True)  # a gradient that was begun is not counted twice
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return answer

    monkeypatch.setattr(made.model, "forward", cramped)
    assert_same(gradient(made), expected)
    told = [one.data for one in made.run.events()[0] if one.kind == events.FINDING]
    assert [one["code"] for one in told] == ["batch-split"] and "computed in 2 parts" in told[0]["cause"]


def test_a_lost_loss_names_its_clips(build, monkeypatch):
    made = build(4, train_batch_size=2, max_steps=2, logging_steps=2)
    forward, seen = made.model.forward, []

    def broken(*args, **batch):
        answer = forward(*args, **batch)
        seen.append(len(batch["labels"]))
        return type(answer)(loss=answer.loss * float("nan"), logits=answer.logits) if len(seen) == 2 else answer

    monkeypatch.setattr(made.model, "forward", broken)
    made.train()
    (finding,) = [told.data for told in made.run.events()[0] if told.kind == events.FINDING]
    second = [made.train_rows[index].id for _, index in list(made.get_train_dataloader().batch_sampler)[1]]
    assert finding["code"] == "non-finite" and len(second) == 2
    assert finding["cause"].endswith(f"It began with a batch of {second[0]}, {second[1]}.")


def test_one_loss_that_is_lost_is_not_every_later_one(build, monkeypatch):
    """As fp16 does: the loss overflows, the step is left out, the weights live on."""
    made = build(4, max_steps=4, logging_steps=1)
    forward, seen = made.model.forward, []

    def overflowing(*args, **batch):
        answer = forward(*args, **batch)
        seen.append(answer)
        return type(answer)(loss=answer.loss + float("nan"), logits=answer.logits) if len(seen) == 2 else answer

    monkeypatch.setattr(made.model, "forward", overflowing)
    made.train()
    told = [told.data["loss"] is None for told in made.run.events()[0] if told.kind == events.TRAIN]
    assert told == [False, True, False, False]


def test_a_resumed_run_knows_how_much_fits(build):
    made = build(4, resume_state=ResumeState(num_parts=2))
    seen, forward = [], made.model.forward
    made.model.forward = lambda **batch: seen.append(len(batch["labels"])) or forward(**batch)
    made.train()
    assert set(seen[:2]) == {2} and made.micro_batcher.num_parts == 2


def test_one_clip_that_does_not_fit_ends_the_run(build, monkeypatch):
    made = build(1)
    monkeypatch.setattr(
        made.model, "forward", lambda **batch: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory."))
    )
    with pytest.raises(torch.OutOfMemoryError):
        made.train()


@pytest.mark.parametrize(("clips_a_batch", "accumulation"), [(4, 1), (1, 4)])
def test_the_loss_that_is_told_is_that_mean(build, clips_a_batch, accumulation):
    made = build(train_batch_size=clips_a_batch, gradient_accumulation_steps=accumulation, max_steps=1)
    rows = evaluation.evaluate(made.model, made.processor, made.train_rows, batch_size=1, normaliser="none")
    made.train()
    (told,) = [told for told in made.run.events()[0] if told.kind == events.TRAIN]
    assert told.step == 1 and told.epoch == 1.0
    assert told.data["loss"] == pytest.approx(rows.loss, rel=1e-3)
    assert told.data["grad_norm"] > 0 and told.data["audio_seconds_per_second"] > 0


# The story of a run


def stories(run):
    """(kind, step) of every event, phases by their name."""
    return [(told.data.get("phase", told.kind), told.step) for told in run.events()[0]]


def test_a_run_from_start_to_end(build):
    made = build(max_steps=3, eval_on_start=True, eval_steps=2, save_total_limit=1)
    made.train()
    told = [(kind, step) for kind, step in stories(made.run) if kind not in ("evaluating", "finding")]
    assert told == [
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
    assert [path.name for path in made.run.checkpoints()] == ["checkpoint-3"]
    assert list((made.run.checkpoints_dir / ".partial").glob("*")) == []
    for folder in (made.run.model_dir, made.run.checkpoints()[0]):
        assert AutoModelForCTC.from_pretrained(folder).config.vocab_size == 8
        assert AutoProcessor.from_pretrained(folder).tokenizer("ab").input_ids == [3, 4]


def test_evaluation_at_the_end_of_each_epoch(build):
    made = build(max_steps=0, num_epochs=2, eval_steps=0, train_batch_size=2)
    made.train()
    assert [step for kind, step in stories(made.run) if kind == "eval"] == [2, 4]
    assert [path.name for path in made.run.checkpoints()] == ["checkpoint-2", "checkpoint-4"]


def planned(monkeypatch, *rates):
    """Evaluations that find these WERs."""
    left = list(rates)

    def evaluate(*_, **__):
        rate = left.pop(0)
        return types.SimpleNamespace(to_event_data=lambda: {"loss": 1.0, "wer": rate, "cer": rate, "mer": rate})

    monkeypatch.setattr(evaluation, "evaluate", evaluate)


def weights(folder):
    return load_file(folder / "model.safetensors")["lm_head.weight"]


def test_the_best_model_is_kept(build, monkeypatch):
    planned(monkeypatch, 0.5, 0.3, 0.3, 0.4)
    made = build(max_steps=4, eval_steps=1, save_total_limit=9)
    made.train()
    steps = {int(path.name[11:]): weights(path) for path in made.run.checkpoints()}
    assert not torch.equal(steps[2], steps[3])
    assert torch.equal(weights(made.run.model_dir), steps[2])


def test_a_resumed_run_knows_the_best_of_its_first_life(build, monkeypatch):
    planned(monkeypatch, 0.5, 0.4)
    best = events.Event("eval", 1.0, 7, 0.5, {"wer": 0.3})
    made = build(max_steps=2, eval_steps=1, resume_state=ResumeState(evaluations=[best]))
    made.train()
    assert not made.run.has_model()


def test_early_stopping(build, monkeypatch):
    """Two evaluations without improvement after that of step 2; to be as good is no improvement."""
    planned(monkeypatch, 0.5, 0.3, 0.3, 0.4, 0.1)
    made = build(max_steps=9, eval_steps=1, early_stopping_patience=2)
    made.train()
    assert made.state.global_step == 4 and not made.interrupted


@pytest.mark.parametrize(("losses", "stale"), [((9.0, 7.0, 5.0), 0), ((9.0, 7.0, 7.1), 1), ((9.0, 9.0, 9.0), 2)])
def test_patience_waits_for_a_model_that_is_about_to_leave_the_blank(losses, stale):
    record = BestTracker("wer")
    assert [record.add({"wer": 1.0, "loss": loss}) for loss in losses] == [True, False, False]
    assert record.num_stale == stale


def test_a_falling_loss_is_no_excuse_once_something_is_recognised():
    record = BestTracker("wer")
    assert [record.add({"wer": rate, "loss": loss}) for rate, loss in ((0.5, 3.0), (0.5, 2.0), (None, 1.0))] == [
        True,
        False,
        False,
    ]
    assert record.num_stale == 2 and record.best == 0.5


@pytest.mark.parametrize(("flag", "saved"), [(STOP, ["checkpoint-2"]), (CANCEL, [])])
def test_a_flag_ends_it_between_steps(build, flag, saved):
    made = build(max_steps=9)

    class Ask(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 1:
                made.run.set_flag(flag)

    made.add_callback(Ask())
    made.train()
    assert made.interrupted and made.state.global_step == 2
    assert [path.name for path in made.run.checkpoints()] == saved
    assert "eval" not in [kind for kind, _ in stories(made.run)], "nobody waits for an evaluation after stop"


@pytest.mark.parametrize(("flag", "kind"), [(SAVE, "checkpoint"), (EVALUATE, "eval")])
def test_something_is_asked_for_in_between(build, flag, kind):
    """It is done after the step, once."""
    made = build(max_steps=4)
    made.run.set_flag(flag)
    made.train()
    asked = [step for what, step in stories(made.run) if what == kind and step < 4]
    assert asked == [1] and not made.run.has_flag(flag)


def test_cancel_during_an_evaluation_saves_nothing_first(build, monkeypatch):
    made = build(max_steps=9, eval_steps=2, save_steps=2)
    real = evaluation.evaluate

    def cancelled(*arguments, **more):
        made.run.set_flag(CANCEL)
        return real(*arguments, **more)

    monkeypatch.setattr(evaluation, "evaluate", cancelled)
    made.train()
    assert made.interrupted and "saving" not in [kind for kind, _ in stories(made.run)]


def test_a_flag_ends_an_evaluation(build):
    made = build(max_steps=9, eval_on_start=True)
    made.run.set_flag(STOP)
    made.train()
    assert made.interrupted and "eval" not in [kind for kind, _ in stories(made.run)]


@pytest.mark.parametrize(("eval_steps", "stop_at"), [(2, 2), (0, 4)])
def test_an_evaluation_that_was_broken_off_is_made_up_for(build, monkeypatch, eval_steps, stop_at):
    """By steps or by epochs: a run that is stopped while it is evaluated has that evaluation after all when resumed."""
    made = build(4, train_batch_size=1, max_steps=8, eval_steps=eval_steps, save_steps=0)
    real = evaluation.evaluate

    def stopped(*arguments, **more):
        if made.state.global_step == stop_at:
            made.run.set_flag(STOP)
        return real(*arguments, **more)

    monkeypatch.setattr(evaluation, "evaluate", stopped)
    made.train()
    assert made.interrupted and [step for kind, step in stories(made.run) if kind == "eval"] == []
    monkeypatch.setattr(evaluation, "evaluate", real)
    made.run.clear_flags()
    again = build(4, run=made.run, train_batch_size=1, max_steps=8, eval_steps=eval_steps, save_steps=0)
    again.train(resume_from_checkpoint=str(made.run.checkpoints()[-1]))
    assert [step for kind, step in stories(made.run) if kind == "eval"] == list(range(stop_at, 9, stop_at))


def test_the_head_goes_first(build):
    made = build(max_steps=3, head_first_steps=2, learning_rate=1e-2, lr_scheduler_type="constant")
    states = [{name: part.detach().clone() for name, part in made.model.named_parameters()}]

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            states.append({name: part.detach().clone() for name, part in model.named_parameters()})

    made.add_callback(Keep())
    made.train()
    moved = [
        {name for name in after if not torch.equal(before[name], after[name])}
        for before, after in zip(states, states[1:], strict=False)
    ]
    assert moved[0] == moved[1] == {"lm_head.weight", "lm_head.bias"}
    assert len(moved[2]) > 20


def test_the_head_has_a_rate_of_its_own(build):
    """Adam's first step is the learning rate for every weight with a gradient, so steps tell the rates."""
    made = build(4, learning_rate=1e-3, head_learning_rate=1e-2, lr_scheduler_type="constant", max_steps=1)
    before = {name: one.clone() for name, one in made.model.state_dict().items()}
    made.train()
    moved = {name: (one - before[name]).abs().median().item() for name, one in made.model.state_dict().items()}
    assert moved["lm_head.weight"] == pytest.approx(1e-2, rel=0.05)
    assert moved["wav2vec2.encoder.layers.0.feed_forward.output_dense.weight"] == pytest.approx(1e-3, rel=0.05)
    assert [told.data["learning_rate"] for told in made.run.events()[0] if told.kind == events.TRAIN] == [1e-3]


def test_what_is_frozen_stays(build):
    made = build(max_steps=1, freeze="feature-encoder", learning_rate=1e-2, lr_scheduler_type="constant")
    before = {name: part.detach().clone() for name, part in made.model.named_parameters()}
    made.train()
    still = {name for name, part in made.model.named_parameters() if torch.equal(part, before[name])}
    assert {name for name in before if ".feature_extractor." in name} <= still
    assert "lm_head.weight" not in still


def test_short_clips_can_be_masked(build):
    made = build(max_steps=1, mask_time_prob=0.5, mask_time_length=60)
    made.train()
    assert made.state.global_step == 1


def test_a_run_resumed_goes_on_as_if_nothing_had_happened(build):
    """Same batches, same augmentation, same optimizer: the losses of steps 3 and 4 are those of one long run."""
    settings = {"max_steps": 4, "train_batch_size": 2, "augmentation": "light", "save_steps": 2, "num_epochs": 9}
    long, broken = build(**settings), build(**settings)
    long.train()

    class Kill(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 3:
                raise Seen

    broken.add_callback(Kill())
    with pytest.raises(Seen):
        broken.train()
    resumed = build(run=broken.run, **settings)
    resumed.train(resume_from_checkpoint=str(broken.run.checkpoints()[-1]))

    def losses(run):
        return [(told.step, round(told.data["loss"], 4)) for told in run.events()[0] if told.kind == events.TRAIN]

    assert [step for step, _ in losses(broken.run)] == [1, 2, 3, 3, 4]
    assert losses(broken.run)[:3] == losses(long.run)[:3]
    assert losses(broken.run)[3:] == losses(long.run)[2:]


# Settings and files


def test_settings_reach_the_arguments(build):
    made = build(
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
    found = dataclasses.asdict(made.args)
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
    assert made.args.lr_scheduler_type == "cosine"


def test_precision(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [resolve_precision(wanted) for wanted in ("no", "bf16", "fp16")] == ["no", "bf16", "no"]
    assert resolve_precision("auto") in ("no", "bf16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for native, wanted in ((True, "bf16"), (False, "no")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert resolve_precision("auto") == wanted
    assert resolve_precision("fp16") == "fp16"
