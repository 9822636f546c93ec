"""Rebuilding: every derived table made anew from the evidence, beside the old one, and put in its place.

Readers see the old tables until the new ones are whole. What is recorded meanwhile goes into the old ones; its evidence
is there before, so it is folded in again, once before and once after the exchange: a maximum takes nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from ledger.errors import Refused
from ledger.proof.evidence import pages
from ledger.proof.fold import Fold, curve_columns, device_columns, meter_columns
from ledger.proof.journal import check_journal
from ledger.proof.scan import REVOKED, Trust, derive
from ledger.proof.workers import on_all_cores
from ledger.rollups import AHEAD, Rollups
from ledger.rows import BATCHES, CURVE, DEVICES, METERS, to_table
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.store import Store

DERIVED = ("meters", "curve", "devices")
INSERT_ROWS = 50_000
AHEAD_NS = 60_000_000_000
"""How long a batch may have been received before it is on disk."""


@dataclass(slots=True)
class Rebuilt:
    """What was read, and what was taken out of the totals because its key had been revoked."""

    batches: int = 0
    readings: int = 0
    revoked: int = 0


def rebuild(
    store: Store,
    now_ns: Callable[[], int],
    progress: Callable[[float], object] = lambda _: None,
    cores: int | None = None,
) -> Rebuilt:
    """Derive `meters`, `curve` and `devices` from the evidence that counts; raises `Refused` on a cluster, or when
    evidence is broken: then nothing has changed.
    """
    if store.cluster is not None:
        raise Refused("a cluster is not rebuilt in place: restore the evidence into a new one, and collect it there")
    began_ns = now_ns()
    done = Rebuilt()
    trust = _trust(store)
    for table in DERIVED:
        store.command(f"DROP TABLE IF EXISTS rebuilt_{table}")
        store.command(f"CREATE TABLE rebuilt_{table} AS {table}")
    total = store.query("SELECT count() FROM batches").rows[0][0]
    waiting = Fold()
    for part in on_all_cores(derive, pages(store), trust, cores):
        if part.findings:
            raise Refused(f"{part.findings[0].detail}: see `flopledger ledger verify`; nothing was changed")
        waiting.merge(part.fold)
        done.batches += part.batches
        done.readings += part.readings
        if waiting.rows > INSERT_ROWS:
            waiting = _put(store, waiting, "rebuilt_")
        progress(min(done.batches / max(total, 1), 1.0))
    _put(store, waiting, "rebuilt_")
    _put(store, _since(store, trust, began_ns), "rebuilt_")
    done.revoked = _take_out(store, trust)
    for table in DERIVED:
        store.command(f"EXCHANGE TABLES {table} AND rebuilt_{table}")
    _put(store, _since(store, trust, began_ns), "")
    for table in DERIVED:
        store.command(f"DROP TABLE rebuilt_{table}")
    for table in AHEAD:
        store.command(f"TRUNCATE TABLE {table}")
    Rollups(store).refresh()
    return done


def _trust(store: Store) -> Trust:
    state = check_journal(store)
    if state.findings:
        raise Refused(f"the journal is broken, {state.findings[0].detail}: see `flopledger ledger verify`")
    return Trust(frozenset(state.enrolled), state.revoked_from_ns)


def _put(store: Store, fold: Fold, prefix: str) -> Fold:
    """Insert what was folded; returns an empty fold."""
    rows = (
        ("meters", METERS, meter_columns(fold.meters)),
        ("curve", CURVE, curve_columns(fold.curve)),
        ("devices", DEVICES, device_columns(fold.devices)),
    )
    for table, schema, columns in rows:
        found = to_table(schema, columns)
        if found.num_rows:
            store.insert(prefix + table, found)
    return Fold()


def _since(store: Store, trust: Trust, began_ns: int) -> Fold:
    fold = Fold()
    for page in pages(store, since_ns=began_ns - AHEAD_NS):
        fold.merge(derive(page, trust).fold)
    return fold


def _take_out(store: Store, trust: Trust) -> int:
    """Say of batches that were sealed after their key was revoked that they count no more: the row, with the reason."""
    columns = ", ".join(
        f"toString({name}) AS {name}_text" if name in {"chain", "incarnation"} else name
        for name in BATCHES.names
        if name != "excluded_reason"
    )
    taken = 0
    for agent, from_ns in trust.revoked_from_ns.items():
        reason = f"{REVOKED}: the key is revoked from {format_ns(from_ns)} on"
        while True:
            page = store.query_arrow(
                f"SELECT {columns}, {{reason:String}} AS reason FROM batches FINAL WHERE agent = {{agent:String}} "
                "AND sealed_at >= fromUnixTimestamp64Nano({from_ns:Int64}, 'UTC') AND excluded_reason = '' LIMIT 1000",
                {"agent": agent, "from_ns": from_ns, "reason": reason},
            )
            if not page.num_rows:
                break
            store.insert("batches", page.rename_columns(BATCHES.names).cast(_LOOSE).cast(BATCHES))
            taken += page.num_rows
    return taken


_LOOSE = pa.schema([pa.field(field.name, field.type) for field in BATCHES])
