"""`flopledger import …`: compute from before the agents, into the journal."""

from __future__ import annotations

import sys
import time
from datetime import date
from fractions import Fraction
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from cli.exits import Misconfigured
from cli.numbers import fraction
from cli.output import Format, progress_bar
from cli.settings import load
from compute.boards import Board, board, precision
from compute.hardware import MARGIN, Utilization
from compute.precision import Dtype
from compute.tables import MAX_BYTES, BadCell
from ledger.declarations import PURPOSES
from ledger.imports.delivery import Delivery
from ledger.imports.gpu_hours import gpu_hours
from ledger.imports.prometheus import Asked, samples
from ledger.imports.prometheus_api import Meaning, Prometheus, query_of
from ledger.imports.slurm import Site, jobs
from ledger.place import place

if TYPE_CHECKING:
    from ledger.adjustments import Adjustment

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

AuthorOption = Annotated[str, typer.Option(help="who imports it")]
DryOption = Annotated[bool, typer.Option(help="show what would be written, and write nothing")]
BesideOption = Annotated[
    bool, typer.Option(help="other devices are meant than those that the agents measured at that time")
]
PurposeOption = Annotated[str, typer.Option(help="purpose it counts under, if not the run's own")]
FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]


@app.command("csv")
def import_csv(
    file: Annotated[Path, typer.Argument(help="a table with a line per run and period")],
    dry_run: DryOption = False,
    beside_measured: BesideOption = False,
    author: AuthorOption = "command line",
    form: FormatOption = Format.TABLE,
) -> None:
    """GPU-hours with utilisation, for history before the agents; docs/imports.md names the columns."""
    try:
        with progress_bar("reading the table") as progress:
            found = gpu_hours(_read(file), time.time_ns(), progress)
    except BadCell as error:
        raise Misconfigured(f"{file}: {error}") from error
    _deliver(found, author, form, dry_run=dry_run, beside_measured=beside_measured)


@app.command("slurm")
def import_slurm(
    file: Annotated[Path, typer.Argument(help="what sacct --parsable2 printed; - reads it from a pipe")],
    precision_name: Annotated[
        str, typer.Option("--precision", help="format they multiplied in: bf16, fp8, …")
    ] = "bf16",
    utilization: Annotated[str | None, typer.Option(help="average share of the peak; bounds only without")] = None,
    device: Annotated[str | None, typer.Option(help="board of GPUs that have no type in AllocTRES")] = None,
    gres: Annotated[list[str] | None, typer.Option(help='which board a gres name is: h100="H100 SXM5 80GB"')] = None,
    cluster: Annotated[str, typer.Option(help="cluster, where the table has no column Cluster")] = "",
    time_zone: Annotated[str, typer.Option(help="time zone that sacct printed its times in")] = "UTC",
    purpose: PurposeOption = "",
    dry_run: DryOption = False,
    beside_measured: BesideOption = False,
    author: AuthorOption = "command line",
    form: FormatOption = Format.TABLE,
) -> None:
    """Jobs from sacct: GPUs × elapsed time; a run is slurm:CLUSTER:JOB."""
    share = None if utilization is None else fraction(utilization, "--utilization")
    if share is not None and not 0 <= share <= 1:
        raise Misconfigured(f"--utilization {utilization!r} is not between 0 and 1; write 40 % as 0.40")
    site = Site(
        precision=_precision(precision_name),
        utilization=Utilization.unknown() if share is None else Utilization.about(share, Fraction(MARGIN)),
        zone=_zone(time_zone),
        cluster=cluster,
        boards=dict(_gres(text) for text in gres or []),
        any_board=None if device is None else _board(device, "--device"),
        purpose=_purpose(purpose),
    )
    try:
        with progress_bar("reading the table") as progress:
            found = jobs(_read(file), site, progress)
    except BadCell as error:
        raise Misconfigured(f"{'standard input' if str(file) == '-' else file}: {error}") from error
    if found.going_on or found.without_gpu:
        sys.stderr.write(f"left out: {found.going_on} jobs that have not ended, {found.without_gpu} without a GPU\n")
    _deliver(list(found.imports), author, form, dry_run=dry_run, beside_measured=beside_measured)


