"""What the evidence amounts to against what the derived tables say, a few agents at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ledger.proof.evidence import pages
from ledger.proof.findings import Finding
from ledger.proof.fold import CURVE_COUNTERS, Fold, curve_columns, device_columns, meter_columns
from ledger.proof.scan import scan
from ledger.rows import CURVE, DEVICES, METERS, to_table
from wire.batch import COUNTER_COLUMNS, KEY_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.access import Access
    from ledger.proof.scan import Trust

Row = dict[str, Any]
Key = tuple[Any, ...]

GROUP_ROWS = 50_000
"""Derived rows of so many agents at a time are compared together."""
PART_ROWS = 500_000
"""What one statement may return of an agent that has more."""
MAX_NAMED = 500
UNSETTLED_NS = 60_000_000_000
"""How fresh a batch may be whose derived rows are perhaps still on their way."""
ATTEMPTS = 20
PAUSE_S = 0.25

_SPAN = """
    (({first:UInt8} AND agent = '') OR agent > {after:String}) AND ({last:UInt8} OR agent <= {until:String})
    AND meter_id % {parts:UInt32} = {part:UInt32}
"""
_METER_KEY = ("run", "meter_id", "incarnation", *KEY_COLUMNS[1:], "agent", "cluster", "node")
_METER_COLUMNS = (*_METER_KEY, "first_at_ns", "last_at_ns", *COUNTER_COLUMNS)
_METERS = f"""
SELECT run, meter_id, toString(incarnation) AS incarnation_text, {", ".join(_METER_KEY[3:])},
    min(first_at_ns), max(last_at_ns), {", ".join(f"max({name})" for name in COUNTER_COLUMNS)}
FROM meters
WHERE {_SPAN}
GROUP BY run, meter_id, incarnation, {", ".join(_METER_KEY[3:])}
ORDER BY run, meter_id, incarnation_text, {", ".join(_METER_KEY[3:])}
"""
_CURVE_KEY = ("run", "basis", "meter_id", "hour")
_CURVE_COLUMNS = (*_CURVE_KEY, *CURVE_COUNTERS)
_CURVE = f"""
SELECT run, basis, meter_id, toUnixTimestamp(hour) AS hour_s, {", ".join(f"max({name})" for name in CURVE_COUNTERS)}
FROM curve
WHERE (run, meter_id) IN (SELECT run, meter_id FROM meters WHERE {_SPAN})
    OR (meter_id IN ({{ids:Array(UInt64)}}) AND run IN ({{runs:Array(String)}}))
GROUP BY run, basis, meter_id, hour
ORDER BY run, basis, meter_id, hour_s
"""
_DEVICES = f"""
SELECT {", ".join(DEVICES.names)} FROM devices FINAL
WHERE device > {{after:String}} OR ({{first:UInt8}} AND device = '') ORDER BY device LIMIT {{rows:UInt64}}
"""
_ORPHANS = """
SELECT run, basis, meter_id, toUnixTimestamp(hour) FROM curve
WHERE (run, meter_id) NOT IN (SELECT run, meter_id FROM meters) ORDER BY run, basis, meter_id, hour LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Agents by name: those after one, up to and with another. None is an open end."""

    after: str | None
    until: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One derived row that is not what the evidence amounts to, of an agent as far as that is known."""

    table: str
    agent: str | None
    meter: tuple[str, int] | None
    detail: str

    def finding(self) -> Finding:
        """As it is reported."""
        return Finding("re-derived value differs", self.table, self.detail, self.agent)


