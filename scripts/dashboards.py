"""Write the Grafana dashboards in helm/flopledger/files/dashboards; `tests/ledger/test_dashboards.py` runs every query.

ClickHouse's data source hands a 256-bit integer on as a float: where every digit counts, the query returns text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "helm" / "flopledger" / "files" / "dashboards"
CLICKHOUSE = {"type": "grafana-clickhouse-datasource", "uid": "${clickhouse}"}
PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
PLUGIN_VERSION = "4.0.0"
SCHEMA_VERSION = 39
WIDTH = 24
TOP = 20


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: `queries` are SQL, or PromQL by legend where the dashboard asks Prometheus."""

    title: str
    says: str
    queries: dict[str, str]
    kind: str = "table"
    width: int = 12
    height: int = 8
    unit: str = ""
    units: dict[str, str] = field(default_factory=dict)
    """By column, where they differ."""


@dataclass(frozen=True, slots=True)
class Variable:
    """Something to choose: a query of one column."""

    name: str
    label: str
    query: str
    multi: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A file of the folder."""

    name: str
    title: str
    says: str
    source: dict[str, str]
    variables: list[Variable]
    panels: list[Panel]
    since: str = "now-30d"


def _sql(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


IN_CLUSTERS = "cluster IN (${cluster:sqlstring})"
OF_RUN = "run_id = ${run:sqlstring}"

FLEET = Dashboard(
    "fleet",
    "flopledger / fleet",
    "Devices, how each is measured, who is silent, and compute that belongs to no known run.",
    CLICKHOUSE,
    [Variable("cluster", "Cluster", "SELECT DISTINCT cluster FROM devices ORDER BY cluster", multi=True)],
    [
        Panel(
            "Devices",
            "In the inventory, as agents state it.",
            {"A": f"SELECT count() AS devices FROM devices FINAL WHERE {IN_CLUSTERS}"},
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Peak of all accelerators",
            "The most that the silicon could do; devices of unknown rate are left out.",
            {"A": f"SELECT toFloat64(sum(flop_per_s_max)) AS flop_per_s FROM cluster_capacity WHERE {IN_CLUSTERS}"},
            kind="stat",
            width=6,
            height=4,
            unit="flops",
        ),
        Panel(
            "Silent nodes",
            "Without a reading in the last 15 minutes of the time that is shown.",
            {
                "A": f"""
                SELECT count() AS nodes FROM (
                SELECT cluster, node FROM run_devices
                WHERE adds_with = 0 AND {IN_CLUSTERS}
                GROUP BY cluster, node
                HAVING max(last_at_ns) < toUnixTimestamp($__toTime - INTERVAL 15 MINUTE) * 1000000000)
                """
            },
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Device time that no counter covers",
            "Declared gaps: bounded by the peak, never zero. Silence of an agent comes on top.",
            {
                "A": f"""
                SELECT toFloat64(sum(gap_ns)) / nullIf(toFloat64(sum(observed_ns)) + toFloat64(sum(gap_ns)), 0) AS share
                FROM run_devices FINAL WHERE adds_with = 0 AND {IN_CLUSTERS}
                """
            },
            kind="stat",
            width=6,
            height=4,
            unit="percentunit",
        ),
        Panel(
            "Compute by the hour",
            "All runs together, and what belongs to none. Hardware basis; lower bounds where there is no estimate.",
            {
                "A": """
                SELECT hour AS time,
                sum(if(run_id = 'unattributed', 0, step)) AS attributed,
                sum(if(run_id = 'unattributed', step, 0)) AS unattributed
                FROM (
                SELECT run_id, hour, toFloat64(flop - lagInFrame(flop, 1, toUInt256(0)) OVER w) AS step
                FROM run_hours WHERE basis = 'hardware'
                WINDOW w AS (PARTITION BY run_id ORDER BY hour ROWS BETWEEN 1 PRECEDING AND CURRENT ROW))
                WHERE $__timeFilter(hour)
                GROUP BY hour ORDER BY hour
                """
            },
            kind="timeseries",
            width=WIDTH,
            unit="sci",
        ),
        Panel(
            "By model and method",
            "The best method that each device offers.",
            {
                "A": f"""
                SELECT cluster, kind, name, method, count() AS devices,
                toFloat64(sum(toUInt256(flop_per_s_max))) AS peak
                FROM devices FINAL WHERE {IN_CLUSTERS}
                GROUP BY cluster, kind, name, method ORDER BY devices DESC, name, method
                """
            },
            units={"peak": "flops"},
        ),
        Panel(
            "Silent for longest",
            "Nodes by their last reading, the oldest first.",
            {
                "A": f"""
                SELECT cluster, node, fromUnixTimestamp64Nano(toInt64(max(last_at_ns)), 'UTC') AS last_reading
                FROM run_devices WHERE adds_with = 0 AND {IN_CLUSTERS}
                GROUP BY cluster, node
                HAVING last_reading < $__toTime - INTERVAL 15 MINUTE
                ORDER BY last_reading, node LIMIT {TOP}
                """
            },
        ),
        Panel(
            "Compute of no known run",
            "By node, with bounds; hours are device-hours that a counter covers.",
            {
                "A": f"""
                SELECT cluster, node, toString(sum(flop_low)) AS flop_low, toString(sum(flop_high)) AS flop_high,
                toFloat64(sum(observed_ns)) / 3.6e12 AS hours
                FROM run_devices FINAL WHERE run = 'unattributed' AND {IN_CLUSTERS}
                GROUP BY cluster, node ORDER BY sum(run_devices.flop_high) DESC, node LIMIT {TOP}
                """
            },
            units={"hours": "h"},
        ),
        Panel(
            "Batches that speak against themselves",
            "Kept as evidence and counted in no total, or sealed by a key that was revoked since.",
            {
                "A": f"""
                SELECT kind, if(counted, 'yes', 'no') AS counted, count() AS batches, max(received_at) AS last
                FROM findings WHERE {IN_CLUSTERS} AND $__timeFilter(received_at)
                GROUP BY kind, counted ORDER BY batches DESC, kind
                """
            },
        ),
    ],
)


def _share_of_run(part: str) -> Panel:
    return Panel(
        f"By {part}",
        f"The {TOP} largest, by the upper bound.",
        {
            "A": f"""
            SELECT {part}, toFloat64(sum(flop)) AS flop, toFloat64(sum(flop_low)) AS low,
            toFloat64(sum(flop_high)) AS high, toFloat64(sum(gap_ns)) / 3.6e12 AS gap_hours
            FROM run_devices FINAL WHERE run = ${{run:sqlstring}} AND adds_with = 0
            GROUP BY {part} ORDER BY high DESC, {part} LIMIT {TOP}
            """
        },
        units={"flop": "sci", "low": "sci", "high": "sci", "gap_hours": "h"},
    )


RUN = Dashboard(
    "run",
    "flopledger / run",
    "One run: what it has used, with bounds and on both bases, and where it stands.",
    CLICKHOUSE,
    [Variable("run", "Run", "SELECT run_id FROM runs ORDER BY run_id")],
    [
        Panel(
            "Compute, measured",
            "Hardware basis. Empty when no method has an estimate.",
            {"A": f"SELECT toFloat64(flop) AS flop FROM run_totals WHERE {OF_RUN} AND basis = 'hardware'"},
            kind="stat",
            width=6,
            height=4,
            unit="sci",
        ),
        Panel(
            "Compute, reported",
            "Architecture basis: what the training loop says. Never added to what was measured.",
            {"A": f"SELECT toFloat64(flop) AS flop FROM run_totals WHERE {OF_RUN} AND basis = 'architecture'"},
            kind="stat",
            width=6,
            height=4,
            unit="sci",
        ),
        Panel(
            "Measured ÷ reported",
            "1 to 1.15 is usual, up to 1.5 with recomputation; outside 0.9 to 1.6 is a finding.",
            {"A": f"SELECT ratio FROM reconciliation WHERE {OF_RUN}"},
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Coverage",
            "Of the declared world size. Empty when nobody declared one: unknown, and not complete.",
            {"A": f"SELECT coverage FROM coverage WHERE {OF_RUN}"},
            kind="stat",
            width=6,
            height=4,
            unit="percentunit",
        ),
        Panel(
            "To the last digit",
            "FLOP as integers.",
            {
                "A": f"""
                SELECT basis, toString(flop) AS flop, toString(flop_low) AS flop_low, toString(flop_high) AS flop_high,
                bounds_only_share, devices, arrayStringConcat(methods, ', ') AS methods, first_at, last_at
                FROM run_totals WHERE {OF_RUN} ORDER BY basis DESC
                """
            },
            width=WIDTH,
            height=5,
            units={"bounds_only_share": "percentunit"},
        ),
        Panel(
            "Cumulative compute",
            "By the end of each hour, with the bounds of what was measured.",
            {
                "A": f"""
                SELECT hour AS time, toFloat64(flop) AS measured, toFloat64(flop_low) AS at_least,
                toFloat64(flop_high) AS at_most
                FROM run_hours WHERE {OF_RUN} AND basis = 'hardware' AND $__timeFilter(hour) ORDER BY hour
                """,
                "B": f"""
                SELECT hour AS time, toFloat64(flop) AS reported
                FROM run_hours WHERE {OF_RUN} AND basis = 'architecture' AND $__timeFilter(hour) ORDER BY hour
                """,
            },
            kind="timeseries",
            width=WIDTH,
            height=10,
            unit="sci",
        ),
        Panel(
            "Rate",
            "Mean FLOP per second since the hour before that had a reading.",
            {
                "A": f"""
                SELECT hour AS time, step / seconds AS flop_per_s FROM (
                SELECT hour, toFloat64(flop - lagInFrame(flop, 1, flop) OVER w) AS step,
                dateDiff('second', lagInFrame(hour, 1, hour) OVER w, hour) AS seconds
                FROM run_hours WHERE {OF_RUN} AND basis = 'hardware'
                WINDOW w AS (ORDER BY hour ROWS BETWEEN 1 PRECEDING AND CURRENT ROW))
                WHERE seconds > 0 AND $__timeFilter(hour) ORDER BY hour
                """
            },
            kind="timeseries",
            unit="flops",
        ),
        Panel(
            "Against every line",
            "As the run alone stands; its model may stand higher. Share of the line, stricter basis first.",
            {
                "A": """
                SELECT threshold, status, basis, share, crossed, crossed_by_upper_bound, toString(flop) AS flop,
                toString(line_flop) AS line_flop
                FROM threshold_status WHERE subject_kind = 'run' AND subject = ${run:sqlstring}
                ORDER BY share DESC NULLS LAST, threshold, basis
                """
            },
            units={"share": "percentunit"},
        ),
        Panel(
            "Alerts",
            "About this run, with what became of them.",
            {
                "A": """
                SELECT first_seen, state, kind, threshold, percent, summary FROM alert_history
                WHERE subject_kind = 'run' AND subject = ${run:sqlstring}
                ORDER BY first_seen DESC, alert_id LIMIT 100
                """
            },
            width=WIDTH,
        ),
        _share_of_run("node"),
        _share_of_run("device"),
        _share_of_run("dtype"),
        _share_of_run("purpose"),
        Panel(
            "Declared",
            "What people put on record of the run.",
            {
                "A": f"""
                SELECT model_id, purpose, dtype, toString(planned_flop) AS planned_flop, planned_end, declared_devices,
                parent
                FROM runs WHERE {OF_RUN}
                """
            },
            width=WIDTH,
            height=5,
        ),
    ],
)

THRESHOLDS = Dashboard(
    "thresholds",
    "flopledger / thresholds",
    "Who stands closest to which line of law.",
    CLICKHOUSE,
    [
        Variable("status", "Status of the line", "SELECT DISTINCT status FROM thresholds ORDER BY status", multi=True),
        Variable(
            "line", "Line", "SELECT id FROM thresholds WHERE status IN (${status:sqlstring}) ORDER BY id", multi=True
        ),
    ],
    [
        Panel(
            "Runs, models and systems",
            "Over a line by their estimate or their lower bound; past it by the upper bound alone, which leaves it "
            "open; and the largest share that anybody has of a line.",
            {
                "A": """
                SELECT uniqExactIf((s.subject_kind, s.subject), s.crossed) AS crossed,
                uniqExactIf((s.subject_kind, s.subject), s.crossed_by_upper_bound AND s.crossed IS NOT TRUE) AS open,
                max(s.share) AS largest_share
                FROM threshold_status AS s WHERE s.threshold IN (${line:sqlstring})
                """
            },
            kind="stat",
            width=18,
            height=4,
            units={"largest_share": "percentunit"},
        ),
        Panel(
            "Alerts, not resolved",
            "Raised or acknowledged, about these lines.",
            {"A": "SELECT count() AS alerts FROM alerts WHERE threshold IN (${line:sqlstring})"},
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Closest to each line",
            "The largest share that any run, model or system has of it.",
            {
                "A": """
                SELECT s.threshold AS threshold, max(s.share) AS share FROM threshold_status AS s
                WHERE s.threshold IN (${line:sqlstring}) AND s.share IS NOT NULL
                GROUP BY s.threshold ORDER BY share DESC, threshold
                """
            },
            kind="bargauge",
            width=WIDTH,
            unit="percentunit",
        ),
        Panel(
            "Where everybody stands",
            "FLOP to the last digit; a share without an estimate is empty and not zero.",
            {
                "A": """
                SELECT subject_kind, subject, threshold, status, basis, share, crossed, crossed_by_upper_bound,
                crossed_with_disputed, toString(flop) AS flop, toString(flop_high) AS flop_high,
                toString(line_flop) AS line_flop, in_force_from
                FROM threshold_status WHERE threshold IN (${line:sqlstring})
                ORDER BY share DESC NULLS LAST, subject_kind, subject, threshold, basis LIMIT 200
                """
            },
            width=WIDTH,
            height=12,
            units={"share": "percentunit"},
        ),
        Panel(
            "The largest runs by the hour",
            "Cumulative, hardware basis; lines of 10²⁵ and 10²⁶ FLOP lie in this picture where they are reached.",
            {
                "A": """
                SELECT h.hour AS time, h.run_id AS run, toFloat64(h.flop) AS flop FROM run_hours AS h
                WHERE h.basis = 'hardware' AND $__timeFilter(h.hour) AND h.run_id IN (
                SELECT run_id FROM run_totals WHERE basis = 'hardware' ORDER BY flop_high DESC, run_id LIMIT 10)
                ORDER BY h.hour, h.run_id
                """
            },
            kind="timeseries",
            width=WIDTH,
            unit="sci",
        ),
        Panel(
            "Alerts",
            "First seen in the time that is shown. The moment from which a crossing was foreseeable is one of them.",
            {
                "A": """
                SELECT first_seen, state, kind, subject_kind, subject, threshold, percent, lead_days, expected_at,
                summary
                FROM alert_history WHERE threshold IN (${line:sqlstring}) AND $__timeFilter(first_seen)
                ORDER BY first_seen DESC, alert_id LIMIT 200
                """
            },
            width=WIDTH,
        ),
        Panel(
            "The lines",
            "With their citations, as they are on record in the journal.",
            {
                "A": """
                SELECT id, jurisdiction, instrument, citation, operator, toString(amount) AS amount, unit, subject,
                policy, status, in_force_from
                FROM thresholds WHERE id IN (${line:sqlstring}) ORDER BY id
                """
            },
            width=WIDTH,
        ),
    ],
)


_OURS = "flopledger_collector_ready|flopledger_agent_devices"
_OF_JOB = '{job=~"$job"}'


def _rate(metric: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate({metric}{_OF_JOB}[$__rate_interval]))"


_RECORDING = _rate("flopledger_collector_insert_duration_seconds_bucket", "le")

PIPELINE = Dashboard(
    "pipeline",
    "flopledger / pipeline",
    "Whether what agents seal arrives: from the metrics of collectors and agents, by Prometheus.",
    PROMETHEUS,
    [
        Variable(
            "job", "Job", 'label_values({__name__=~"flopledger_collector_ready|flopledger_agent_devices"}, job)', True
        )
    ],
    [
        Panel(
            "Collectors ready",
            "Of those that Prometheus scrapes.",
            {"ready": f"sum(flopledger_collector_ready{_OF_JOB})"},
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Partitions without a collector",
            "Owned partitions: fewer than the topic has means that some are read by nobody.",
            {"owned": f"sum(flopledger_collector_partitions{_OF_JOB})"},
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Oldest batch that waits",
            "From the broker's own time.",
            {"age": f"max(flopledger_collector_lag_age_seconds{_OF_JOB})"},
            kind="stat",
            width=6,
            height=4,
            unit="s",
        ),
        Panel(
            "Since the last assessment",
            "Only the collector that owns partition 0 assesses.",
            {"age": f"min(flopledger_collector_assessment_age_seconds{_OF_JOB})"},
            kind="stat",
            width=6,
            height=4,
            unit="s",
        ),
        Panel(
            "Lag",
            "Messages that are not recorded yet.",
            {"{{instance}}": f"flopledger_collector_lag_messages{_OF_JOB}"},
            kind="timeseries",
        ),
        Panel(
            "Since everything was committed",
            "Grows while a round cannot be recorded.",
            {"{{instance}}": f"flopledger_collector_commit_age_seconds{_OF_JOB}"},
            kind="timeseries",
            unit="s",
        ),
        Panel(
            "Batches recorded",
            "Per second.",
            {"{{instance}}": _rate("flopledger_collector_batches_total")},
            kind="timeseries",
        ),
        Panel(
            "Readings recorded",
            "Per second.",
            {"{{instance}}": _rate("flopledger_collector_readings_total")},
            kind="timeseries",
        ),
        Panel(
            "Quarantined",
            "Messages per second that cannot be opened, by reason. A storm of them stops the collector.",
            {"{{reason}}": _rate("flopledger_collector_quarantined_total", "reason")},
            kind="timeseries",
        ),
        Panel(
            "Excluded",
            "Batches per second that are evidence and count in no total, by reason.",
            {"{{reason}}": _rate("flopledger_collector_excluded_total", "reason")},
            kind="timeseries",
        ),
        Panel(
            "How long recording takes",
            "Per round: the median, and what one in a hundred exceeds.",
            {
                "p50": f"histogram_quantile(0.5, {_RECORDING})",
                "p99": f"histogram_quantile(0.99, {_RECORDING})",
            },
            kind="timeseries",
            unit="s",
        ),
        Panel(
            "Rounds that had to wait",
            "Per second: ledger, brokers or quarantine were away.",
            {"{{instance}}": _rate("flopledger_collector_retries_total")},
            kind="timeseries",
        ),
        Panel(
            "Batches in agents' outboxes",
            "Sealed and not acknowledged: the ten longest.",
            {"{{instance}}": f"topk(10, flopledger_agent_outbox_batches{_OF_JOB})"},
            kind="timeseries",
        ),
        Panel(
            "Devices that cannot be read",
            "By agent; what they do meanwhile is a declared gap.",
            {"{{instance}}": f"flopledger_agent_devices_silent{_OF_JOB} > 0"},
            kind="timeseries",
        ),
        Panel(
            "Agents that cannot ship",
            "For how long: the ten longest.",
            {"{{instance}}": f"topk(10, flopledger_agent_outage_seconds{_OF_JOB})"},
            kind="timeseries",
            unit="s",
        ),
    ],
    since="now-6h",
)

DASHBOARDS = (FLEET, RUN, THRESHOLDS, PIPELINE)


def render(made: Dashboard) -> str:
    """The file's whole text."""
    name = "clickhouse" if made.source is CLICKHOUSE else "prometheus"
    source = {
        "name": name,
        "label": "Data source",
        "type": "datasource",
        "query": made.source["type"],
        "hide": 0,
        "refresh": 1,
        "includeAll": False,
        "multi": False,
    }
    dashboard = {
        "uid": f"flopledger-{made.name}",
        "title": made.title,
        "description": made.says,
        "tags": ["flopledger"],
        "timezone": "utc",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": made.since, "to": "now"},
        "annotations": {"list": []},
        "links": [
            {
                "title": "flopledger",
                "type": "dashboards",
                "tags": ["flopledger"],
                "asDropdown": True,
                "keepTime": True,
                "includeVars": False,
            }
        ],
        "templating": {"list": [source, *(_variable(one, made.source) for one in made.variables)]},
        "panels": _laid_out(made),
    }
    return json.dumps(dashboard, ensure_ascii=False, indent=2) + "\n"


