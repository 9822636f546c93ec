"""Tensor activity scraped from dcgm-exporter."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING
from urllib.error import URLError

import pytest

from agent.devices.dcgm import SCRAPE_NS, DcgmBackend
from agent.devices.interface import Device, Method, ProcessKey, ProcessUse
from agent.errors import Retry, SkipDevice
from compute.accelerators import table
from compute.cycles import executed
from compute.precision import Dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.devices.interface import Delta, Snapshot

START_NS = 1_790_000_000_000_000_000
URL = "http://localhost:9400/metrics"
A100 = 'gpu="0",UUID="GPU-0",pci_bus_id="0D:00.0",device="nvidia0",modelName="NVIDIA A100-SXM4-80GB",Hostname="n1"'
OLD = {
    "DCGM_FI_DEV_SM_CLOCK": "1410",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "5000000",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "0.900000",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": "0.500000",
    "DCGM_FI_PROF_DRAM_ACTIVE": "0.300000",
}
NEW = {
    "DCGM_FI_DEV_SM_CLOCK": "1410",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "5000000",
    "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO": "0.900000",
    "DCGM_FI_PROF_TENSOR_UTIL_RATIO": "0.500000",
    "DCGM_FI_PROF_HMMA_UTIL_RATIO": "0.450000",
    "DCGM_FI_PROF_IMMA_UTIL_RATIO": "0.050000",
    "DCGM_FI_PROF_FP64_UTIL_RATIO": "0.010000",
}
BLANKS = ["140737488355328.000000", "9223372036854775792", "9223372036854775794", "2147483632", "NaN", "-1", "1.5"]


def page(fields: dict[str, str], labels: str = A100) -> str:
    return "".join(
        f"# HELP {name} what it is\n# TYPE {name} gauge\n{name}{{{labels}}} {value}\n" for name, value in fields.items()
    )


class Exporter:
    """Pages to be scraped, and the clocks."""

    def __init__(self, text: str) -> None:
        self.text: str | Exception = text
        self.scraped = 0
        self.now_ns = 0

    def fetch(self, url: str) -> str:
        assert url == URL
        self.scraped += 1
        if isinstance(self.text, Exception):
            raise self.text
        return self.text

    def backend(self, neighbour: Neighbour | None = None) -> DcgmBackend:
        return DcgmBackend(URL, neighbour, self.fetch, lambda: START_NS + self.now_ns, lambda: 10**12 + self.now_ns)


class Neighbour:
    """What NVML knows of the same node."""

    def __init__(self, *devices: Device) -> None:
        self.places = dict(zip((("GPU-0", None), ("GPU-0", 3), ("GPU-0", 4)), devices, strict=False))
        self.asked: list[tuple[int, int | None]] = []

    def locate(self, gpu: str, gpu_instance: int | None) -> Device | None:
        return self.places.get((gpu, gpu_instance))

    def processes(self, device: Device, span_ns: int, busy_ns: int | None) -> tuple[ProcessUse, ...]:
        self.asked.append((span_ns, busy_ns))
        return (ProcessUse(ProcessKey(1, 2, "boot"), busy_ns),)


def scraped(exporter: Exporter, backend: DcgmBackend, device: Device, after_ns: int = SCRAPE_NS) -> Snapshot:
    exporter.now_ns += after_ns
    return backend.snapshot(device)


def difference(backend: DcgmBackend, before: Snapshot, after: Snapshot) -> Delta:
    delta = backend.delta(before, after)
    assert delta is not None
    return delta


@pytest.mark.parametrize("fields", [OLD, NEW], ids=["old names", "new names"])
def test_both_spellings_of_the_fields_give_cycles(fields: dict[str, str]) -> None:
    exporter = Exporter(page(fields))
    backend = exporter.backend()
    [device] = backend.devices()
    assert (device.id, device.accelerator, device.units) == ("GPU-0", "A100 SXM4 40/80GB", 108)
    assert device.flop_per_s_max == table()["A100 SXM4 40/80GB"].flop_per_s_max
    before = backend.snapshot(device)
    delta = difference(backend, before, scraped(exporter, backend, device))
    elapsed = 108 * 1410 * 1_000_000 * 30
    assert delta.method is Method.DCGM
    assert delta.cycles.sm == elapsed
    assert delta.cycles.tensor == elapsed // 2
    assert delta.observed_ns == SCRAPE_NS
    assert delta.busy_ns == 27 * 10**9
    assert delta.clock_mhz == (1410, 1410, 1410)
    assert delta.flags == {"clock-sampled", "gauge-sampled"}
    assert not before.resumable
    if fields is NEW:
        # A ratio is the nearest double to what the exporter printed: exact to the cycle.
        for pipe, share in ((delta.cycles.imma, "0.05"), (delta.cycles.hmma, "0.45"), (delta.cycles.fp64, "0.01")):
            assert pipe is not None
            assert abs(pipe - elapsed * Fraction(share)) <= 1
    else:
        assert delta.cycles.imma is None


def test_flop_on_ampere_follow_from_it() -> None:
    exporter = Exporter(page(OLD))
    backend = exporter.backend()
    [device] = backend.devices()
    delta = difference(backend, backend.snapshot(device), scraped(exporter, backend, device))
    bounds = executed(table()["A100 SXM4 40/80GB"], delta.cycles, Dtype.BF16, 100_000).flop
    true = 108 * 1410 * 10**6 * 15 * 2048
    assert bounds.flop == true
    assert bounds.low < true < bounds.high


def test_between_two_scrapes_the_same_reading_is_served_and_the_exporter_left_alone() -> None:
    exporter = Exporter(page(OLD))
    backend = exporter.backend()
    [device] = backend.devices()
    before = backend.snapshot(device)
    for _ in range(29):
        again = scraped(exporter, backend, device, 10**9)
        assert again is before
        assert backend.delta(before, again) is None
    assert exporter.scraped == 1
    assert scraped(exporter, backend, device, 10**9) is not before


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_is_not_a_number(blank: str) -> None:
    exporter = Exporter(page(OLD | {"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": blank}))
    backend = exporter.backend()
    [device] = backend.devices()
    [capability] = backend.capabilities(device)
    assert not capability.available
    assert "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE" in capability.reason
    with pytest.raises(SkipDevice, match="add the field"):
        backend.snapshot(device)


@pytest.mark.parametrize("blank", [*BLANKS[:4], "0"])
def test_a_clock_that_is_blank_measures_nothing(blank: str) -> None:
    backend = Exporter(page(OLD | {"DCGM_FI_DEV_SM_CLOCK": blank})).backend()
    [device] = backend.devices()
    assert "SM_CLOCK" in backend.capabilities(device)[0].reason


@pytest.mark.parametrize("blank", BLANKS[:2])
def test_energy_that_is_blank_is_not_measured(blank: str) -> None:
    exporter = Exporter(page(OLD | {"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": blank}))
    backend = exporter.backend()
    [device] = backend.devices()
    delta = difference(backend, backend.snapshot(device), scraped(exporter, backend, device))
    assert delta.energy_mj is None
    assert delta.cycles.tensor


def test_a_blank_in_between_is_time_not_observed() -> None:
    exporter = Exporter(page(OLD))
    backend = exporter.backend()
    [device] = backend.devices()
    before = backend.snapshot(device)
    exporter.text = page(OLD | {"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": BLANKS[0]})
    with pytest.raises(SkipDevice):
        scraped(exporter, backend, device)
    exporter.text = page(OLD)
    after = scraped(exporter, backend, device, 3 * SCRAPE_NS)
    assert backend.delta(before, after) is None  # still the old reading's time: the gap grows until one is observed
    last = scraped(exporter, backend, device)
    delta = difference(backend, before, last)
    assert delta.observed_ns == SCRAPE_NS
    assert delta.to_ns - delta.from_ns == 5 * SCRAPE_NS


def test_a_field_that_appears_starts_an_epoch() -> None:
    exporter = Exporter(page(OLD))
    backend = exporter.backend()
    [device] = backend.devices()
    before = backend.snapshot(device)
    exporter.text = page(NEW)
    assert scraped(exporter, backend, device).epoch != before.epoch


def test_instances_are_found_by_their_gpus_uuid_and_their_number() -> None:
    first = Device("MIG-a", "mig", "A100 MIG", "A100 SXM4 40/80GB", 42, 1410, parent="GPU-0")
    neighbour = Neighbour(replace(first, id="GPU-0"), first)
    text = page({"DCGM_FI_DEV_SM_CLOCK": "1400"}) + page(
        {"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": "0.25", "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "0.5"},
        f'{A100},GPU_I_PROFILE="3g.40gb",GPU_I_ID="3"',
    )
    exporter = Exporter(text)
    backend = exporter.backend(neighbour)
    assert list(backend.devices()) == [first]
    before = backend.snapshot(first)
    after = scraped(exporter, backend, first)
    assert difference(backend, before, after).cycles.tensor == 42 * 1400 * 10**6 * 30 // 4
    assert after.processes == (ProcessUse(ProcessKey(1, 2, "boot"), 15 * 10**9),)
    assert neighbour.asked == [(0, 0), (SCRAPE_NS, 15 * 10**9)]


def test_an_instance_of_unknown_size_is_not_guessed_at() -> None:
    backend = Exporter(page(OLD, f'{A100},GPU_I_PROFILE="3g.40gb",GPU_I_ID="3"')).backend()
    [device] = backend.devices()
    assert (device.id, device.parent, device.units) == ("GPU-0/3", "GPU-0", None)
    assert "NVML" in backend.capabilities(device)[0].reason
    with pytest.raises(SkipDevice, match="how many SMs"):
        backend.snapshot(device)


@pytest.mark.parametrize("trouble", [URLError("connection refused"), TimeoutError("timed out"), ValueError("what")])
def test_an_exporter_that_does_not_answer_is_retried_at_the_next_scrape(trouble: Exception) -> None:
    exporter = Exporter(page(OLD))
    backend = exporter.backend()
    [device] = backend.devices()
    exporter.text = trouble
    with pytest.raises(Retry, match="dcgm-exporter at http://localhost:9400/metrics"):
        scraped(exporter, backend, device)
    with pytest.raises(Retry):
        backend.snapshot(device)
    assert exporter.scraped == 2
    exporter.text = page(OLD)
    assert scraped(exporter, backend, device).device == "GPU-0"


def test_a_page_that_is_no_metrics_page_has_no_devices() -> None:
    assert Exporter("<html>502</html>").backend().devices() == []


def test_an_unknown_board_has_no_rate() -> None:
    backend = Exporter(page(OLD, 'gpu="0",UUID="GPU-9",modelName="NVIDIA Rubin"')).backend()
    [device] = backend.devices()
    assert (device.accelerator, device.units, device.flop_per_s_max) == (None, None, None)


def test_only_http_is_scraped() -> None:
    with pytest.raises(ValueError, match="file:///etc/passwd"):
        DcgmBackend("file:///etc/passwd")


@pytest.fixture
def server() -> Iterator[str]:
    """A real dcgm-exporter's page over real HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page(OLD).encode()
            self.send_response(200 if self.path == "/metrics" else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_it_scrapes_over_http(server: str) -> None:
    backend = DcgmBackend(f"{server}/metrics")
    [device] = backend.devices()
    assert backend.capabilities(device)[0].available
    assert backend.snapshot(device).counters["energy_mj"] == 5_000_000
    backend.close()
    with pytest.raises(Retry, match="503"):
        DcgmBackend(f"{server}/nothing").devices()
