"""Clips that turn out bad during a run: they are left out, counted and named, and the others train as before."""

import os
import re

import numpy as np
import pytest
import soundfile
import torch
from transformers import TrainerCallback

from asrkit.config import TrainConfig
from asrkit.errors import DataError
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training import bad_clips, distributed
from asrkit.training.bad_clips import BadClips
from asrkit.training.data import Collator, SpeechDataset
from asrkit.training.findings import FindingReporter
from asrkit.training.model import load, reload
from asrkit.training.resume import read_resume_state
from asrkit.training.trainer import CtcTrainer
from tests.support.evaluation import evaluate

LENGTHS, TEXTS = (0.9, 0.4, 0.7, 0.55, 0.8, 0.6), ("ab", "a cab bad", "deed", "c", "bad", "cab")


class Killed(Exception):
    pass


class Kill(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            raise Killed


@pytest.fixture
def base(checkpoint):
    return checkpoint()


@pytest.fixture
def rows(clips):
    return clips(*LENGTHS, texts=TEXTS)


@pytest.fixture
def build(base, rows, tmp_path):
    """build(settings) -> a CtcTrainer on the first four clips, evaluated on the last two."""

    def make(run=None, checkpoint=None, num_workers=0, train=rows[:4], held_out=rows[4:], **changes):
        settings = {"preset": "", "model": str(base), "freeze": "nothing", "mixed_precision": "no", "max_steps": 4}
        settings |= {"train_batch_size": 2, "logging_steps": 1, "eval_on_start": False, "eval_steps": 1000}
        config = TrainConfig(**settings | {"max_grad_norm": 1e6} | changes)
        torch.manual_seed(0)
        processor, model = reload(checkpoint, config) if checkpoint else load(str(base), config, TEXTS)
        run = run or RunStore(tmp_path / "runs").create(config)
        state = read_resume_state(run, checkpoint)
        trainer = CtcTrainer(run, config, model, processor, train, held_out, state)
        trainer.args.dataloader_num_workers = num_workers
        return trainer

    return make


def damage(row, how):
    """Make a clip bad, as it happens to files while a run goes on."""
    if how == "vanished":
        os.remove(row.audio)
    elif how == "damaged":
        with open(row.audio, "wb") as file:
            file.write(b"a letter")
    elif how == "empty":
        open(row.audio, "wb").close()
    elif how == "no audio":
        soundfile.write(row.audio, np.zeros(0), 16_000)
    elif how == "short":
        soundfile.write(row.audio, np.zeros(100), 16_000)
    else:
        soundfile.write(row.audio, np.full(8_000, np.nan, "f4"), 16_000, subtype="FLOAT")


DAMAGES = {
    "vanished": "does not exist",
    "damaged": "cannot be read as audio",
    "empty": "is empty",
    "no audio": "no audio",
    "short": "too short",
    "nan": "not finite",
}


def reported(run):
    """What the events of a run say of bad clips."""
    return [clip for event in run.events()[0] for clip in event.data.get("bad_clips", [])]


@pytest.mark.parametrize("how", DAMAGES)
def test_bad_clip_is_left_out_of_its_batch(base, rows, how):
    processor = load(str(base), TrainConfig(model=str(base)), TEXTS)[0]
    damage(rows[1], how)
    dataset, collate = SpeechDataset(rows, processor), Collator(processor)
    batch, without = collate([dataset[0], dataset[1], dataset[2]]), collate([dataset[0], dataset[2]])
    assert batch["about"]["clips"] == [0, 2] and list(batch["about"]["bad"]) == [1]
    for name in ("input_values", "attention_mask", "labels"):
        assert torch.equal(batch[name], without[name])
    assert re.search(DAMAGES[how], batch["about"]["bad"][1])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_run_trains_on_the_other_clips_and_names_the_bad_one(build, rows, num_workers):
    damage(rows[1], "vanished")
    damage(rows[3], "nan")
    trainer = build(num_workers=num_workers, max_steps=4)
    trainer.train()
    assert trainer.state.global_step == 4
    found = {(clip["split"], clip["clip"], clip["file"]) for clip in reported(trainer.run)}
    assert found == {("train", 1, rows[1].audio), ("train", 3, rows[3].audio)}
    assert len(reported(trainer.run)) == 2, "each is reported once, whatever the number of epochs"
    (finding,) = [event.data for event in trainer.run.events()[0] if event.kind == events.FINDING][:1]
    assert finding["code"] == "bad-clips"
    assert trainer.bad_clips.describe() == " 2 clips turned out bad and were left out."
    assert all(np.isfinite(event.data["loss"]) for event in trainer.run.events()[0] if event.kind == events.TRAIN)


def test_gradient_is_the_mean_over_the_good_clips(build, rows):
    """One of the batches has no good clip at all."""
    gradients = []

    class Watch(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **_):
            gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
            raise Killed

    wanted = build(train=[rows[0], rows[2]], max_steps=1, train_batch_size=1, gradient_accumulation_steps=2)
    for row in (rows[1], rows[3]):
        damage(row, "damaged")
    for trainer in (wanted, build(max_steps=1, train_batch_size=1, gradient_accumulation_steps=4)):
        trainer.add_callback(Watch())
        with pytest.raises(Killed):
            trainer.train()
    first, second = gradients
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-5)


