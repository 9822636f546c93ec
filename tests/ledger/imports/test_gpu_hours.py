from __future__ import annotations

import pytest

from compute.tables import BadCell
from ledger.imports.gpu_hours import gpu_hours
from tests.ledger.chains import NOW_NS

HEAD = "run,device,precision,device_hours,utilization,start,end\n"
LINE = "r,H100 SXM5 80GB,bf16,1000,0.4,2024-01-01,2024-02-01\n"


def test_a_line_becomes_an_import_with_bounds_and_assumptions() -> None:
    table = HEAD.replace("\n", ",purpose,note\n") + LINE.replace("\n", ",pre-training,before the agents\n")
    (found,) = gpu_hours(table.encode(), NOW_NS)
    assert found.flop == 1_000 * 3_600 * 9_894 * 10**11 * 4 // 10
    assert (found.flop_low * 10, found.flop_high * 10) == (found.flop * 7, found.flop * 13)
    assert (found.run_id, found.purpose, found.reason) == ("r", "pre-training", "before the agents")
    assert (found.period_start, found.period_end) == ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z")
    assert any("dense bf16 peak 989.4 TFLOP/s" in line for line in found.assumptions)


def test_a_line_has_the_same_key_in_another_file_and_another_amount() -> None:
    (first,) = gpu_hours((HEAD + LINE).encode(), NOW_NS)
    _, second = gpu_hours((HEAD + LINE.replace("r,", "s,") + LINE.replace("0.4", "0.5")).encode(), NOW_NS)
    assert first.key == second.key
    assert first.flop != second.flop


def test_an_id_names_a_line_that_has_no_time() -> None:
    head = "run,id,device,precision,device_hours,utilization\n"
    table = head + "r,invoice 1,A100 PCIe,bf16,1,0.4\nr,invoice 2,A100 PCIe,bf16,1,0.4\n"
    assert [item.key for item in gpu_hours(table.encode(), NOW_NS)] == ["csv:r:invoice 1", "csv:r:invoice 2"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ((HEAD + LINE.replace("1000", "-1000")).encode(), "line 2, device_hours: -1000 is less than 0"),
        ((HEAD + LINE.replace("0.4", "1.4")).encode(), "line 2, utilization: 1.4 is more than 1"),
        ((HEAD + LINE + LINE.replace("H100", "H101")).encode(), "line 3, device: 'H101 SXM5 80GB' is in no row"),
        (HEAD.replace(",device_hours", "").encode() + b"r,H100,bf16,0.4,,", "line 2, device_hours: must be given, or"),
        ((HEAD.replace("run,", "") + LINE).encode(), "line 1, run: this column is missing"),
        (HEAD.encode() + b"\xff", "line 2, byte 57: not UTF-8 text"),
        ((HEAD + LINE + LINE).encode(), "line 3, id: the same as line 2: it would count once"),
        ((HEAD + LINE.replace("2024-02-01", "")).encode(), "line 2, id: give an id, or start and end"),
        ((HEAD + LINE.replace("2024-02-01", "2024-13-01")).encode(), "line 2, end: '2024-13-01': month must be"),
        ((HEAD + LINE.replace("2024-02-01", "2062-02-01")).encode(), "line 2, end: 2062-02-01 lies in the future"),
        ((HEAD + LINE.replace("2024-02-01", "2023-02-01")).encode(), "line 2, period_end: 2023-02-01T00:00:00Z comes"),
        ((HEAD + LINE.replace("r,", "unattributed,")).encode(), "line 2, run_id: a run cannot be called"),
        (
            (HEAD.replace("\n", ",purpose\n") + LINE.replace("\n", ",fun\n")).encode(),
            "line 2, purpose: 'fun' is none of: pre-training",
        ),
        (
            b"run,device,precision,devices,hours,utilization,start,end\n"
            b"r,A100 PCIe,bf16,8,25,0.4,2024-01-01,2024-01-02",
            "line 2, hours: 25 h do not fit between 2024-01-01T00:00:00Z and 2024-01-02T00:00:00Z",
        ),
    ],
)
def test_a_bad_cell_is_named_by_line_and_field(table: bytes, said: str) -> None:
    with pytest.raises(BadCell) as caught:
        gpu_hours(table, NOW_NS)
    assert str(caught.value).startswith(said)
