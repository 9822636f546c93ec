"""`flopledger import …`, into a ledger that this process holds and serves."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.exits import Misconfigured, Unreachable
from ledger.access import connect
from ledger.errors import Refused
from ledger.imports.commands import app
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import Clock, held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = "run,device,precision,device_hours,utilization,start,end\n"
SACCT = (
    "JobID|Cluster|State|Start|End|ElapsedRaw|AllocTRES\n"
    "7|alps|COMPLETED|2024-03-01T10:00:00|2024-03-01T12:00:00|7200|gres/gpu=8\n"
    "8|alps|RUNNING|2024-03-01T10:00:00|Unknown|7200|gres/gpu=8\n"
)


def line(run: str, month: int, share: str = "0.4") -> str:
    return f"{run},A100 PCIe,bf16,1000,{share},2024-{month:02}-01,2024-{month:02}-28\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("served")
    with held(directory) as ledger:
        take(ledger, [Chain().seal(meter(1, run="measured", at_ns=1), meter(2, run="measured"))])
        yield directory


@pytest.fixture(autouse=True)
def data_dir(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(served))


def ask(*arguments: str, code: int = 0, piped: str | None = None) -> tuple[list[dict[str, Any]], str]:
    result = CliRunner().invoke(app, [*arguments, "--format", "json"], input=piped)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code
    return json.loads(result.stdout)["imports"], result.stderr


def on_record(served: Path) -> list[tuple[str, int]]:
    with connect(served, Clock()) as ledger:
        return [tuple(row) for row in ledger.query("SELECT key, flop_high FROM adjustments ORDER BY key").rows]


def entries(served: Path) -> int:
    with connect(served, Clock()) as ledger:
        (row,) = ledger.query("SELECT count() FROM journal").rows
        return int(row[0])


def table(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "hours.csv"
    file.write_text(HEAD + "".join(lines))
    return str(file)


def test_importing_twice_adds_nothing_and_a_longer_file_only_what_is_new(served: Path, tmp_path: Path) -> None:
    first, said = ask("csv", table(tmp_path, line("a", 1)))
    assert ([row["status"] for row in first], said) == (["new"], "1 written, 0 were on record\n")
    before = on_record(served)
    again, said = ask("csv", table(tmp_path, line("a", 1)))
    assert ([row["status"] for row in again], said) == (["on record"], "0 written, 1 were on record\n")
    assert on_record(served) == before
    longer, _ = ask("csv", table(tmp_path, line("a", 2), line("a", 1), line("b", 1)))
    assert [row["status"] for row in longer] == ["new", "on record", "new"]
    assert len(on_record(served)) == len(before) + 2


def test_another_amount_of_the_same_is_told_and_the_first_stands(served: Path, tmp_path: Path) -> None:
    ask("csv", table(tmp_path, line("c", 1)))
    before = on_record(served)
    found, said = ask("csv", table(tmp_path, line("c", 1, "0.5")), code=1)
    assert [row["status"] for row in found] == ["differs"]
    assert "1 of these with another amount: what was written first stands" in said
    assert on_record(served) == before


def test_a_dry_run_shows_it_and_writes_nothing(served: Path, tmp_path: Path) -> None:
    before = entries(served)
    found, said = ask("csv", table(tmp_path, line("dry", 1)), "--dry-run")
    assert (found[0]["run_id"], found[0]["status"], said) == ("dry", "new", "1 would be written, 0 were on record\n")
    assert found[0]["flop"] == str(1_000 * 3_600 * 312 * 10**12 * 4 // 10)
    assert entries(served) == before


def test_one_bad_line_and_nothing_is_written(served: Path, tmp_path: Path) -> None:
    before = entries(served)
    with pytest.raises(Misconfigured, match=r"hours\.csv: line 3, utilization: 2 is more than 1"):
        ask("csv", table(tmp_path, line("bad", 1), line("bad", 2, "2")))
    assert entries(served) == before


def test_time_that_the_agents_measured_is_not_imported_beside_it(served: Path, tmp_path: Path) -> None:
    before = entries(served)
    with pytest.raises(Refused, match=r"agents measured it from 1970-.*the same time would count twice"):
        ask("csv", table(tmp_path, line("other", 1), line("measured", 1)))
    assert entries(served) == before
    found, _ = ask("csv", table(tmp_path, line("measured", 1)), "--beside-measured")
    assert [row["status"] for row in found] == ["new"]


def test_jobs_come_from_a_pipe_too() -> None:
    found, said = ask("slurm", "-", "--device", "A100 PCIe", piped=SACCT)
    assert [(row["run_id"], row["flop"], row["flop_low"]) for row in found] == [("slurm:alps:7", None, "0")]
    assert said.startswith("left out: 1 jobs that have not ended, 0 without a GPU\n1 written")
    again, _ = ask("slurm", "-", "--device", "A100 PCIe", piped=SACCT)
    assert [row["status"] for row in again] == ["on record"]


def test_the_author_stands_in_the_journal(served: Path, tmp_path: Path) -> None:
    ask("csv", table(tmp_path, line("by ada", 1)), "--author", "Ada")
    with connect(served, Clock()) as ledger:
        (row,) = ledger.query("SELECT author, kind, method FROM adjustments WHERE run_id = 'by ada'").rows
    assert tuple(row) == ("Ada", "import", "imported")


def test_csv_out_has_the_same_rows(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["csv", table(tmp_path, line("out", 1)), "--format", "csv"])
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert (row["run_id"], row["status"]) == ("out", "new")


PROMETHEUS = ("prometheus", "--url", "http://127.0.0.1:9", "--run", "r", "--from", "2024-03-01", "--to", "2024-03-02")


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (("csv", "no/such.csv"), Misconfigured, "no/such.csv: No such file or directory"),
        (("slurm", "no/such.txt"), Misconfigured, "no/such.txt: No such file or directory"),
        (("slurm", "-", "--utilization", "40"), Misconfigured, "--utilization '40' is not between 0 and 1"),
        (("slurm", "-", "--time-zone", "Mars/Base"), Misconfigured, "--time-zone 'Mars/Base' is not known here"),
        (("slurm", "-", "--gres", "h100"), Misconfigured, "--gres 'h100' is not such as h100="),
        (("slurm", "-", "--gres", "h100=H101"), Misconfigured, "--gres h100: 'H101' is in no row"),
        (("slurm", "-", "--precision", "int8"), Misconfigured, "--precision 'int8' is none of"),
        (("slurm", "-", "--purpose", "fun"), Misconfigured, "--purpose 'fun' is none of"),
        (PROMETHEUS, Misconfigured, "give --metric, or --query with --meaning"),
        ((*PROMETHEUS, "--query", "x"), Misconfigured, "--meaning is missing: which of tensor, engine, busy"),
        ((*PROMETHEUS, "--metric", "DCGM_FI_DEV_GPU_UTIL"), Unreachable, "http://127.0.0.1:9 does not answer"),
        ((*PROMETHEUS[:-1], "soon", "--metric", "DCGM_FI_DEV_GPU_UTIL"), Misconfigured, "--to 'soon' is not a day"),
    ],
)
def test_what_makes_no_sense_writes_nothing(
    served: Path, arguments: tuple[str, ...], kind: type[Exception], said: str
) -> None:
    before = entries(served)
    with pytest.raises(kind) as caught:
        ask(*arguments, piped="")
    assert said in str(caught.value)
    assert entries(served) == before