def test_update_without_a_good_clip_learns_nothing(build, rows, monkeypatch):
    monkeypatch.setattr(bad_clips, "MAX_SHARE", 1.0)
    for row in rows[:4]:
        damage(row, "vanished")
    trainer = build(max_steps=2, weight_decay=0.0)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    for name, value in trainer.model.state_dict().items():
        torch.testing.assert_close(value.cpu(), before[name])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resumed_run_continues_the_same_losses_and_reports_no_clip_twice(build, rows, num_workers):
    damage(rows[2], "damaged")
    settings = {"max_steps": 4, "save_steps": 2, "augmentation": "light", "num_workers": num_workers}
    whole, broken = build(**settings), build(**settings)
    whole.train()
    broken.add_callback(Kill(3))
    with pytest.raises(Killed):
        broken.train()
    checkpoint = broken.run.checkpoints()[-1]
    build(run=broken.run, checkpoint=checkpoint, **settings).train(resume_from_checkpoint=str(checkpoint))

    def losses(run):
        return [(event.step, round(event.data["loss"], 4)) for event in run.events()[0] if event.kind == events.TRAIN]

    assert losses(broken.run)[-2:] == losses(whole.run)[2:]
    assert [clip["clip"] for clip in reported(broken.run)] == [2] == [clip["clip"] for clip in reported(whole.run)]


def test_evaluation_leaves_out_bad_clips_and_says_so(build, rows):
    damage(rows[4], "empty")
    trainer = build(max_steps=2, eval_steps=1)
    trainer.train()
    evaluations = [event.data for event in trainer.run.events()[0] if event.kind == events.EVAL]
    assert [(data["utterances"], data["of"], data["num_bad_clips"]) for data in evaluations] == [(1, 1, 1)] * 2
    assert [(clip["split"], clip["clip"]) for clip in reported(trainer.run)] == [("eval", 0)]


def test_evaluation_of_good_clips_does_not_depend_on_bad_ones(base, rows):
    processor, model = load(str(base), TrainConfig(model=str(base)), TEXTS)
    wanted = evaluate(model, processor, rows[:3], batch_size=2)
    damage(rows[3], "nan")
    bad = {}
    found = evaluate(model, processor, rows[:4], batch_size=2, on_bad=bad.update)
    assert list(bad) == [3] and found.utterances == 3
    assert found.loss == pytest.approx(wanted.loss, rel=1e-4) and found.scores == wanted.scores


class TestLimits:
    """When so many clips are bad that the run ends."""

    @pytest.fixture
    def make(self, tmp_path, rows):
        def make(num_clips, known=()):
            run = RunStore(tmp_path / "runs").create(TrainConfig())
            self.emitted = []

            def emit(kind, **data):
                self.emitted.append((kind, data))

            return BadClips(rows[:1] * num_clips, rows[:1] * num_clips, FindingReporter(run, emit), emit, known)

        return make

    def test_a_few_bad_clips_are_left_out(self, make):
        clips = make(100)
        for clip in range(5):
            clips.add("train", {clip: "it is broken"}, num_read=10)
        kinds = [kind for kind, _ in self.emitted]
        assert kinds == [events.FINDING, *[events.PHASE] * 4]
        assert "5 so far" in self.emitted[-1][1]["text"]
        clips.add("train", {0: "it is broken"}, num_read=10)
        assert len(self.emitted) == 5, "the same clip in the next epoch"

    def test_more_than_a_twentieth_ends_the_run(self, make):
        clips = make(100)
        with pytest.raises(DataError, match=r"6 of the 100 clips to train on .*it is broken"):
            clips.add("train", dict.fromkeys(range(6), "it is broken"), num_read=100)
        with pytest.raises(DataError, match="2 of the 2 clips to evaluate on"):
            make(2).add("eval", dict.fromkeys(range(2), "it is broken"), num_read=2)

    def test_of_little_data_a_few_may_be_bad(self, make):
        make(10).add("train", dict.fromkeys(range(3), "it is broken"), num_read=10)

    def test_a_lost_disk_ends_the_run_at_once(self, make):
        clips = make(100_000)
        clips.add("train", dict.fromkeys(range(30), "it is broken"), num_read=3_000)
        with pytest.raises(DataError, match="of the last 40 clips"):
            clips.add("train", dict.fromkeys(range(100, 138), "it is gone"), num_read=40)

    def test_clips_that_were_reported_before_the_resume_count(self, make):
        clips = make(100, known=[("train", clip) for clip in range(5)])
        clips.add("train", {4: "it is broken"}, num_read=10)
        assert not self.emitted
        with pytest.raises(DataError, match="6 of the 100"):
            clips.add("train", {5: "it is broken"}, num_read=10)

    def test_all_processes_know_all_bad_clips(self, make, monkeypatch):
        clips = make(100)
        monkeypatch.setattr(distributed, "all_gather", lambda value: [value, ({7: "it is broken"}, 4, set())])
        clips.note([{"about": {"clips": [1, 2], "bad": {3: "it is gone"}}}])
        clips.report()
        ((_, data),) = self.emitted
        assert [clip["clip"] for clip in data["bad_clips"]] == [3, 7]


def test_run_with_too_many_bad_clips_fails_with_a_sentence(build, rows):
    for row in rows[:3]:
        damage(row, "vanished")
    trainer = build(max_steps=4)
    with pytest.raises(DataError, match="3 of the 4 clips to train on"):
        trainer.train()
