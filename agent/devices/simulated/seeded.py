"""Draws from the seed: the same on every machine and every Python, in any order."""

from __future__ import annotations

from hashlib import sha256

LEVELS = 32
"""Devices differ from their run's activity by one of 2 × LEVELS + 1 steps, so that they can share tables."""


def draw(seed: int, label: str, below: int) -> int:
    """A number from 0 to `below` − 1, fixed by `seed` and `label`."""
    return int.from_bytes(sha256(f"{seed}/{label}".encode()).digest()[:16]) % below


def jitter_level(seed: int, node: int, gpu: int) -> int:
    """How one device differs from the others, from −LEVELS to LEVELS."""
    return draw(seed, f"jitter/{node}/{gpu}", 2 * LEVELS + 1) - LEVELS
