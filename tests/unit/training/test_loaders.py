"""The loader of the training manifest: its epochs, and its processes."""

import os

import pytest
import threadpoolctl
from torch.utils.data import Dataset

from asrkit.training.batching import LengthBatchSampler
from asrkit.training.loaders import EpochDataLoader, begin_loader_process


class Places(Dataset):
    """Gives the keys of a batch back, with the process that loads it and its threads for matrix products."""

    def __getitem__(self, key):
        threads = {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}
        return key, os.getpid(), threads


@pytest.fixture
def make_loader():
    loaders = []

    def make(num_workers):
        sampler = LengthBatchSampler([1.0 + 0.1 * n for n in range(12)], batch_seconds=0, batch_size=3, seed=1)
        loader = EpochDataLoader(
            Places(), sampler, collate_fn=list, num_workers=num_workers, worker_init_fn=begin_loader_process
        )
        loaders.append(loader)
        return loader

    yield make
    for loader in loaders:
        loader.close()


def load_epoch(loader, epoch):
    loader.set_epoch(epoch)
    return [[key for key, _, _ in batch] for batch in loader]


def test_processes_give_the_batches_of_each_epoch(make_loader):
    plain, parallel = make_loader(0), make_loader(2)
    for epoch in (0, 1, 2, 7, 7, 3):  # one after the other, and where a run is resumed
        assert load_epoch(parallel, epoch) == load_epoch(plain, epoch) == list(plain.epochs.iter_epoch(epoch))


def test_processes_stay_from_epoch_to_epoch(make_loader):
    loader = make_loader(2)
    pids = [{pid for batch in loader for _, pid, _ in batch} for epoch in range(3) if loader.set_epoch(epoch) is None]
    assert pids[0] == pids[1] == pids[2] and len(pids[0]) == 2 and os.getpid() not in pids[0]


def test_loader_processes_have_one_thread_for_matrix_products(make_loader):
    """Several processes with as many threads as cores wait for each other."""
    ((_, pid, threads), *_), *_ = make_loader(1)
    assert pid != os.getpid() and threads <= {1}
