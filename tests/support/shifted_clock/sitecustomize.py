"""Python runs this at its start where this folder is on PYTHONPATH: the clock of the process is wrong."""

import os
import time

_read_clock, _offset_s = time.time, float(os.environ["SHIFTED_CLOCK_S"])
time.time = lambda: _read_clock() + _offset_s
