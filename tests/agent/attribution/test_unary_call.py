"""A unary call against real gRPC servers, and against sockets that answer something else."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from agent.attribution.unary_call import CallFailed, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

METHOD = "/service/Method"
LONGEST_BYTES = 4 << 20
TIMEOUT_S = 20.0


@contextmanager
def served(path: Path, answer: Callable[[bytes, Any], bytes]) -> Iterator[None]:
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.max_send_message_length", -1)])
    handlers = {"Method": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("service", handlers)])
    server.add_insecure_port(f"unix://{path}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


@contextmanager
def said(path: Path, raw: bytes, *, close: bool) -> Iterator[None]:
    """Whoever connects hears `raw`, and then nothing more."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    kept: list[socket.socket] = []

    def talk() -> None:
        peer, _ = listener.accept()
        kept.append(peer)
        peer.sendall(raw)
        if close:
            # All that was asked is read first: closing with bytes unread would be another error.
            peer.settimeout(0.2)
            peer.recv(1 << 16)
            peer.close()

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        for open_socket in (listener, *kept):
            open_socket.close()


@pytest.mark.parametrize("size_bytes", [0, 1, 65_535, 65_536, LONGEST_BYTES])
def test_what_is_asked_comes_back_whole_however_long(tmp_path: Path, size_bytes: int) -> None:
    def echo_and_fill(request: bytes, _: Any) -> bytes:
        return (request + bytes(size_bytes))[:size_bytes]

    with served(tmp_path / "s", echo_and_fill):
        answer = call(tmp_path / "s", METHOD, b"asked", TIMEOUT_S, LONGEST_BYTES)
    assert answer == (b"asked" + bytes(size_bytes))[:size_bytes]


def test_an_answer_that_is_too_long_is_not_taken(tmp_path: Path) -> None:
    with (
        served(tmp_path / "s", lambda *_: bytes(LONGEST_BYTES + 1)),
        pytest.raises(CallFailed, match=r"RESOURCE_EXHAUSTED: more than 4194304 bytes"),
    ):
        call(tmp_path / "s", METHOD, b"", TIMEOUT_S, LONGEST_BYTES)


def test_the_servers_own_words_are_passed_on(tmp_path: Path) -> None:
    def refuse(_: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not ünto you: 100%")
        return b""

    with served(tmp_path / "s", refuse), pytest.raises(CallFailed, match="PERMISSION_DENIED: not ünto you: 100%"):
        call(tmp_path / "s", METHOD, b"", TIMEOUT_S, LONGEST_BYTES)


def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    with served(tmp_path / "s", lambda request, _: request), pytest.raises(CallFailed, match="UNIMPLEMENTED"):
        call(tmp_path / "s", "/service/Other", b"", TIMEOUT_S, LONGEST_BYTES)


@pytest.mark.parametrize(
    ("raw", "close", "why"),
    [
        (b"", True, "UNAVAILABLE: the connection was closed"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True, "UNAVAILABLE"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", False, "DEADLINE_EXCEEDED: no answer within 0.3 s"),
        (b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8), False, "UNAVAILABLE: the call was broken off"),
    ],
)
def test_a_socket_that_answers_something_else_is_said(tmp_path: Path, raw: bytes, close: bool, why: str) -> None:
    with said(tmp_path / "s", raw, close=close), pytest.raises(CallFailed, match=why):
        call(tmp_path / "s", METHOD, b"", 0.3, LONGEST_BYTES)


def test_nobody_behind_the_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(CallFailed, match=r"UNAVAILABLE: .*No such file"):
        call(tmp_path / "s", METHOD, b"", TIMEOUT_S, LONGEST_BYTES)
