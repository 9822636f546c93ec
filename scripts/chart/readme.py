"""helm/flopledger/README.md, from values.yaml."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.chart.values import Key

HEAD = """# flopledger

Agents on GPU nodes, collectors, the ledger's jobs and its page, by one `helm install`. Kafka and ClickHouse are yours to
bring. This page is made from [values.yaml](values.yaml) by `make chart`.

```
helm install flopledger helm/flopledger --namespace flopledger --create-namespace --values my-values.yaml
```

A look at it with nothing else installed, in one pod:

```
helm install demo helm/flopledger --namespace flopledger-demo --create-namespace --values helm/flopledger/profiles/demo.yaml
```

| beside this file | what it is |
|---|---|
| [profiles](profiles) | values for Strimzi, MSK, Confluent, ClickHouse Cloud, Altinity's operator, and the demo; one for each of Kafka and ClickHouse, then yours: `--values a.yaml --values b.yaml --values mine.yaml` |
| [ci](ci) | sets of values that the tests render, check and lint |
| [examples](examples) | what some of them render to, kept to see what a change changes |
| [choices](../../docs/kubernetes.md) | modes of the agent, keys, reports from training loops, network policies |
| [privileges](../../docs/privileges.md) | what each part may do on a node and in the cluster, compared with dcgm-exporter's chart |

A key that the chart does not know is refused, and so are values that contradict each other; the message names them.
"""
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
    parts = [HEAD]
    leaves = sorted((key for key in found if not key.group), key=lambda key: list(TITLES).index(_section(key)))
    for section, inside in groupby(leaves, key=_section):
        parts.append(f"\n## {TITLES[section]}\n\n| key | default | what it is |\n|---|---|---|\n")
        parts += [f"| `{key.name}` | `{json.dumps(key.default)}` | {_cell(key.description)} |\n" for key in inside]
    return "".join(parts)


def _section(key: Key) -> str:
    return key.path[0] if len(key.path) > 1 else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
