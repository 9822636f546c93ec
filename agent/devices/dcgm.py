"""Tensor activity before Hopper, scraped from a dcgm-exporter that the cluster runs anyway.

DCGM holds the one profiling lock of older GPUs, so the agent never opens a second one: it reads what the exporter
shows. Its gauges stand for the exporter's own interval (30 s unless it was changed), so scraping more often than that
would count the same value several times over and cost more; each scrape's value is taken for the time since the last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http.client import HTTPException
from time import time_ns
from typing import TYPE_CHECKING, Protocol
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from agent.devices import counters
from agent.devices.counters import BOOTTIME_NS, BUSY_NS, ENERGY_MJ
from agent.devices.interface import Capability, Delta, Device, Method, Snapshot
from agent.devices.nvml import identity
from agent.devices.nvml.host import boot_ns
from agent.errors import Retry, SkipDevice
from compute.accelerators import flop_per_s_ceiling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.devices.interface import ProcessUse

SCRAPE_NS = 30_000_000_000
"""The exporter's default interval."""
_LONGEST_NS = 3 * SCRAPE_NS
"""A gauge is not taken for longer than this: what lies between two scrapes further apart was not observed."""
_TIMEOUT_S = 2.0
_BLANK = 140_737_488_355_328
"""DCGM's blank for a real number; those for integers are higher still, and no figure here comes near it."""
_CLOCK_LIMIT_MHZ = 10_000

_RATIOS: Mapping[str, tuple[str, str]] = {
    # counter: the field's name up to DCGM 4.5, and since
    "tensor": ("PIPE_TENSOR_ACTIVE", "TENSOR_UTIL_RATIO"),
    "hmma": ("PIPE_TENSOR_HMMA_ACTIVE", "HMMA_UTIL_RATIO"),
    "imma": ("PIPE_TENSOR_IMMA_ACTIVE", "IMMA_UTIL_RATIO"),
    "dfma": ("PIPE_TENSOR_DFMA_ACTIVE", "DFMA_UTIL_RATIO"),
    "fp64": ("PIPE_FP64_ACTIVE", "FP64_UTIL_RATIO"),
    "fp32": ("PIPE_FP32_ACTIVE", "FP32_UTIL_RATIO"),
    "fp16": ("PIPE_FP16_ACTIVE", "FP16_UTIL_RATIO"),
    "integer": ("PIPE_INT_ACTIVE", "INT_UTIL_RATIO"),
    BUSY_NS: ("GR_ENGINE_ACTIVE", "GR_ENGINE_UTIL_RATIO"),
}
_CLOCK = "clock"
_FIELDS: Mapping[str, str] = {
    "DCGM_FI_DEV_SM_CLOCK": _CLOCK,
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ENERGY_MJ,
    **{f"DCGM_FI_PROF_{name}": counter for counter, names in _RATIOS.items() for name in names},
}
_PREFIXES = tuple(f"{name}{{" for name in _FIELDS)

Place = tuple[str, int | None]
"""A GPU's UUID, and the GPU instance on it: DCGM labels instances with their GPU's UUID."""


class Neighbour(Protocol):
    """What the NVML backend of the same node knows: which device a place is, and who is on it."""

    def locate(self, gpu: str, gpu_instance: int | None) -> Device | None:
        """The device at a place, None when NVML does not show it."""
        ...

    def processes(self, device: Device, span_ns: int, busy_ns: int | None) -> tuple[ProcessUse, ...]:
        """Who is on the device now. It was busy `busy_ns` of the last `span_ns` (None: not known)."""
        ...


@dataclass(slots=True)
class _Watched:
    """A device's counters, which this process adds up, and the scrape they go up to."""

    device: Device
    born_ns: int
    boot_ns: int
    clock_mhz: int
    counters: dict[str, int] = field(default_factory=dict)
    snapshot: Snapshot | None = None


