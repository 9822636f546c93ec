"""Every query of every dashboard runs: SQL through the gateway, on a ledger of which every amount is known, with the
data source's macros expanded as the plugin does it; PromQL in a real Prometheus, over what collector and agent expose.
"""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast, get_args

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.metric_names import MetricName
from collector.sources.interface import Lag
from collector.telemetry import Telemetry
from ledger.declarations import Declaration
from ledger.gateway.server import Gateway
from ledger.journal import Statement
from ledger.ledger import Ledger
from ledger.rollups import Rollups
from ledger.store import Store
from tests.ledger.chains import NOW_NS, Chain, evidence, meter
from tests.ledger.engine import Clock
from tests.wire.batches import batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.health import Health
    from collector.sources.interface import Source

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "helm" / "flopledger" / "files" / "dashboards"
MADE_BY = runpy.run_path(str(ROOT / "scripts" / "dashboards.py"))
DASHBOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
TO_S = NOW_NS // 10**9
FROM_S = TO_S - 7 * 86_400
LAST_SCRAPE_S, MINUTES = TO_S - TO_S % 60, 5
KEPT = re.compile(
    r"(Nullable\(|LowCardinality\((?=String))?(UInt(8|16|32|64)|Int(8|16|32|64)|Float64|Bool|String|Date32?|DateTime\(|DateTime64\()"
)
"""Types that the plugin hands on unharmed; a 256-bit integer becomes a float there."""
DAY_NS, HOUR_NS = 86_400 * 10**9, 3_600 * 10**9
E24 = 10**24
RUN = "it's"
"""A quote has to survive every variable."""
CHOSEN = {"cluster": ["c"], "run": [RUN], "status": ["in force"], "line": ["eu-aia-51-2"]}


def targets(source: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (name, f"{panel['title']} {target['refId']}", target)
        for name, board in DASHBOARDS.items()
        for panel in board["panels"]
        for target in panel["targets"]
        if panel["datasource"]["uid"] == f"${{{source}}}"
    ]


def expanded(sql: str, chosen: dict[str, list[str]]) -> str:
    """As Grafana and the ClickHouse plugin send it: variables as `sqlstring`, then the macros."""

    def quoted(found: re.Match[str]) -> str:
        return ",".join("'" + value.replace("'", "''") + "'" for value in chosen[found[1]])

    sql = re.sub(r"\$\{(\w+):sqlstring\}", quoted, sql)
    sql = re.sub(r"\$__timeFilter\((.*?)\)", rf"\1 >= toDateTime({FROM_S}) AND \1 <= toDateTime({TO_S})", sql)
    sql = sql.replace("$__fromTime", f"toDateTime({FROM_S})").replace("$__toTime", f"toDateTime({TO_S})")
    assert "$" not in sql, sql
    return sql


def fill(ledger: Ledger) -> None:
    """One run on two of four declared devices, over the line by its upper bound alone; one device of no known run; one
    batch that cannot be true.
    """
    one, two = Chain(1), Chain(2)
    hour = {"observed_ns": 10 * HOUR_NS, "gap_ns": HOUR_NS}
    ran = {"run": RUN, "method": "gpm-cycles"}
    began, ended = NOW_NS - 2 * DAY_NS, NOW_NS - DAY_NS
    reported = {"run": RUN, "basis": "architecture", "method": "reported-run", "device": "rank 0"}
    sealed = [
        one.seal(meter(0, **ran, at_ns=began, device="a"), devices=batch().devices),
        one.seal(
            meter(8 * E24, 7 * E24, 9 * E24, **ran, **hour, at_ns=ended, device="a"),
            meter(E24, E24, 2 * E24, **ran, **hour, at_ns=ended, device="b", dtype="fp8", purpose="evaluation"),
            meter(6 * E24, **reported, at_ns=ended),
        ),
        two.seal(meter(None, 0, 7, run="unattributed", device="c", method="busy", **hour, at_ns=NOW_NS)),
    ]
    untrue = two.seal(meter(10**30, run=RUN, device="c", at_ns=NOW_NS))
    items = [evidence(item, offset=offset) for offset, item in enumerate(sealed)]
    ledger.collisions(items)
    ledger.record([*items, evidence(untrue, "physics: more than the silicon can do", offset=3)])
    declared = Declaration(RUN, model_id="m", purpose="pre-training", planned_flop=3 * 10**25, devices=4)
    raised = {
        "alert_id": "a-1",
        "kind": "upper_bound",
        "subject_kind": "run",
        "subject": RUN,
        "threshold": "eu-aia-51-2",
        "percent": 100,
        "flop": str(11 * E24),
        "line_flop": str(10 * E24),
        "summary": REACHED,
    }
    ledger.append([declared.statement("lab"), Statement("alert", "collector", raised)])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("dashboards")
    with closing(Ledger.open(data, Clock())) as ledger:
        fill(ledger)
        with closing(Store.embedded(data / "ledger")) as store:
            Rollups(store).refresh()
        gateway = Gateway(data / "ledger", "127.0.0.1", 0)
        gateway.start()
        yield f"http://127.0.0.1:{gateway.port}/"
        gateway.stop()


