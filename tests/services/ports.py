"""Ports on loopback for services that tests stop and bring back."""

from __future__ import annotations

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
EPHEMERAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Ports that stay ours while the broker is down.

    Below the ephemeral range: a client that keeps trying a port of that range may be given the same number for its
    own end, connect to itself, and hold the port when the broker wants it back.
    """
    lowest_ephemeral = int(EPHEMERAL_PORTS.read_text().split()[0]) if EPHEMERAL_PORTS.exists() else 32768
    candidates = random.SystemRandom().sample(range(15000, lowest_ephemeral), 200)
    free: list[int] = []
    for port in candidates:
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        free.append(port)
        if len(free) == count:
            return free
    raise RuntimeError("no free ports on loopback")