class DcgmBackend:
    """GPUs that a dcgm-exporter on this node measures."""

    name = "dcgm"
    notices: tuple[str, ...] = ()

    def __init__(
        self,
        url: str,
        neighbour: Neighbour | None = None,
        fetch: Callable[[str], str] | None = None,
        now_ns: Callable[[], int] = time_ns,
        since_boot_ns: Callable[[], int] = boot_ns,
    ) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError(f"not an http(s) address: {url}")
        self._url = url
        self._neighbour = neighbour
        self._fetch = fetch or _get
        self._now_ns = now_ns
        self._boot_ns = since_boot_ns
        self._scraped_at_ns: int | None = None
        self._failure: str | None = None
        self._scrape: dict[Place, dict[str, float]] = {}
        self._names: dict[Place, str] = {}
        self._places: dict[str, Place] = {}
        self._watched: dict[str, _Watched] = {}

    def devices(self) -> Sequence[Device]:
        """Every GPU and GPU instance that the exporter shows."""
        self._refresh()
        found: list[Device] = []
        self._places = {}
        instances = {gpu for gpu, instance in self._scrape if instance is not None}
        for place in self._scrape:
            gpu, instance = place
            if instance is None and gpu in instances:
                continue  # a partitioned GPU is measured by its instances
            device = self._describe(place)
            self._places[device.id] = place
            found.append(device)
        return found

    def _describe(self, place: Place) -> Device:
        located = self._neighbour.locate(*place) if self._neighbour is not None else None
        if located is not None:
            return located
        gpu, instance = place
        name = self._names.get(place, "")
        accelerator, _ = identity.row(name, None, None)
        whole = None if accelerator is None else accelerator.sm_count
        units = whole if instance is None else None
        return Device(
            id=gpu if instance is None else f"{gpu}/{instance}",
            kind="gpu" if instance is None else "mig",
            name=name,
            accelerator=None if accelerator is None else accelerator.name,
            units=units,
            clock_max_mhz=None,
            parent=None if instance is None else gpu,
            # All of the GPU bounds an instance of it whose size is not known.
            flop_per_s_max=flop_per_s_ceiling(accelerator, units, None),
        )

    def capabilities(self, device: Device) -> Sequence[Capability]:
        """Whether the exporter shows what is needed of this device."""
        place = self._places.get(device.id)
        reason = self._lacks(device, {} if place is None else self._scrape.get(place, {}))
        return [Capability(Method.DCGM, not reason, reason)]

    def _lacks(self, device: Device, values: Mapping[str, float]) -> str:
        if device.units is None:
            return "how many SMs it has is not known: give the agent access to NVML"
        if "tensor" not in values:
            return (
                "dcgm-exporter shows no DCGM_FI_PROF_PIPE_TENSOR_ACTIVE for it: add the field to the exporter's "
                "counters, and let it profile (SYS_ADMIN)"
            )
        return "" if _CLOCK in values else "dcgm-exporter shows no DCGM_FI_DEV_SM_CLOCK: add it to its counters"

    def snapshot(self, device: Device) -> Snapshot:
        """The counters up to the last scrape, which is at most one interval ago."""
        scraped = self._refresh()
        place = self._places.get(device.id)
        values = {} if place is None else self._scrape.get(place, {})
        watched = self._watched.get(device.id)
        if (
            watched is not None
            and watched.snapshot is not None
            and not scraped
            and watched.boot_ns == self._scraped_at_ns
        ):
            return watched.snapshot
        lacking = self._lacks(device, values)
        if lacking:
            raise SkipDevice(device.id, lacking)
        now_ns, at_boot_ns = self._now_ns(), self._scraped_at_ns or 0
        if watched is None or watched.counters.keys() != _expected(values):
            watched = self._watched[device.id] = _Watched(device, now_ns, at_boot_ns, int(values[_CLOCK]))
            watched.counters = dict.fromkeys(_expected(values), 0) | {BOOTTIME_NS: at_boot_ns}
        span_ns, busy_ns = at_boot_ns - watched.boot_ns, watched.counters.get(BUSY_NS)
        self._count(watched, values, at_boot_ns)
        grown_ns = None if busy_ns is None else watched.counters[BUSY_NS] - busy_ns
        watched.snapshot = Snapshot(
            device=device.id,
            at_ns=now_ns,
            epoch=f"{Method.DCGM}:{device.id}:{watched.born_ns}",
            resumable=False,
            counters=dict(watched.counters),
            processes=() if self._neighbour is None else self._neighbour.processes(device, span_ns, grown_ns),
            handle=watched.clock_mhz,
        )
        return watched.snapshot

    def _count(self, watched: _Watched, values: Mapping[str, float], at_boot_ns: int) -> None:
        span_ns = at_boot_ns - watched.boot_ns
        clock_mhz = int(values[_CLOCK])
        double_area = (watched.clock_mhz + clock_mhz) * span_ns
        watched.boot_ns, watched.clock_mhz = at_boot_ns, clock_mhz
        totals, units = watched.counters, watched.device.units or 0
        if ENERGY_MJ in totals:
            totals[ENERGY_MJ] = int(values[ENERGY_MJ])
        if span_ns > _LONGEST_NS:
            return
        totals[BOOTTIME_NS] += span_ns
        totals["sm"] += units * double_area // 2_000
        for counter in _RATIOS:
            if counter in totals:
                numerator, denominator = values[counter].as_integer_ratio()
                whole, parts = (span_ns, 1) if counter == BUSY_NS else (units * double_area, 2_000)
                totals[counter] += (2 * numerator * whole + denominator * parts) // (2 * denominator * parts)

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        """What happened between two scrapes; None when they are the same one."""
        clock = None
        if isinstance(before.handle, int) and isinstance(after.handle, int):
            low, high = sorted((before.handle, after.handle))
            clock = (low, (low + high) // 2, high)
        return counters.delta(before, after, Method.DCGM, clock, frozenset({"clock-sampled", "gauge-sampled"}))

    def _refresh(self) -> bool:
        """Scrape when it is time to; true when that was now. Raises Retry as long as the exporter does not answer."""
        now_ns = self._boot_ns()
        if self._scraped_at_ns is not None and now_ns - self._scraped_at_ns < SCRAPE_NS:
            if self._failure is not None:
                raise Retry(self._failure)
            return False
        self._scraped_at_ns = now_ns
        try:
            self._read(self._fetch(self._url))
        except (OSError, HTTPException, ValueError) as error:
            self._failure = f"dcgm-exporter at {self._url}: {error}"
            raise Retry(self._failure) from error
        self._failure = None
        return True

    def _read(self, text: str) -> None:
        # An exporter shows many times what is needed here, and the parser is what costs.
        wanted = "\n".join(line for line in text.splitlines() if line.startswith(_PREFIXES))
        scrape: dict[Place, dict[str, float]] = {}
        for family in text_string_to_metric_families(f"{wanted}\n"):
            for sample in family.samples:
                uuid = sample.labels.get("UUID") or sample.labels.get("uuid")
                counter = _FIELDS.get(sample.name)
                if uuid is None or counter is None:
                    continue
                number = sample.labels.get("GPU_I_ID", "")
                place = (uuid, int(number) if number.isdigit() else None)
                self._names[place] = sample.labels.get("modelName", "")
                values = scrape.setdefault(place, {})
                if _plausible(counter, sample.value):
                    values[counter] = sample.value
        for (gpu, instance), values in scrape.items():
            whole = scrape.get((gpu, None))
            if instance is not None and whole is not None and _CLOCK in whole:
                values.setdefault(_CLOCK, whole[_CLOCK])  # instances share their GPU's clock
        self._scrape = scrape

    def close(self) -> None:
        """Nothing is held open between two scrapes."""


def _expected(values: Mapping[str, float]) -> set[str]:
    """The counters that a scrape with these values feeds."""
    return {"sm", BOOTTIME_NS, *(values.keys() - {_CLOCK})}


def _plausible(counter: str, value: float) -> bool:
    """False for DCGM's blanks, which reach Prometheus as numbers, and for what is not a number at all."""
    if not 0 <= value < _BLANK:
        return False
    if counter == _CLOCK:
        return 0 < value < _CLOCK_LIMIT_MHZ
    return counter == ENERGY_MJ or value <= 1


def _get(url: str) -> str:
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:
            text: str = answer.read().decode()
    except HTTPError as refusal:
        refusal.close()  # it is the answer, with its connection still open
        raise OSError(f"HTTP {refusal.code} {refusal.reason}") from refusal
    return text
