"""The model of a run is scored on all evaluation clips, at once or in several goes."""

import shutil

import pytest

from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.runs import events, summary, view
from asrkit.runs.report import card
from asrkit.runs.run import SCORE, STOP
from asrkit.runs.store import RunStore
from asrkit.training import final_evaluation, run_end, worker

NUM_CLIPS = 6


@pytest.fixture
def run(checkpoint, clips, tmp_path):
    """A finished run whose model was evaluated on 2 of 6 clips."""
    base = checkpoint()
    config = TrainConfig(preset="", model=str(base), train="data", mixed_precision="no", eval_batch_size=2)
    new_run = RunStore(tmp_path / "runs").create(config, "one")
    manifest.write(new_run.manifest_path("eval"), clips(*[0.3, 0.5, 0.4] * 2))
    shutil.copytree(base, new_run.model_dir)
    best = events.make_event("eval", 10, 1.0, loss=2.0, wer=0.9, cer=0.5, mer=0.9, utterances=2, of=NUM_CLIPS)
    new_run.append(events.make_event("started", 0, total_steps=10, metric_for_best_model="wer"))
    new_run.append(best)
    new_run.append(events.make_event("finished", 10, 1.0, message="Finished at step 10.", saved=True))
    new_run.evaluation_path.write_text(best.to_line())
    return new_run


def score(run, on_poll=lambda: None):
    return final_evaluation.score_model(run, run.config(), on_poll)


def stop_after(run, num_batches):
    calls = []

    def on_poll():
        calls.append(1)
        if len(calls) > num_batches:
            run.set_flag(STOP)

    return on_poll


def test_bad_clips_are_left_out_and_named(run):
    rows = manifest.read(run.manifest_path("eval"))
    for row in (rows[1], rows[4]):
        with open(row.audio, "wb"):
            pass
    assert score(run)
    best = summary.summarize_run(run)["best"]
    assert (best["clips"], best["of"]) == (NUM_CLIPS - 2, NUM_CLIPS - 2)
    (finding,) = view.load_view(run).findings
    assert finding["code"] == "bad-clips" and f"{rows[1].audio} is empty" in finding["cause"]
    assert not final_evaluation.is_due(run)


def test_result_is_that_of_the_best_model_everywhere(run):
    assert "on a sample of 2 of 6 clips" in card.render_card(run)
    assert final_evaluation.is_due(run) and score(run)
    best = summary.summarize_run(run)["best"]
    assert (best["step"], best["clips"], best["of"]) == (10, NUM_CLIPS, NUM_CLIPS) and best["wer_interval"]
    run_view = view.load_view(run)
    assert run_view.best.data["wer"] == best["wer"] and run_view.step == 10
    assert [event.data["utterances"] for event in run_view.evaluations] == [2], "the curve stays"
    text = card.render_card(run)
    assert "on all 6 clips" in text and f"- Wer: {best['wer']:.4f}" in text
    assert not final_evaluation.is_due(run) and not run.partial_results_paths()


def test_stopped_evaluation_continues_where_it_was(run, monkeypatch):
    assert score(run)
    whole = summary.summarize_run(run)["best"]
    run.evaluation_path.write_text(run.events()[0][1].to_line())
    assert not score(run, stop_after(run, 2)) and run.has_flag(STOP) and final_evaluation.is_due(run) is False
    run.clear_flags()
    (partial,) = run.partial_results_paths()
    assert len(partial.read_text().splitlines()) == 4
    partial.write_text(partial.read_text() + '{"clip": 0, "hypo')  # by a worker that was killed
    decoded, real = [], final_evaluation.decode_clips

    def record(model, processor, rows, clips, **more):
        decoded.extend(clips)
        return real(model, processor, rows, clips, **more)

    monkeypatch.setattr(final_evaluation, "decode_clips", record)
    assert score(run) and len(decoded) == 2
    again = summary.summarize_run(run)["best"]
    assert again.pop("loss") == pytest.approx(whole.pop("loss"), rel=1e-4) and again == whole


@pytest.mark.parametrize("num_batches", [99, 1])
def test_run_ends_as_it_did_before(run, num_batches):
    """Whether all clips were scored, or it was stopped meanwhile."""
    run.set_flag(SCORE)
    worker._score(run, stop_after(run, num_batches))
    end = run.events()[0][-1]
    assert (end.kind, end.step, end.data) == ("finished", 10, {"message": "Finished at step 10.", "saved": True})
    assert not run.has_flag(SCORE) and not run.has_flag(STOP)
    assert summary.summarize_run(run)["best"]["clips"] == (NUM_CLIPS if num_batches > 3 else 2)


@pytest.mark.parametrize(("num_batches", "note"), [(99, ""), (1, run_end.SAMPLE_NOTE)])
def test_end_mentions_the_sample_until_all_clips_are_scored(run, num_batches, note):
    message = "Finished at step 10."
    run.append(events.make_event("finished", 10, 1.0, message=message + run_end.SAMPLE_NOTE, saved=True))
    run.set_flag(SCORE)
    worker._score(run, stop_after(run, num_batches))
    assert run.events()[0][-1].data["message"] == message + note