@app.command("prometheus")
def import_prometheus(
    url: Annotated[str, typer.Option(help="http://prometheus:9090")],
    run: Annotated[str, typer.Option(help="run that the devices worked for")],
    start: Annotated[str, typer.Option("--from", help="first day, in UTC: 2025-01-31")],
    end: Annotated[str, typer.Option("--to", help="day after the last one")],
    metric: Annotated[str | None, typer.Option(help="one of DCGM's, such as DCGM_FI_PROF_PIPE_TENSOR_ACTIVE")] = None,
    match: Annotated[str, typer.Option(help='which series of it: Hostname=~"node.*"')] = "",
    query: Annotated[
        str | None, typer.Option(help="in place of --metric: PromQL that gives shares from 0 to 1")
    ] = None,
    meaning: Annotated[Meaning | None, typer.Option(help="what the shares of --query are")] = None,
    precision_name: Annotated[
        str, typer.Option("--precision", help="format they multiplied in; undeclared widens the bounds")
    ] = "undeclared",
    device: Annotated[str | None, typer.Option(help="board, if the label modelName does not say it")] = None,
    clock_min_mhz: Annotated[int, typer.Option(min=0, help="lowest SM clock under load, for a lower bound")] = 0,
    step: Annotated[int, typer.Option(help="seconds between samples, a part of a day")] = 60,
    only_while_present: Annotated[
        bool,
        typer.Option(help="a device counts from its first sample of a day to its last, for labels that come and go"),
    ] = False,
    cluster: Annotated[str, typer.Option(help="sets apart two imports of one run and day")] = "",
    token_file: Annotated[Path | None, typer.Option(help="file with a bearer token")] = None,
    purpose: PurposeOption = "",
    dry_run: DryOption = False,
    beside_measured: BesideOption = False,
    author: AuthorOption = "command line",
    form: FormatOption = Format.TABLE,
) -> None:
    """DCGM's metrics from a Prometheus, day by day: bounds without a point."""
    if (metric is None) == (query is None):
        raise Misconfigured("give --metric, or --query with --meaning")
    if query is not None and meaning is None:
        raise Misconfigured(f"--meaning is missing: which of {', '.join(Meaning)} the shares of --query are")
    if metric is not None:
        query, meaning = query_of(metric, match, step)
    undeclared = precision_name.strip().lower() == Dtype.UNDECLARED
    asked = Asked(
        run_id=run,
        query=query or "",
        meaning=meaning or Meaning.BUSY,
        dtype=Dtype.UNDECLARED if undeclared else _precision(precision_name),
        first=_day(start, "--from"),
        until=_day(end, "--to"),
        step_s=step,
        board=None if device is None else _board(device, "--device"),
        clock_min_mhz=clock_min_mhz,
        only_while_present=only_while_present,
        cluster=cluster,
        purpose=_purpose(purpose),
    )
    source = Prometheus(url, None if token_file is None else _read(token_file).decode("utf-8", "replace").strip())
    try:
        with progress_bar("asking Prometheus") as progress:
            found = samples(source, asked, time.time_ns() // 10**9, progress)
    finally:
        source.close()
    _deliver(found, author, form, dry_run=dry_run, beside_measured=beside_measured)


def _deliver(found: list[Adjustment], author: str, form: Format, *, dry_run: bool, beside_measured: bool) -> None:
    delivery = Delivery(place(load()), time.time_ns, author, beside_measured=beside_measured)
    raise typer.Exit(delivery.show(found, form, dry_run=dry_run))


def _read(file: Path) -> bytes:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise Misconfigured(f"{file}: larger than {MAX_BYTES >> 20} MiB; import it in parts")
    return data


def _precision(text: str) -> Dtype:
    try:
        return precision(text)
    except ValueError as error:
        raise Misconfigured(f"--precision {error}") from error


def _board(name: str, option: str) -> Board:
    try:
        return board(name)
    except ValueError as error:
        raise Misconfigured(f"{option} {error}") from error


def _gres(text: str) -> tuple[str, Board]:
    kind, mark, name = text.partition("=")
    if not mark or not kind:
        raise Misconfigured(f'--gres {text!r} is not such as h100="H100 SXM5 80GB"')
    return kind, _board(name, f"--gres {kind}:")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Misconfigured(f"--time-zone {name!r} is not known here; one such as Europe/Berlin") from error


def _purpose(text: str) -> str:
    if text and text not in PURPOSES:
        raise Misconfigured(f"--purpose {text!r} is none of: {', '.join(PURPOSES)}")
    return text


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(f"{option} {text!r} is not a day such as 2025-01-31") from error
