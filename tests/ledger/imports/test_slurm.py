from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from compute.boards import board
from compute.hardware import Utilization
from compute.precision import Dtype
from compute.tables import BadCell
from ledger.imports.slurm import ENDED, GOING_ON, Site, jobs

SITE = Site(Dtype.BF16, Utilization.unknown(), UTC, boards={"h100": board("H100 SXM5 80GB")})
HEAD = "JobID|JobIDRaw|Cluster|JobName|State|Start|End|ElapsedRaw|AllocTRES\n"
JOB = (
    '7|7|alps|"train|COMPLETED|2024-03-01T10:00:00|2024-03-01T12:00:00|7200|'
    "cpu=64,gres/gpu=8,gres/gpu:h100=8,mem=512G\n"
)
PEAK = 989_400_000_000_000


def table(*lines: str) -> bytes:
    return (HEAD + "".join(lines)).encode()


def test_a_job_without_a_known_utilisation_has_bounds_up_to_the_peak() -> None:
    (found,) = jobs(table(JOB), SITE).imports
    assert (found.run_id, found.key) == ("slurm:alps:7", "slurm:alps:7:2024-03-01T10:00:00Z")
    assert (found.flop, found.flop_low, found.flop_high) == (None, 0, 8 * 7_200 * PEAK)
    assert (found.period_start, found.period_end) == ("2024-03-01T10:00:00Z", "2024-03-01T12:00:00Z")


def test_a_utilisation_gives_a_point() -> None:
    (found,) = jobs(table(JOB), replace(SITE, utilization=Utilization.about(Fraction(2, 5)))).imports
    assert found.flop == 8 * 7_200 * PEAK * 2 // 5
    assert found.flop_low * 10 == found.flop * 7


def test_steps_are_part_of_their_job() -> None:
    steps = [JOB.replace("7|7|", f"7.{step}|7.{step}|") for step in ("batch", "extern", "0")]
    assert len(jobs(table(*steps, JOB), SITE).imports) == 1


def test_a_task_of_an_array_is_called_by_its_own_number() -> None:
    (found,) = jobs(table(JOB.replace("7|7|", "5_2|9|")), SITE).imports
    assert found.run_id == "slurm:alps:9"


def test_types_of_gpus_are_priced_apart_and_the_sum_over_them_is_not_added() -> None:
    mixed = JOB.replace("gres/gpu=8,gres/gpu:h100=8", "gres/gpu:h100=2,gres/gpu:a100_sxm4=4,gres/gpu=7")
    site = replace(SITE, any_board=board("H20"))
    (found,) = jobs(table(mixed), site).imports
    assert found.flop_high == 7_200 * 10**12 * (2 * 9_894 + 4 * 3_120 + 1_480) // 10


def test_jobs_that_go_on_or_had_no_gpu_are_counted_and_left_out() -> None:
    lines = [
        JOB.replace("COMPLETED", "RUNNING"),
        JOB.replace("COMPLETED", "PENDING"),
        JOB.replace("gres/gpu=8,gres/gpu:h100=8,", ""),
        JOB.replace("cpu=64,gres/gpu=8,gres/gpu:h100=8,mem=512G", ""),
        JOB.replace("7200", "0"),
    ]
    found = jobs(table(*lines), SITE)
    assert (found.imports, found.going_on, found.without_gpu) == ((), 2, 3)


@pytest.mark.parametrize("state", [*sorted(ENDED), "CANCELLED by 1000", "CANCELLED+", "completed"])
def test_every_state_of_a_job_that_ended_is_known(state: str) -> None:
    assert len(jobs(table(JOB.replace("COMPLETED", state)), SITE).imports) == 1


def test_no_state_both_ended_and_goes_on() -> None:
    assert not ENDED & GOING_ON


@pytest.mark.parametrize(
    ("elapsed", "seconds"), [("02:00:00", 7_200), ("1-00:00:01", 86_401), ("10-10:10:10.500", 900_610)]
)
def test_elapsed_time_is_read_in_words_too(elapsed: str, seconds: int) -> None:
    data = table(JOB.replace("|7200|", f"|{elapsed}|")).replace(b"ElapsedRaw", b"Elapsed")
    assert jobs(data, SITE).imports[0].flop_high == 8 * seconds * PEAK


def test_times_are_in_the_zone_that_sacct_printed_them_in() -> None:
    (found,) = jobs(table(JOB), replace(SITE, zone=ZoneInfo("Europe/Zurich"))).imports
    assert found.period_start == "2024-03-01T09:00:00Z"


def test_a_job_that_was_requeued_has_a_record_per_life_and_one_run() -> None:
    first, second = jobs(table(JOB, JOB.replace("03-01", "03-02")), SITE).imports
    assert first.run_id == second.run_id
    assert first.key != second.key


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "line 1, header: the table is empty"),
        (table(JOB).replace(b"|State", b"|Stat"), "line 1, State: this column is missing; is it the one called 'Stat'"),
        (
            table(JOB).replace(b"AllocTRES", b"ReqTRES"),
            "line 1, AllocTRES: this column is missing; needed are",
        ),
        (table(JOB, JOB.replace("COMPLETED", "DREAMING")), "line 3, State: 'DREAMING' is no state of a job"),
        (table(JOB.replace("COMPLETED", "")), "line 2, State: must be given"),
        (table(JOB.replace("alps", "")), "line 2, Cluster: must be given, as a column or as --cluster"),
        (table(JOB.replace("2024-03-01T10:00:00", "Unknown")), "line 2, Start: must be given"),
        (table(JOB.replace("2024-03-01T10:00:00", "soon")), "line 2, Start: 'soon' is no time"),
        (table(JOB.replace("|7200|", "||")), "line 2, ElapsedRaw: must be given, or Elapsed; ask: sacct -X"),
        (table(JOB.replace("|7200|", "|-1|")), "line 2, ElapsedRaw: '-1' is not a count of seconds"),
        (table(JOB.replace("|7200|", "|soon|")).replace(b"ElapsedRaw", b"Elapsed"), "line 2, Elapsed: 'soon' is not"),
        (table(JOB.replace("=8", "=x")), "line 2, AllocTRES: 'gres/gpu=x' is not a count of GPUs"),
        (table(JOB.replace("cpu=64", "cpu")), "line 2, AllocTRES: 'cpu' is not name=amount"),
        (table(JOB.replace("h100", "z9")), "line 2, AllocTRES: 'z9' is in no row"),
        (table(JOB.replace(",gres/gpu:h100=8", "")), "line 2, AllocTRES: gres/gpu has no type: say which board it is"),
        (table(JOB.replace("|7200", "")), "line 2, cells: 8 of them, under 9 columns"),
        (table(JOB, JOB), "line 3, JobID: the same as line 2"),
        (table(JOB) + b"\xe9", "line 3, byte "),
    ],
)
def test_a_bad_cell_is_named_by_line_and_field(data: bytes, said: str) -> None:
    with pytest.raises(BadCell) as caught:
        jobs(data, SITE)
    assert str(caught.value).startswith(said)


def test_a_board_without_the_format_is_told() -> None:
    with pytest.raises(BadCell, match="line 2, AllocTRES: no peak of A100 PCIe in fp8 is known"):
        jobs(table(JOB), replace(SITE, precision=Dtype.FP8, boards={"h100": board("A100 PCIe")}))
