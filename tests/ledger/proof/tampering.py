"""Single mutations of a ledger, behind its back, drawn at random over all tables; and where each must be found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.journal import Journal, Statement
from ledger.meter_ids import MeterIds
from ledger.proof.checkpoint import read
from ledger.record import record as record_rows
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, evidence, meter
from tests.ledger.engine import LEDGER_KEY
from tests.ledger.proof.cases import RATE, STEP_NS, build, found
from wire.seal import key_id, sign

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from ledger.ledger import Ledger
    from ledger.proof.checkpoint import Checkpoint
    from ledger.proof.findings import Finding
    from ledger.store import Store
    from wire.seal import Sealed

TABLES = ("batches", "journal", "evidence_log", "meters", "curve", "devices")
KEYS = {
    "batches": ("agent", "toString(chain)", "seq"),
    "journal": ("entry_index",),
    "evidence_log": ("log_index",),
    "meters": ("run", "meter_id"),
    "curve": ("run", "basis", "meter_id", "toUnixTimestamp(hour)"),
    "devices": ("device",),
}
UNSIGNED = {"received_at", "source_topic", "source_partition", "source_offset"}
"""What the collector adds to a batch; nobody signs it."""
STRANGER = Ed25519PrivateKey.from_private_bytes(b"nobody that this ledger knows of")


@dataclass(frozen=True)
class Mutation:
    """What was done, and by which findings it is found in the right place."""

    what: str
    kind: str
    located: Callable[[Finding], bool]
    expect: Checkpoint | None = None


class Tamperer:
    """A small ledger that is spoilt and mended again and again."""

    def __init__(self, ledger: Ledger, store: Store, random: Random) -> None:
        self._ledger = ledger
        self._store = store
        self._random = random
        self._touched: set[str] = set()
        self.chains = build(ledger)
        for table in TABLES:
            store.command(f"OPTIMIZE TABLE {table} FINAL")
            store.command(f"DROP TABLE IF EXISTS whole_{table}")
            store.command(f"CREATE TABLE whole_{table} ENGINE = Memory AS SELECT * FROM {table}")
        self._columns = {table: self._types(table) for table in TABLES}
        self._rows = {
            table: store.query(f"SELECT {', '.join(KEYS[table])} FROM whole_{table} ORDER BY ALL").rows
            for table in TABLES
        }
        self.checkpoint = read(ledger, self._rows["journal"][-1][0])
        self.ways: list[Callable[[], Mutation]] = [
            *(partial(self.changed_column, table) for table in TABLES),
            *(partial(self.deleted_row, table) for table in TABLES),
            *(partial(self.inserted_row, table) for table in TABLES[1:]),
            self.deleted_tail,
            self.deleted_journal_tail,
            self.inserted_batch,
            self.forked,
            self.replayed,
            self.reordered,
            self.reordered_log,
            self.forged,
            self.forged_entry,
            self.falsely_excluded,
            self.falsely_counted,
            self.revoked,
            self.device_twice,
            self.seconds_not_conserved,
            self.beyond_physics,
            self.another_root,
            self.another_ledger,
        ]

    def spoil(self) -> Mutation:
        """One mutation, drawn at random."""
        return self._random.choice(self.ways)()

    def judge(self, mutation: Mutation) -> list[Finding] | None:
        """None when it was found where it is; else what was found instead. Mends the ledger."""
        findings = found(self._ledger, mutation.expect)
        self.mend()
        return None if any(mutation.located(finding) for finding in findings) else findings

    def mend(self) -> None:
        """As it was built."""
        for table in sorted(self._touched):
            self._rewrite(table, {}, "1")
        self._touched.clear()

    def changed_column(self, table: str) -> Mutation:
        row = self._pick(table)
        column = self._random.choice(sorted(self._columns[table].keys() - UNSIGNED - {"excluded_reason"}))
        self._rewrite(table, {column: self._other(table, column)}, "1", self._is(table, row))
        return Mutation(f"{table}.{column} of {row}", "changed byte", self._about(table, row, column))

    def deleted_row(self, table: str) -> Mutation:
        row = self._pick(table)
        if table == "journal" and row == self._rows["journal"][-1]:
            return self.deleted_journal_tail()
        self._rewrite(table, {}, f"NOT ({self._is(table, row)})")
        return Mutation(f"{table}: {row}", "deleted row", self._about(table, row))

    def inserted_row(self, table: str) -> Mutation:
        """Another row, made of one that is there under another key."""
        row = self._pick(table)
        changes = {
            "journal": {"entry_index": f"{len(self._rows['journal']) - self._random.randrange(2)}"},
            "evidence_log": {"log_index": f"{len(self._rows['evidence_log']) - self._random.randrange(2)}"},
            "meters": {"meter_id": "meter_id + 1"},
            "curve": {"meter_id": "meter_id + 1"},
            "devices": {"device": "concat(device, '!')"},
        }[table]
        self._insert(table, changes, self._is(table, row))
        return Mutation(f"{table}: made of {row}", "inserted row", lambda finding: finding.table == table)

    def deleted_tail(self) -> Mutation:
        chain = self._random.choice(self.chains)
        mine = [row for row in self._rows["batches"] if row[0] == chain.agent]
        first = self._random.choice(mine)
        self._rewrite("batches", {}, f"NOT (agent = '{chain.agent}' AND seq >= {first[2]})")
        return Mutation(f"batches from {first}", "deleted tail", self._about("batches", first))

    def deleted_journal_tail(self) -> Mutation:
        """Nothing in the ledger speaks of its journal's last entry: somebody outside has to."""
        last = self._random.randrange(1, 4)
        rows = self._rows["journal"]
        self._rewrite("journal", {}, f"entry_index < {len(rows) - last}")
        return Mutation(
            f"last {last} of the journal", "deleted tail", self._about("journal", rows[-last]), self.checkpoint
        )

    def inserted_batch(self) -> Mutation:
        stranger = Chain(self._random.randrange(50, 200))
        item = evidence(stranger.seal(meter(1)))
        self._record(item.sealed)
        return Mutation("a batch of a stranger", "inserted batch", self._at(stranger.agent, 0))

    def forked(self) -> Mutation:
        chain, sealed, row = self._resealed(meter(3, device="GPU-fork"))
        self._record(sealed)
        return Mutation(f"{row} has a twin", "fork", self._at(chain.agent, row[2]))

    def replayed(self) -> Mutation:
        """A batch once more, in a place that is not its own."""
        row, other = self._pick("batches"), self._pick("batches")
        changes = {"agent": f"'{other[0]}'", "chain": f"'{other[1]}'", "seq": f"{other[2] + 100}"}
        if row[0] == other[0]:
            del changes["agent"], changes["chain"]
        self._insert("batches", changes, self._is("batches", row))
        return Mutation(f"{row} again, in another place", "replay", self._at(other[0], other[2] + 100))

    def reordered(self) -> Mutation:
        chains = Counter(item[0] for item in self._rows["batches"])
        agent = self._random.choice(sorted(agent for agent, batches in chains.items() if batches > 1))
        seqs = [item[2] for item in self._rows["batches"] if item[0] == agent]
        one, other = self._random.sample(seqs, 2)
        swapped = f"multiIf(seq = {one}, {other}, seq = {other}, {one}, seq)"
        self._rewrite("batches", {"seq": swapped}, "1", f"agent = '{agent}'")
        return Mutation(f"{agent}: {one} and {other} swapped", "reordered chain", self._at(agent, min(one, other)))

    def reordered_log(self) -> Mutation:
        one, other = self._random.sample(range(len(self._rows["evidence_log"])), 2)
        swapped = f"multiIf(log_index = {one}, {other}, log_index = {other}, {one}, log_index)"
        self._rewrite("evidence_log", {"log_index": swapped}, "1")
        return Mutation(
            f"log: {one} and {other} swapped", "checkpoint disagrees", lambda finding: finding.table == "evidence_log"
        )

    def forged(self) -> Mutation:
        """Other bytes with their own hash, signed by somebody else in the agent's name."""
        row = self._pick("batches")
        body = self._body("batches", row)
        other = sign(body.replace(b'"bf16"', b'"fp16"') + b" ", STRANGER, row[0])
        changes = {
            "body": f"unhex('{other.body.hex()}')",
            "sha256": f"unhex('{other.sha256.hex()}')",
            "signature": f"unhex('{other.signature.hex()}')",
        }
        self._rewrite("batches", changes, "1", self._is("batches", row))
        return Mutation(f"{row} forged", "forged signature", self._at(row[0], row[2]))

    def forged_entry(self) -> Mutation:
        row = self._pick("journal")
        body = self._body("journal", row)
        other = sign(body + b" ", STRANGER, key_id(STRANGER.public_key()))
        changes = {
            "body": f"unhex('{other.body.hex()}')",
            "sha256": f"unhex('{other.sha256.hex()}')",
            "signature": f"unhex('{other.signature.hex()}')",
            "key_id": f"'{other.key_id}'",
        }
        self._rewrite("journal", changes, "1", self._is("journal", row))
        return Mutation(f"journal {row} forged", "journal broken", self._about("journal", row))

    def falsely_excluded(self) -> Mutation:
        keys = ", ".join(KEYS["batches"])
        rows = self._store.query(f"SELECT {keys} FROM whole_batches WHERE excluded_reason = ''").rows
        counted = self._random.choice(rows)
        reason = self._random.choice(["future: no", "fork: no", "physics: no", "no", "replay: no", "prev: no"])
        self._rewrite("batches", {"excluded_reason": f"'{reason}'"}, "1", self._is("batches", counted))
        return Mutation(f"{counted} hidden: {reason}", "wrongly excluded", self._at(counted[0], counted[2]))

    def falsely_counted(self) -> Mutation:
        keys = ", ".join(KEYS["batches"])
        rows = self._store.query(f"SELECT {keys}, sha256 FROM whole_batches WHERE excluded_reason != ''").rows
        *hidden, sha256 = self._random.choice(rows)
        other = self._random.choice(["''", self._other("batches", "excluded_reason")])
        where = f"{self._is('batches', hidden)} AND sha256 = unhex('{sha256.hex()}')"
        self._rewrite("batches", {"excluded_reason": other}, "1", where)
        return Mutation(f"{hidden} with {other}", "wrongly counted", self._at(hidden[0], hidden[2]))

    def revoked(self) -> Mutation:
        chain = self._random.choice(self.chains)
        data = {"agent": chain.agent, "from": "2026-11-23T11:30:00Z", "reason": "stolen"}
        self._journal().append([Statement("revocation", "me", data)])
        return Mutation(
            f"{chain.agent} revoked",
            "revoked key",
            lambda finding: finding.kind == "revoked key" and finding.agent == chain.agent,
        )

    def device_twice(self) -> Mutation:
        """Another enrolled agent says that it saw the same device at work."""
        other = Chain(40)
        self._journal().append(
            [Statement("agent", "me", {"agent": other.agent, "cluster": "c", "node": "n", "enrolment": "first use"})]
        )
        name = self._random.choice([row[0] for row in self._rows["devices"]])
        readings = [meter(7, at_ns=NOW_NS - step * STEP_NS, device=name, observed_ns=STEP_NS) for step in (19, 18)]
        self._record(other.seal(readings[1]))
        return Mutation(
            f"{name} twice",
            "device counted twice",
            lambda finding: finding.kind == "device counted twice" and name in finding.detail,
        )

    def seconds_not_conserved(self) -> Mutation:
        """An agent says of two runs that each had a whole device."""
        chain = self._random.choice(self.chains)
        last = max(row[2] for row in self._rows["batches"] if row[0] == chain.agent)
        rows = [
            meter(9, at_ns=NOW_NS, run=run, device="GPU-new", observed_ns=seconds * 10**9)
            for run, seconds in (("r", 1), ("s", 1))
        ]
        more = [
            item._replace(at_ns=NOW_NS + 100 * 10**9, observed_ns=101 * 10**9, flop=10, flop_high=10) for item in rows
        ]
        prev = self._sha256(chain.agent, last)
        first = chain.seal(*rows, seq=last + 1, prev=prev)
        second = chain.seal(*more, seq=last + 2, prev=first.sha256.hex())
        self._record(first, second)
        return Mutation(
            f"{chain.agent} covers two hundred seconds in a hundred",
            "device-seconds not conserved",
            lambda finding: finding.kind == "device-seconds not conserved" and finding.agent == chain.agent,
        )

    def beyond_physics(self) -> Mutation:
        """An agent says that a device did more than it can."""
        chain = self._random.choice(self.chains)
        last = max(row[2] for row in self._rows["batches"] if row[0] == chain.agent)
        device = f"GPU-{self.chains.index(chain)}b"
        reading = meter(3 * RATE, at_ns=NOW_NS, device=device, run="beyond", observed_ns=10**8)
        self._record(chain.seal(reading, seq=last + 1, prev=self._sha256(chain.agent, last)))
        kind, at = "physics broken", self._at(chain.agent, last + 1)
        return Mutation(f"{device} beyond physics", kind, lambda finding: finding.kind == kind and at(finding))

    def another_root(self) -> Mutation:
        """Somebody kept a checkpoint of this ledger that it does not go on from."""
        expect = replace(self.checkpoint, root="00" * 32)
        return Mutation("another root", "checkpoint disagrees", lambda f: f.kind == "checkpoint disagrees", expect)

    def another_ledger(self) -> Mutation:
        expect = replace(self.checkpoint, key_id=key_id(STRANGER.public_key()))
        kind = "checkpoint of another ledger"
        return Mutation("another ledger", kind, lambda f: f.kind == kind, expect)

    def _types(self, table: str) -> dict[str, str]:
        # What the engine computes cannot be inserted.
        sql = (
            "SELECT name, type FROM system.columns "
            "WHERE database = currentDatabase() AND table = {t:String} AND default_kind = ''"
        )
        return {str(name): str(kind) for name, kind in self._store.query(sql, {"t": table}).rows}

    def _body(self, table: str, row: Any) -> bytes:
        bodies = self._store.query_arrow(f"SELECT body FROM whole_{table} WHERE {self._is(table, row)}")
        body: bytes = bodies.to_pylist()[0]["body"]
        return body

    def _pick(self, table: str) -> Any:
        return self._random.choice(self._rows[table])

    def _journal(self) -> Journal:
        self._touched.add("journal")
        return Journal(self._store, LEDGER_KEY, lambda: NOW_NS + HOUR_NS)

    def _record(self, *sealed: Sealed) -> None:
        """As if the collector had counted it."""
        self._touched |= {"batches", "meters", "curve", "devices"}
        items = [evidence(item) for item in sealed]
        ids = MeterIds(self._store)
        ids.collisions(items)
        record_rows(self._store, ids, items)

    def _resealed(self, reading: Any) -> tuple[Chain, Sealed, Any]:
        chain = self._random.choice(self.chains)
        row = self._random.choice([row for row in self._rows["batches"] if row[0] == chain.agent])
        prev = None if row[2] == 0 else self._sha256(chain.agent, row[2] - 1)
        return chain, chain.seal(reading, seq=row[2], prev=prev), row

    def _sha256(self, agent: str, seq: int) -> str:
        ((found,),) = self._store.query(
            f"SELECT lower(hex(sha256)) FROM whole_batches WHERE agent = '{agent}' AND seq = {seq} "
            "AND NOT startsWith(excluded_reason, 'fork')"
        ).rows
        return str(found)

    def _is(self, table: str, row: Any) -> str:
        return " AND ".join(f"{key} = {value!r}" for key, value in zip(KEYS[table], row, strict=True))

    def _about(self, table: str, row: Any, column: str = "") -> Callable[[Finding], bool]:
        if table == "batches":
            return self._at(row[0] if column != "agent" else None, row[2] if column != "seq" else None)
        if table in {"journal", "evidence_log"}:
            moved = column.endswith("_index")
            return lambda finding: finding.table == table and (finding.seq == row[0] or moved)
        named = f"device {row[0]}" if table == "devices" else f"meter {row[KEYS[table].index('meter_id')]}"
        return lambda finding: finding.table == table and named in finding.detail

    @staticmethod
    def _at(agent: str | None, seq: int | None) -> Callable[[Finding], bool]:
        return lambda finding: (
            finding.table == "batches" and agent in {None, finding.agent} and seq in {None, finding.seq}
        )

    def _other(self, table: str, column: str) -> str:
        kind = self._columns[table][column]
        bare = kind.replace("LowCardinality(", "").replace("Nullable(", "").rstrip(")")
        if "SimpleAggregateFunction" in kind:
            bare = bare.partition(", ")[2]
        if bare.startswith(("String", "FixedString")):
            text = f"ifNull(CAST({column} AS Nullable(String)), '')"
            at = f"(1 + {self._random.randrange(1 << 20)} % greatest(length({text}), 1))"
            flipped = f"char(bitXor(reinterpretAsUInt8(substring({text}, {at}, 1)), {self._random.randrange(1, 128)}))"
            return f"concat(substring({text}, 1, {at} - 1), {flipped}, substring({text}, {at} + 1))"
        if bare.startswith("DateTime64"):
            return f"addMicroseconds({column}, {self._random.randrange(1, 10**9)})"
        if bare.startswith("DateTime"):
            return f"addHours({column}, {self._random.randrange(1, 100)})"
        if bare == "UUID":
            return f"toUUID('00000000-0000-0000-0000-{self._random.randrange(1 << 48):012x}')"
        return f"ifNull({column}, 0) + {self._random.choice([1, 1, 2, 1_000, 1 << 20])}"

    def _rewrite(self, table: str, changes: dict[str, str], keep: str, where: str = "1") -> None:
        self._store.command(f"TRUNCATE TABLE {table}")
        self._fill(table, {c: f"if({where}, {new}, {c})" for c, new in changes.items()}, keep)

    def _insert(self, table: str, changes: dict[str, str], where: str) -> None:
        self._fill(table, changes, where)

    def _fill(self, table: str, changes: dict[str, str], where: str) -> None:
        self._touched.add(table)
        columns = self._columns[table]
        # By an alias of its own, and of the column's own type: else a condition would see the changed value.
        chosen = ", ".join(
            f"CAST({changes.get(c, f'w.{c}')} AS {self._plain(kind)}) AS new_{c}" for c, kind in columns.items()
        )
        self._store.command(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM whole_{table} AS w WHERE {where}"
        )

    @staticmethod
    def _plain(kind: str) -> str:
        if kind.startswith("SimpleAggregateFunction("):
            return kind.partition(", ")[2][:-1]
        return kind
