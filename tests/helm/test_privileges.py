"""Nothing is privileged by default, each privilege belongs to the value that asks for it, no secret is in the open."""

from __future__ import annotations

import re

import pytest

from scripts.chart.values import CHART
from tests.helm.charts import CASES, DEFAULT, Manifest, containers, of_kind, pods

SECRETIVE = re.compile(r"^ *\w*(password|token|secret|key)\w*( =|:)")
AGENT = "DaemonSet/flopledger-agent"
HOST_PATHS = {
    "/var/lib/flopledger": "key and outbox of the agent",
    "/var/log/pods": "names of the node's pods",
    "/var/lib/kubelet/pod-resources": "agent.attribution.podResources",
    "/run/flopledger/runs": "agent.attribution.registration",
    "/run/gpustat": "agent.attribution.slurmPrologDirs",
    "/home/kubernetes/bin/nvidia": "agent.driver.hostPath",
}


def agent(case: str) -> Manifest:
    return next(pod for name, pod in pods(case).items() if name.startswith("DaemonSet/"))


def running(case: str) -> Manifest:
    (container,) = agent(case)["containers"]
    found: Manifest = container
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_container_is_bound(case: str) -> None:
    for name, pod in pods(case).items():
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert "SYS_ADMIN" not in security.get("capabilities", {}).get("add", [])
            assert container["resources"]["limits"]["memory"]
            if not security.get("privileged"):
                assert security["allowPrivilegeEscalation"] is False
                assert security["capabilities"]["drop"] == ["ALL"]


def test_nothing_that_stays_is_root_or_privileged_by_default() -> None:
    for pod in pods(DEFAULT).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert not pod.get("hostNetwork")
        assert not pod.get("hostIPC")
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert "add" not in container["securityContext"]["capabilities"]
            assert not {"runAsUser", "privileged"} & container["securityContext"].keys()
            assert not any("hostPort" in port for port in container.get("ports", []))
    assert of_kind(DEFAULT, "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding") == []


def test_the_one_that_is_root_before_gives_away_a_folder_and_may_do_nothing_else() -> None:
    roots = {
        (name, container["name"]): container["securityContext"]["capabilities"]
        for name, pod in pods(DEFAULT).items()
        for container in containers(pod)
        if container["securityContext"].get("runAsUser") == 0
    }
    assert roots == {(AGENT, "prepare"): {"drop": ["ALL"], "add": ["CHOWN"]}}


def test_there_is_a_mode_without_root_and_without_the_nodes_processes() -> None:
    pod = agent("unprivileged")
    assert pod["hostPID"] is False
    assert "initContainers" not in pod
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert [volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume] == ["/var/lib/flopledger"]


def test_each_feature_brings_its_own_privilege_and_no_other() -> None:
    kubelet = agent("pod-resources")
    assert (kubelet["hostPID"], kubelet["securityContext"]["runAsUser"]) == (False, 0)
    assert "add" not in running("pod-resources")["securityContext"]["capabilities"]

    everything = running("everything")["securityContext"]
    assert everything["capabilities"]["add"] == ["DAC_READ_SEARCH", "SYS_PTRACE"]
    assert agent("everything")["automountServiceAccountToken"] is True
    (role,) = of_kind("everything", "ClusterRole")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]

    host = agent("host-network")
    assert host["hostNetwork"] is True
    assert running("host-network")["securityContext"] == {"privileged": True, "readOnlyRootFilesystem": True}


@pytest.mark.parametrize("case", CASES)
def test_no_other_folder_of_the_node_is_used_and_only_ours_is_written(case: str) -> None:
    for pod in pods(case).values():
        paths = {each["name"]: each["hostPath"]["path"] for each in pod.get("volumes", []) if "hostPath" in each}
        assert set(paths.values()) <= HOST_PATHS.keys()
        for container in pod["containers"]:
            written = {each["name"] for each in container["volumeMounts"] if not each.get("readOnly")}
            assert {paths[name] for name in written & paths.keys()} <= {"/var/lib/flopledger"}


@pytest.mark.parametrize("case", CASES)
def test_every_pod_has_a_policy_unless_they_are_off(case: str) -> None:
    if case == "collectors":
        assert of_kind(case, "NetworkPolicy") == []
        return
    chosen = [policy["spec"]["podSelector"]["matchLabels"] for policy in of_kind(case, "NetworkPolicy")]
    for manifest in of_kind(case, "DaemonSet", "StatefulSet", "Deployment", "Job", "CronJob"):
        template = manifest["spec"].get("jobTemplate", manifest)["spec"]["template"]
        labels = template["metadata"]["labels"].items()
        assert [selector for selector in chosen if selector.items() <= labels], manifest["metadata"]["name"]
    for policy in of_kind(case, "NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_files_of_secrets_that_exist_already(case: str) -> None:
    assert of_kind(case, "Secret") == []
    for pod in pods(case).values():
        for container in containers(pod):
            assert "envFrom" not in container
            for variable in container.get("env", []):
                assert "secretKeyRef" not in variable.get("valueFrom", {})
    for config in of_kind(case, "ConfigMap"):
        for line in "\n".join(text for name, text in config["data"].items() if not name.endswith(".json")).splitlines():
            if SECRETIVE.search(line):
                assert re.search(r'_file(s)?( =|:) "?/etc/flopledger/', line), line


def test_no_template_makes_a_secret_or_a_random_value() -> None:
    for path in (CHART / "templates").rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "kind: Secret" not in text
            assert not [word for word in ("randAlpha", "genSigned", "derivePassword", "genCA") if word in text], path
