"""What becomes of an import: written once, or only shown; never where the agents measured the same."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cli.exits import DONE, NO
from cli.output import Format, emit
from ledger.access import connect
from ledger.adjustments import append_new, sorted_out
from ledger.errors import Refused
from wire.rfc3339 import format_ns, parse_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ledger.adjustments import Adjustment
    from ledger.place import Place
    from ledger.reader import Reader

COLUMNS = ("run_id", "purpose", "flop", "flop_low", "flop_high", "period_start", "period_end", "status", "key")
_MEASURED = (
    "SELECT run_id, toUnixTimestamp64Nano(min(first_at)), toUnixTimestamp64Nano(max(last_at)) FROM run_totals "
    "WHERE basis = 'hardware' GROUP BY run_id"
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where imports go, and who says so."""

    place: Place
    now_ns: Callable[[], int]
    author: str
    beside_measured: bool = False

    def show(self, found: Sequence[Adjustment], form: Format, *, dry_run: bool) -> int:
        """Write what is new, unless `dry_run`; print all of it; the exit code says whether an amount differs from
        what is on record under its key. Raises `Refused` before anything is written.
        """
        for item in found:
            item.statement(self.author)
        with connect(self.place, self.now_ns) as ledger:
            if not self.beside_measured:
                _refuse_measured(ledger, sorted_out(ledger, found).fresh)
            done = sorted_out(ledger, found) if dry_run else append_new(ledger, found, self.author)
        differing, known = set(done.differing), set(done.known)
        status = ("differs" if item in differing else "on record" if item in known else "new" for item in found)
        rows = [{**asdict(item), "status": said} for item, said in zip(found, status, strict=True)]
        emit("imports", rows, COLUMNS, form)
        verb = "would be written" if dry_run else "written"
        sys.stderr.write(f"{len(done.fresh)} {verb}, {len(done.known)} were on record\n")
        if done.differing:
            sys.stderr.write(
                f"{len(done.differing)} of these with another amount: what was written first stands; change it with "
                "`flopledger ledger correct`\n"
            )
        return NO if done.differing else DONE


def _refuse_measured(ledger: Reader, fresh: Sequence[Adjustment]) -> None:
    """The same device time twice, once by agents and once imported, would count twice."""
    measured: Mapping[str, tuple[int, int]] = {run: (first, last) for run, first, last in ledger.query(_MEASURED).rows}
    for item in fresh:
        if item.run_id not in measured:
            continue
        first, last = measured[item.run_id]
        start = 0 if item.period_start is None else parse_ns(item.period_start)
        end = last if item.period_end is None else parse_ns(item.period_end)
        if start < last and end > first:
            raise Refused(
                f"{item.run_id} ({item.key}): agents measured it from {format_ns(first)} to {format_ns(last)}, and the "
                "same time would count twice; leave it out, or say --beside-measured if other devices are meant"
            )
