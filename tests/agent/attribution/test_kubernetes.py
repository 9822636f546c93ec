"""Pods: a kubelet that answers over real gRPC, an API server, and what follows for a process's run."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from agent.attribution.cgroup import Cgroup
from agent.attribution.interface import Claim
from agent.attribution.kubelet import Allotment, Kubelet
from agent.attribution.pod_labels import ApiServer, PodLabels, pod_of
from agent.attribution.pod_resources import PodResources, device_name
from agent.attribution.pods import Pod, Pods
from agent.devices.interface import Device, ProcessKey
from agent.errors import Retry
from compute.precision import Dtype
from tests.agent.attribution.kubelet_service import FakeKubelet
from tests.agent.attribution.proc import GPU, OTHER_UID, POD_UID, Proc, pod_cgroup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HIDDEN = ProcessKey(0, 5, "boot")
MIG = Device("MIG-1", "mig", "H100 MIG", None, 16, 1980, parent="GPU-a", place="0.3")


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[FakeKubelet]:
    fake = FakeKubelet(tmp_path / "kubelet.sock")
    yield fake
    fake.close()


class Node:
    """The sources of one node, as the agent puts them together."""

    def __init__(self, root: Path) -> None:
        self.proc = Proc(root / "proc")
        self.logs = root / "pods"
        self.logs.mkdir()
        self.pods = Pods("c", self.logs)
        self.cgroup = Cgroup(self.proc.facts.cgroup, "c", self.pods.run_of_uid)
        self.kubelet = Kubelet(root / "kubelet.sock")
        self.resources = PodResources(self.kubelet, self.pods, self.cgroup.known_place)

    def labels(self, *pods: Pod) -> PodLabels:
        source = PodLabels(self.pods, lambda: list(pods), self.cgroup.known_place, self.resources.tenant)
        source.refresh()
        return source


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_kubelet_tells_who_has_what(kubelet: FakeKubelet, node: Node) -> None:
    kubelet.pods["team", "train-0"] = {"nvidia.com/gpu": ["GPU-a", "GPU-b"], "rdma/hca": ["mlx5_0"]}
    assert node.kubelet.allotments() == [
        Allotment("team", "train-0", "nvidia.com/gpu", "GPU-a"),
        Allotment("team", "train-0", "nvidia.com/gpu", "GPU-b"),
        Allotment("team", "train-0", "rdma/hca", "mlx5_0"),
    ]


@pytest.mark.parametrize(
    ("plugin_id", "name"),
    [
        ("GPU-a", "GPU-a"),
        ("GPU-a::3", "GPU-a"),
        ("MIG-1", "MIG-1"),
        ("nvidia0", "0"),
        ("nvidia7/vgpu3", "7"),
        ("nvidia0/gi3", "0.3"),
        ("nvidia0/gi3/vgpu1", "0.3"),
    ],
)
def test_device_plugins_name_devices_in_their_own_ways(plugin_id: str, name: str) -> None:
    assert device_name(plugin_id) == name


@pytest.mark.parametrize(
    ("device", "plugin_id"), [(GPU, "GPU-a"), (GPU, "nvidia0"), (MIG, "MIG-1"), (MIG, "nvidia0/gi3")]
)
def test_a_device_belongs_to_the_pod_that_has_it(
    kubelet: FakeKubelet, node: Node, device: Device, plugin_id: str
) -> None:
    kubelet.pods["team", "train-0"] = {"nvidia.com/gpu": [plugin_id]}
    assert node.resources.claim(HIDDEN, device) is None
    node.resources.refresh()
    assert node.resources.claim(HIDDEN, device) == Claim("k8s:c:team/train-0")


def test_of_several_pods_that_share_a_device_the_cgroup_tells_which(kubelet: FakeKubelet, node: Node) -> None:
    kubelet.pods["team", "one"] = {"nvidia.com/gpu": ["GPU-a::0"]}
    kubelet.pods["team", "two"] = {"nvidia.com/gpu": ["GPU-a::1"]}
    node.resources.refresh()
    process = node.proc.add(11, pod_cgroup())
    (node.logs / f"team_two_{POD_UID}").mkdir()
    assert node.resources.claim(process, GPU) is None
    assert node.cgroup.claim(process, GPU) == Claim("k8s:c:team/two")


def test_a_process_that_is_known_to_live_elsewhere_is_not_the_pods(kubelet: FakeKubelet, node: Node) -> None:
    kubelet.pods["team", "train-0"] = {"nvidia.com/gpu": ["GPU-a"]}
    node.resources.refresh()
    (node.logs / f"team_train-0_{POD_UID}").mkdir()
    (node.logs / f"monitoring_exporter-x_{OTHER_UID}").mkdir()
    ours, other = node.proc.add(11, pod_cgroup()), node.proc.add(12, pod_cgroup(OTHER_UID))
    host = node.proc.add(13, "0::/system.slice/dcgm.service\n")
    assert node.resources.claim(ours, GPU) == Claim("k8s:c:team/train-0")
    assert node.resources.claim(other, GPU) is None
    assert node.resources.claim(host, GPU) is None
    assert node.cgroup.claim(other, GPU) == Claim("k8s:c:monitoring/exporter-x")


def test_a_pod_that_nobody_can_name_is_its_uid(node: Node) -> None:
    process = node.proc.add(11, pod_cgroup())
    assert node.cgroup.claim(process, GPU) == Claim(f"k8s:c:{POD_UID}")


def test_while_the_kubelet_does_not_answer_what_it_said_holds(
    kubelet: FakeKubelet, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    kubelet.pods["team", "train-0"] = {"nvidia.com/gpu": ["GPU-a"]}
    node.resources.refresh()
    kubelet.code = grpc.StatusCode.RESOURCE_EXHAUSTED
    node.resources.refresh()
    node.resources.refresh()
    assert node.resources.claim(HIDDEN, GPU) == Claim("k8s:c:team/train-0")
    assert len(caplog.records) == 1
    assert "RESOURCE_EXHAUSTED: not now" in caplog.text
    kubelet.code = None
    kubelet.pods.clear()
    node.resources.refresh()
    assert node.resources.claim(HIDDEN, GPU) is None


def test_a_node_without_a_kubelet_asks_nobody(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.resources.refresh()
    assert node.resources.claim(HIDDEN, GPU) is None
    assert caplog.text == ""


def test_a_socket_that_nobody_serves_is_said(node: Node, tmp_path: Path) -> None:
    (tmp_path / "kubelet.sock").write_text("")
    with pytest.raises(Retry, match=r"kubelet\.sock: UNAVAILABLE"):
        node.kubelet.allotments()


NOTES = {
    "flopledger.io/run-id": "r",
    "flopledger.io/model-id": "m",
    "flopledger.io/purpose": "rl",
    "flopledger.io/dtype": "fp8",
}


def test_labels_and_annotations_name_the_run(kubelet: FakeKubelet, node: Node) -> None:
    kubelet.pods["team", "train-0"] = {"nvidia.com/gpu": ["GPU-a"]}
    node.resources.refresh()
    labels = node.labels(Pod("team", "train-0", POD_UID, "train", NOTES), Pod("team", "other", OTHER_UID))
    process, other = node.proc.add(11, pod_cgroup()), node.proc.add(12, pod_cgroup(OTHER_UID))
    claim = Claim("r", True, "rl", Dtype.FP8, "m")
    assert labels.claim(process, GPU) == claim
    assert labels.claim(HIDDEN, GPU) == claim
    assert labels.claim(other, GPU) is None
    assert labels.claim(node.proc.add(13), GPU) is None
    assert node.resources.claim(process, GPU) == Claim("k8s:c:team/train")


def metadata(**more: Any) -> dict[str, Any]:
    return {"namespace": "team", "name": "train-0-x7k2p", "uid": POD_UID} | more


@pytest.mark.parametrize(
    ("more", "owner"),
    [
        ({}, None),
        ({"ownerReferences": [{"name": "train-0", "controller": True}]}, "train-0"),
        ({"ownerReferences": [{"name": "watcher"}]}, None),
        (
            {
                "labels": {"jobset.sigs.k8s.io/jobset-name": "train", "batch.kubernetes.io/job-name": "train-0"},
                "ownerReferences": [{"name": "train-0", "controller": True}],
            },
            "train",
        ),
    ],
)
def test_the_job_behind_a_pod_is_the_outermost(more: dict[str, Any], owner: str | None) -> None:
    assert pod_of(metadata(**more)).owner == owner


def test_an_annotation_goes_before_a_label_and_nothing_else_is_kept() -> None:
    labels = {"flopledger.io/run-id": "short", "flopledger.io/dtype": "bf16", "app": "x"}
    pod = pod_of(metadata(labels=labels, annotations={"flopledger.io/run-id": "long", "secret": "y"}))
    assert pod.notes == {"flopledger.io/run-id": "long", "flopledger.io/dtype": "bf16"}


@contextmanager
def answering(status: int, body: bytes, asked: list[tuple[str, str]]) -> Iterator[int]:
    """A server that gives one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def api_server(tmp_path: Path, port: int) -> ApiServer:
    (tmp_path / "token").write_text("secret\n")
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
    return ApiServer("node/7", environ, tmp_path, scheme="http")


def test_the_pods_of_this_node_alone_are_asked_for(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    with answering(200, json.dumps({"items": [{"metadata": metadata()}]}).encode(), asked) as port:
        assert api_server(tmp_path, port).pods() == [Pod("team", "train-0-x7k2p", POD_UID)]
    assert asked == [("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode/7", "Bearer secret")]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, b"{}", "may not list pods"),
        (500, b"", "answers 500"),
        (200, b"<html>", "pod labels:"),
        (200, b"{}", "items"),
    ],
)
def test_an_api_server_that_does_not_answer_is_said_once(
    tmp_path: Path, node: Node, status: int, body: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(status, body, []) as port:
        labels = PodLabels(node.pods, api_server(tmp_path, port).pods, node.cgroup.known_place, node.resources.tenant)
        labels.refresh()
        labels.refresh()
    assert said in caplog.text
    assert len(caplog.records) == 1


def test_outside_a_cluster_there_is_nobody_to_ask(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="KUBERNETES_SERVICE_HOST is not set"):
        ApiServer("n", {}, tmp_path).pods()