def _variable(one: Variable, source: dict[str, str]) -> dict[str, Any]:
    query: Any = one.query
    if source is PROMETHEUS:
        query = {"query": one.query, "refId": "variable", "qryType": 1}
    return {
        "name": one.name,
        "label": one.label,
        "type": "query",
        "datasource": source,
        "definition": one.query,
        "query": query,
        "refresh": 2,
        "sort": 0,
        "hide": 0,
        "multi": one.multi,
        "includeAll": one.multi,
        "current": {"text": ["All"], "value": ["$__all"]} if one.multi else {},
    }


def _laid_out(made: Dashboard) -> list[dict[str, Any]]:
    """Panels from left to right; the next row begins below the tallest of the one before."""
    laid, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(made.panels, 1):
        if x + panel.width > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        laid.append(_panel(number, panel, made.source, place))
        x, tallest = x + panel.width, max(tallest, panel.height)
    return laid


def _panel(number: int, panel: Panel, source: dict[str, str], place: dict[str, int]) -> dict[str, Any]:
    target = _clickhouse if source is CLICKHOUSE else _prometheus
    targets = [
        target(panel, chr(ord("A") + place_), legend, query)
        for place_, (legend, query) in enumerate(panel.queries.items())
    ]
    defaults: dict[str, Any] = {"unit": panel.unit} if panel.unit else {}
    if panel.kind in {"stat", "bargauge"}:
        defaults |= {"noValue": "unknown", "color": {"mode": "fixed", "fixedColor": "blue"}}
    if panel.kind == "bargauge":
        steps = [{"color": "blue", "value": None}, {"color": "orange", "value": 0.5}, {"color": "red", "value": 1}]
        defaults |= {"min": 0, "max": 1, "color": {"mode": "thresholds"}}
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return {
        "id": number,
        "title": panel.title,
        "description": panel.says,
        "type": panel.kind,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {
            "defaults": defaults,
            "overrides": [
                {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "unit", "value": unit}]}
                for column, unit in panel.units.items()
            ],
        },
        "options": _options(panel.kind),
        "targets": targets,
    }


def _options(kind: str) -> dict[str, Any]:
    whole = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    if kind == "bargauge":
        return {"reduceOptions": {"calcs": [], "fields": "", "values": True}, "orientation": "horizontal"}
    return {"stat": {**whole, "graphMode": "none"}, "table": {"showHeader": True}}.get(kind, {})


def _clickhouse(panel: Panel, ref: str, legend: str, query: str) -> dict[str, Any]:
    del legend
    series = panel.kind == "timeseries"
    return {
        "refId": ref,
        "datasource": CLICKHOUSE,
        "editorType": "sql",
        "queryType": "timeseries" if series else "table",
        "format": 0 if series else 1,
        "pluginVersion": PLUGIN_VERSION,
        "rawSql": _sql(query),
    }


def _prometheus(panel: Panel, ref: str, legend: str, query: str) -> dict[str, Any]:
    return {
        "refId": ref,
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": query,
        "legendFormat": legend,
        "instant": panel.kind == "stat",
        "range": panel.kind != "stat",
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in DASHBOARDS:
        (FOLDER / f"{each.name}.json").write_text(render(each), encoding="utf-8")
