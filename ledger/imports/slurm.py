"""Slurm's accounts, as `sacct --parsable2` prints them: GPUs × elapsed time of every job that has ended.

Slurm knows how long a job held its GPUs and not what they did: with no utilisation stated, the amount has bounds only,
from nothing to the peak. A job's run is `slurm:<cluster>:<job id>`, as the agents name it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from compute.boards import Board, board
from compute.exact import plain
from compute.hardware import SECONDS_PER_HOUR, Segment, Utilization, nlhu
from compute.tables import read_table
from ledger.adjustments import IMPORT, Adjustment
from ledger.imports.checked import followed, once_each, sensible
from ledger.imports.periods import local_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

    from compute.precision import Dtype
    from compute.tables import Line

REQUIRED = ("JobID", "State", "AllocTRES")
COLUMNS = "JobID,JobIDRaw,Cluster,State,Start,End,ElapsedRaw,AllocTRES"
"""What to ask sacct for."""
ENDED = frozenset(
    {
        *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL"),
        *("DEADLINE", "REVOKED", "REQUEUED", "LAUNCH_FAILED", "RECONFIG_FAIL"),
    }
)
GOING_ON = frozenset(
    {
        *("RUNNING", "PENDING", "SUSPENDED", "RESIZING", "COMPLETING", "CONFIGURING", "REQUEUE_HOLD", "STOPPED"),
        *("SIGNALING", "STAGE_OUT", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REQUEUE_FED", "POWER_UP_NODE", "EXPEDITING"),
    }
)
_STEP = re.compile(r"\d[\w+\[\]-]*\.\w+")
_TRES = re.compile(r"(?P<name>[\w/.:-]+)=(?P<amount>[^,=]+)")
_ELAPSED = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d{1,2}):(?P<minutes>\d{2}):(?P<seconds>\d{2})(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Site:
    """What sacct does not say: the cluster where its column is missing, which board a gres name or an untyped GPU is,
    the format they multiplied in, their utilisation if anybody knows, the purpose, and the time zone of the times.
    """

    precision: Dtype
    utilization: Utilization
    zone: tzinfo
    cluster: str = ""
    boards: Mapping[str, Board] | None = None
    any_board: Board | None = None
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Jobs:
    """What a table of jobs holds: imports, and how many jobs were left out because they go on or had no GPU."""

    imports: tuple[Adjustment, ...]
    going_on: int
    without_gpu: int


def jobs(data: bytes, site: Site, progress: Callable[[float], object] = lambda _: None) -> Jobs:
    """Every ended job with GPUs; raises `BadCell` naming line and field, and then there is none at all. `progress`
    hears of the share that is worked out.
    """
    made: list[tuple[Line, Adjustment]] = []
    going_on = without_gpu = 0
    for line in followed(read_table(data, REQUIRED, delimiter="|", others=True), progress):
        if _STEP.fullmatch(line.need("JobID")):
            continue
        if not _ended(line):
            going_on += 1
            continue
        counts = _gpus(line)
        seconds = _elapsed_s(line)
        if not counts or not seconds:
            without_gpu += 1
            continue
        made.append((line, _adjustment(line, site, counts, seconds)))
    return Jobs(tuple(once_each(made, "JobID")), going_on, without_gpu)


def _adjustment(line: Line, site: Site, counts: Mapping[str, int], seconds: int) -> Adjustment:
    cluster = line.get("Cluster") or site.cluster
    if not cluster:
        raise line.bad("Cluster", "must be given, as a column or as --cluster: two clusters' job 1 are two runs")
    job = line.get("JobIDRaw") or line.need("JobID")
    start, end = local_instant(line, "Start", site.zone), local_instant(line, "End", site.zone)
    if start is None:
        raise line.bad("Start", "must be given: a job that was requeued has several")
    estimated = nlhu([_segment(line, site, kind, count, seconds) for kind, count in counts.items()])
    made = Adjustment(
        kind=IMPORT,
        run_id=f"slurm:{cluster}:{job}",
        flop=estimated.estimate.flop,
        flop_low=estimated.estimate.low,
        flop_high=estimated.estimate.high,
        reason=f"Slurm job {job} on {cluster}, {line.need('State')}, imported from sacct",
        key=f"slurm:{cluster}:{job}:{start}",
        source="slurm",
        purpose=site.purpose,
        period_start=start,
        period_end=end,
        assumptions=estimated.assumptions,
    )
    return sensible(line, made)


def _segment(line: Line, site: Site, kind: str, count: int, seconds: int) -> Segment:
    found = _board(line, site, kind)
    try:
        peak = Fraction(found.peak(site.precision))
    except ValueError as error:
        raise line.bad("AllocTRES", str(error)) from error
    use = site.utilization
    share = "an unknown share" if use.point is None else f"{plain(use.point * 100)} %"
    says = (
        f"{count} × {found.name} for {seconds} s, dense {site.precision} peak {plain(peak / 10**12)} TFLOP/s, "
        f"at {share} of it on average, between {plain(use.low * 100)} % and {plain(use.high * 100)} %"
    )
    return Segment(Fraction(count * seconds, SECONDS_PER_HOUR), peak, use, says)


def _board(line: Line, site: Site, kind: str) -> Board:
    if kind in (site.boards or {}):
        return (site.boards or {})[kind]
    if not kind:
        if site.any_board is None:
            raise line.bad("AllocTRES", 'gres/gpu has no type: say which board it is with --device "H100 SXM5 80GB"')
        return site.any_board
    try:
        return board(kind)
    except ValueError as error:
        raise line.bad("AllocTRES", f'{error}; say which it is with --gres {kind}="NAME"') from error


def _ended(line: Line) -> bool:
    # `CANCELLED by 1000` and `CANCELLED+` say who or that there is more.
    state = line.need("State").split()[0].rstrip("+").upper()
    if state in ENDED:
        return True
    if state not in GOING_ON:
        raise line.bad("State", f"{line.need('State')!r} is no state of a job that is known here")
    return False


def _gpus(line: Line) -> dict[str, int]:
    """GPUs by type, '' where they have none. A typed count stands beside the sum of all, which holds it already."""
    counts: dict[str, int] = {}
    text = line.get("AllocTRES") or ""
    for item in filter(None, text.split(",")):
        match = _TRES.fullmatch(item.strip())
        if match is None:
            raise line.bad("AllocTRES", f"{item!r} is not name=amount")
        name, amount = match["name"], match["amount"]
        if name != "gres/gpu" and not name.startswith("gres/gpu:"):
            continue
        if not amount.isascii() or not amount.isdigit() or len(amount) > 9:
            raise line.bad("AllocTRES", f"{item!r} is not a count of GPUs")
        counts[name.removeprefix("gres/gpu").removeprefix(":")] = int(amount)
    total = counts.pop("", 0)
    untyped = total - sum(counts.values())
    return {kind: count for kind, count in {**counts, "": untyped}.items() if count > 0}


def _elapsed_s(line: Line) -> int:
    raw = line.get("ElapsedRaw")
    if raw is not None:
        if not raw.isascii() or not raw.isdigit() or len(raw) > 12:
            raise line.bad("ElapsedRaw", f"{raw!r} is not a count of seconds")
        return int(raw)
    text = line.get("Elapsed")
    if text is None:
        raise line.bad("ElapsedRaw", f"must be given, or Elapsed; ask: sacct -X --parsable2 --format={COLUMNS}")
    match = _ELAPSED.fullmatch(text)
    if match is None:
        raise line.bad("Elapsed", f"{text!r} is not [days-]hours:minutes:seconds")
    days, hours, minutes, seconds = (int(match[part] or 0) for part in ("days", "hours", "minutes", "seconds"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
