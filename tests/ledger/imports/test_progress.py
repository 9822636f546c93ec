from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from compute.boards import board
from compute.hardware import Utilization
from compute.precision import Dtype
from ledger.imports.gpu_hours import gpu_hours
from ledger.imports.slurm import Site, jobs
from tests.ledger.chains import NOW_NS
from tests.ledger.imports.test_commands import HEAD, SACCT, line

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 250


def table(progress: Callable[[float], object]) -> int:
    text = HEAD + "".join(line(f"run-{number}", 1 + number % 12) for number in range(COUNT))
    return len(gpu_hours(text.encode(), NOW_NS, progress))


def sacct(progress: Callable[[float], object]) -> int:
    head, job, _ = SACCT.splitlines()
    text = "\n".join([head, *(job.replace("7|", f"{number}|", 1) for number in range(COUNT))])
    site = Site(Dtype.BF16, Utilization.unknown(), ZoneInfo("UTC"), any_board=board("A100 PCIe"))
    return len(jobs(text.encode(), site, progress).imports)


@pytest.mark.parametrize("read", [table, sacct])
def test_a_large_table_says_how_far_it_is(read: Callable[[Callable[[float], object]], int]) -> None:
    shares: list[float] = []
    assert read(shares.append) == COUNT
    assert shares == [0.0, 100 / COUNT, 200 / COUNT, 1.0]
