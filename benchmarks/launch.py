"""Runs a command and writes what it used: RESULT.json COMMAND ...

A process of its own, and a small one: Linux counts into a program's peak memory that of the process
that started it, which for the benchmarks' own would be a hundred megabytes.
"""

import json
import os
import sys
import time

start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - start
figures = {
    "seconds": seconds,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "peak_mb": usage.ru_maxrss * 1024 / 1e6,
    "code": os.waitstatus_to_exitcode(status),
}
with open(sys.argv[1], "w") as file:
    json.dump(figures, file)
