"""Scenarios from TOML files, and those that come with the package. What is wrong is named with its file and field."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agent.devices.simulated.failures import Draw, with_drawn
from agent.devices.simulated.scenario import Failure, Reporter, Run, Scenario, ScenarioInvalid, Stretch
from agent.devices.simulated.scenario_checks import check
from agent.devices.simulated.scenario_model import FailureModel, ReporterModel, RunModel, ScenarioModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path

_SHIPPED = files("agent.devices.simulated") / "scenarios"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND_NS = 1_000


def shipped() -> list[str]:
    """Names of the scenarios that come with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".toml"))


def load_shipped(name: str) -> Scenario:
    """A scenario that comes with the package; raises ScenarioInvalid, with the names there are, for any other."""
    if name not in shipped():
        raise ScenarioInvalid(f"no scenario {name!r}; there are {', '.join(shipped())}, or give a file")
    return _load(_SHIPPED / f"{name}.toml", name)


def load(path: Path) -> Scenario:
    """The scenario in a TOML file; raises ScenarioInvalid naming the file and the field."""
    return _load(path, str(path))


def _load(source: Traversable, name: str) -> Scenario:
    try:
        return scenario_from_toml(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioInvalid(f"{name}: {error.strerror}") from error
    except (ScenarioInvalid, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioInvalid(f"{name}: {error}") from error


def scenario_from_toml(text: str) -> Scenario:
    """The scenario that a TOML text describes, its random failures drawn."""
    try:
        model = ScenarioModel.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise ScenarioInvalid("; ".join(_said(one["loc"], one["msg"]) for one in error.errors())) from error
    scenario = _scenario(model)
    check(scenario)
    drawn = model.failures.random.items()
    return with_drawn(scenario, tuple(Draw(kind, one.count, one.shortest, one.longest) for kind, one in drawn))


def _said(where: Sequence[int | str], message: str) -> str:
    field = ".".join(str(part) for part in where)
    return f"{field}: {message.removeprefix('Value error, ')}" if field else message.removeprefix("Value error, ")


def _scenario(model: ScenarioModel) -> Scenario:
    length_ns = _length_ns(model)
    return Scenario(
        cluster=model.cluster,
        seed=model.seed,
        start_ns=_unix_ns(model.start),
        length_ns=length_ns,
        accelerator=model.fleet.row,
        method=model.fleet.method,
        nodes=model.fleet.nodes,
        spares=model.fleet.spares,
        gpus_per_node=model.fleet.gpus_per_node,
        idle_clock_mhz=model.fleet.idle_clock_mhz,
        idle_watts=model.fleet.idle_watts,
        sample_every_ns=model.reporting.sample_every,
        reports=tuple(
            Stretch(length_ns if stretch.until is None else min(stretch.until, length_ns), stretch.every)
            for stretch in model.reporting.schedule
        ),
        runs=tuple(_run(run, model.fleet.nodes, length_ns) for run in model.runs),
        failures=tuple(_failure(failure) for failure in model.failures.listed),
    )


def _length_ns(model: ScenarioModel) -> int:
    if (model.length is None) == (model.end is None):
        raise ScenarioInvalid("length: give either length or end")
    if model.end is None:
        return model.length or 0
    if model.end <= model.start:
        raise ScenarioInvalid("end: not after start")
    return _unix_ns(model.end) - _unix_ns(model.start)


def _unix_ns(at: datetime) -> int:
    if at < _EPOCH:
        raise ScenarioInvalid("start: before 1970")
    return (at - _EPOCH) // timedelta(microseconds=1) * _MICROSECOND_NS


def _run(model: RunModel, nodes: int, length_ns: int) -> Run:
    return Run(
        run_id=model.run_id,
        model_id=model.model_id,
        purpose=model.purpose,
        dtype=model.dtype,
        first_node=0 if model.nodes is None else model.nodes.first,
        node_count=nodes if model.nodes is None else model.nodes.count,
        from_ns=model.from_,
        until_ns=length_ns if model.until is None else model.until,
        activity_ppm=model.activity_ppm,
        jitter_ppm=model.jitter_ppm,
        clock_mhz=model.clock_mhz,
        watts=model.watts,
        fp32_ppm=model.fp32_ppm,
        reporter=None if model.reports is None else _reporter(model.reports),
    )


def _reporter(model: ReporterModel) -> Reporter:
    return Reporter(model.scope, model.tokens_per_s, model.flop_per_token, model.tokens_max)


def _failure(model: FailureModel) -> Failure:
    length_ns = model.down_for or model.back_by or 0
    return Failure(model.kind, model.at, length_ns, model.run, model.node, model.gpu)
