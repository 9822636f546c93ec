"""The kubelet's pod-resources service: which container has which device. It answers on a socket of the node, to root.

The messages are the few fields of `k8s.io/kubelet/pkg/apis/podresources/v1` that are needed, described here rather than
generated. HTTP/2 is loaded when the socket is there, and not before.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from agent.errors import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

METHOD = "/v1.PodResourcesLister/List"
_TIMEOUT_S = 3.0
_LONGEST_ANSWER_BYTES = 64 << 20

_MESSAGES: Mapping[str, Mapping[int, tuple[str, str]]] = {
    # message: number of the field: its name and, but for text, the message that it is
    "ListPodResourcesRequest": {},
    "ListPodResourcesResponse": {1: ("pod_resources", "PodResources")},
    "PodResources": {1: ("name", ""), 2: ("namespace", ""), 3: ("containers", "ContainerResources")},
    "ContainerResources": {1: ("name", ""), 2: ("devices", "ContainerDevices")},
    "ContainerDevices": {1: ("resource_name", ""), 2: ("device_ids", "")},
}
_REPEATED = frozenset({"pod_resources", "containers", "devices", "device_ids"})


class Allotment(NamedTuple):
    """A device that a container was given, by the id that its device plugin uses."""

    namespace: str
    pod: str
    resource: str
    device: str


@cache
def messages() -> Mapping[str, type[Any]]:
    """The classes of the messages, by name."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="flopledger/podresources.proto", package="v1", syntax="proto3")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for number, (name, of) in fields.items():
            described.field.add(
                name=name,
                number=number,
                label=kind.LABEL_REPEATED if name in _REPEATED else kind.LABEL_OPTIONAL,
                type=kind.TYPE_MESSAGE if of else kind.TYPE_STRING,
                type_name=f".v1.{of}" if of else None,
            )
    # A pool of our own: the program may hold the full description under the same names.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{name}")) for name in _MESSAGES}


class Kubelet:
    """The service behind a socket, asked anew each time. Raises Retry while the kubelet does not answer."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def allotments(self) -> list[Allotment] | None:
        """Every device of every container on this node; None where there is no kubelet."""
        if not self._socket.exists():
            return None
        from agent.attribution.unary_call import CallFailed, call  # noqa: PLC0415

        try:
            request = messages()["ListPodResourcesRequest"]().SerializeToString()
            received = call(self._socket, METHOD, request, _TIMEOUT_S, _LONGEST_ANSWER_BYTES)
            answer = messages()["ListPodResourcesResponse"].FromString(received)
        except (CallFailed, DecodeError) as error:
            raise Retry(f"the kubelet at {self._socket}: {error}") from error
        return [
            Allotment(pod.namespace, pod.name, held.resource_name, device)
            for pod in answer.pod_resources
            for container in pod.containers
            for held in container.devices
            for device in held.device_ids
        ]
