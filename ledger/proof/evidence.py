"""The batches in pages, in order of agent, chain and seq, wherever the ledger is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from ledger.access import Access
    from ledger.store import Store

FIRST_ROWS = 64
MAX_ROWS = 1_024
PAGE_BYTES = 16 * 1024 * 1024
NO_UUID = "00000000-0000-0000-0000-000000000000"

_COLUMNS = (
    "agent, toString(chain) AS chain_text, seq, sha256, schema, body, signature, cluster, node, "
    "toString(incarnation) AS incarnation_text, toUnixTimestamp64Nano(sealed_at) AS sealed_at_ns, "
    "toUnixTimestamp64Micro(received_at) * 1000 AS received_at_ns, excluded_reason"
)
# The first conditions say the same as the last one, in a way that the primary index understands. Names go as hex:
# whatever somebody wrote into the column has to come back unharmed.
_AFTER = (
    "agent >= unhex({agent:String}) AND (agent > unhex({agent:String}) OR (chain >= {chain:UUID} "
    "AND (chain > {chain:UUID} OR seq >= {seq:UInt64}))) AND (agent, chain, seq, sha256) > "
    "(unhex({agent:String}), {chain:UUID}, {seq:UInt64}, toFixedString(unhex({sha256:String}), 32))"
)


def pages(ledger: Access | Store, of_agent: str | None = None, since_ns: int = 0) -> Iterator[pa.Table]:
    """All rows of `batches` as they are stored, a batch that came twice as two rows; or those of one agent, or those
    that were received from `since_ns` (Unix) on. No batch is divided between two pages.
    """
    wanted = "received_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')"
    if of_agent is not None:
        wanted += " AND agent = {of_agent:String}"
    parameters = {"since_us": since_ns // 1_000, "of_agent": of_agent or ""}
    rows = FIRST_ROWS
    place: dict[str, str | int] = {"agent": "", "chain": NO_UUID, "seq": 0, "sha256": ""}
    while True:
        page = ledger.query_arrow(
            f"SELECT {_COLUMNS} FROM batches WHERE {_AFTER} AND {wanted} "
            "ORDER BY agent, chain, seq, sha256 LIMIT {rows:UInt64} WITH TIES",
            {**parameters, **place, "rows": rows},
        )
        if page.num_rows:
            yield page
        if page.num_rows < rows:
            return
        place = _last(page)
        # Bounded by bytes, as far as one page foretells the next.
        rows = min(MAX_ROWS, max(1, PAGE_BYTES * page.num_rows // page.nbytes))


def _last(page: pa.Table) -> dict[str, str | int]:
    (row,) = page.select(["agent", "chain_text", "seq", "sha256"]).slice(page.num_rows - 1).to_pylist()
    return {
        "agent": row["agent"].hex(),
        "chain": row["chain_text"].decode(),
        "seq": row["seq"],
        "sha256": row["sha256"].hex(),
    }
