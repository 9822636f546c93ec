"""CodeCarbon: its tracker, measuring this machine every second."""

import sys

from codecarbon import OfflineEmissionsTracker

from bench.peers import timing

mode, seconds, directory = sys.argv[1:]
tracker = OfflineEmissionsTracker(
    country_iso_code="USA",
    measure_power_secs=1 if mode == "whole" else 3_600,
    tracking_mode="machine",
    output_dir=directory,
    log_level="error",
    allow_multiple_runs=True,
)
tracker.start()
if mode == "whole":
    timing.whole(int(seconds))
else:
    timing.sampling(tracker._measure_power_and_energy, int(seconds))
