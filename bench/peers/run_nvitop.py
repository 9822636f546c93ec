"""nvitop: its collector, which other programs log metrics with."""

import sys

from nvitop import Device, ResourceMetricCollector

from bench.peers import timing

mode, seconds, _ = sys.argv[1:]
collector = ResourceMetricCollector(Device.all(), interval=1.0)
if mode == "whole":
    collector.daemonize(bool, interval=1.0)
    timing.whole(int(seconds))
else:
    with collector("tick"):
        timing.sampling(collector.take_snapshots, int(seconds))
