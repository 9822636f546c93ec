"""helm/flopledger/README.md, from values.yaml."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.chart.values import Key

HEAD = Path(__file__).with_name("readme_head.md")
TITLES = {
    "": "The whole release",
    "agent": "Agent",
    "kafka": "Kafka",
    "clickhouse": "ClickHouse",
    "collector": "Collector",
    "ledger": "Ledger",
    "alerts": "Alerts",
    "web": "Page",
    "monitoring": "Monitoring",
    "networkPolicy": "Network policies",
    "demo": "Demo",
}


def readme(found: list[Key]) -> str:
    """The whole file."""
    parts = [HEAD.read_text(encoding="utf-8")]
    leaves = sorted((key for key in found if not key.group), key=lambda key: list(TITLES).index(_section(key)))
    for section, inside in groupby(leaves, key=_section):
        parts.append(f"\n## {TITLES[section]}\n\n| key | default | what it is |\n|---|---|---|\n")
        parts += [f"| `{key.name}` | `{json.dumps(key.default)}` | {_cell(key.description)} |\n" for key in inside]
    return "".join(parts)


def _section(key: Key) -> str:
    return key.path[0] if len(key.path) > 1 else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
