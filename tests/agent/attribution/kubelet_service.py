"""A kubelet's pod-resources service over real gRPC."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc

from agent.attribution.kubelet import METHOD, messages

if TYPE_CHECKING:
    from pathlib import Path


class FakeKubelet:
    """Serves the pod-resources service on a socket, with what the test puts into `pods`."""

    def __init__(self, socket: Path) -> None:
        self.pods: dict[tuple[str, str], dict[str, list[str]]] = {}
        self.code: grpc.StatusCode | None = None
        self._socket = socket
        self._server = grpc.server(ThreadPoolExecutor(1))
        handler = grpc.unary_unary_rpc_method_handler(
            self._list,
            request_deserializer=messages()["ListPodResourcesRequest"].FromString,
            response_serializer=messages()["ListPodResourcesResponse"].SerializeToString,
        )
        service, method = METHOD.strip("/").split("/")
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
        self._server.add_insecure_port(f"unix://{socket}")
        self._server.start()

    def _list(self, request: Any, context: Any) -> Any:
        del request
        if self.code is not None:
            context.abort(self.code, "not now")
        answer = messages()["ListPodResourcesResponse"]()
        for (namespace, name), held in self.pods.items():
            container = answer.pod_resources.add(name=name, namespace=namespace).containers.add(name="main")
            for resource, devices in held.items():
                container.devices.add(resource_name=resource, device_ids=devices)
        return answer

    def close(self) -> None:
        self._server.stop(None).wait()