class Comparison:
    """Compares the derived tables with what the evidence amounts to, which comes in the agents' order."""

    def __init__(
        self, ledger: Access, trust: Trust, now_ns: Callable[[], int], wait: Callable[[float], object]
    ) -> None:
        self._ledger = ledger
        self._trust = trust
        self._now_ns = now_ns
        self._wait = wait
        self._began_ns = now_ns()
        self._lost: set[tuple[str, int]] = set()

    def agents(self, span: Span, fold: Fold) -> list[Finding]:
        """What differs in `meters` and `curve` for the agents in `span`, whose evidence amounts to `fold`.

        In a ledger that goes on recording, the tables may be ahead of what was read, or evidence ahead of the tables:
        whatever differs is looked at again, with what has come since.
        """
        differences = self._differences(span, fold)
        for _ in range(ATTEMPTS):
            agents = {difference.agent for difference in differences if difference.agent is not None}
            if not agents or not self._caught_up(agents, fold):
                break
            differences = self._differences(span, fold)
            if differences:
                self._wait(PAUSE_S)
        self._lost.update(difference.meter for difference in differences if difference.meter is not None)
        return [difference.finding() for difference in differences]

    def devices(self, fold: Fold) -> list[Finding]:
        """What differs in the inventory."""
        differences = self._device_differences(fold)
        for _ in range(ATTEMPTS):
            if not differences or not self._caught_up(None, fold):
                break
            differences = self._device_differences(fold)
            if differences:
                self._wait(PAUSE_S)
        return [difference.finding() for difference in differences]

    def orphans(self) -> list[Finding]:
        """Rows of `curve` that belong to no meter at all; those of a meter that is missing were found with it."""
        found = []
        for run, basis, meter_id, hour in self._ledger.query(_ORPHANS).rows:
            if (run, meter_id) not in self._lost:
                detail = f"run {run}, {basis}, meter {meter_id}, hour {hour}: no meter has this row"
                found.append(Finding("re-derived value differs", "curve", detail))
        return found

    def _caught_up(self, agents: set[str] | None, fold: Fold) -> bool:
        """Take what was recorded lately into `fold`; False where nothing was."""
        since_ns = min(self._began_ns, self._now_ns()) - UNSETTLED_NS
        fresh = False
        for agent in sorted(agents) if agents is not None else [None]:
            for page in pages(self._ledger, agent, since_ns):
                fresh = True
                for late in scan(page, self._trust).folds.values():
                    fold.merge(late)
        return fresh

    def _differences(self, span: Span, fold: Fold) -> list[Difference]:
        parts = 1 + fold.rows // PART_ROWS
        return [found for part in range(parts) for found in self._part(span, fold, parts, part)]

    def _part(self, span: Span, fold: Fold, parts: int, part: int) -> Iterator[Difference]:
        place: dict[str, Any] = {
            "after": span.after or "",
            "until": span.until or "",
            "first": int(span.after is None),
            "last": int(span.until is None),
            "parts": parts,
            "part": part,
        }
        meters, curve = meter_columns(fold.meters), curve_columns(fold.curve)
        if parts > 1:
            meters, curve = _only(meters, parts, part), _only(curve, parts, part)
        expected = _sorted(meters, METERS, _METER_COLUMNS, _METER_KEY)
        actual = self._ledger.query_arrow(_METERS, place)
        lost: set[tuple[str, int]] = set()
        derived = set(zip(meters["run"], meters["meter_id"], strict=True))
        for key, detail in _compare(expected, actual, len(_METER_KEY)):
            run, meter_id = key[0], key[1]
            agent = key[_METER_KEY.index("agent")]
            if (run, meter_id) in derived:
                lost.add((run, meter_id))
            yield Difference("meters", agent, (run, meter_id), f"run {run}, meter {meter_id}: {detail}")
        named = sorted(lost)[:MAX_NAMED]
        actual = self._ledger.query_arrow(
            _CURVE, {**place, "ids": [meter_id for _, meter_id in named], "runs": [run for run, _ in named]}
        )
        expected = _sorted(curve, CURVE, _CURVE_COLUMNS, _CURVE_KEY)
        owners: dict[tuple[str, int], str] = {}
        for key, what in _compare(expected, actual, len(_CURVE_KEY)):
            run, basis, meter_id, hour = key
            if (run, meter_id) not in derived or ((run, meter_id) in lost and (run, meter_id) not in named):
                continue
            owners = owners or dict(
                zip(zip(meters["run"], meters["meter_id"], strict=True), meters["agent"], strict=True)
            )
            detail = f"run {run}, {basis}, meter {meter_id}, hour {hour}: {what}"
            yield Difference("curve", owners[run, meter_id], (run, meter_id), detail)

    def _device_differences(self, fold: Fold) -> list[Difference]:
        unseen = dict(fold.devices)
        found = []
        after, first = "", 1
        while True:
            page = self._ledger.query_arrow(_DEVICES, {"after": after, "first": first, "rows": GROUP_ROWS})
            rows = _typed(page, DEVICES).to_pylist()
            for row in rows:
                stored = {name: _plain(value) for name, value in row.items()}
                said = unseen.pop(stored["device"], {})
                candidates = [
                    {name: values[0] for name, values in device_columns({stored["device"]: {values: None}}).items()}
                    for values in said
                ]
                if stored not in candidates:
                    detail = f"device {stored['device']}: {_detail(candidates[0] if candidates else None, stored)}"
                    found.append(Difference("devices", stored["agent"], None, detail))
            if len(rows) < GROUP_ROWS:
                break
            after, first = rows[-1]["device"], 0
        for device, said in unseen.items():
            agent = device_columns({device: said})["agent"][0]
            found.append(Difference("devices", agent, None, f"device {device}: {_detail({}, None)}"))
        return found


