"""The Slurm launcher, with stand-ins for Slurm's commands. `tests/integration/test_slurm.py` has a real Slurm."""

import json
import subprocess

import pytest

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, QuotaError, RunError
from asrkit.runs import launchers, lifecycle, queue, summary, supervisor
from asrkit.runs.launchers import JobState, slurm, slurm_queue
from asrkit.runs.launchers.slurm_queue import SlurmJob
from asrkit.runs.run import PREEMPT
from asrkit.ui.common import status_text
from asrkit.ui.train import run_quota


@pytest.fixture
def slurm_commands(monkeypatch, tmp_path):
    """Commands of Slurm that print what the test says; a text that begins with ! is an error."""
    folder = tmp_path / "slurm-bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(slurm_queue, "REUSE_S", 0.0)

    def set_output(**outputs):
        for name, text in outputs.items():
            (folder / f"{name}.txt").write_text(text.removeprefix("!"))
            target, code = (">&2", 1) if text.startswith("!") else ("", 0)
            script = f'#!/bin/sh\necho "$@" >> {folder}/{name}.calls\ncat {folder}/{name}.txt {target}\nexit {code}\n'
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)

    set_output(sbatch="", squeue="", sinfo="", scancel="")
    set_output.calls = lambda name: (folder / f"{name}.calls").read_text()
    return set_output


@pytest.fixture
def slurm_config(config):
    return config.replace({"launcher": "slurm", "device": "cpu"})


def line(state, reason="None", starts="N/A", nodes="", job="7"):
    return f"{job}|{state}|{reason}|{starts}|{nodes}|gpu\n"


def test_submitted_run_follows_its_job(store, slurm_config, slurm_commands):
    slurm_commands(sbatch="7;cluster\n", squeue=line("PENDING", "Resources", "2026-11-27T14:30:00"))
    run = supervisor.start(store, slurm_config, "one")
    assert run.job_id() == "7" and lifecycle.get_status(run) == lifecycle.QUEUED
    status = queue.get_queue_status(run, [], [])
    assert "waits until nodes are free (Resources), start expected 2026-11-27 14:30:00" in status.launcher_text
    assert status_text.describe_queue(status) == status.launcher_text
    assert queue.list_queue(store) == [], "it waits in Slurm's queue, not in this one"
    slurm_commands(squeue=line("RUNNING", nodes="n[0-1]"))
    assert lifecycle.get_status(run) == lifecycle.STARTING
    assert launchers.of_run(run).status(run).text == "Slurm job 7 on n[0-1]"
    assert queue.devices_in_use([run]) == [], "its devices are not those of this machine"
    assert supervisor.resume(store, run).job_id() == "7", "an active run is left alone"
    slurm_commands(squeue="")
    assert lifecycle.get_status(run) == lifecycle.CRASHED


def test_refused_run_leaves_nothing(store, slurm_config, slurm_commands):
    slurm_commands(sbatch="!sbatch: error: invalid partition specified: gpus\nsbatch: error: Invalid partition name\n")
    with pytest.raises(RunError, match=r"^Slurm did not take the run \(sbatch\): Invalid partition name\.$"):
        supervisor.start(store, slurm_config, "one")
    assert store.all() == []


def test_refused_resume_keeps_the_status(store, slurm_config, slurm_commands):
    slurm_commands(sbatch="7\n", squeue=line("PENDING"))
    run = supervisor.start(store, slurm_config, "one")
    supervisor.stop(run)
    slurm_commands(squeue=line("CANCELLED"), sbatch="!sbatch: error: no account\n")
    with pytest.raises(RunError, match="no account"):
        supervisor.resume(store, run)
    assert lifecycle.get_status(run) == lifecycle.STOPPED


def test_stopping_a_waiting_run_cancels_its_job(store, slurm_config, slurm_commands):
    slurm_commands(sbatch="7\n", squeue=line("PENDING"))
    run = supervisor.start(store, slurm_config, "one")
    supervisor.stop(run)
    assert slurm_commands.calls("scancel") == "7\n"
    slurm_commands(squeue=line("CANCELLED"))
    assert lifecycle.get_status(run) == lifecycle.STOPPED


@pytest.mark.parametrize(
    ("squeue", "sinfo", "message"),
    [
        (
            line("NODE_FAIL"),
            "n1|down*|Not responding\nn2|idle|none\n",
            "node failed: node n1 is down (Not responding)",
        ),
        (line("TIMEOUT"), "", "Slurm job 7 was ended at its time limit before the worker had saved."),
        (line("OUT_OF_MEMORY"), "", "more memory than it had asked for (--mem in slurm_options)."),
        (line("CANCELLED"), "", "Slurm job 7 was cancelled in Slurm."),
        ("", "n1|drained*|kernel panic\n", "ended because a node failed: node n1 is drained (kernel panic)."),
        (line("FAILED"), "", "ended without a message"),
    ],
)
def test_end_of_a_job_is_told_in_words(make_run, slurm_commands, squeue, sinfo, message):
    run = make_run("one", [], {"launcher": "slurm", "pid": 1, "start": None, "nodes": "n[1-2]"})
    run.job_path.write_text('{"id": "7"}')
    slurm_commands(squeue=squeue, sinfo=sinfo)
    row = summary.summarize_run(run)
    assert row["status"] == "crashed" and message in row["error"]
    assert (row["launcher"], row["job"]) == ("slurm", "7")


