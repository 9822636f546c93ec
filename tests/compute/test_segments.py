from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.hardware import nlhu
from compute.segments import read_segments
from compute.tables import BadCell, read_table

HEAD = "device,precision,device_hours,utilization\n"
GOOD = "H100 SXM5 80GB,bf16,1e6,0.4\n"


def test_a_run_whose_fleet_changed() -> None:
    table = (
        "device,precision,devices,hours,utilization,utilization_low,utilization_high,note\r\n"
        "A100 SXM4 80GB,bf16,512,100,0.5,0.45,0.55,first\r\n"
        "\r\n"
        '"H100 SXM5 80GB",fp8,1024,50.5,0.3,,,"then, others"\r\n'
    )
    found = nlhu(read_segments(b"\xef\xbb\xbf" + table.encode())).estimate
    first, second = 512 * 100 * 3_600 * 312 * 10**12, 1_024 * 505 * 360 * 19_789 * 10**11
    assert found.flop == first // 2 + second * 3 // 10
    assert found.low == first * 45 // 100 + second * 21 // 100


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"", "line 1, header: the table is empty; its columns are: device, precision, utilization, device_hours, "),
        (b"device,precision\n", "line 1, utilization: this column is missing; needed are: "),
        (b"device,precision,utilisation\n", "line 1, utilization: this column is missing; is it the one called 'util"),
        (b"device,precision,utilization,colour\n", "line 1, colour: no column that is known here; known are: device, "),
        (b"device,device,precision,utilization\n", "line 1, device: this column is there twice"),
        (HEAD.encode() + b"H100 SXM5 80GB,bf16,1e6\n", "line 2, cells: 3 of them, under 4 columns"),
        ((HEAD + GOOD + "H100 SXM5 80GB,bf16,-5,0.4").encode(), "line 3, device_hours: -5 is less than 0"),
        ((HEAD + GOOD + "\nH100 SXM5 80GB,bf16,5,1.4").encode(), "line 4, utilization: 1.4 is more than 1; write 40 %"),
        ((HEAD + GOOD + "H100 SXM5 80GB,bf16,5,40%").encode(), "line 3, utilization: '40%' is not a number"),
        ((HEAD + GOOD + "H100 SXM5 80GB,bf16,5,").encode(), "line 3, utilization: must be given"),
        (
            (HEAD + "H101,bf16,5,0.4").encode(),
            "line 2, device: 'H101' is in no row of the accelerator table; near it: H",
        ),
        ((HEAD + "A100 PCIe,fp8,5,0.4").encode(), "line 2, precision: no peak of A100 PCIe in fp8 is known"),
        ((HEAD + "A100 PCIe,half,5,0.4").encode(), "line 2, precision: 'half' is none of: fp64, "),
        ((HEAD + "A100 PCIe,bf16,,0.4").encode(), "line 2, device_hours: must be given, or devices and hours"),
        ((HEAD + GOOD).encode() + b"A100 PCI\xe9,bf16,5,0.4", "line 3, byte 79: not UTF-8 text"),
        ((HEAD + '"A100 PCIe,bf16,5,0.4').encode(), "line 2, quotes: unexpected end of data"),
        (
            b"device,precision,devices,utilization\nA100 PCIe,bf16,5,0.4",
            "line 2, hours: must be given, where device_hours is not",
        ),
        (
            b"device,precision,device_hours,devices,hours,utilization\nA100 PCIe,bf16,5,2,2,0.4",
            "line 2, device_hours: 5 is not 2 devices × 2 h",
        ),
        (
            b"device,precision,device_hours,utilization,utilization_low\nA100 PCIe,bf16,5,0.4,0.3",
            "line 2, utilization_high: give both bounds, or none",
        ),
        (
            b"device,precision,device_hours,utilization,utilization_low,utilization_high\nA100 PCIe,bf16,5,0.4,0.5,0.6",
            "line 2, utilization_low: 0.5 is above the utilisation, 0.4",
        ),
    ],
)
def test_a_bad_cell_is_named_by_line_and_field(table: bytes, said: str) -> None:
    with pytest.raises(BadCell) as caught:
        read_segments(table)
    assert str(caught.value).startswith(said)


def test_a_peak_that_is_given_takes_the_place_of_the_tables() -> None:
    table = b"device,precision,device_hours,utilization,peak_tflop_per_s\nabacus,bf16,1,1,0.5\n"
    assert nlhu(read_segments(table)).estimate.flop == 3_600 * 5 * 10**11


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_break_the_reading(data: bytes) -> None:
    with suppress(BadCell):
        read_segments(HEAD.encode() + data)
    with suppress(BadCell):
        read_table(data, (), others=True)
