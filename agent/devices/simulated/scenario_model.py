"""The shape of a scenario file, and what must hold in it. Field names are those that people write."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agent.devices.interface import Method
from agent.devices.simulated.durations import parse_duration_ns
from agent.devices.simulated.scenario import FailureKind, Scope
from compute.accelerators import Accelerator, table
from compute.cycles import PPM
from compute.precision import Dtype  # noqa: TC001 (pydantic reads it at run time)


def _known(name: str) -> str:
    if name not in table():
        raise ValueError(f"no such row in the FLOP table; known: {', '.join(sorted(table()))}")
    return name


Duration = Annotated[int, BeforeValidator(parse_duration_ns)]
LongerThanZero = Annotated[Duration, Field(gt=0)]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, gt=0)]
Ppm = Annotated[int, Field(strict=True, ge=0, le=PPM)]
Name = Annotated[str, Field(strict=True, pattern=r"^\S(.*\S)?$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FleetModel(_Table):
    """`[fleet]`."""

    nodes: Positive
    spares: Count = 0
    gpus_per_node: Positive
    accelerator: Annotated[Name, AfterValidator(_known)]
    method: Literal[Method.GPM_CYCLES, Method.GPM, Method.BUSY] = Method.GPM_CYCLES
    idle_clock_mhz: Positive
    idle_watts: Count

    @property
    def row(self) -> Accelerator:
        """The accelerator's row in the FLOP table."""
        return table()[self.accelerator]


class NodesModel(_Table):
    """`nodes = { first = 0, count = 2 }`."""

    first: Count
    count: Positive


class ReporterModel(_Table):
    """`[runs.reports]`."""

    scope: Scope
    tokens_per_s: Positive
    flop_per_token: Positive
    tokens_max: Positive | None = None

    @model_validator(mode="after")
    def _one_speaker(self) -> Self:
        if self.tokens_max is not None and self.scope is not Scope.RUN:
            raise ValueError("tokens_max: only with scope 'run', where one process counts for all")
        return self


class RunModel(_Table):
    """`[[runs]]`."""

    run_id: Name
    model_id: Name
    purpose: Name
    dtype: Dtype
    nodes: NodesModel | None = None
    from_: Duration = Field(default=0, alias="from")
    until: Duration | None = None
    activity_ppm: Ppm
    jitter_ppm: Ppm = 0
    clock_mhz: Positive
    watts: Count
    fp32_ppm: Ppm | None = None
    reports: ReporterModel | None = None

    @model_validator(mode="after")
    def _at_most_always_active(self) -> Self:
        if self.activity_ppm * (PPM + self.jitter_ppm) > PPM**2:
            raise ValueError("activity_ppm: with jitter_ppm more than 1000000")
        return self


class FailureModel(_Table):
    """`[[failures.listed]]`."""

    kind: FailureKind
    at: Duration
    down_for: LongerThanZero | None = None
    back_by: LongerThanZero | None = None
    run: Name | None = None
    node: Count | None = None
    gpu: Count | None = None

    @model_validator(mode="after")
    def _what_its_kind_needs(self) -> Self:
        wanted = {"back_by" if self.kind is FailureKind.CLOCK_BACK else "down_for"}
        wanted.add("run" if self.kind is FailureKind.INTERRUPTION else "node")
        if self.kind in (FailureKind.DEVICE_LOST, FailureKind.RESET):
            wanted.add("gpu")
        for name in ("down_for", "back_by", "run", "node", "gpu"):
            if (getattr(self, name) is not None) != (name in wanted):
                raise ValueError(f"{name}: {'missing in' if name in wanted else 'not part of'} a {self.kind}")
        return self


class DrawModel(_Table):
    """`[failures.random]`: `interruption = { count = 20, shortest = "30m", longest = "5h" }`."""

    count: Count
    shortest: LongerThanZero
    longest: LongerThanZero

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError("shortest: longer than longest")
        return self


class FailuresModel(_Table):
    """`[failures]`."""

    listed: tuple[FailureModel, ...] = ()
    random: dict[FailureKind, DrawModel] = Field(default_factory=dict)


class StretchModel(_Table):
    """One of `reporting.schedule`; the last may leave out `until`."""

    until: LongerThanZero | None = None
    every: LongerThanZero


class ReportingModel(_Table):
    """`[reporting]`."""

    sample_every: LongerThanZero
    schedule: Annotated[tuple[StretchModel, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        ends = [stretch.until for stretch in self.schedule[:-1]]
        if None in ends:
            raise ValueError("schedule: only the last stretch may leave out until")
        until = [end for end in (*ends, self.schedule[-1].until) if end is not None]
        if sorted(set(until)) != until:
            raise ValueError("schedule: until must grow from stretch to stretch")
        return self


class ScenarioModel(_Table):
    """The whole file; `scenario_checks` looks at what its parts say together."""

    start: AwareDatetime
    length: LongerThanZero | None = None
    end: AwareDatetime | None = None
    seed: Annotated[int, Field(strict=True)]
    cluster: Name
    fleet: FleetModel
    runs: Annotated[tuple[RunModel, ...], Field(min_length=1)]
    failures: FailuresModel = FailuresModel()
    reporting: ReportingModel
