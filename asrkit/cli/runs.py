"""`runs ...`: list, show, start, stop and otherwise manage runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from asrkit.cli import options as shared
from asrkit.errors import ConfigError, RunError
from asrkit.files import readable_disk_errors
from asrkit.runs import heartbeat, launchers, mirrors, queue, summary, supervisor, sweeps, sync, webhook
from asrkit.runs.report import archive as archives
from asrkit.runs.report import card
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.units import format_count, format_size


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
        ("evaluate", supervisor.evaluate_now, "evaluate after this step; once it has ended, on all clips"),
        ("next", _move_to_front, "move a queued run to the front of the queue"),
        ("resume", _resume, "continue a stopped, failed or crashed run"),
    ):
        shared.add_json_flag(_add_action(actions, name, _apply_and_show(action), help))
    sweep_parser = shared.add_parser(actions, "sweep", show_sweep, "compare the runs of a sweep: mean and spread")
    sweep_parser.add_argument("name", metavar="NAME")
    shared.add_json_flag(sweep_parser)
    mirror_parser = _add_action(actions, "mirror", mirror, "send a run's curves to TensorBoard, trackio or wandb")
    mirror_parser.add_argument("--to", required=True, choices=mirrors.NAMES)
    mirror_parser.add_argument("--follow", action="store_true", help="go on until the run has ended")
    webhook_parser = _add_action(actions, "webhook", notify_webhook, "send the status of a run to a webhook")
    webhook_parser.add_argument("--url", default="", help="default: the webhook that the run was started with")
    webhook_parser.add_argument("--wait", action="store_true", help="send it when the run has ended")
    move_parser = _add_action(actions, "move", move, "give a queued run another position in the queue")
    move_parser.add_argument("position", metavar="POSITION", type=int, help="1 for the next; beyond the end for last")
    shared.add_json_flag(move_parser)
    _add_action(
        actions, "fetch", fetch, "fetch the checkpoints of a run that works on a bucket which is not mounted here"
    )
    _add_action(actions, "delete", delete, "delete a run that has ended")
    archive_parser = _add_action(actions, "archive", archive, "pack a run into one zip file")
    archive_parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: ID.zip here")
    content = archive_parser.add_mutually_exclusive_group()
    content.add_argument("--model", action="store_true", help="only the model and its card")
    content.add_argument(
        "--with-optimizer", action="store_true", help="also what resuming the run needs: three times the size"
    )
    import_parser = shared.add_parser(actions, "import", import_, "read in a run that `runs archive` has packed")
    import_parser.add_argument("file", metavar="FILE", type=Path)
    import_parser.add_argument("--run-id", metavar="ID", help="default: the id that it had")
    shared.add_json_flag(import_parser)
    _add_publish(actions)


def _add_publish(actions: shared.Commands) -> None:
    parser = _add_action(actions, "publish", publish, "upload a run's model to the Hugging Face Hub, privately")
    parser.add_argument("name", metavar="OWNER/NAME")
    parser.add_argument(
        "--space",
        nargs="?",
        const="page",
        choices=("page", "app"),
        help="as a Space: page, with the model as a web page (default), or app, with this app",
    )
    visibility = parser.add_mutually_exclusive_group()
    visibility.add_argument("--public", action="store_true", help="everybody may see it")
    visibility.add_argument("--private", action="store_true", help="visible only to people with access (default)")
    parser.add_argument("--replace", action="store_true", help="replace what has this name")
    parser.add_argument("--show-card", action="store_true", help="print the model's card, and publish nothing")


def _add_action(actions: shared.Commands, name: str, command: shared.Command, help: str) -> argparse.ArgumentParser:
    parser = shared.add_parser(actions, name, command, help)
    parser.add_argument("run_id", metavar="ID")
    return parser


def _get_run(options: argparse.Namespace) -> Run:
    run = shared.open_store(options).get(options.run_id)
    _look_at([run])
    return run


def _look_at(runs: list[Run]) -> None:
    """Bring what is known of runs on other machines up to date."""
    for failure in sync.sync_now(runs):
        print(failure, file=sys.stderr)
    heartbeat.wait_for_first_looks(runs)


def _apply_and_show(action: Callable[[Run], object]) -> shared.Command:
    """Return a command that applies `action` to a run and prints the run."""

    def command(options: argparse.Namespace) -> None:
        run = _get_run(options)
        action(run)
        if launchers.of_run(run).wants_sync(run):
            _look_at([run])
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
    _look_at(store.all())
    rows = [summary.summarize_run(run) for run in store.all()]
    if options.json:
        return shared.print_json(rows)
    queued = [run.id for run in queue.list_queue(store)]
    for row in rows:
        if row["run_id"] in queued:
            row["status"] += f" ({queued.index(row['run_id']) + 1} of {len(queued)})"
        best = ""
        if evaluation := row["best"]:
            best = f"  best WER {evaluation['wer']:.2%}{shared.format_sample(evaluation['clips'], evaluation['of'])}"
        print(f"{row['run_id']}  {row['status']}  step {row['step']} of {row['total_steps'] or '?'}{best}")


def start(options: argparse.Namespace) -> None:
    store, config = shared.prepare_start(options)
    if options.sweep:
        name, _ = sweeps.start_sweep(store, config, sweeps.parse_sweep(options.sweep), options.run_id)
        return _show_sweep(store, name, options.json)
    run = supervisor.start(store, config, options.run_id)
    _show(run, options.json)


def show_sweep(options: argparse.Namespace) -> None:
    _show_sweep(shared.open_store(options), options.name, options.json)


def _show_sweep(store: RunStore, name: str, as_json: bool) -> None:
    runs = sweeps.find_sweep(store, name)
    if not runs:
        raise RunError(f"There is no sweep {name} in {store.root}; `train --sweep` starts one and prints its name.")
    rows = sweeps.compare(runs)
    if as_json:
        return shared.print_json({"sweep": name, "rows": [row.to_dict() for row in rows]})
    print(f"Sweep {name}\n{sweeps.format_table(rows)}")


def mirror(options: argparse.Namespace) -> None:
    run = _get_run(options)
    sync.start_background(shared.open_store(options))
    points = format_count(mirrors.send(run, options.to, options.follow), "point")
    print(f"{points} of run {run.id} sent to {options.to}.")


def notify_webhook(options: argparse.Namespace) -> None:
    run = _get_run(options)
    sync.start_background(shared.open_store(options))
    if webhook.send(run, options.url, options.wait):
        print(f"The status of run {run.id} was sent to the webhook.")


def move(options: argparse.Namespace) -> None:
    store, run = shared.open_store(options), _get_run(options)
    queue.move(store, run, options.position)
    _show(run, options.json)


def fetch(options: argparse.Namespace) -> None:
    run = _get_run(options)
    count = launchers.of_run(run).fetch_checkpoints(run)
    print(f"{format_count(count, 'checkpoint')} of run {run.id} in {run.checkpoints_dir}")


def delete(options: argparse.Namespace) -> None:
    supervisor.delete(shared.open_store(options), _get_run(options))


def archive(options: argparse.Namespace) -> None:
    run = _get_run(options)
    path = options.file or Path(f"{run.id}-model.zip" if options.model else f"{run.id}.zip")
    blocks = archives.iter_model(run) if options.model else archives.iter_archive(run, None, options.with_optimizer)
    with readable_disk_errors(path):
        archives.write_zip(blocks, path)
    print(f"{path}: {format_size(path.stat().st_size)}")


def import_(options: argparse.Namespace) -> None:
    if not options.file.is_file():
        raise ConfigError(f"There is no file {options.file}; give a ZIP that `runs archive` has made.")
    run = archives.import_archive(shared.open_store(options), options.file, options.file.name, options.run_id)
    _show(run, options.json)


def publish(options: argparse.Namespace) -> None:
    run = _get_run(options)
    if options.show_card:
        print(card.render_published_card(run, options.name), end="")
        return
    from asrkit.transcription.export import publishing

    address = publishing.publish_run(
        run,
        options.name,
        options.space or "model",
        private=not options.public,
        replace=options.replace,
        on_progress=shared.make_counter(),
    )
    print(address)
