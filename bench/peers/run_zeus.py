"""Zeus: one measurement window per second over all GPUs."""

import sys
import threading
import time

from zeus.monitor import ZeusMonitor

from bench.peers import timing

mode, seconds, _ = sys.argv[1:]
monitor = ZeusMonitor(gpu_indices=list(range(8)))


def window():
    """The energy since the last call."""
    if "tick" in monitor.measurement_states:
        monitor.end_window("tick", sync_execution=False)
    monitor.begin_window("tick", sync_execution=False)


def forever():
    """A window per second."""
    while True:
        window()
        time.sleep(1)


if mode == "whole":
    threading.Thread(target=forever, daemon=True).start()
    timing.whole(int(seconds))
else:
    timing.sampling(window, int(seconds))
