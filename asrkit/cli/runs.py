"""`runs ...`: list, show, start, stop and otherwise manage runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from asrkit.cli import options as shared
from asrkit.errors import ConfigError
from asrkit.files import readable_disk_errors
from asrkit.runs import queue, summary, supervisor
from asrkit.runs.report import export
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.units import format_size


def add_command(commands: shared.Commands) -> None:
    runs = commands.add_parser("runs", help="list, show, start, stop and otherwise manage runs")
    actions = runs.add_subparsers(required=True, metavar="ACTION")
    shared.add_json_flag(shared.add_parser(actions, "list", list_runs, "list all runs, newest first"))
    start_parser = shared.add_parser(actions, "start", start, "start a run in the background")
    shared.add_config_flags(start_parser)
    shared.add_json_flag(start_parser)
    for name, action, help in (
        ("show", _do_nothing, "show one run"),
        ("stop", supervisor.stop, "stop and save; remove a queued run from the queue"),
        ("cancel", supervisor.cancel, "stop and keep only the history"),
        ("save", supervisor.save_now, "write a checkpoint after this step"),
        ("evaluate", supervisor.evaluate_now, "evaluate after this step"),
        ("next", _move_to_front, "move a queued run to the front of the queue"),
        ("resume", _resume, "continue a stopped, failed or crashed run"),
    ):
        shared.add_json_flag(_add_action(actions, name, _apply_and_show(action), help))
    move_parser = _add_action(actions, "move", move, "give a queued run another position in the queue")
    move_parser.add_argument("position", metavar="POSITION", type=int, help="1 for the next; beyond the end for last")
    shared.add_json_flag(move_parser)
    _add_action(actions, "delete", delete, "delete a run that has ended")
    archive_parser = _add_action(actions, "archive", archive, "pack a run into one zip file")
    archive_parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: ID.zip here")
    publish_parser = _add_action(actions, "publish", publish, "upload a run's model and card to the Hugging Face Hub")
    publish_parser.add_argument("name", metavar="OWNER/NAME")
    publish_parser.add_argument("--private", action="store_true", help="visible only to people with access")
    publish_parser.add_argument(
        "--space",
        nargs="?",
        const="page",
        choices=("page", "app"),
        help="make a private Space: page, with the model as a web page (default), or app, with this app",
    )
    publish_parser.add_argument("--public", action="store_true", help="with --space: everybody may open it")


def _add_action(actions: shared.Commands, name: str, command: shared.Command, help: str) -> argparse.ArgumentParser:
    parser = shared.add_parser(actions, name, command, help)
    parser.add_argument("run_id", metavar="ID")
    return parser


def _get_run(options: argparse.Namespace) -> Run:
    return shared.open_store(options).get(options.run_id)


def _apply_and_show(action: Callable[[Run], object]) -> shared.Command:
    """Return a command that applies `action` to a run and prints the run."""

    def command(options: argparse.Namespace) -> None:
        run = _get_run(options)
        action(run)
        _show(run, options.json)

    return command


def _show(run: Run, as_json: bool) -> None:
    row = summary.summarize_run(run)
    if as_json:
        return shared.print_json(row)
    for name, value in row.items():
        print(f"{name}: {value}")


def _do_nothing(run: Run) -> None:
    """`show` changes nothing."""


def _move_to_front(run: Run) -> None:
    queue.move(RunStore(run.path.parent), run, 1)


def _resume(run: Run) -> None:
    supervisor.resume(RunStore(run.path.parent), run)


def list_runs(options: argparse.Namespace) -> None:
    store = shared.open_store(options)
    rows = [summary.summarize_run(run) for run in store.all()]
    if options.json:
        return shared.print_json(rows)
    queued = [run.id for run in queue.list_queue(store)]
    for row in rows:
        if row["run_id"] in queued:
            row["status"] += f" ({queued.index(row['run_id']) + 1} of {len(queued)})"
        best = f"  best WER {row['best']['wer']:.2%}" if row["best"] else ""
        print(f"{row['run_id']}  {row['status']}  step {row['step']} of {row['total_steps'] or '?'}{best}")


def start(options: argparse.Namespace) -> None:
    store, config = shared.open_store(options), shared.make_config(options)
    shared.print_licence(config, store)
    run = supervisor.start(store, config, options.run_id)
    _show(run, options.json)


def move(options: argparse.Namespace) -> None:
    store, run = shared.open_store(options), _get_run(options)
    queue.move(store, run, options.position)
    _show(run, options.json)


def delete(options: argparse.Namespace) -> None:
    supervisor.delete(shared.open_store(options), _get_run(options))


def archive(options: argparse.Namespace) -> None:
    run = _get_run(options)
    path = options.file or Path(f"{run.id}.zip")
    with readable_disk_errors(path):
        export.write_archive(run, path)
    print(f"{path}: {format_size(path.stat().st_size)}")


def publish(options: argparse.Namespace) -> None:
    if options.public and (options.private or not options.space):
        raise ConfigError("--public belongs to --space, and excludes --private.")
    if options.space:
        from asrkit.transcription.export import space

        progress = shared.make_counter()
        print(space.publish_space(_get_run(options), options.name, options.space, not options.public, progress))
        return
    print(export.publish_model(_get_run(options), options.name, options.private))
