"""The libraries of the mirrors. Each is imported when its first point is written."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from asrkit.runs.run import Run

PROJECT = "asrkit"
"""The project of trackio and wandb; `WANDB_PROJECT` and the like, where a library has them, take precedence."""


class MirrorWriter(ABC):
    """Writes points of the curves of a run."""

    @abstractmethod
    def __init__(self, run: Run) -> None: ...

    def begin(self, step: int) -> None:  # noqa: B027
        """Prepare for a worker that starts at this step: after a resume, points behind it are written again."""

    @abstractmethod
    def write(self, step: int, time_s: float, values: Mapping[str, float]) -> None:
        """Write a point for each curve. time_s: Unix seconds."""

    def flush(self) -> None:  # noqa: B027
        """Hand over what is written."""

    @abstractmethod
    def close(self) -> None: ...


class TensorBoardWriter(MirrorWriter):
    """Event files in `tensorboard/` of the run directory: `tensorboard --logdir runs` shows all runs."""

    def __init__(self, run: Run) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._events, self._summaries = event_pb2, summary_pb2
        self._writer = EventFileWriter(str(run.path / "tensorboard"))

    def begin(self, step: int) -> None:
        # TensorBoard discards what it has of this step and later ones when a session starts there.
        log = self._events.SessionLog(status=self._events.SessionLog.START)
        self._writer.add_event(self._events.Event(step=step + 1 if step else 0, session_log=log))

    def write(self, step: int, time_s: float, values: Mapping[str, float]) -> None:
        points = [self._summaries.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        summary = self._summaries.Summary(value=points)
        self._writer.add_event(self._events.Event(wall_time=time_s, step=step, summary=summary))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class TrackioWriter(MirrorWriter):
    """A run of trackio's project, in its local database (`trackio show --project asrkit`)."""

    def __init__(self, run: Run) -> None:
        import trackio

        config: dict[str, Any] = run.config().to_dict()
        trackio.init(project=PROJECT, name=run.id, config=config, resume="allow", embed=False, auto_log_gpu=False)
        self._trackio = trackio

    def write(self, step: int, time_s: float, values: Mapping[str, float]) -> None:
        self._trackio.log(dict(values), step=step)

    def close(self) -> None:
        self._trackio.finish()


class WandbWriter(MirrorWriter):
    """A run of Weights & Biases; `WANDB_MODE`, `WANDB_ENTITY` and its other variables apply."""

    def __init__(self, run: Run) -> None:
        import wandb

        project = os.environ.get("WANDB_PROJECT") or PROJECT
        self._run = wandb.init(
            project=project, id=run.id, name=run.id, config=run.config().to_dict(), resume="allow", dir=str(run.path)
        )
        self._run.define_metric("*", step_metric="step")  # W&B's own step never goes back, and that of a resume does

    def write(self, step: int, time_s: float, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, "time": time_s, **values})

    def close(self) -> None:
        self._run.finish()


WRITERS: dict[str, type[MirrorWriter]] = {
    "tensorboard": TensorBoardWriter,
    "trackio": TrackioWriter,
    "wandb": WandbWriter,
}
