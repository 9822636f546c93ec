"""Secrets are looked for before anything is installed: Helm's own `lookup`, asked of an API server that knows a few."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import helm_python
import pytest

from tests.helm.charts import DEFAULT, NOTES, case_values, chart, files, of_kind, pods

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {"serviceaccounts": "ServiceAccount", "secrets": "Secret"}


class Api(BaseHTTPRequestHandler):
    """As much of Kubernetes as `lookup` asks: which kinds there are, and one object by its name."""

    secrets: ClassVar[dict[str, list[str]]] = {}

    def do_GET(self) -> None:
        if self.path.startswith("/api/v1/namespaces/flopledger/"):
            plural, name = self.path.split("?")[0].split("/")[-2:]
            found = name == "default" if plural == "serviceaccounts" else name in self.secrets
            self._answer(200 if found else 404, self._object(KINDS[plural], name) if found else self._absent(name))
        elif self.path.split("?")[0] == "/api/v1":
            named = [
                {"name": plural, "namespaced": True, "kind": kind, "verbs": ["get"]} for plural, kind in KINDS.items()
            ]
            self._answer(200, {"kind": "APIResourceList", "groupVersion": "v1", "resources": named})
        else:
            self._answer(404, self._absent(self.path))

    def _object(self, kind: str, name: str) -> dict[str, Any]:
        found = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "flopledger"}}
        return found if kind != "Secret" else {**found, "data": dict.fromkeys(self.secrets[name], "eA==")}

    def _absent(self, name: str) -> dict[str, Any]:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "NotFound",
            "code": 404,
            "message": name,
        }

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def cluster() -> Iterator[helm_python.Config]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with helm_python.Config(kubeconfig_content=_kubeconfig(address), namespace="flopledger") as config:
            yield config
        server.shutdown()


def _kubeconfig(address: str) -> str:
    clusters = [{"name": "it", "cluster": {"server": address}}]
    contexts = [{"name": "it", "context": {"cluster": "it", "user": "me"}}]
    users: list[dict[str, Any]] = [{"name": "me", "user": {}}]
    whole = {"apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts, "users": users}
    return json.dumps({**whole, "current-context": "it"})


def installed(cluster: helm_python.Config, values: dict[str, Any], secrets: dict[str, list[str]]) -> dict[str, str]:
    Api.secrets = secrets
    return cluster.render(chart(), values, name="flopledger", namespace="flopledger")


def test_a_secret_that_is_missing_is_named_with_its_value(cluster: helm_python.Config) -> None:
    with pytest.raises(helm_python.HelmRenderError) as refused:
        installed(cluster, case_values(DEFAULT), {})
    sentence = (
        "ledger.keySecret names the Secret ledger-key, which does not exist in namespace flopledger: make it there"
    )
    assert sentence in str(refused.value)


def test_a_secret_without_its_key_is_named_with_those_it_has(cluster: helm_python.Config) -> None:
    with pytest.raises(helm_python.HelmRenderError) as refused:
        installed(cluster, case_values(DEFAULT), {"ledger-key": ["ledger.pem", "note"]})
    assert "ledger.keySecret: the Secret ledger-key has no key ledger.key; it has ledger.pem, note" in str(
        refused.value
    )


def test_every_secret_that_is_mounted_is_looked_for(cluster: helm_python.Config) -> None:
    mounted: dict[str, set[str]] = {}
    for pod in pods("everything").values():
        for volume in pod["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                items = {item["key"] for item in source["secret"]["items"]}
                mounted.setdefault(source["secret"]["name"], set()).update(items)
            if "secret" in volume:
                mounted.setdefault(volume["secret"]["secretName"], set())
    there = {name: sorted(items) for name, items in mounted.items()}
    assert installed(cluster, case_values("everything"), there)[f"flopledger/{NOTES}"]
    for name in there:
        with pytest.raises(helm_python.HelmRenderError, match=f"the Secret {name}, which does not exist"):
            installed(cluster, case_values("everything"), {key: items for key, items in there.items() if key != name})


def test_secrets_that_come_with_the_release_are_not_looked_for(cluster: helm_python.Config) -> None:
    made = installed(cluster, {**case_values(DEFAULT), "checkSecrets": False}, {})
    assert len([text for text in made.values() if text.strip()]) == len(files(DEFAULT))


def test_the_demo_needs_none(cluster: helm_python.Config) -> None:
    assert installed(cluster, case_values("demo"), {})
    assert of_kind("demo", "Secret") == []