def test_job_that_waits_again_names_the_node_that_failed(make_run, slurm_commands):
    run = make_run("one", [], {"launcher": "slurm", "pid": 1, "start": None, "nodes": "n1"})
    run.job_path.write_text('{"id": "7"}')
    slurm_commands(squeue=line("PENDING", "BeginTime"), sinfo="n1|down|Node unexpectedly rebooted\n")
    assert "It runs again because node n1 is down (Node unexpectedly rebooted)" in (
        queue.get_queue_status(run, [], []).launcher_text
    )


def test_run_is_judged_by_its_heartbeat_where_slurm_does_not_answer(make_run, slurm_commands):
    waiting = make_run("waiting", [], {"launcher": "slurm"})
    begun = make_run("begun", [], {"launcher": "slurm", "pid": 1, "start": "another-boot:1"})
    for run in (waiting, begun):
        run.job_path.write_text('{"id": "7"}')
    slurm_commands(squeue="!slurm_load_jobs error: Unable to contact slurm controller\n")
    status = launchers.of_run(waiting).status(waiting)
    assert status.state is JobState.WAITING and "Unable to contact slurm controller" in status.text
    assert launchers.of_run(begun).status(begun).state is JobState.GONE
    for beat in (1.0, 2.0):
        begun.heartbeat_path.write_text(json.dumps({"beat": beat, "longest_s": 0}))
        state = launchers.of_run(begun).status(begun).state
    assert state is JobState.ALIVE


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("Priority", ": jobs with a higher priority are ahead of it (Priority)"),
        ("QOSMaxGRESPerUser", ": a limit of the account or QOS is reached (QOSMaxGRESPerUser)"),
        ("ReqNodeNotAvail, UnavailableNodes:n3", ": a node that it needs is not available (ReqNodeNotAvail)"),
        ("SomethingNew", " (SomethingNew)"),
        ("None", ""),
    ],
)
def test_reason_of_a_wait(reason, text):
    job = SlurmJob("7", "PENDING", reason, "", "", "gpu")
    assert job.describe_wait(None) == f"Queued in Slurm as job 7{text}"
    assert job.describe_wait(3) == f"Queued in Slurm as job 7, number 3 in partition gpu{text}"


def test_sbatch_gets_the_settings(make_run):
    changes = {
        "processes": 4,
        "nodes": 2,
        "slurm_partition": "gpu",
        "slurm_account": "speech",
        "slurm_time": "12:00:00",
        "slurm_options": "--mem=32G --comment='two words'",
    }
    run = make_run("one")
    run.config_path.write_text(json.dumps(TrainConfig().replace(changes).to_dict()))
    command = slurm.sbatch_command(run)
    expected = ["--nodes=2", "--gpus-per-node=4", "--partition=gpu", "--account=speech", "--time=12:00:00", "--mem=32G"]
    assert {*expected, "--comment=two words", "--requeue", f"--output={run.log_path}"} <= set(command)
    script = slurm.make_script(run)
    assert "srun --kill-on-bad-exit=1" in script and "--nproc-per-node=4" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    run.config_path.write_text(json.dumps(TrainConfig(device="cpu").to_dict()))
    assert "srun" not in slurm.make_script(run) and "torch.distributed.run" not in slurm.make_script(run)
    assert not any(flag.startswith(("--gpus", "--partition", "--time")) for flag in slurm.sbatch_command(run))


def test_job_inherits_no_variables_of_another_job(make_run, monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_CONF", "PET_NNODES", "ASRKIT_PASSWORD"):
        monkeypatch.setenv(name, "1")
    environment = slurm._make_environment(make_run())
    assert environment["SLURM_CONF"] == "1" and not {"SLURM_JOB_ID", "PET_NNODES", "ASRKIT_PASSWORD"} & set(environment)


def test_worker_of_a_job_does_not_start_the_local_queue(store, config, worker, monkeypatch):
    supervisor.start(store, config, "busy")
    waiting = supervisor.start(store, config, "waiting")
    monkeypatch.setenv(launchers.JOB, "slurm:7")
    monkeypatch.setattr(queue, "find_startable", lambda *_: pytest.fail("asked for runs to start"))
    assert queue.start_ready_runs(store) == [] and lifecycle.get_status(waiting) == lifecycle.QUEUED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"launcher": "local", "nodes": 2}, r"Nodes \(nodes\) is 2, and the launcher local uses this machine alone"),
        ({"launcher": "slurm", "device": "cuda:0"}, r"Device \(device\) is 'cuda:0', and Slurm assigns the GPUs"),
        ({"launcher": "slurm", "nodes": 2, "layerdrop": 0.1}, "Layer drop"),
        (
            {"launcher": "slurm", "slurm_options": "--mem='1"},
            r"slurm_options\) cannot be read \(No closing quot",
        ),
    ],
)
def test_settings_that_a_launcher_cannot_use(slurm_commands, changes, message):
    config = TrainConfig().replace(changes)
    with pytest.raises(ConfigError, match=message):
        launchers.for_config(config).check(config)


def test_slurm_needs_its_commands(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv(launchers.DEFAULT, "slurm")
    with pytest.raises(RunError, match="needs the command sbatch, which this machine does not have"):
        launchers.for_config(TrainConfig()).check(TrainConfig())


def test_visitors_do_not_choose_where_runs_run():
    with pytest.raises(QuotaError, match=r"Further Slurm options \(slurm_options\) is for operators"):
        run_quota.check_settings(TrainConfig(slurm_options="--output=/etc/x"))


def test_preempt_flag_is_cleared_before_a_resume(store, slurm_config, slurm_commands):
    slurm_commands(sbatch="7\n", squeue="")
    run = supervisor.start(store, slurm_config, "one")
    run.set_flag(PREEMPT)
    slurm_commands(sbatch="8\n")
    assert supervisor.resume(store, run).job_id() == "8" and not run.has_flag(PREEMPT)
