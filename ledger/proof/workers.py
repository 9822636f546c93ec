"""Pages of evidence to every core, and what came of each back in order; never more pages than are being looked at."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from ledger.proof.scan import Trust

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

SLICE_ROWS = 256
INLINE_SLICES = 4
"""So little is done sooner than a process has started."""

Found = TypeVar("Found")
Work = Callable[[pa.Table, Trust], Found]

_trust: Trust | None = None


def on_all_cores(
    work: Work[Found], pages: Iterable[pa.Table], trust: Trust, cores: int | None = None
) -> Iterator[Found]:
    """`work` on every page, the results in the order of the pages; `cores` are those of the machine unless given."""
    slices = (part for page in pages for part in _slices(page))
    first: list[pa.Table] = []
    for part in slices:
        first.append(part)
        if len(first) > INLINE_SLICES:
            break
    count = cores or len(os.sched_getaffinity(0))
    if len(first) <= INLINE_SLICES or count == 1:
        yield from (work(part, trust) for part in first)
        yield from (work(part, trust) for part in slices)
        return
    # Not forked: the engine in this process has threads of its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, initializer=_begin, initargs=(trust,)) as pool:
        waiting: deque[Future[Found]] = deque(pool.submit(_work, work, _packed(part)) for part in first)
        for part in slices:
            waiting.append(pool.submit(_work, work, _packed(part)))
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


def _work(work: Work[Found], packed: bytes) -> Found:
    assert _trust is not None
    return work(pa.ipc.open_stream(packed).read_all(), _trust)
