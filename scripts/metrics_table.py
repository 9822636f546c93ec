"""Print the table of the collector's metrics for docs/collector.md; `tests/collector/test_metrics.py` compares both."""

from __future__ import annotations

import re
from pathlib import Path

NAMES = Path(__file__).resolve().parents[1] / "collector" / "metric_names.py"
ENTRY = re.compile(r"^ +# (\w+), ([^:]+): (.+)\n +\"(.+)\",$", re.MULTILINE)


def metrics() -> list[tuple[str, str, str, str]]:
    """Name, type, unit and meaning of each."""
    return [(name, kind, unit, meaning) for kind, unit, meaning, name in ENTRY.findall(NAMES.read_text("utf-8"))]


def metrics_table() -> str:
    """As Markdown."""
    rows = [f"| `{name}` | {kind} | {unit} | {meaning} |" for name, kind, unit, meaning in metrics()]
    return "\n".join(["| metric | type | unit | meaning |", "|---|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    print(metrics_table(), end="")
