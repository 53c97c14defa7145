import concurrent.futures

import psutil
import pytest

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, RunError
from asrkit.runs import devices, lifecycle, processes, queue, supervisor, system
from asrkit.runs.devices import DeviceRequest

ANY = DeviceRequest((), 1)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Simulate a machine with two GPUs; machine(n) simulates one with n GPUs."""
    for name in (devices.ALLOWED, devices.SLOTS, devices.VISIBLE, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)

    def set_num_gpus(num_gpus):
        monkeypatch.setattr(system, "query_gpus", lambda: ["a GPU"] * num_gpus)
        devices._count_gpus.cache_clear()

    set_num_gpus(2)
    yield set_num_gpus
    devices._count_gpus.cache_clear()


@pytest.mark.parametrize(
    ("num_gpus", "visible", "expected"),
    [
        (2, None, ["cuda:0", "cuda:1"]),
        (0, None, ["cpu"]),
        (2, "", ["cpu"]),
        (2, "-1", ["cpu"]),
        (4, "3,1", ["cuda:3", "cuda:1"]),
        (2, "1,7,0", ["cuda:1"]),
        (2, "GPU-8f,0", ["cuda:GPU-8f", "cuda:0"]),
        (0, "0", ["cpu"]),
    ],
)
def test_devices_follow_cuda_visible_devices(machine, monkeypatch, num_gpus, visible, expected):
    machine(num_gpus)
    monkeypatch.setattr(devices.platform, "system", lambda: "Linux")
    if visible is not None:
        monkeypatch.setenv(devices.VISIBLE, visible)
    assert devices.list_devices() == expected


def test_apple_silicon_uses_mps(machine, monkeypatch):
    machine(0)
    monkeypatch.setattr(devices.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(devices.platform, "machine", lambda: "arm64")
    assert devices.list_devices() == ["mps"]


def test_environment_variable_names_the_devices(monkeypatch):
    monkeypatch.setenv(devices.ALLOWED, "cuda:1, cpu")
    assert devices.list_devices() == ["cuda:1", "cpu"]
    monkeypatch.setenv(devices.ALLOWED, "gpu1")
    with pytest.raises(RunError, match="ASRKIT_DEVICES is 'gpu1'; name devices as in"):
        devices.list_devices()


@pytest.mark.parametrize("slots", ["0", "-1", "two"])
def test_slots_must_be_a_number(monkeypatch, slots):
    monkeypatch.setenv(devices.SLOTS, slots)
    with pytest.raises(RunError, match="ASRKIT_SLOTS is .* it must be a whole number"):
        devices.slots_per_device()


@pytest.mark.parametrize(
    ("requests", "in_use", "expected"),
    [
        ([ANY, ANY, ANY], [], [["cuda:0"], ["cuda:1"], []]),
        ([ANY], ["cuda:0"], [["cuda:1"]]),
        ([DeviceRequest(("cuda:0",), 1), ANY], ["cuda:0"], [[], ["cuda:1"]]),
        ([DeviceRequest((), 2)], [], [["cuda:0", "cuda:1"]]),
        ([DeviceRequest((), 2), ANY], ["cuda:0"], [[], []]),
        ([DeviceRequest((), 3), ANY], [], [[], ["cuda:0"]]),
        ([DeviceRequest(("cuda:1", "cuda:0"), 2), DeviceRequest(("cuda:1",), 1)], ["cuda:0"], [[], []]),
        ([DeviceRequest(("cpu",), 1), DeviceRequest(("cpu",), 1)], ["cuda:0", "cuda:1"], [["cpu"], []]),
    ],
)
def test_assign_devices(requests, in_use, expected):
    """A request gets the first free or the named device; devices a waiting run needs stay reserved for it."""
    assert devices.assign_devices(requests, in_use) == expected


def test_least_used_device_comes_first(monkeypatch):
    monkeypatch.setenv(devices.SLOTS, "2")
    assert devices.assign_devices([ANY] * 5, []) == [["cuda:0"], ["cuda:1"], ["cuda:0"], ["cuda:1"], []]


def test_processes_of_a_run_share_the_processor(machine, monkeypatch):
    machine(0)
    assert devices.assign_devices([DeviceRequest((), 4), ANY], []) == [["cpu"], []]
    monkeypatch.setenv(devices.SLOTS, "3")
    assert devices.assign_devices([DeviceRequest((), 2), ANY, ANY], []) == [["cpu", "cpu"], ["cpu"], []]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"device": "cuda:2"},
            "There is no device cuda:2 for runs here; set Device .device. to auto or one of cuda:0, cuda:1",
        ),
        ({"processes": 3}, "The run needs 3 GPUs .processes., one for each process, and there are 2"),
    ],
)
def test_unavailable_device_is_rejected(changes, message):
    with pytest.raises(RunError, match=message):
        devices.check_available(TrainConfig().replace(changes))
    devices.check_available(TrainConfig().replace({"device": "cpu", "processes": 3}))


@pytest.mark.parametrize(
    ("device", "processes"),
    [("gpu", 1), ("cuda", 1), ("cuda:0,cpu", 2), ("cuda:0,cuda:0", 2), ("cuda:0,cuda:1", 1), ("cuda:0", 2), ("", 1)],
)
def test_malformed_device_is_rejected(device, processes):
    with pytest.raises(ConfigError, match="Device .device."):
        TrainConfig().replace({"device": device, "processes": processes})


@pytest.mark.parametrize(
    ("assigned", "environment", "expected"),
    [
        (["cuda:1"], {}, {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
        (["cuda:0", "cuda:1"], {"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "0,1"}),
        (["cpu"], {}, {"CUDA_VISIBLE_DEVICES": "-1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
        (["cpu"], {"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "-1"}),
    ],
)
def test_worker_environment_limits_the_devices(assigned, environment, expected):
    assert devices.worker_environment(assigned, environment) == {"ASRKIT_DEVICES": "cuda:0,cuda:1", **expected}


def test_next_run_of_a_cpu_worker_gets_its_gpu():
    """A worker passes its environment on to the next run. CUDA_DEVICE_ORDER keeps the GPU numbers of the driver."""
    inherited = devices.worker_environment(["cpu"], {})
    assert {**inherited, **devices.worker_environment(["cuda:1"], inherited)} == {
        "ASRKIT_DEVICES": "cuda:0,cuda:1",
        "CUDA_VISIBLE_DEVICES": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def test_slots_on_the_processor_share_its_cores(machine, monkeypatch):
    machine(0)
    monkeypatch.setenv(devices.SLOTS, "2")
    monkeypatch.setattr(devices, "count_cores", lambda: 8)
    assert devices.worker_environment(["cpu"], {}) == {"ASRKIT_DEVICES": "cpu", "OMP_NUM_THREADS": "4"}
    assert "OMP_NUM_THREADS" not in devices.worker_environment(["cpu"], {"OMP_NUM_THREADS": "1"})


# Runs on two GPUs


def start_ready_ids(store):
    return [run.id for run in queue.start_ready_runs(store)]


def get_queue_status(store, run):
    return queue.get_queue_status(run, lifecycle.iter_active_runs(store), queue.list_queue(store))


def get_assignment(run):
    return run.process()["devices"], psutil.Process(run.process()["pid"]).environ()["CUDA_VISIBLE_DEVICES"]


def test_next_run_starts_on_the_first_free_gpu(store, config, worker):
    first, second, third, named = (
        supervisor.start(store, config.replace({"device": device}), name)
        for name, device in (("one", "auto"), ("two", "auto"), ("three", "auto"), ("named", "cuda:0"))
    )
    assert [get_assignment(first), get_assignment(second)] == [(["cuda:0"], "0"), (["cuda:1"], "1")]
    assert get_queue_status(store, third) == (["two", "one"], [], 1, "", "")
    assert get_queue_status(store, named) == (["one"], ["three"], 1, "", "")
    processes.kill_worker(second)
    assert start_ready_ids(store) == ["three"] and get_assignment(third) == (["cuda:1"], "1")
    processes.kill_worker(first)
    assert start_ready_ids(store) == ["named"] and get_assignment(named) == (["cuda:0"], "0")


def test_run_of_two_processes_waits_for_two_gpus(store, config, worker):
    first = supervisor.start(store, config, "one")
    both = supervisor.start(store, config.replace({"processes": 2}), "both")
    behind = supervisor.start(store, config, "behind")
    assert [lifecycle.get_status(run) for run in (both, behind)] == ["queued", "queued"]
    processes.kill_worker(first)
    assert start_ready_ids(store) == ["both"] and get_assignment(both) == (["cuda:0", "cuda:1"], "0,1")
    assert lifecycle.get_status(behind) == "queued"


def test_two_apps_assign_each_gpu_once(store, config, worker):
    first = [supervisor.start(store, config, f"first-{number}") for number in range(2)]
    for number in range(5):
        supervisor.start(store, config, f"next-{number}")
    for run in first:
        processes.kill_worker(run)
    with concurrent.futures.ThreadPoolExecutor(8) as apps:
        started = [run for runs in apps.map(lambda _: queue.start_ready_runs(store), range(16)) for run in runs]
    assert [run.id for run in started] == ["next-0", "next-1"]
    assert sorted(run.process()["devices"][0] for run in started) == ["cuda:0", "cuda:1"]


def test_worker_without_device_list_occupies_all_devices(make_run, store, config, worker, child):
    """An older version started the worker, or the app died before it recorded the devices."""
    make_run("old", [], processes.identify_process(child.pid))
    assert lifecycle.get_status(supervisor.start(store, config, "new")) == "queued"


def test_run_with_too_many_gpus_stays_queued(store, config, worker, machine):
    """Another app on the same runs directory may have enough GPUs to start it."""
    first = supervisor.start(store, config, "one")
    both = supervisor.start(store, config.replace({"processes": 2}), "both")
    processes.kill_worker(first)
    machine(1)
    assert queue.start_ready_runs(store) == [] and lifecycle.get_status(both) == "queued"
    assert "The run needs 2 GPUs" in get_queue_status(store, both).error_message
    machine(2)
    assert start_ready_ids(store) == ["both"]


def test_run_waiting_for_a_missing_device_does_not_block_the_queue(store, config, worker, machine):
    first = supervisor.start(store, config, "one")
    second = supervisor.start(store, config.replace({"device": "cuda:0"}), "two")
    assert get_queue_status(store, second).error_message == ""
    machine(0)
    assert lifecycle.get_status(supervisor.start(store, config, "three")) == "starting", "the processor was free"
    processes.kill_worker(first)
    assert queue.start_ready_runs(store) == [] and lifecycle.get_status(second) == "queued"
    assert "There is no device cuda:0 for runs here" in get_queue_status(store, second).error_message
