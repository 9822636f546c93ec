"""Prometheus' HTTP API, as far as an import needs it, and which of DCGM's metrics say what."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpx

from cli.exits import Misconfigured, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping


class Meaning(StrEnum):
    """What a sample says of the time since the one before."""

    TENSOR = "tensor"
    ENGINE = "engine"
    BUSY = "busy"


METRICS: Mapping[str, tuple[Meaning, str]] = {
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": (Meaning.TENSOR, "avg_over_time({selector}[{step}s])"),
    "DCGM_FI_PROF_PIPE_TENSOR_HMMA_ACTIVE": (Meaning.TENSOR, "avg_over_time({selector}[{step}s])"),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": (Meaning.ENGINE, "avg_over_time({selector}[{step}s])"),
    "DCGM_FI_PROF_SM_ACTIVE": (Meaning.ENGINE, "avg_over_time({selector}[{step}s])"),
    "DCGM_FI_DEV_GPU_UTIL": (Meaning.BUSY, "max_over_time({selector}[{step}s]) / 100"),
}
"""Metric → what it means, and the query that makes a share between 0 and 1 of it for each step."""


class Prometheus:
    """One server, asked for series over time."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 120) -> None:
        self._url = url.rstrip("/")
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        try:
            self._http = httpx.Client(headers=headers, timeout=httpx.Timeout(timeout_s, connect=10))
            parsed = httpx.URL(self._url)
        except httpx.InvalidURL as error:
            raise Misconfigured(f"--url {url!r}: {error}") from error
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise Misconfigured(f"--url {url!r} is not one such as http://prometheus:9090")

    def series(self, query: str, start_s: int, end_s: int, step_s: int) -> list[dict[str, Any]]:
        """The matrix that a range query gives; raises `Unreachable`, or `Misconfigured` for a query it refuses."""
        answer = self._ask({"query": query, "start": str(start_s), "end": str(end_s), "step": str(step_s)})
        try:
            data = answer.json()
            if answer.status_code != httpx.codes.OK:
                raise Misconfigured(f"{self._url} refuses the query {query!r}: {data['error']}")
            if data["data"]["resultType"] != "matrix":
                raise Misconfigured(f"{query!r} gives no series over time")
            return list(data["data"]["result"])
        except (ValueError, KeyError, TypeError) as error:
            raise Misconfigured(f"{self._url} answers ({answer.status_code}), but not as a Prometheus does") from error

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _ask(self, parameters: Mapping[str, str]) -> httpx.Response:
        try:
            answer = self._http.post(f"{self._url}/api/v1/query_range", data=parameters)
        except httpx.TransportError as error:
            raise Unreachable(f"{self._url} does not answer: {error or type(error).__name__}") from error
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise Misconfigured(f"{self._url} wants other credentials ({answer.status_code}): give --token-file")
        if answer.is_server_error and answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
            raise Unreachable(f"{self._url} answers {answer.status_code} {answer.reason_phrase}: try again later")
        return answer


def query_of(metric: str, match: str, step_s: int) -> tuple[str, Meaning]:
    """The query for one of DCGM's metrics; `match` narrows it, as in `{Hostname=~"node.*"}`."""
    if metric not in METRICS:
        raise Misconfigured(
            f"--metric {metric!r} is none of: {', '.join(METRICS)}; for others give --query and --meaning"
        )
    meaning, text = METRICS[metric]
    selector = match.strip()
    if selector and not (selector.startswith("{") and selector.endswith("}")):
        selector = f"{{{selector}}}"
    return text.format(selector=f"{metric}{selector}", step=step_s), meaning
