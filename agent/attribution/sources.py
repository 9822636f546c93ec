"""From what the sources say to the run that a process's work is booked on.

An explicit run id goes before a derived one, whoever states it, since a job's number is not what anybody calls a run;
among either, and for each detail, the source named first counts. Where `processes_may_name` is false, what a process
says of itself counts only when root wrote nothing about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent.attribution.interface import DEFAULT_PURPOSE, Claim, RunIdentity
from agent.attribution.labels import Label, Labels
from compute.precision import Dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.attribution.interface import IdentitySource
    from agent.devices.interface import Device, ProcessKey

RECHECK_NS = 10_000_000_000
MAX_REMEMBERED = 8_192
_MOST_NEWS = 1_000


class Named(NamedTuple):
    """A run that was met for the first time: which source named it, and the job that root says it is part of."""

    run: str
    source: str
    within: str | None


class Attribution:
    """The sources in the order of trust. `now_ns` is any clock that does not go back."""

    def __init__(
        self, sources: Sequence[IdentitySource], now_ns: Callable[[], int], *, processes_may_name: bool = True
    ) -> None:
        self._sources = list(sources)
        self._now_ns = now_ns
        self._processes_may_name = processes_may_name
        self._changes = any(source.changes for source in sources)
        self._known: dict[tuple[ProcessKey, str], tuple[int, RunIdentity | None]] = {}
        self._named: set[Named] = set()
        self._news: list[Named] = []
        self.labels = Labels()

    def add(self, source: IdentitySource) -> None:
        """One more source, trusted least."""
        self._sources.append(source)
        self._changes |= source.changes

    def identify(self, process: ProcessKey, device: Device) -> RunIdentity | None:
        """The run that `process` works for on `device`, None when nobody knows."""
        key = (process, device.id)
        known = self._known.get(key)
        if known is not None and (not self._changes or self._now_ns() < known[0]):
            return known[1]
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        found = self._resolve(process, device)
        self._known[key] = (self._now_ns() + RECHECK_NS if self._changes else 0, found)
        return found

    def names_itself(self, process: ProcessKey, device: Device) -> bool:
        """Whether anybody chose a run id for this process: what a CPU is watched for."""
        return any(claim.explicit for _, claim in self._claims(process, device))

    def news(self) -> list[Named]:
        """The runs that were met since the last call."""
        news, self._news = self._news, []
        return news

    def _claims(self, process: ProcessKey, device: Device) -> list[tuple[IdentitySource, Claim]]:
        answers = ((source, source.claim(process, device)) for source in self._sources)
        claims = [(source, claim) for source, claim in answers if claim is not None]
        if self._processes_may_name or not any(source.written_by_root and claim.run for source, claim in claims):
            return claims
        return [
            (source, claim if source.written_by_root else Claim(None, False, claim.purpose, claim.dtype, claim.model))
            for source, claim in claims
        ]

    def _resolve(self, process: ProcessKey, device: Device) -> RunIdentity | None:
        claims = self._claims(process, device)
        runs = [(source, claim) for source, claim in claims if claim.run is not None]
        source, chosen = next((pair for pair in runs if pair[1].explicit), runs[0] if runs else (None, None))
        if source is None or chosen is None or chosen.run is None:
            return None
        jobs = (claim.run for other, claim in runs if other.written_by_root and claim.run != chosen.run)
        self._met(Named(chosen.run, source.name, next(jobs, None)))
        stated = [(source, chosen), *(pair for pair in claims if pair[1] is not chosen)]
        purpose = next((claim.purpose for _, claim in stated if claim.purpose), None)
        dtype = next((claim.dtype for _, claim in stated if claim.dtype), Dtype.UNDECLARED)
        model, model_source = next(((claim.model, other) for other, claim in stated if claim.model), (None, source))
        format_ = None if dtype is Dtype.UNDECLARED else dtype.value
        self.labels.met(Label(chosen.run, model_source.name, model, purpose, format_))
        return RunIdentity(chosen.run, purpose or DEFAULT_PURPOSE, dtype, model)

    def _met(self, named: Named) -> None:
        if named not in self._named and len(self._named) < _MOST_NEWS:
            self._named.add(named)
            self._news.append(named)
