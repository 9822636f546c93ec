"""A socket to listen on, for those who serve the ledger over HTTP."""

from __future__ import annotations

import socket

from ledger.errors import Fatal


class PortTaken(Fatal):
    """Somebody else listens there."""


def listen(host: str, port: int, who: str, instead: str) -> socket.socket:
    """A bound socket; raises `PortTaken`, which says `who` cannot listen and what to do `instead`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(f"{who} cannot listen on {host}:{port}: {error.strerror}; {instead}") from error
    return listener