def ask(url: str, sql: str, chosen: dict[str, list[str]] = CHOSEN) -> dict[str, Any]:
    asked = {"default_format": "JSONCompact", "output_format_json_quote_64bit_integers": "0"}
    answer = httpx.post(url, content=expanded(sql, chosen), params=asked, timeout=60)
    assert answer.status_code == httpx.codes.OK, f"{sql}\n{answer.text}"
    found: dict[str, Any] = answer.json()
    return found


def test_the_files_are_what_the_script_writes() -> None:
    written = {made.name: MADE_BY["render"](made) for made in MADE_BY["DASHBOARDS"]}
    assert {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")} == written


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_a_dashboard_can_be_provisioned_anywhere(name: str) -> None:
    board = DASHBOARDS[name]
    assert board["uid"] == f"flopledger-{name}"
    assert (board["schemaVersion"], board["version"]) == (39, 1)
    assert "id" not in board
    source, *others = board["templating"]["list"]
    assert source["type"] == "datasource"
    wanted = {"type": source["query"], "uid": f"${{{source['name']}}}"}
    known = {one["name"] for one in others}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([board["panels"], others], ensure_ascii=False)))
    assert {name for name in used if not name.startswith("__")} == known | {source["name"]}
    assert all(one["datasource"] == wanted for one in others)
    assert all(panel["datasource"] == wanted for panel in board["panels"])
    assert all(target["datasource"] == wanted for panel in board["panels"] for target in panel["targets"])
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_no_panel_lies_over_another_one(name: str) -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARDS[name]["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_a_choice_offers_what_there_is(url: str) -> None:
    offered = {
        (name, one["name"]): [row[0] for row in ask(url, one["query"])["data"]]
        for name, board in DASHBOARDS.items()
        for one in board["templating"]["list"][1:]
        if board["templating"]["list"][0]["name"] == "clickhouse"
    }
    lines = offered.pop(("thresholds", "line"))
    assert {"eu-aia-51-2"} < set(lines)
    assert {"adopted", "in force"} < set(offered.pop(("thresholds", "status")))
    assert offered == {
        ("fleet", "cluster"): ["c"],
        ("run", "run"): [RUN],
    }


FLOP, SAID_FLOP, AT_LEAST, AT_MOST = 9e24, 6e24, 8e24, 1.1e25
BIG, REPORTED, LOW, HIGH, LINE = 9 * 10**24, 6 * 10**24, 8 * 10**24, 11 * 10**24, 10**25
REACHED = "the upper bound has reached it"
PEAK = 2 * 10**15
BEGAN_HOUR, ENDED_HOUR, LAST_HOUR = (f"2026-11-{day} 14:00:00" for day in (21, 22, 23))
BEGAN, ENDED, LAST = (f"2026-11-{day} 14:26:40" for day in (21, 22, 23))
MEASURED = ["hardware", str(BIG), str(LOW), str(HIGH), 0, 2, "gpm-cycles", f"{BEGAN}.000000000", f"{ENDED}.000000000"]
SAID = ["architecture", *[str(REPORTED)] * 3, 0, 1, "reported-run", *[f"{ENDED}.000000000"] * 2]
EU_HARDWARE = ["eu-aia-51-2", "in force", "hardware", pytest.approx(0.9), False, True]
EU_ARCHITECTURE = ["eu-aia-51-2", "in force", "architecture", pytest.approx(0.6), False, False]
BY_DEVICE = ([8e24, 7e24, 9e24, 1], [1e24, 1e24, 2e24, 1])


def parts(*names: str) -> list[list[Any]]:
    return [[name, *amounts] for name, amounts in zip(names, BY_DEVICE, strict=True)]


KNOWN: dict[tuple[str, str], list[list[Any]]] = {
    ("fleet", "Devices A"): [[1]],
    ("fleet", "Peak of all accelerators A"): [[PEAK]],
    ("fleet", "Silent nodes A"): [[1]],
    ("fleet", "Device time that no counter covers A"): [[pytest.approx(1 / 11)]],
    ("fleet", "Compute by the hour A"): [[BEGAN_HOUR, 0, 0], [ENDED_HOUR, FLOP, 0], [LAST_HOUR, 0, 0]],
    ("fleet", "By model and method A"): [["c", "gpu", "H100", "gpm-cycles", 1, PEAK]],
    ("fleet", "Silent for longest A"): [["c", "node-1", f"{ENDED}.000000000"]],
    ("fleet", "Compute of no known run A"): [["c", "node-2", "0", "7", 10]],
    ("fleet", "Batches that speak against themselves A"): [["physics", "no", 1, f"{LAST}.000000"]],
    ("run", "Compute, measured A"): [[FLOP]],
    ("run", "Compute, reported A"): [[SAID_FLOP]],
    ("run", "Measured ÷ reported A"): [[1.5]],
    ("run", "Coverage A"): [[pytest.approx(20 / (4 * 24))]],
    ("run", "To the last digit A"): [MEASURED, SAID],
    ("run", "Cumulative compute A"): [[BEGAN_HOUR, 0, 0, 0], [ENDED_HOUR, FLOP, AT_LEAST, AT_MOST]],
    ("run", "Cumulative compute B"): [[ENDED_HOUR, SAID_FLOP]],
    ("run", "Rate A"): [[ENDED_HOUR, pytest.approx(BIG / 86_400)]],
    ("run", "By node A"): [["node-1", FLOP, AT_LEAST, AT_MOST, 2]],
    ("run", "By device A"): parts("a", "b"),
    ("run", "By dtype A"): parts("bf16", "fp8"),
    ("run", "By purpose A"): parts("pre-training", "evaluation"),
    ("run", "Declared A"): [["m", "pre-training", "", str(3 * 10**25), None, 4, ""]],
    ("thresholds", "Runs, models and systems A"): [[0, 2, pytest.approx(0.9)]],
    ("thresholds", "Alerts, not resolved A"): [[1]],
    ("thresholds", "Alerts A"): [
        [f"{LAST}.000000000", "raised", "upper_bound", "run", RUN, "eu-aia-51-2", 100, None, None, REACHED]
    ],
    ("run", "Alerts A"): [[f"{LAST}.000000000", "raised", "upper_bound", "eu-aia-51-2", 100, REACHED]],
    ("thresholds", "Closest to each line A"): [["eu-aia-51-2", pytest.approx(0.9)]],
    ("thresholds", "Where everybody stands A"): [
        [kind, name, *stands, False, str(flop), str(high), str(LINE), "2025-08-02"]
        for stands, flop, high in ((EU_HARDWARE, BIG, HIGH), (EU_ARCHITECTURE, REPORTED, REPORTED))
        for kind, name in (("model", "m"), ("run", RUN))
    ],
    ("thresholds", "The largest runs by the hour A"): [[BEGAN_HOUR, RUN, 0], [ENDED_HOUR, RUN, FLOP]],
}


@pytest.mark.parametrize(("name", "title", "target"), targets("clickhouse"), ids=lambda value: str(value)[:40])
def test_every_panel_of_clickhouse_shows_what_is_known(url: str, name: str, title: str, target: dict[str, Any]) -> None:
    found = ask(url, target["rawSql"])
    assert [column["type"] for column in found["meta"] if not KEPT.match(column["type"])] == []
    assert target["format"] == int(target["queryType"] == "table")
    assert (found["meta"][0]["name"] == "time") == (target["queryType"] == "timeseries")
    if title == "Against every line A":
        eu = [row for row in found["data"] if row[0] == "eu-aia-51-2"]
        assert eu == [[*EU_HARDWARE, str(BIG), str(LINE)], [*EU_ARCHITECTURE, str(REPORTED), str(LINE)]]
        assert len(found["data"]) > 20
    elif title == "The lines A":
        ((line, jurisdiction, *_, operator, amount, unit, subject, policy, status, since),) = found["data"]
        assert (line, jurisdiction, operator, amount) == ("eu-aia-51-2", "European Union", ">", str(LINE))
        assert (unit, subject, policy, status) == ("floating-point", "model", "eu-cumulative", "in force")
        assert since == "2025-08-02"
    else:
        assert found["data"] == KNOWN[name, title]


def test_nothing_is_known_of_a_panel_that_is_not_there() -> None:
    assert set(KNOWN) < {(name, title) for name, title, _ in targets("clickhouse")}


AGENT = """
from types import SimpleNamespace as Named
from prometheus_client import generate_latest
from agent.telemetry import start_telemetry
agent = Named(ticks=1, devices=[1, 2], silent_devices=1)
outbox = Named(next_seq=5, stored_batches=lambda: 3, stored_bytes=lambda: 9)
start_telemetry(agent, outbox, lambda: 60.0, exposed=True)
print(generate_latest().decode(), end="")
"""


def collector_says() -> str:
    telemetry = Telemetry()
    source = SimpleNamespace(lag=lambda: Lag(5, 7.0), owned=lambda: [0])
    health = SimpleNamespace(
        commit_age_s=lambda: 2.0, assessment_age_s=lambda: 4.0, beat_age_s=lambda: 1.0, trouble=lambda: None
    )
    telemetry.watch(cast("Source", source), cast("Health", health))
    metrics = telemetry.metrics
    metrics.committed(3, [evidence(Chain(3).seal(meter(1)), "physics: too much")])
    metrics.quarantined("unauthentic")
    metrics.inserted(0.3)
    metrics.retried()
    metrics.assessed()
    text = telemetry.exposition().decode()
    telemetry.close()
    return text


def agent_says() -> str:
    command = [sys.executable, "-W", "ignore", "-c", AGENT]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def scraped(text: str, instance: str) -> Iterator[str]:
    """What Prometheus gets every minute; what counts, counts one a second."""
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("flopledger"):
            continue
        yield f"# TYPE {family.name} {family.type}\n"
        for sample in family.samples:
            labels = {**sample.labels, "job": "flopledger", "instance": instance}
            said = ",".join(f'{name}="{value}"' for name, value in labels.items())
            for minute in range(MINUTES + 1):
                counted = 60 * minute if family.type in {"counter", "histogram"} else 0
                at_s = LAST_SCRAPE_S - 60 * (MINUTES - minute)
                yield f"{sample.name}{{{said}}} {sample.value + counted} {at_s}\n"


VALUES = {
    "Collectors ready A": "1",
    "Oldest batch that waits A": "7",
    "Since the last assessment A": "4",
    "Batches recorded A": "1",
    "Readings recorded A": "1",
    "Quarantined A": "1",
    "Excluded A": "1",
    "Rounds that had to wait A": "1",
    "Batches in agents' outboxes A": "3",
    "Devices that cannot be read A": "1",
    "Agents that cannot ship A": "60",
}


def test_every_panel_of_prometheus_shows_what_collector_and_agent_expose(prometheus: Callable[[str], str]) -> None:
    base = prometheus("".join([*scraped(collector_says(), "c:1"), *scraped(agent_says(), "a:1")]))
    shown = {}
    for _, title, target in targets("prometheus"):
        asked = target["expr"].replace("$job", "flopledger|other").replace("$__rate_interval", "4m")
        assert "$" not in asked
        answer = httpx.get(f"{base}/api/v1/query", params={"query": asked, "time": LAST_SCRAPE_S}).json()
        assert answer["status"] == "success", answer
        assert answer["data"]["result"], f"{title}: {asked}"
        shown[title] = answer["data"]["result"][0]
        legend = re.findall(r"{{(\w+)}}", target["legendFormat"])
        assert set(legend) <= set(shown[title]["metric"])
    assert {title: float(shown[title]["value"][1]) for title in VALUES} == {
        title: pytest.approx(float(value)) for title, value in VALUES.items()
    }
    ((variable,),) = ([one for one in DASHBOARDS["pipeline"]["templating"]["list"] if one["name"] == "job"],)
    selector = re.fullmatch(r"label_values\((.*), job\)", variable["definition"])
    assert selector is not None
    found = httpx.get(f"{base}/api/v1/label/job/values", params={"match[]": selector[1]}).json()
    assert found["data"] == ["flopledger"]


def test_no_panel_of_prometheus_asks_for_a_metric_that_nobody_has() -> None:
    asked = {
        name
        for _, _, target in targets("prometheus")
        for name in re.findall(r"flopledger_collector_\w+", target["expr"])
    }
    known = {name.replace(".", "_") for name in get_args(MetricName)}
    assert {re.sub("_(total|seconds|seconds_bucket)$", "", name) for name in asked} <= known
