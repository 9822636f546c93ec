"""Pages of evidence to every core, and what each showed back in order; never more pages than are being looked at."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa

from ledger.proof.scan import Scanned, Trust, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

SLICE_ROWS = 256
INLINE_SLICES = 4
"""So little is done sooner than a process has started."""

_trust: Trust | None = None


def scanned(pages: Iterable[pa.Table], trust: Trust, cores: int | None = None) -> Iterator[Scanned]:
    """Every page's findings in the order of the pages; `cores` are those of the machine unless given."""
    slices = (part for page in pages for part in _slices(page))
    first: list[pa.Table] = []
    for part in slices:
        first.append(part)
        if len(first) > INLINE_SLICES:
            break
    count = cores or len(os.sched_getaffinity(0))
    if len(first) <= INLINE_SLICES or count == 1:
        yield from (scan(part, trust) for part in first)
        yield from (scan(part, trust) for part in slices)
        return
    # Not forked: the engine in this process has threads of its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, initializer=_begin, initargs=(trust,)) as pool:
        waiting: deque[Future[Scanned]] = deque(pool.submit(_scan, _packed(part)) for part in first)
        for part in slices:
            waiting.append(pool.submit(_scan, _packed(part)))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _slices(page: pa.Table) -> Iterator[pa.Table]:
    """Parts of a page; copies of one batch stay together."""
    hashes = page.column("sha256")
    start = 0
    while start < page.num_rows:
        end = min(start + SLICE_ROWS, page.num_rows)
        while end < page.num_rows and hashes[end] == hashes[end - 1]:
            end += 1
        yield page.slice(start, end - start)
        start = end


def _packed(part: pa.Table) -> bytes:
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, part.schema) as writer:
        writer.write_table(part)
    packed: bytes = stream.getvalue().to_pybytes()
    return packed


def _begin(trust: Trust) -> None:
    global _trust
    _trust = trust


def _scan(packed: bytes) -> Scanned:
    assert _trust is not None
    return scan(pa.ipc.open_stream(packed).read_all(), _trust)