def _only(columns: dict[str, list[Any]], parts: int, part: int) -> dict[str, list[Any]]:
    chosen = [row for row, meter_id in enumerate(columns["meter_id"]) if meter_id % parts == part]
    return {name: [values[row] for row in chosen] for name, values in columns.items()}


def _sorted(columns: dict[str, list[Any]], schema: pa.Schema, names: Sequence[str], key: Sequence[str]) -> pa.Table:
    """These rows in the order and with the columns that the statements above have."""
    keys = list(zip(*(columns[name] for name in key), strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    wanted = pa.schema([schema.field(name) for name in names])
    return to_table(wanted, {name: [columns[name][row] for row in order] for name in names})


def _compare(expected: pa.Table, actual: pa.Table, key_columns: int) -> Iterator[tuple[Key, str]]:
    """Keys of rows that differ, in order, each with what differs."""
    actual = _typed(actual, expected.schema)
    if expected.equals(actual):
        return
    wanted, stored = _by_key(expected, key_columns), _by_key(actual, key_columns)
    for key in sorted(wanted.keys() | stored.keys()):
        if wanted.get(key) != stored.get(key):
            yield key, _detail(wanted.get(key), stored.get(key))


def _by_key(table: pa.Table, key_columns: int) -> dict[Key, Row]:
    found: dict[Key, Row] = {}
    for row in table.to_pylist():
        values = {name: _plain(value) for name, value in row.items()}
        found[tuple(values.values())[:key_columns]] = values
    return found


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The engine's answer with text as text, whatever somebody wrote into the columns."""
    table = table.rename_columns(schema.names)
    try:
        return table.cast(schema)
    except pa.ArrowInvalid:
        texts = [
            pa.array(
                [None if value is None else value.decode(errors="backslashreplace") for value in column.to_pylist()]
            )
            if field.type == pa.string()
            else column
            for field, column in zip(schema, table.columns, strict=True)
        ]
        return pa.table(texts, schema=schema)


def _plain(value: Any) -> Any:
    """A large integer as one; everything else that is compared is text or a number already."""
    return int.from_bytes(value, "little") if isinstance(value, bytes) else value


def _detail(wanted: Row | None, stored: Row | None) -> str:
    if stored is None:
        return "the evidence has it, the table has not"
    if not wanted:
        return "the table has it, the evidence has not"
    names = [name for name, value in wanted.items() if stored[name] != value]
    return ", ".join(f"{name} is {stored[name]}, the evidence says {wanted[name]}" for name in names)
