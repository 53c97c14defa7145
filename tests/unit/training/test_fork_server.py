"""What a forked worker sets in libraries that are imported already."""

import pytest
import torch

from asrkit.training import fork_server


@pytest.fixture
def num_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("num_threads")
@pytest.mark.parametrize(("requested", "present", "expected"), [("3", None, 3), ("3", "3", 2), (None, None, 2)])
def test_number_of_threads_follows_the_environment(requested, present, expected):
    torch.set_num_threads(2)  # what the server has read from its environment
    fork_server._set_threads(requested, present)
    assert torch.get_num_threads() == expected
