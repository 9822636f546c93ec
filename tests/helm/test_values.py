"""Every value does something, typos are refused, and what contradicts itself fails with a sentence."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import helm_python
import pytest

from scripts.chart.render import NAMESPACE, RELEASE, render
from scripts.chart.values import Key, keys
from tests.helm.charts import case_values, chart, refusal

LEAVES = [key for key in keys() if not key.group and key.name not in {"demo.enabled", "checkSecrets"}]
"""All but the one whose doing is the whole case `demo`, and the one that test_secrets.py turns off."""
BASES = (
    "everything",
    "default",
    "host-network",
    "collectors",
    "demo",
    "msk-clickhouse-cloud",
    "unprivileged",
    "monitoring",
)
"""Where a change is tried, until one changes what is rendered."""
OTHER: dict[str, Any] = {
    "imagePullSecrets": [{"name": "other"}],
    "agent.image.digest": f"sha256:{'f' * 64}",
    "agent.driver.hostPath": "/opt/driver",
    "agent.backends": ["cpu"],
    "agent.dcgmUrl": "http://elsewhere:9401/metrics",
    "agent.attribution.slurmPrologDirs": ["/run/other"],
    "agent.state.hostPath": "/data/flopledger",
    "agent.settings": {"registration_dir": "/run/other"},
    "agent.maxUnavailable": 3,
    "kafka.bootstrap": "elsewhere:9099",
    "clickhouse.url": "https://elsewhere:8444/other",
    "collector.image.digest": f"sha256:{'f' * 64}",
    "collector.agentKeys": [{"key": "A" * 43}],
    "collector.settings": {"gateway_port": 1},
    "collector.podDisruptionBudget.maxUnavailable": "50%",
    "collector.topologySpread": [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway"}],
    "alerts.channels": {"other": {"type": "alertmanager", "urls": ["http://other:9093"]}},
    "alerts.secrets": ["compliance", "alertmanager"],
    "web.replicas": 3,
    "web.trustedProxies": ["10.9.0.0/16"],
    "web.groups": {"*": "operator"},
    "web.settings": {"web_refresh_s": 9},
    "ledger.verify.schedule": "1 2 3 4 5",
    "ledger.checkpoint.schedule": "1 2 3 4 5",
    "monitoring.podMonitor.interval": "7s",
    "monitoring.serviceMonitor.interval": "7s",
    "networkPolicy.kafkaPorts": [9],
    "networkPolicy.alertsPorts": [9],
    "extraManifests": [],
}
"""For values that not every other text or number will do for."""


def others(key: Key) -> list[Any]:
    """Values that this key may have beside its default."""
    if key.name in OTHER:
        return [OTHER[key.name]]
    if "enum" in key.schema:
        return [each for each in key.schema["enum"] if each != key.default]
    shape = key.schema.get("is") or key.schema.get("items", {}).get("is")
    by_shape = {
        "strings": {"other": "other"},
        "resources": {"limits": {"cpu": "7"}},
        "free": {"podAntiAffinity": {}},
        "toleration": [{"key": "other"}],
        "peer": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
    }
    if shape is not None:
        return [by_shape[shape]]
    if isinstance(key.default, bool):
        return [True, False]
    return [key.default + 1 if isinstance(key.default, int) else 0.25 if key.default == 0.5 else "other"]


def changed(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    result = copy.deepcopy(values)
    place = result
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = value
    return result


def unchecked(values: dict[str, Any]) -> dict[str, str]:
    """Without the schema, which other tests ask."""
    return chart().render(values, name=RELEASE, namespace=NAMESPACE)


@cache
def unchecked_case(case: str) -> dict[str, str]:
    return unchecked(case_values(case))


def matters(key: Key) -> bool:
    for base in BASES:
        for value in others(key):
            try:
                made = unchecked(changed(case_values(base), key.path, value))
            except helm_python.HelmError:
                continue  # refused here: this one does something, but which is for the other bases to show
            if made != unchecked_case(base):
                return True
    return False


@pytest.mark.parametrize("section", sorted({key.path[0] for key in LEAVES}))
def test_every_value_changes_what_is_rendered(section: str) -> None:
    assert [key.name for key in LEAVES if key.path[0] == section and not matters(key)] == []


TYPOS: list[tuple[dict[str, Any], str]] = [
    ({"kafak": {}}, "additional properties 'kafak' not allowed"),
    ({"agent": {"imagee": {}}}, "at '/agent': additional properties 'imagee' not allowed"),
    ({"agent": {"enabled": "yes"}}, "at '/agent/enabled': got string, want boolean"),
    (
        {"agent": {"otlp": {"exposure": "hostport"}}},
        "at '/agent/otlp/exposure': value must be one of 'none', 'hostPort'",
    ),
    ({"alerts": {"channels": {"a": {"type": "slack"}}}}, "at '/alerts/channels/a/type': value must be one of"),
    (
        {"alerts": {"channels": {"a": {"type": "webhook", "secret": "s"}}}},
        "at '/alerts/channels/a': additional properties 'secret' not",
    ),
    ({"agent": {"settings": {"sample_evry_s": 1}}}, "at '/agent/settings': additional properties 'sample_evry_s' not"),
    (
        {"agent": {"settings": {"slurm_prolog_dirs": "/run"}}},
        "at '/agent/settings/slurm_prolog_dirs': got string, want array",
    ),
    ({"agent": {"sealEverySeconds": 0}}, "at '/agent/sealEverySeconds': exclusiveMinimum: got 0, want 0"),
    (
        {"collector": {"resources": {"limit": {}}}},
        "at '/collector/resources': additional properties 'limit' not allowed",
    ),
    ({"collector": {"replicas": "2"}}, "at '/collector/replicas': got string, want integer"),
    (
        {"monitoring": {"podMonitor": {"interval": "often"}}},
        "at '/monitoring/podMonitor/interval': 'often' does not match",
    ),
]


@pytest.mark.parametrize(("values", "sentence"), TYPOS, ids=[sentence for _, sentence in TYPOS])
def test_a_typo_is_refused_with_its_place(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(values)


KAFKA = {"bootstrap": "kafka:9092"}
SASL = {**KAFKA, "security": "SASL_SSL"}
HOOK = {"type": "webhook", "url": "https://a", "secret_file": "/run/secrets/hook"}
TOKENS = {"enabled": True, "tokensSecret": {"name": "t"}}
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"alerts": {"channels": {"a": HOOK}}},
        "alerts.channels.a.secret_file is /run/secrets/hook: write /etc/flopledger/alerts/",
    ),
    ({"alerts": {"secrets": ["hook"]}}, "alerts.secrets lists hook, but no channel of alerts.channels names a file in"),
    ({"web": {"enabled": True}}, "web.enabled is true, but nobody may see the page: `flopledger web token"),
    (
        {"web": {"enabled": True, "groups": {"*": "viewer"}}},
        "but web.trustedProxies is empty: name the proxy's addresses",
    ),
    ({"web": {**TOKENS, "ingress": {"enabled": True}}}, "web.ingress.host is empty"),
    (
        {"web": {**TOKENS, "ingress": {"enabled": True, "host": "h"}}},
        "the page does not believe that it is asked by https",
    ),
    ({"web": {**TOKENS, "replicas": 2}}, "pages would not know each other's sessions"),
    ({"web": {**TOKENS, "settings": {"web_port": 1}}}, "web.settings.web_port: the chart sets this itself"),
    ({"web": {"ingress": {"enabled": True}}}, "but web.enabled is false: there is no page to show"),
    ({"cluster": ""}, "cluster is empty: give this cluster a name"),
    ({"kafka": {}}, "kafka.bootstrap is empty: name your brokers"),
    ({"kafka": {"bootstrap": "kafka"}}, 'kafka.bootstrap is "kafka": write host:port'),
    ({"kafka": SASL}, "kafka.security is SASL_SSL, but kafka.saslMechanism is empty"),
    (
        {"kafka": {**SASL, "saslMechanism": "PLAIN"}},
        "kafka.agent.username and kafka.agent.passwordSecret.name go together",
    ),
    ({"kafka": {**SASL, "saslMechanism": "OAUTHBEARER"}}, "kafka.collector.tokenSecret.name is empty: OAUTHBEARER"),
    ({"kafka": {**KAFKA, "saslMechanism": "PLAIN"}}, "kafka.saslMechanism is PLAIN, but kafka.security is PLAINTEXT"),
    ({"kafka": {**KAFKA, "caSecret": {"name": "ca"}}}, "kafka.caSecret is of no use with kafka.security PLAINTEXT"),
    (
        {"kafka": {**KAFKA, "agent": {"username": "me"}}},
        "kafka.agent names a user, but kafka.security PLAINTEXT asks for none",
    ),
    (
        {"kafka": {**KAFKA, "agent": {"tlsSecret": {"name": "me"}}}},
        "kafka.agent.tlsSecret is of no use with kafka.security",
    ),
    ({"clickhouse": {}}, "clickhouse.url is empty: name your server"),
    (
        {"clickhouse": {"url": "clickhouse:8123"}},
        'clickhouse.url is "clickhouse:8123": write http(s)://host:port/database',
    ),
    ({"clickhouse": {"url": "http://me:secret@host/db"}}, "without a name or a password in it"),
    (
        {"clickhouse": {"url": "http://h:1/d", "caSecret": {"name": "ca"}}},
        "clickhouse.caSecret is of no use with an http://",
    ),
    (
        {"clickhouse": {"url": "http://h:1/d", "auditor": {"passwordSecret": {"name": "x"}}}},
        "clickhouse.auditor.passwordSecret.name is set, but not clickhouse.auditor.username",
    ),
    ({"ledger": {}}, "ledger.keySecret.name is empty: make the key with `openssl genpkey -algorithm ed25519"),
    ({"demo": {"enabled": True}}, "demo.enabled runs everything in one pod and keeps nothing, but kafka.bootstrap"),
    ({"agent": {"attribution": {"hostPID": False, "environment": True}}}, "set that to true"),
    (
        {"agent": {"attribution": {"hostPID": False}, "backends": ["cpu"]}},
        "agent.backends holds cpu, which watches other pods'",
    ),
    (
        {"agent": {"attribution": {"hostPID": False, "registration": True}}},
        "agent.attribution.registration matches files",
    ),
    ({"agent": {"backends": ["dcgm"]}}, "agent.backends holds dcgm, but agent.dcgmUrl is empty"),
    (
        {"agent": {"otlp": {"exposure": "hostPort"}}},
        "agent.otlp.exposure is hostPort, but agent.otlp.tokenSecret.name is empty",
    ),
    (
        {"agent": {"otlp": {"tokenSecret": {"name": "t"}}}},
        "agent.otlp.tokenSecret.name is set, but agent.otlp.exposure is none",
    ),
    ({"agent": {"metricsPort": 4319}}, "agent.otlp.port and agent.metricsPort are both 4319"),
    ({"agent": {"driver": {"hostPath": "/opt"}}}, "set agent.driver.privileged to true"),
    ({"agent": {"driver": {"hostPath": "/opt", "privileged": True}}}, "are two ways to the same driver"),
    ({"agent": {"settings": {"metrics_port": 1}}}, "agent.settings.metrics_port: the chart sets this itself"),
    ({"agent": {"image": {"digest": "sha256:abc"}}}, 'agent.image.digest is "sha256:abc": write sha256: and 64'),
    ({"collector": {"settings": {"enrolment": "open"}}}, "collector.settings.enrolment: the chart sets this itself"),
    (
        {"collector": {"autoscaling": {"enabled": True}, "keda": {"enabled": True}}},
        "would both set the number of collectors",
    ),
    ({"collector": {"autoscaling": {"minReplicas": 13}}}, "collector.autoscaling.minReplicas is above maxReplicas"),
    (
        {"collector": {"replicas": 13}, "kafka": {**KAFKA, "topics": {"create": True}}},
        "the others would have nothing to do",
    ),
    ({"collector": {"keda": {"triggerAuthentication": "x"}}}, "collector.keda.enabled is false"),
    ({"collector": {"agentKeys": [{"key": "A" * 43}]}}, "collector.enrolment is open, where every key counts"),
    (
        {"ledger": {"keySecret": {"name": "k"}, "checkpoint": {"enabled": False, "claim": "c"}}},
        "nothing would be written",
    ),
    (
        {"ledger": {"keySecret": {"name": "k"}, "verify": {"schedule": "daily"}}},
        'ledger.verify.schedule is "daily": write five',
    ),
]


@pytest.mark.parametrize(("values", "sentence"), CONTRADICTIONS, ids=[sentence for _, sentence in CONTRADICTIONS])
def test_a_contradiction_fails_with_a_sentence(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(values)


def test_everything_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(helm_python.HelmRenderError) as refused:
        render(chart(), {})
    for value in ("cluster", "kafka.bootstrap", "clickhouse.url", "ledger.keySecret.name"):
        assert f"{value} is empty" in str(refused.value)
