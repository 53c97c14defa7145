"""Give test files to the processes of pytest-xdist so that no core idles, and no slow file is left for the end.

Tests of the page and of real processes wait for them half of the time; unit tests compute all the time. Were the former
run first, as the order of folders has it, cores would idle beside them. So one process in four begins with the others,
until none is left of a kind. Within a kind, the slowest files come first.
"""

from __future__ import annotations

from collections.abc import Iterable

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

WAITING = ("tests/browser/", "tests/integration/")
"""Folders whose tests wait for other processes."""

PROCESSES_BESIDE = 4
"""One process in so many begins with tests that do not wait."""

SLOWEST_FIRST = (
    "tests/browser/test_live_panel.py",
    "tests/browser/test_data_tab.py",
    "tests/browser/test_transcribe_tab.py",
    "tests/browser/test_shared_app.py",
    "tests/integration/test_architectures.py",
    "tests/integration/test_two_networks.py",
    "tests/integration/test_faults.py",
    "tests/integration/test_collapse.py",
    "tests/browser/test_runs_tab.py",
    "tests/browser/test_workflow.py",
    "tests/integration/test_several_processes.py",
    "tests/integration/test_life_of_a_run.py",
    "tests/integration/test_command_line.py",
    "tests/integration/test_annotated_story.py",
    "tests/integration/test_hub.py",
    "tests/integration/test_few_clips.py",
    "tests/unit/training/test_trainer.py",
    "tests/unit/training/test_model.py",
    "tests/unit/runs/test_supervisor.py",
    "tests/unit/models/test_blanks.py",
    "tests/unit/audit/test_inspection.py",
    "tests/unit/runs/test_heartbeat.py",
    "tests/unit/audio/test_segmentation.py",
    "tests/unit/training/test_cache.py",
    "tests/unit/training/test_base_models.py",
    "tests/unit/training/test_presets.py",
)
"""Files that take the longest by themselves, by `--durations`. Others follow in the order of collection."""


def choose_file(files: Iterable[str], process: int) -> str:
    """Return the file of `files` that process number `process` runs next."""
    begins_waiting = process % PROCESSES_BESIDE != PROCESSES_BESIDE - 1
    ranks = {name: rank for rank, name in enumerate(SLOWEST_FIRST)}
    return min(files, key=lambda name: (name.startswith(WAITING) != begins_waiting, ranks.get(name, len(ranks))))


class MixedFiles(LoadFileScheduling):
    """Whole files, since tests of a file share fixtures, in the order of `choose_file`."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        process = int(node.gateway.id.removeprefix("gw"))
        self.workqueue.move_to_end(choose_file(self.workqueue, process), last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        """Give a process its next file when it is at the last test of one: that test may take long."""
        if not self.workqueue or self._pending_of(self.assigned_work[node]) <= 1:
            super()._reschedule(node)
