"""Settings: defaults, then a TOML file, then environment variables with the prefix `FLOPLEDGER_`.

The file is `FLOPLEDGER_CONFIG`, or `flopledger.toml` in the data directory. A name that is no setting is an error with
the nearest one in it, so that a typo never runs on a default in silence.
"""

from __future__ import annotations

import difflib
import os
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from cli.exits import Misconfigured

PREFIX = "FLOPLEDGER_"

RUN_VARIABLES = frozenset({"RUN_ID", "MODEL_ID", "PURPOSE", "DTYPE"})
"""Names with our prefix that describe a run, not this program; see `agent.attribution.environment`."""


def default_data_dir() -> Path:
    """`~/.local/share/flopledger`."""
    return Path.home() / ".local" / "share" / "flopledger"


def _named(path: Path) -> Path:
    if path == Path():
        raise ValueError("must name a directory")
    return path


class Settings(BaseSettings):
    """Everything that can be set. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data_dir: Annotated[Path, AfterValidator(_named)] = Field(
        default_factory=default_data_dir, description="outbox, keys, ledger and socket"
    )
    cluster: str = Field("local", min_length=1, max_length=512, description="name of the cluster, part of every batch")
    node: str = Field(default_factory=socket.gethostname, min_length=1, max_length=512, description="name of this node")
    node_lock: Path | None = Field(None, description="file that one agent per node holds; default in /run/lock")

    backends: tuple[Literal["cpu", "nvml", "dcgm", "simulated", "replay"], ...] = Field(
        ("nvml", "cpu"), min_length=1, description="how devices are measured, as a JSON list"
    )
    dcgm_url: str = Field("http://127.0.0.1:9400/metrics", description="where the dcgm backend scrapes dcgm-exporter")
    scenario: Path | None = Field(None, description="TOML file of the simulated backend")
    scenario_node: Annotated[int, Field(ge=0)] = Field(0, description="which node of the scenario this is")
    trace: Path | None = Field(None, description="recorded trace of the replay backend")
    sample_every_s: Annotated[float, Field(gt=0, le=60)] = Field(1.0, description="seconds between samples")
    seal_every_s: Annotated[float, Field(gt=0, le=3600)] = Field(10.0, description="seconds between batches")
    outbox_max_bytes: Annotated[int, Field(ge=1 << 16)] = Field(1 << 30, description="bound of the outbox")

    attribution: tuple[
        Literal[
            "slurm-prolog",
            "pod-resources",
            "cgroup",
            "pod-labels",
            "environment",
            "job-environment",
            "registration",
        ],
        ...,
    ] = Field(
        ("slurm-prolog", "pod-resources", "cgroup", "environment", "job-environment", "registration"),
        description="where the run of a process is looked for, the most trusted first, as a JSON list; `pod-labels` "
        "needs the right to list pods",
    )
    processes_may_name_runs: bool = Field(
        True, description="whether an id that a process states of itself goes before that of its Slurm job or pod"
    )
    slurm_prolog_dirs: tuple[Path, ...] = Field(
        (Path("/run/gpustat"),), description="where a Slurm prolog writes each GPU's job, as a JSON list"
    )
    kubelet_socket: Path = Field(
        Path("/var/lib/kubelet/pod-resources/kubelet.sock"), description="the kubelet's pod-resources service"
    )
    pod_logs_dir: Path = Field(Path("/var/log/pods"), description="where the kubelet names pods by uid")
    registration_dir: Path = Field(
        Path("/run/flopledger/runs"), description="where processes say what run they are, once they know"
    )

    otlp_host: str = Field("127.0.0.1", description="where training loops report to")
    otlp_port: Annotated[int, Field(ge=0, le=65535)] = Field(4319, description="0 picks a free port")
    otlp_token_file: Path | None = Field(None, description="file with the bearer token that reports must carry")
    metrics_host: str = Field("127.0.0.1", min_length=1, description="where the agent's endpoint listens")
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0, description="port of the agent's /healthz, /readyz and /metrics; 0 is off"
    )

    kafka_bootstrap: str | None = Field(
        None,
        min_length=1,
        description="Kafka brokers, `host:port` with commas in between, for `agent run` and `collector run`; "
        "without it the collector reads the agent's outbox",
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"] = Field(
        "PLAINTEXT", description="security_protocol of the brokers' listener"
    )
    kafka_ca_file: Path | None = Field(
        None, description="authorities that sign the brokers' certificates; default the system's"
    )
    kafka_cert_file: Path | None = Field(None, description="our own certificate, for mutual TLS")
    kafka_key_file: Path | None = Field(None, description="the key of that certificate")
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"] | None = Field(
        None, description="how we say who we are, under SASL_SSL or SASL_PLAINTEXT"
    )
    kafka_username: str | None = Field(None, min_length=1, description="our name, for SCRAM and PLAIN")
    kafka_password_file: Path | None = Field(None, description="file with the password of that name")
    kafka_token_file: Path | None = Field(
        None, description="file with the bearer token, for OAUTHBEARER; read at every login"
    )
    kafka_topic: str = Field("flopledger.batches", min_length=1, description="topic that batches go through")
    kafka_group: str = Field("flopledger", min_length=1, description="consumer group of the collectors")
    kafka_instance: str | None = Field(
        None,
        min_length=1,
        description="this collector's own name in its group: after a restart it gets its partitions back at once",
    )

    clickhouse_url: str | None = Field(
        None,
        min_length=1,
        description="ClickHouse server that keeps the ledger, `http(s)://host:port/database`; "
        "without it the ledger is in the data directory",
    )
    clickhouse_user: str = Field("default", min_length=1, description="our name there")
    clickhouse_password_file: Path | None = Field(None, description="file with the password of that name")
    clickhouse_ca_file: Path | None = Field(
        None, description="authorities that sign the server's certificate; default the system's"
    )
    clickhouse_cluster: str | None = Field(
        None, min_length=1, description="the server is a node of this cluster, as its own configuration calls it"
    )
    ledger_key_file: Path | None = Field(
        None,
        description="the key that signs the journal, the same for all collectors of a server; "
        "default `ledger.key` in the data directory",
    )

    enrolment: Literal["open", "approved"] = Field(
        "open",
        description="whose batches count: `open` trusts a key on first use, `approved` only keys that are listed",
    )
    agent_keys_file: Path | None = Field(
        None,
        description="keys that are approved, one a line, each with its node behind it if it is good for that one alone",
    )
    quarantine_max_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="the collector stops when more than this share of the last 1000 messages cannot be opened"
    )
    quarantine_max_consecutive: Annotated[int, Field(ge=1)] = Field(100, description="and when so many in a row cannot")
    collector_host: str = Field("127.0.0.1", min_length=1, description="where the collector's endpoint listens")
    collector_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0, description="port of the collector's /healthz, /readyz and /metrics; 0 is off"
    )

    gateway_host: str = Field("127.0.0.1", description="where the holder of an embedded ledger answers SQL over HTTP")
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = Field(8124, description="port of it; 0 is off")
    gateway_token_file: Path | None = Field(
        None, description="file with the token that readers must bring; without one it listens on loopback alone"
    )

    web_host: str = Field("127.0.0.1", min_length=1, description="where the page listens")
    web_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8400, description="port of the page that `up` and `web` serve; 0 is off"
    )
    web_tokens_file: Path | None = Field(
        None,
        description="hashes of the tokens that let people see the page, made by `flopledger web token`; default "
        "`web-tokens` in the data directory, if it is there",
    )
    web_trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of proxies that sign people in and are believed, as a JSON list"
    )
    web_groups: dict[str, str] = Field(
        default_factory=dict,
        description="what the groups that such a proxy names may do, as JSON: "
        '`{"ml-audit": "auditor", "*": "viewer"}`; `*` is whoever is signed in',
    )
    web_user_header: str = Field("X-Forwarded-User", min_length=1, description="header in which the proxy names people")
    web_groups_header: str = Field(
        "X-Forwarded-Groups", min_length=1, description="header in which it names their groups, with commas in between"
    )
    web_refresh_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        5.0, description="seconds between two looks of the page at the ledger; more where a look takes long"
    )

    alert_percents: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        (50, 75, 90, 100), description="fractions of a line that are alerted on, in percent, as a JSON list"
    )
    alert_lead_days: tuple[Annotated[int, Field(ge=1, le=365)], ...] = Field(
        (30, 14, 7), description="days before the forecast date of crossing that are alerted on, as a JSON list"
    )
    alert_subjects: tuple[Literal["run", "model", "system"], ...] = Field(
        ("run", "model", "system"), min_length=1, description="what is held against lines, as a JSON list"
    )
    alert_coverage_min: Annotated[float, Field(ge=0, le=1)] = Field(
        0.95, description="alert when less of a run's device time was observed"
    )
    alert_agent_silent_s: Annotated[float, Field(ge=60)] = Field(
        900.0, description="alert when nothing was recorded of an agent for so many seconds"
    )
    alert_unattributed_max_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="alert when more of what a cluster computes belongs to no known run"
    )
    alert_totals_apart_min: Annotated[float, Field(ge=0, le=1)] = Field(
        0.9, description="alert when hardware over reported compute of a run is less"
    )
    alert_totals_apart_max: Annotated[float, Field(ge=1)] = Field(1.6, description="alert when it is more")
    alert_collector_stopped_s: Annotated[float, Field(ge=60)] = Field(
        900.0, description="alert when nothing at all was recorded for so many seconds"
    )
    channels: Path | None = Field(
        None, description="TOML or YAML file of the channels that alerts go to (docs/alerts.md); without it, to the log"
    )
    runbook_url: str = Field(
        "https://github.com/flopledger/flopledger/blob/main/docs/runbooks/",
        min_length=1,
        description="where alerts link to for what to do; the kind and `.md` follow",
    )
    assess_every_s: Annotated[float, Field(gt=0, le=3600)] = Field(1.0, description="seconds between assessments")


def load(overrides: dict[str, Any] | None = None) -> Settings:
    """Settings from the file and the environment; raises `Misconfigured` with one line per mistake."""
    _refuse_unknown_variables()
    try:
        # The environment outranks the file: what it sets is taken out of the file's values first.
        values = {**_from_file(), **(overrides or {})}
        in_environment = {name for name in Settings.model_fields if PREFIX + name.upper() in os.environ}
        kept = {
            name: value for name, value in values.items() if name not in in_environment or name in (overrides or {})
        }
        return Settings(**kept)
    except ValidationError as error:
        # One line per setting: what else is said of it follows from the first mistake.
        first = {str(detail["loc"][0]): detail for detail in reversed(error.errors(include_url=False))}
        raise Misconfigured("\n".join(_sentence(detail) for detail in reversed(first.values()))) from error
    except SettingsError as error:
        raise Misconfigured(_not_json(error)) from error


def _from_file() -> dict[str, Any]:
    named = os.environ.get(PREFIX + "CONFIG")
    data_dir = os.environ.get(PREFIX + "DATA_DIR")
    path = Path(named) if named else (Path(data_dir) if data_dir else default_data_dir()) / "flopledger.toml"
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as error:
        if named:
            raise Misconfigured(f"FLOPLEDGER_CONFIG names {path}, which does not exist") from error
        return {}
    except OSError as error:
        where = "FLOPLEDGER_CONFIG" if named else "FLOPLEDGER_DATA_DIR"
        raise Misconfigured(f"{path} cannot be read: {error.strerror}; name another with {where}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _refuse_unknown_variables() -> None:
    known = {name.upper() for name in Settings.model_fields} | {"CONFIG"}
    for variable in os.environ:
        name = variable.removeprefix(PREFIX)
        # FLOPLEDGER_TEST_… belongs to the test suite.
        if name == variable or name in known | RUN_VARIABLES or name.startswith("TEST_"):
            continue
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        raise Misconfigured(f"{variable} is not a setting{hint}")


def _sentence(detail: Any) -> str:
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, 1)
        return f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "")
    return f"{name} ({PREFIX}{name.upper()}): {detail['msg']}; it is {detail['input']!r}"


def _not_json(error: SettingsError) -> str:
    """The library says which setting only in its sentence."""
    name = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "")
    variable = PREFIX + name.upper()
    return f"{name} ({variable}): lists are written as JSON, such as '[\"cpu\"]'; it is {os.environ.get(variable)!r}"
