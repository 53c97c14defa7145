import os
import sys

import pytest

from asrkit.cores import count_cores


@pytest.mark.skipif(sys.platform != "linux", reason="no process is bound to cores here")
def test_cores_are_those_that_the_process_is_bound_to():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert count_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
