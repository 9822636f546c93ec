"""Imports from Debian's Prometheus, over a store that promtool made of known samples."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from cli.exits import Misconfigured, Unreachable
from compute.accelerators import table
from compute.boards import board
from compute.precision import Dtype
from ledger.imports.prometheus import DAY_S, Asked, samples
from ledger.imports.prometheus_api import METRICS, Prometheus, query_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.adjustments import Adjustment

TENSOR, UTIL, ENGINE = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
H100 = table()["H100 SXM5 80GB"]
TENSOR_MAX = H100.tensor[Dtype.BF16] * H100.sm_count * H100.clock_max_mhz * 10**6
VECTOR_MAX = max(H100.vector.values()) * H100.sm_count * H100.clock_max_mhz * 10**6
FIRST = date(2025, 3, 1)
NOW_S = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())
START_S = int(datetime(2025, 3, 1, tzinfo=UTC).timestamp())
STEP_S = 3_600
STEPS = DAY_S // STEP_S


def dcgm(metric: str, gpu: str, value: str, at_s: int, **labels: str) -> str:
    every = {"UUID": gpu, "Hostname": "n1", "modelName": "NVIDIA H100 80GB HBM3", **labels}
    text = ",".join(f'{name}="{label}"' for name, label in every.items())
    return f"{metric}{{{text}}} {value} {at_s}\n"


def day_of(metric: str, gpu: str, value: str, day: int, hours: range = range(STEPS), **labels: str) -> str:
    """Two samples an hour, which are the same."""
    start = START_S + day * DAY_S
    moments = [start + hour * STEP_S + offset for hour in hours for offset in (1_200, 3_000)]
    return "".join(dcgm(metric, gpu, value, at_s, **labels) for at_s in moments)


@pytest.fixture(scope="module")
def url(prometheus: Callable[[str], str]) -> str:
    text = f"# TYPE {TENSOR} gauge\n"
    text += day_of(TENSOR, "GPU-a", "0.5", 0) + day_of(TENSOR, "GPU-b", "0.25", 0)
    # The second day: one device falls silent for ten hours, and its pod changes.
    text += day_of(TENSOR, "GPU-a", "0.5", 1, range(6), pod="p1") + day_of(
        TENSOR, "GPU-a", "0.5", 1, range(16, 24), pod="p2"
    )
    text += (
        f"# TYPE {UTIL} gauge\n"
        + day_of(UTIL, "GPU-a", "30", 0, range(12))
        + day_of(UTIL, "GPU-a", "0", 0, range(12, 24))
    )
    text += f"# TYPE {ENGINE} gauge\n" + day_of(ENGINE, "GPU-a", "0.75", 0) + day_of(ENGINE, "GPU-x", "NaN", 0)
    text += "# TYPE odd gauge\n" + dcgm("odd", "GPU-a", "1.5", START_S + 60, modelName="Abacus 3000")
    return prometheus(text)


def asked(metric: str = TENSOR, days: int = 1, **changes: object) -> Asked:
    query, meaning = query_of(metric, "", STEP_S)
    until = date.fromordinal(FIRST.toordinal() + days)
    return replace(Asked("r", query, meaning, Dtype.BF16, FIRST, until, STEP_S), **changes)  # type: ignore[arg-type]


def fetch(url: str, what: Asked) -> list[Adjustment]:
    source = Prometheus(url)
    try:
        return samples(source, what, NOW_S, lambda _: None)
    finally:
        source.close()


def widened(high: int) -> int:
    return -(-high * 103 // 100)


def test_tensor_activity_becomes_bounds_without_a_point(url: str) -> None:
    (found,) = fetch(url, asked())
    active_s = (DAY_S * 3) // 4
    assert (found.flop, found.flop_low) == (None, 0)
    assert found.flop_high == widened(active_s * TENSOR_MAX + 2 * DAY_S * VECTOR_MAX)
    assert (found.period_start, found.period_end) == ("2025-03-01T00:00:00Z", "2025-03-02T00:00:00Z")
    assert "2 devices: H100 SXM5 80GB" in found.assumptions


def test_a_lowest_clock_gives_a_lower_bound(url: str) -> None:
    (found,) = fetch(url, asked(clock_min_mhz=1_000))
    rate = H100.tensor[Dtype.BF16] * H100.sm_count * 10**9
    assert found.flop_low == DAY_S * 3 // 4 * rate * 97 // 100


def test_an_undeclared_format_widens_both_bounds(url: str) -> None:
    (bf16,), (open_,) = (
        fetch(url, asked(clock_min_mhz=1_000)),
        fetch(url, asked(clock_min_mhz=1_000, dtype=Dtype.UNDECLARED)),
    )
    assert open_.flop_low < bf16.flop_low
    assert open_.flop_high > bf16.flop_high


def test_time_without_samples_is_a_gap_with_an_upper_bound_whatever_pod_had_the_device(url: str) -> None:
    _, second = fetch(url, asked(days=2))
    seen_s, gap_s = 14 * STEP_S, 10 * STEP_S
    high = seen_s // 2 * TENSOR_MAX + seen_s * VECTOR_MAX + gap_s * (TENSOR_MAX + VECTOR_MAX)
    assert second.flop_high == widened(high)
    assert any(f"{seen_s} device-seconds with samples; {gap_s} without" in line for line in second.assumptions)


def test_labels_that_come_and_go_can_bound_the_time_that_counts(url: str) -> None:
    query, _ = query_of(TENSOR, 'pod="p1"', STEP_S)
    narrow = asked(query=query, first=date(2025, 3, 2), until=date(2025, 3, 3))
    (whole,), (present,) = fetch(url, narrow), fetch(url, replace(narrow, only_while_present=True))
    seen_s = 6 * STEP_S
    assert present.flop_high == widened(seen_s // 2 * TENSOR_MAX + seen_s * VECTOR_MAX)
    assert whole.flop_high > present.flop_high


def test_a_kernel_that_was_there_may_have_used_it_all(url: str) -> None:
    (found,) = fetch(url, asked(UTIL))
    assert (found.flop, found.flop_low) == (None, 0)
    assert found.flop_high == widened(DAY_S // 2 * (TENSOR_MAX + VECTOR_MAX))


def test_engine_activity_bounds_by_its_share_and_a_sample_that_says_nothing_is_none(url: str) -> None:
    (found,) = fetch(url, asked(ENGINE))
    assert found.flop_high == widened(DAY_S * 3 // 4 * (TENSOR_MAX + VECTOR_MAX))
    assert "1 devices: H100 SXM5 80GB" in found.assumptions


def test_keys_are_days_so_a_longer_import_adds_only_the_new_ones(url: str) -> None:
    short, long = fetch(url, asked()), fetch(url, asked(days=2))
    assert [item.key for item in long] == [short[0].key, "prometheus::r::2025-03-02"]
    assert long[0] == short[0]


def test_a_metric_that_is_not_there_is_told(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"there is no series for .*is the metric exported, and kept that long\?"):
        fetch(url, asked("DCGM_FI_PROF_SM_ACTIVE"))
    with pytest.raises(Misconfigured, match=f"'GPU_BUSY' is none of: {TENSOR}"):
        query_of("GPU_BUSY", "", 60)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"query": "odd["}, "refuses the query 'odd\\['"),
        ({"query": "odd", "step_s": 60}, "modelName 'Abacus 3000' is in no row"),
        ({"query": "odd", "board": board("H100 PCIe"), "step_s": 60}, "gives 1.5, not a share between 0 and 1"),
        ({"query": "sum(odd)", "step_s": 60}, "have no label modelName"),
        ({"step_s": 7}, "--step 7: seconds that divide a day"),
        ({"step_s": 1}, "--step 1: seconds that divide a day"),
        ({"until": FIRST}, "is not after --from"),
        ({"until": date(2025, 6, 2)}, "only days that are over"),
        ({"board": board("V100 PCIe")}, "the tensor pipes of V100 PCIe do not have it"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(url: str, changes: dict[str, object], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        fetch(url, asked(**changes))  # type: ignore[arg-type]


class Failing(BaseHTTPRequestHandler):
    """Answers every POST with the status in its path."""

    def do_POST(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()
        self.wfile.write(b"<html>not what you think</html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def failing() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (500, Unreachable, "answers 500 Internal Server Error: try again later"),
        (503, Unreachable, "answers 503"),
        (401, Misconfigured, "wants other credentials"),
        (200, Misconfigured, "but not as a Prometheus does"),
        (404, Misconfigured, "but not as a Prometheus does"),
    ],
)
def test_a_server_that_fails_is_told_apart(failing: str, status: int, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        fetch(f"{failing}/{status}", asked())


def test_a_server_that_is_away_is_not_reachable() -> None:
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 does not answer"):
        fetch("http://127.0.0.1:9", asked())


@pytest.mark.parametrize("url", ["", "prometheus:9090", "file:///etc/passwd", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="is not one such as http://prometheus:9090"):
        Prometheus(url)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_narrowed(metric: str) -> None:
    query, _ = query_of(metric, 'Hostname="n1"', 30)
    assert f'{metric}{{Hostname="n1"}}[30s]' in query


def test_a_board_without_a_rate_per_cycle_is_bounded_by_its_published_peak(url: str) -> None:
    (found,) = fetch(url, asked(board=board("H20")))
    assert found.flop_high == widened(DAY_S * 3 // 4 * 148 * 10**12 * 11 // 10 + 2 * DAY_S * 44 * 10**12 * 11 // 10)
