"""What every test may ask for."""

from __future__ import annotations

pytest_plugins = [
    "tests.services.alertmanager.fixtures",
    "tests.services.clickhouse.fixtures",
    "tests.services.kafka.fixtures",
    "tests.services.prometheus.fixtures",
]
